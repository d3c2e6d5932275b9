"""Where a canary can sit for each configured path, and under which names, so that it is watched as all else is there."""

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fimkit.audit.rules import PathFacts
from fimkit.model.config import Config, Watch
from fimkit.model.findings import Tier
from fimkit.model.paths import is_below, render_path
from fimkit.model.watches import WatchSet
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.place import list_mounts, look_at

__all__ = ["NoSpot", "Spot", "find_spots", "name_for"]

_PLAIN = ("fimkit-canary-{}", "fimkit-canary-{}.txt", ".fimkit-canary-{}", "{}")
_MOST_NAMED = 3
_TOKEN = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A folder for a canary, its first name and the one that it is renamed to, and a watch that looks at these two alone.

    ``token`` is the first name's random part; ``note`` has words on what this root's canary does not show. ``is_beside``: it sits
    beside a single file, in a folder that is not watched itself: osquery alone looks at that (it watches no single file well).
    """

    root: bytes
    tier: Tier
    folder: bytes
    names: tuple[bytes, bytes]
    token: str
    narrow: Watch
    note: str = ""
    is_beside: bool = False

    @property
    def paths(self) -> tuple[bytes, bytes]:
        """Both names as whole paths."""
        start = self.folder.rstrip(b"/") + b"/"
        return start + self.names[0], start + self.names[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSpot:
    """A configured path where no canary can sit, and why. ``is_trouble``: what is asked for cannot be seen as it is now."""

    root: bytes
    tier: Tier
    why: str
    is_trouble: bool


def name_for(token: str, include: Sequence[str]) -> Iterator[str]:
    """Give names that hold a token, the likeliest to be watched first.

    >>> list(name_for("ab", ["wp-config.php", "*.php"]))
    ['fimkit-canary-ab.php', 'ab.php']
    >>> next(name_for("ab", [])), list(name_for("ab", ["wp-config.php"]))
    ('fimkit-canary-ab', [])
    """
    if not include:
        yield from (template.format(token) for template in _PLAIN)
        return
    for stem in ("fimkit-canary-{}", "{}"):
        for pattern in include:
            first, star, rest = pattern.partition("*")
            if star:
                yield _fill(first) + stem.format(token) + _fill(rest.replace("*", ""))


def _fill(pattern: str) -> str:
    """Give a text that a pattern without stars takes, as far as that is simple; the watch itself is asked afterwards."""
    return re.sub(r"\[!.[^]]*\]|\[(.)[^]]*\]", lambda found: found[1] or "_", pattern.replace("?", "_"))


def find_spots(
    config: Config,
    *,
    new_token: Callable[[], str],
    beside: bool = False,
    look: Callable[[bytes], PathFacts] = look_at,
    mounts: Callable[[], Sequence[bytes]] = list_mounts,
) -> list[Spot | NoSpot]:
    """Choose a spot for each configured path, and one for each file system below it that is watched too (``cross_mounts``).

    Args:
        config: The configuration.
        new_token: Gives 32 hexadecimal digits that nobody can guess.
        beside: There is somebody who watches the folders of single files.
        look: What a path is on this host.
        mounts: Where file systems are mounted.
    """
    watches = WatchSet(scanned_watches(config))
    points = mounts()
    chooser = _Chooser(watches, new_token, points, beside=beside)
    return [spot for watch in config.paths for spot in chooser.spots_of(watch, look(watch.path))]


class _Chooser:
    """Chooses for one root after the other."""

    def __init__(self, watches: WatchSet, new_token: Callable[[], str], points: Sequence[bytes], *, beside: bool) -> None:
        self._beside_files = beside
        self._watches = watches
        self._new_token = new_token
        self._points = points

    def spots_of(self, watch: Watch, facts: PathFacts) -> Iterator[Spot | NoSpot]:
        if not facts.exists:
            why = "there is no such path now: osquery does not find it before its next start; make it, or take it out"
            yield self._none(watch, why, is_trouble=True)
        elif not facts.is_folder:
            yield self._beside(watch, facts.real)
        else:
            below = sorted(point for point in self._points if point != facts.real and is_below(point, facts.real))
            inside = [point for point in below if self._watches.watch_of(point, is_folder=True) is not None]
            crossed = [point for point in inside if watch.cross_mounts]
            note = "" if watch.cross_mounts or not inside or not watch.recursive else _mounted_words(inside)
            yield self._in_folder(watch, facts.real, note)
            for point in crossed:
                yield self._in_folder(watch, point, "a file system mounted below")

    def _none(self, watch: Watch, why: str, *, is_trouble: bool = False) -> NoSpot:
        return NoSpot(root=watch.path, tier=watch.tier, why=why, is_trouble=is_trouble)

    def _beside(self, watch: Watch, real: bytes) -> Spot | NoSpot:
        folder = os.path.dirname(real)
        spot = self._spot(watch, folder, "a single file, which is not touched: the canary sits beside it")
        if spot is not None:
            return spot
        if not self._beside_files:
            return self._none(watch, "a single file, which is not touched, and its folder is not watched: not tried")
        names = (os.fsencode(_PLAIN[0].format(self._new_token())), os.fsencode(_PLAIN[0].format(self._new_token())))
        note = "a single file, which is not touched: the canary sits beside it, for osquery, which watches the folder"
        return self._plain_spot(watch, folder, (names[0], names[1]), note, is_beside=True)

    def _in_folder(self, watch: Watch, folder: bytes, note: str) -> Spot | NoSpot:
        spot = self._spot(watch, folder, note)
        if spot is None:
            where = "" if folder == watch.path else f" (in {render_path(folder)})"
            return self._none(watch, f"its patterns let no name of a canary through{where}: not tried")
        return spot

    def _spot(self, watch: Watch, folder: bytes, note: str) -> Spot | None:
        token, second = self._new_token(), self._new_token()
        around = self._watches.watch_of(folder, is_folder=True) or watch
        start = folder.rstrip(b"/") + b"/"
        for one, other in zip(name_for(token, around.include), name_for(second, around.include), strict=True):
            names = os.fsencode(one), os.fsencode(other)
            if all(b"/" not in name and self._watches.watch_of(start + name) is not None for name in names):
                return self._plain_spot(watch, folder, names, note)
        return None

    @staticmethod
    def _plain_spot(watch: Watch, folder: bytes, names: tuple[bytes, bytes], note: str, *, is_beside: bool = False) -> Spot:
        token = _TOKEN.search(names[0])
        assert token is not None
        include = tuple(glob.escape(os.fsdecode(name)) for name in names)
        return Spot(
            root=watch.path, tier=watch.tier, folder=folder, names=names, token=token[0].decode(),
            narrow=Watch(path=folder, recursive=False, include=include), note=note, is_beside=is_beside,
        )  # fmt: skip


def _mounted_words(points: Sequence[bytes]) -> str:
    more = f" and {len(points) - _MOST_NAMED} more" if len(points) > _MOST_NAMED else ""
    named = ", ".join(map(render_path, points[:_MOST_NAMED]))
    return f"other file systems below it ({named}{more}) are neither recorded nor scanned; cross_mounts would"
