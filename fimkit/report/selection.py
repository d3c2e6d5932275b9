"""Which findings are meant: by severity, tier, kind, path and who. Pure."""

import fnmatch
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from fimkit.model.changes import Actor
from fimkit.model.findings import Finding, Kind, Severity, Tier
from fimkit.model.paths import is_below, parse_path, render_path

__all__ = ["NO_LOGIN", "PathPattern", "Selection"]

NO_LOGIN = "no-login"
"""The word for who never logged in: a service, a cron job."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path and what is below it, or, with ``*``, ``?`` or ``[``, a pattern on the whole path, whose ``*`` takes slashes too.

    >>> PathPattern("/etc").takes(b"/etc/x"), PathPattern("*.php").takes(b"/srv/www/x.php"), PathPattern("/etc").takes(b"/etcetera")
    (True, True, False)
    >>> PathPattern("/srv/a%0Ab").takes(bytes([47, 115, 114, 118, 47, 97, 10, 98])), PathPattern("/a[1]").takes(b"/a[1]")
    (True, True)
    """

    text: str

    def takes(self, path: bytes) -> bool:
        """Tell whether a path is meant: by its bytes, or by its text as fimkit prints it."""
        literal = self.text.encode("utf-8", "surrogateescape").rstrip(b"/") or b"/"
        if is_below(path, literal) or is_below(path, parse_path(self.text).rstrip(b"/") or b"/"):
            return True
        return any(char in self.text for char in "*?[") and fnmatch.fnmatchcase(render_path(path), self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What all must hold of a finding that is meant; nothing said leaves nothing out.

    ``severity`` is the least one. ``who`` are users, login ids, user ids, programs (with their folder or without), or
    :data:`NO_LOGIN`.
    """

    severity: Severity | None = None
    tiers: Sequence[Tier] = ()
    kinds: Sequence[Kind] = ()
    paths: Sequence[PathPattern] = ()
    who: Sequence[str] = ()

    def takes(self, finding: Finding) -> bool:
        """Tell whether a finding is meant."""
        if self.severity is not None and finding.severity.rank < self.severity.rank:
            return False
        if (self.tiers and finding.tier not in self.tiers) or (self.kinds and finding.kind not in self.kinds):
            return False
        names = [name for name in (finding.path, finding.moved_to) if name is not None]
        if self.paths and not any(pattern.takes(name) for pattern in self.paths for name in names):
            return False
        return not self.who or any(_is(actor, who) for actor in finding.actors for who in self.who)


def _is(actor: Actor, who: str) -> bool:
    if who == NO_LOGIN:
        return actor.auid is None
    programs = [render_path(name) for name in (actor.exe, actor.comm) if name is not None]
    ids = [str(number) for number in (actor.auid, actor.uid, actor.euid) if number is not None]
    return who in {actor.user, *programs, *map(posixpath.basename, programs), *ids}
