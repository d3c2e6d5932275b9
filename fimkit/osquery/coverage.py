"""What osquery's path patterns stand for, seen and read, and whether a set of them covers a path. Pure.

As seen with osquery 5.23: ``dir/%%`` takes a whole tree, ``dir/%`` and ``dir/`` one level; ``dir/%.conf`` takes the whole level
too (a leaf pattern does not filter); ``%%`` stands at the end alone; a file by its name is lost with its first replacement.
Excludes work as ``dir/%%`` and as an exact file, and not as ``dir/%.swp``.

As read in its source: ``*`` is the same as ``%``; a folder by its name is one level; excludes hold for all categories together and
take only whole parts for wildcards; ``dir/%`` excludes all depths, ``dir`` and ``dir/`` the files right in it.

Source: osquery, events/linux/inotify.cpp, events/pathset.h.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from fimkit.model.paths import is_below

__all__ = ["Base", "Coverage", "Exclude", "Reach", "WatchPattern", "parse_exclude", "parse_watch_pattern"]


class Reach(StrEnum):
    """How far a pattern reaches from its base: the whole tree, one level, a file (or a folder's level), or nothing that is sure."""

    TREE = "tree"
    LEVEL = "level"
    NAMED = "named"
    NONE = "none"


class WatchPattern(NamedTuple):
    """A ``file_paths`` pattern taken apart. ``base`` may have wildcards too; ``leaf`` is a last part that does not filter."""

    pattern: bytes
    reach: Reach
    base: bytes
    leaf: bytes | None = None


class Exclude(NamedTuple):
    """An ``exclude_paths`` pattern taken apart: how far it hides from ``base``; ``problem`` says why that is not what it says."""

    pattern: bytes
    reach: Reach
    base: bytes
    problem: str | None = None


class Base(NamedTuple):
    """One path that a pattern's base stands for on the host. ``real`` is where its links lead: osquery reports events there."""

    path: bytes
    real: bytes
    is_folder: bool


def parse_watch_pattern(pattern: bytes) -> WatchPattern:
    """Take a ``file_paths`` pattern apart.

    >>> [parse_watch_pattern(text)[1:] for text in (b"/etc/%%", b"/etc/%", b"/etc/", b"/etc/%.conf")]
    [(<Reach.TREE: 'tree'>, b'/etc', None), (<Reach.LEVEL: 'level'>, b'/etc', None), (<Reach.LEVEL: 'level'>, b'/etc', None), \
(<Reach.LEVEL: 'level'>, b'/etc', b'%.conf')]
    >>> parse_watch_pattern(b"/home/%%/.ssh").reach, parse_watch_pattern(b"/home/%/.ssh/%%").base
    (<Reach.NONE: 'none'>, b'/home/%/.ssh')
    """
    plain = pattern.replace(b"*", b"%")
    folder, _, last = plain.rpartition(b"/")
    base = folder or b"/"
    if not plain.startswith(b"/") or b"%%" in folder or (b"%%" in last and last != b"%%"):
        return WatchPattern(pattern, Reach.NONE, base)
    if last == b"%%":
        return WatchPattern(pattern, Reach.TREE, base)
    if last in (b"", b"%"):
        return WatchPattern(pattern, Reach.LEVEL, base)
    if b"%" in last:
        return WatchPattern(pattern, Reach.LEVEL, base, last)
    return WatchPattern(pattern, Reach.NAMED, plain)


def parse_exclude(pattern: bytes) -> Exclude:
    """Take an ``exclude_paths`` pattern apart.

    >>> parse_exclude(b"/etc/cache/%%").reach, parse_exclude(b"/etc/x.swp").reach
    (<Reach.TREE: 'tree'>, <Reach.NAMED: 'named'>)
    >>> parse_exclude(b"/etc/%.swp").problem
    'a wildcard inside a name is taken for that character itself, so it excludes nothing'
    """
    plain = pattern.replace(b"*", b"%")
    parts = [part for part in plain.split(b"/") if part]
    if not plain.startswith(b"/"):
        return Exclude(pattern, Reach.NONE, b"/", "it is no absolute path, so it excludes nothing")
    end = next((place for place, part in enumerate(parts) if part == b"%%"), len(parts))
    base = b"/" + b"/".join(parts[:end])
    if any(b"%" in part and part != b"%" for part in parts[:end]):
        words = "a wildcard inside a name is taken for that character itself, so it excludes nothing"
        return Exclude(pattern, Reach.NONE, base, words)
    if end < len(parts) - 1:
        words = "what follows %% is not looked at, so it excludes the whole tree before it"
        return Exclude(pattern, Reach.TREE, base, words)
    if end < len(parts):
        return Exclude(pattern, Reach.TREE, base)
    if parts and parts[-1] == b"%":
        return Exclude(pattern, Reach.TREE, b"/" + b"/".join(parts[:-1]))
    if plain.endswith(b"/"):
        return Exclude(pattern, Reach.LEVEL, base, "it excludes what lies right in the folder, and not what its subfolders hold")
    return Exclude(pattern, Reach.NAMED, base)


class Coverage:
    """The places that a set of patterns watches on a host.

    A pattern whose base is not there watches nothing, and is not picked up later.
    """

    def __init__(self, patterns: Iterable[bytes], places: Mapping[bytes, tuple[Base, ...]]) -> None:
        """Take patterns, and the places of their bases by pattern."""
        self.trees: dict[bytes, bytes] = {}
        self.levels: dict[bytes, bytes] = {}
        self.files: dict[bytes, bytes] = {}
        for text in patterns:
            pattern = parse_watch_pattern(text)
            for place in places.get(text, ()):
                if pattern.reach is Reach.TREE and place.is_folder:
                    self.trees.setdefault(place.real, text)
                elif place.is_folder and pattern.reach in (Reach.LEVEL, Reach.NAMED):
                    self.levels.setdefault(place.real, text)
                elif pattern.reach is Reach.NAMED:
                    self.files.setdefault(place.real, text)

    def tree_over(self, path: bytes) -> bytes | None:
        """The pattern whose tree has ``path`` in it, or is it."""
        return next((text for root, text in self.trees.items() if is_below(path, root)), None)

    def covers_tree(self, path: bytes) -> bool:
        """Tell whether all that lies in the folder ``path``, at any depth, is watched."""
        return self.tree_over(path) is not None

    def covers_level(self, path: bytes) -> bool:
        """Tell whether what lies right in the folder ``path`` is watched."""
        return path in self.levels or self.covers_tree(path)

    def covers_name(self, path: bytes) -> bool:
        """Tell whether a file is watched through its folder, so that a replaced one is seen too."""
        folder = path[: path.rfind(b"/")] or b"/"
        return self.covers_level(folder)

    def meets(self, other: "Coverage") -> tuple[bytes, bytes, bytes] | None:
        """Find a place that both watch: their two patterns and the place; ``None`` where they do not meet."""
        for mine, yours, swapped in ((self, other, False), (other, self, True)):
            for root, text in mine.trees.items():
                for place, their_text in (yours.trees | yours.levels | yours.files).items():
                    if is_below(place, root):
                        return (their_text, text, place) if swapped else (text, their_text, place)
        for place in self.levels.keys() & other.levels.keys():
            return self.levels[place], other.levels[place], place
        for mine, yours, swapped in ((self, other, False), (other, self, True)):
            for place, text in mine.files.items():
                their = yours.files.get(place) or yours.levels.get(place[: place.rfind(b"/")] or b"/")
                if their is not None:
                    return (their, text, place) if swapped else (text, their, place)
        return None
