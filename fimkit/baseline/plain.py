"""The quick way through an ordinary small file: eight calls to the kernel and one tuple; anything unusual is left to the exact way.

It gives what :class:`fimkit.baseline.entry.EntryReader` would say of the same file or nothing; a test holds the two together.
"""

import hashlib
import os
import stat
from typing import Any

from fimkit.baseline.xattrs import NO_XATTRS
from fimkit.model.states import FileState, FileType

__all__ = ["PLAIN_FIELDS", "is_unchanged", "read_plain", "state_of_plain"]

PLAIN_FIELDS = 10
"""How many fields there are: those of a state from ``mode`` to ``sha256``. The others are nothing."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME
_REGULAR = stat.S_IFREG
_REST = (None, NO_XATTRS, None)
_make = FileState._make

# A name here is looked up once instead of at every one of a million files: a tenth of what the interpreter does for each.
_open, _fstat, _readv, _listxattr, _close, _sha256 = os.open, os.fstat, os.readv, os.listxattr, os.close, hashlib.sha256


def read_plain(folder: int | None, name: bytes, buffer: memoryview) -> tuple[Any, ...] | None:
    """Read a regular file that fits into the buffer, has no extended attributes, and holds still meanwhile.

    Args:
        folder: The open folder that ``name`` is in; ``None``: it is a whole path.
        name: Never followed, should it be a link by now.
        buffer: Reused from file to file.

    Returns:
        The :data:`PLAIN_FIELDS` fields, or ``None`` where anything is otherwise: nothing is concluded from that.
    """
    try:
        file = _open(name, _FLAGS, dir_fd=folder)
    except OSError:
        return None
    try:
        seen = _fstat(file)
        mode, size = seen.st_mode, seen.st_size
        if mode & 0o170000 != _REGULAR or size >= len(buffer):
            return None
        # More is asked for than is there: what comes is all, or the file is growing.
        if _readv(file, (buffer,)) != size or _listxattr(file):
            return None
        sha256 = _sha256(buffer[:size]).hexdigest()
        after, ctime_ns, mtime_ns = _fstat(file), seen.st_ctime_ns, seen.st_mtime_ns
        if after.st_ctime_ns != ctime_ns or after.st_mtime_ns != mtime_ns or after.st_size != size:
            return None
    except OSError:
        return None
    finally:
        _close(file)
    return (
        mode & 0o7777, seen.st_uid, seen.st_gid, size, seen.st_ino, seen.st_dev, seen.st_nlink, mtime_ns, ctime_ns, sha256,
    )  # fmt: skip


def is_unchanged(known: FileState, seen: os.stat_result) -> bool:
    """Tell whether a look without opening sees a hashed file exactly as its row says: then the row itself is the answer."""
    _, kind, mode, uid, gid, size, inode, dev, nlink, mtime_ns, ctime_ns, sha256, _, xattrs, problem = known
    return (
        ctime_ns == seen.st_ctime_ns
        and inode == seen.st_ino
        and mtime_ns == seen.st_mtime_ns
        and size == seen.st_size
        and dev == seen.st_dev
        and nlink == seen.st_nlink
        and uid == seen.st_uid
        and gid == seen.st_gid
        and mode is not None
        and mode | _REGULAR == seen.st_mode
        and kind is FileType.FILE
        and sha256 is not None
        and xattrs is not None
        and problem is None
    )


def state_of_plain(path: bytes, fields: tuple[Any, ...]) -> FileState:
    """Make the state of what :func:`read_plain` gave."""
    return _make((path, FileType.FILE, *fields, *_REST))
