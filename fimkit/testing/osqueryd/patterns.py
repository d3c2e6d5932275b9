"""Which folders a pattern of ``file_paths`` watches, and what ``exclude_paths`` leaves out, as osquery 5.23 has it.

Source: osquery's wiki, deployment/file-integrity-monitoring; events/linux/inotify.cpp for the order of things; what was seen wins.
"""

import glob
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Excludes", "Watched", "watched_by"]


class Watched(NamedTuple):
    """What a pattern stands for now: paths to watch (a folder's ends in a slash), and whether what is below them belongs to it."""

    paths: tuple[bytes, ...]
    recursive: bool
    problem: str | None = None


def watched_by(pattern: str) -> Watched:
    """Resolve a pattern on the tree as it is now.

    ``dir/%%`` is recursive, ``dir/%``, ``dir/`` and ``dir`` are one level. A wildcard in the last part watches the whole folder: it
    filters nothing. ``%%`` before the end is invalid, and watches nothing.

    >>> watched_by("/usr/%%/bin").problem
    "Cannot watch '/usr/%%/bin': %% is valid at the end only"
    """
    star = pattern.replace("%", "*")
    base, double, rest = star.partition("**")
    if rest:
        return Watched((), False, f"Cannot watch '{pattern}': %% is valid at the end only")
    folder, _, leaf = base.rpartition("/")
    if not double and "*" in leaf:
        base = f"{folder}/"
    name = os.fsencode(base)
    if "*" in base:
        found = sorted(glob.glob(name, include_hidden=True))
    elif os.path.lexists(name):
        found = [name]
    else:
        return Watched((), bool(double), f"Failed to do stat on: {base}")
    return Watched(tuple(path.rstrip(b"/") + b"/" if os.path.isdir(path) else path for path in found), bool(double))


def _parts(pattern: bytes) -> list[bytes]:
    return pattern.rstrip(b"/").split(b"/")


def _matches(pattern: Sequence[bytes], path: Sequence[bytes]) -> bool:
    """Compare part by part: ``*`` is any one, ``**`` all that is left (at least one); ``*.swp`` is no wildcard but a name."""
    for number, part in enumerate(pattern):
        if number >= len(path):
            return False
        if part == b"**":
            return True
        if part not in (b"*", path[number]):
            return False
    return len(pattern) == len(path)


class Excludes:
    """The excluded paths of all categories."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Take patterns as configured."""
        self._patterns = [_parts(os.fsencode(pattern.replace("%", "*"))) for pattern in patterns if pattern]

    def __contains__(self, path: bytes) -> bool:
        """Say whether an event on a path is dropped: the path or its folder is excluded.

        >>> excludes = Excludes(["/a/no/%%", "/a/one.txt", "/a/%.swp"])
        >>> [path in excludes for path in (b"/a/no/x", b"/a/no/d/x", b"/a/no", b"/a/one.txt", b"/a/b.swp")]
        [True, True, False, True, False]
        """
        whole, folder = _parts(path), _parts(path)[:-1]
        return any(_matches(pattern, whole) or _matches(pattern, folder) for pattern in self._patterns)
