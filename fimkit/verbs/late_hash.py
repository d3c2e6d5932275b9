"""Hashes files now that osquery did not hash when it looked. What it gives is marked late: other bytes may have been there then.

osquery hashes CREATED and UPDATED alone, and not what is gone by the time or larger than its ``read_max``. Whoever reads this
host's own log can still look, as long as the same inode is at that path; most of it a scan has just hashed.
"""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from fimkit.baseline.content import BLOCK, hash_file, is_same_version
from fimkit.baseline.entry import Place, open_unfollowed
from fimkit.model.changes import Action, Change, Source
from fimkit.model.states import FileState, FileType

__all__ = ["LATE_LIMITS", "LateHashes", "LateLimits", "add_late_hashes", "hash_now"]

_HASHABLE = (Action.BORN, Action.UPDATED, Action.MOVED_TO)


class LateLimits(NamedTuple):
    """How much is read at most beside the scan: files, and bytes of one file and of all."""

    files: int = 1000
    file_bytes: int = 50 << 20
    all_bytes: int = 256 << 20


LATE_LIMITS = LateLimits()


class LateHashes(NamedTuple):
    """The changes, and words on what was left without a hash."""

    changes: list[Change]
    words: list[str]


class _Reader:
    """Hashes within the limits, each file once; counts what was left out."""

    def __init__(self, limits: LateLimits, read: Callable[[bytes, int, int], str | None]) -> None:
        self.left_out: set[bytes] = set()
        self._limits = limits
        self._read = read
        self._files = 0
        self._bytes = 0
        self._known: dict[tuple[bytes, int], str | None] = {}

    def hash_of(self, path: bytes, inode: int) -> str | None:
        if (path, inode) not in self._known:
            self._known[path, inode] = self._hash(path, inode)
        return self._known[path, inode]

    def _hash(self, path: bytes, inode: int) -> str | None:
        try:
            seen = os.lstat(path)
        except OSError:
            return None
        if seen.st_ino != inode or not stat.S_ISREG(seen.st_mode):
            return None
        limits = self._limits
        if self._files >= limits.files or seen.st_size > min(limits.file_bytes, limits.all_bytes - self._bytes):
            self.left_out.add(path)
            return None
        self._files += 1
        self._bytes += seen.st_size
        return self._read(path, inode, seen.st_size)


def hash_now(path: bytes, inode: int, most_bytes: int) -> str | None:
    """Hash a file if it is this inode before and after, and held still meanwhile; a link is not followed.

    Args:
        path: Where it should be.
        inode: Which file it should be.
        most_bytes: A file that is, or becomes, longer gives nothing.
    """
    try:
        file = open_unfollowed(Place(None, path, path))
    except OSError:
        return None
    try:
        before = os.fstat(file)
        if before.st_ino != inode or not stat.S_ISREG(before.st_mode) or before.st_size > most_bytes:
            return None
        left = most_bytes

        def goes_on(length: int) -> bool:
            nonlocal left
            left -= length
            return left >= 0

        sha256 = hash_file(file, before.st_size, bytearray(BLOCK), goes_on)
        after, named = os.fstat(file), os.lstat(path)
    except OSError:
        return None
    finally:
        os.close(file)
    same = is_same_version(before, after) and (named.st_dev, named.st_ino) == (after.st_dev, after.st_ino)
    return sha256 if same else None


def add_late_hashes(
    changes: Sequence[Change],
    after: Mapping[bytes, FileState],
    *,
    limits: LateLimits = LATE_LIMITS,
    read: Callable[[bytes, int, int], str | None] = hash_now,
) -> LateHashes:
    """Give the rows that osquery did not hash the hash of now, where the same inode is there still.

    Args:
        changes: Of this host's own log.
        after: The scan of now by path: what it hashed is not read again.
        limits: How much may be read beside.
        read: Hashes a path that is an inode, within so many bytes.

    Returns:
        As many changes in the same order; a hash given here is marked late.
    """
    reader = _Reader(limits, read)
    found = []
    for change in changes:
        sha256 = _late_hash(change, after, reader) if _needs_hash(change) else None
        found.append(change if sha256 is None else replace(change, sha256=sha256, hash_late=True))
    left = len(reader.left_out)
    words = [
        f"{left} files that osquery did not hash were not hashed late either: over {limits.file_bytes >> 20} MiB, or more than"
        f" {limits.files} files or {limits.all_bytes >> 20} MiB at once"
    ]
    return LateHashes(found, words if left else [])


def _needs_hash(change: Change) -> bool:
    return (
        change.source is Source.OSQUERY
        and change.actor is None
        and change.sha256 is None
        and change.action in _HASHABLE
        and change.inode is not None
        and change.path is not None
    )


def _late_hash(change: Change, after: Mapping[bytes, FileState], reader: _Reader) -> str | None:
    assert change.path is not None
    assert change.inode is not None
    state = after.get(change.path)
    if state is None:
        return reader.hash_of(change.path, change.inode)
    if state.type is not FileType.FILE or state.inode != change.inode:
        return None  # another file by now, or a link, whose row has its target's inode
    if state.sha256 is not None and state.problem is None:
        return state.sha256
    return reader.hash_of(change.path, change.inode)
