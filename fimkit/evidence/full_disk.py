"""That the disk was full is remembered on that very disk: in a small file that is there before, and is written in place.

What could not be stored cannot be told by the store. The file's block is its own already, so writing it needs no room; on file
systems that never write in place (btrfs, zfs) it may not come to be written, and only the failed run itself has said so.
"""

import errno
import json
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from fimkit.evidence.folder import check_private_file
from fimkit.model.errors import FimkitError

__all__ = ["FullDisk", "is_full", "load_full", "noting_full", "prepare_mark"]

_NAME = b"disk-full.json"
_BYTES = 4096
_SAME_NS = 3600 * 1_000_000_000
"""Writes that fail with less than this between them are of one time."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OF_THE_DISK = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_LEAST_BYTES = 64 * 1024
_DEPTH = 10


class FullDisk(NamedTuple):
    """When a write failed first and last, in nanoseconds since the epoch, and how many did."""

    from_ns: int
    to_ns: int
    writes: int


def is_full(error: BaseException | None, state_dir: bytes) -> bool:
    """Tell whether an error, or what it came of, is that there is no room in a folder.

    SQLite says so in plain words of its own files and a full disk alone; where it cannot make the one that its memory is shared by,
    or a quota is used up, it speaks of the disk, and the disk is asked.

    >>> is_full(OSError(errno.ENOSPC, "x"), b"/"), is_full(OSError(errno.EACCES, "x"), b"/"), is_full(None, b"/")
    (True, False, False)
    """
    for _ in range(_DEPTH):
        if error is None:
            return False
        if isinstance(error, sqlite3.Error):
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL or (code in _OF_THE_DISK and _has_no_room(state_dir)):
                return True
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def _has_no_room(folder: bytes) -> bool:
    """Tell whether nothing more can be put in a folder: by what its disk has, and, since a quota has less, by trying."""
    with suppress(OSError):
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < _LEAST_BYTES or (disk.f_files > 0 and not disk.f_favail):
            return True
    try:
        opened = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)  # without a name: nobody sees it come and go
        try:
            os.posix_fallocate(opened, 0, _LEAST_BYTES)
        finally:
            os.close(opened)
    except OSError as error:
        return error.errno in _FULL
    return False


@contextmanager
def noting_full(state_dir: bytes) -> Iterator[None]:
    """Note it where what is done inside fails for want of room; the error goes on as it is."""
    try:
        yield
    except Exception as error:
        if is_full(error, state_dir):
            _note(state_dir, time.time_ns())
        raise


def prepare_mark(state_dir: bytes) -> None:
    """Make the file while there is room. Where it cannot be, nothing is remembered, and nothing else is the worse for it."""
    with suppress(FimkitError, OSError):
        path = os.path.join(state_dir, _NAME)
        check_private_file(path)
        if not os.path.lexists(path):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                _write(opened, None)
            finally:
                os.close(opened)


def load_full(state_dir: bytes) -> FullDisk | None:
    """Give what was noted last; ``None`` where there is nothing, or nothing that can be read."""
    with suppress(FimkitError, OSError):
        path = os.path.join(state_dir, _NAME)
        check_private_file(path)
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read(opened)
        finally:
            os.close(opened)
    return None


def _note(state_dir: bytes, now_ns: int) -> None:
    prepare_mark(state_dir)
    with suppress(FimkitError, OSError):
        path = os.path.join(state_dir, _NAME)
        check_private_file(path)
        opened = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            was = _read(opened)
            if was is not None and 0 <= now_ns - was.to_ns < _SAME_NS:
                _write(opened, FullDisk(was.from_ns, now_ns, was.writes + 1))
            else:
                _write(opened, FullDisk(now_ns, now_ns, 1))
        finally:
            os.close(opened)


def _read(opened: int) -> FullDisk | None:
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        row = json.loads(os.pread(opened, _BYTES, 0)) if stat.S_ISREG(os.fstat(opened).st_mode) else {}
        found = FullDisk(*(int(row[name]) for name in FullDisk._fields))
        return found if 0 < found.from_ns <= found.to_ns else None
    return None


def _write(opened: int, full: FullDisk | None) -> None:
    text = json.dumps({} if full is None else full._asdict()).encode("ascii")
    os.pwrite(opened, text.ljust(_BYTES), 0)
    os.fsync(opened)
