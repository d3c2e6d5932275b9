"""Which watch a path belongs to: the most specific entry decides, then its patterns. Pure."""

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence

from fimkit.model.config import Watch
from fimkit.model.paths import is_below

__all__ = ["WatchSet"]

_MOST_KNOWN = 4096


def _compile(patterns: Sequence[str]) -> re.Pattern[bytes] | None:
    if not patterns:
        return None
    whole = "|".join(f"(?:{fnmatch.translate(pattern)})" for pattern in patterns)
    return re.compile(os.fsencode(whole))


class _Rule:
    """One watch with its patterns compiled."""

    __slots__ = ("exclude_name", "exclude_path", "include", "inside", "watch")

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.inside = watch.path if watch.path == b"/" else watch.path + b"/"
        self.include = _compile(watch.include)
        self.exclude_name = _compile([pattern for pattern in watch.exclude if "/" not in pattern])
        self.exclude_path = _compile([pattern for pattern in watch.exclude if "/" in pattern])

    def covers(self, path: bytes) -> bool:
        watch = self.watch
        if not path.startswith(self.inside):
            return path == watch.path
        return watch.recursive or path.rfind(b"/") == len(watch.path.rstrip(b"/"))

    def covers_inside(self, folder: bytes) -> bool:
        watch = self.watch
        return folder == watch.path or (watch.recursive and is_below(folder, watch.path))

    def excludes(self, path: bytes) -> bool:
        if self.exclude_path and (self.exclude_path.match(path) or any(map(self.exclude_path.match, self._folders_above(path)))):
            return True
        return bool(self.exclude_name and any(map(self.exclude_name.match, self._names_below(path))))

    def _names_below(self, path: bytes) -> list[bytes]:
        return [part for part in path[len(self.watch.path) :].split(b"/") if part]

    def _folders_above(self, path: bytes) -> Iterator[bytes]:
        end = path.find(b"/", len(self.watch.path.rstrip(b"/")) + 1)
        while end != -1:
            yield path[:end]
            end = path.find(b"/", end + 1)

    def includes(self, path: bytes) -> bool:
        return self.include is None or bool(self.include.match(path[path.rfind(b"/") + 1 :]))


class WatchSet:
    """All watches of a configuration.

    The deepest watch that covers a path decides: its tier, its excludes. A folder is never left out by ``include``, which is
    for the names of what lies in it. A pattern that matches a folder excludes what lies in it too.
    """

    def __init__(self, watches: Iterable[Watch]) -> None:
        """Take the configuration's entries, in any order."""
        self.watches = tuple(watches)
        self._rules = sorted(map(_Rule, self.watches), key=lambda rule: -len(rule.watch.path))
        self._known: dict[tuple[bytes, bool], Watch | None] = {}

    def watch_of(self, path: bytes, *, is_folder: bool = False) -> Watch | None:
        """Find the watch that ``path`` belongs to.

        >>> from fimkit.model.findings import Tier
        >>> watches = WatchSet([Watch(path=b"/etc", exclude=("*.swp",)), Watch(path=b"/etc/ssh", tier=Tier.CRITICAL)])
        >>> watches.watch_of(b"/etc/ssh/sshd_config").tier.value, watches.watch_of(b"/etc/a.swp")
        ('critical', None)
        """
        key = path, is_folder
        if key in self._known:
            return self._known[key]
        if len(self._known) >= _MOST_KNOWN:  # who asks of one path asks again and again, and soon of others
            self._known.clear()
        watch = self._known[key] = self._find_watch(path, is_folder)
        return watch

    def _find_watch(self, path: bytes, is_folder: bool) -> Watch | None:
        for rule in self._rules:
            if rule.covers(path) and (is_folder or path == rule.watch.path or rule.includes(path)):
                return None if rule.excludes(path) else rule.watch
        return None

    def enters(self, folder: bytes) -> bool:
        """Tell whether anything in ``folder``, at any depth, can belong to a watch that covers it; entries further in aside.

        >>> watches = WatchSet([Watch(path=b"/etc", exclude=("/etc/cache",)), Watch(path=b"/srv", recursive=False)])
        >>> watches.enters(b"/etc/ssh"), watches.enters(b"/etc/cache"), watches.enters(b"/srv"), watches.enters(b"/srv/a")
        (True, False, True, False)
        """
        for rule in self._rules:
            if rule.covers_inside(folder):
                if not rule.excludes(folder):
                    return True
                if rule.include is None:
                    return False
        return False
