"""The file written beside its place, to take its name when it is whole; what a killed process left there goes with the next."""

import ctypes
import fcntl
import os
import re
import stat
import tempfile
from contextlib import suppress

__all__ = ["make_beside", "put_new"]

_MOST_NAME = 200  # of the 255 bytes that a name may have
_HERE, _NO_REPLACE = -100, 1  # AT_FDCWD and RENAME_NOREPLACE: linux/fcntl.h, linux/fs.h


def make_beside(place: str) -> tuple[int, str]:
    """Make a private file beside a place, and remove those of processes that did not live to put theirs there or away.

    Its maker holds a lock on it as long as it is open: so one that nobody holds is nobody's any more.

    Args:
        place: The path that is to be written.

    Returns:
        The descriptor, open for reading and writing, and the path. The caller renames or removes it.

    Raises:
        OSError: If it cannot be made.
    """
    folder, name = os.path.split(place)
    prefix = f".fimkit-{os.fsdecode(os.fsencode(name)[:_MOST_NAME])}-"
    _clear(folder or ".", prefix)
    while True:
        descriptor, path = tempfile.mkstemp(prefix=prefix, dir=folder or ".")
        with suppress(OSError):  # a file system without locks: nothing is ever cleared there
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # another process has cleared it away before it was locked


def put_new(beside: str, place: str) -> None:
    """Give a file its name, where nothing has it.

    Raises:
        FileExistsError: If something is there.
        OSError: If it cannot be renamed.
    """
    with suppress(AttributeError):  # a library of before renameat2
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.renameat2(_HERE, os.fsencode(beside), _HERE, os.fsencode(place), _NO_REPLACE) == 0:
            return
    # A file system without it, or something is there: two steps, and a second name in between, say which.
    os.link(beside, place)
    os.unlink(beside)


def _clear(folder: str, prefix: str) -> None:
    ours = re.compile(re.escape(prefix) + "[a-z0-9_]{8}")  # as tempfile names them
    with suppress(OSError):
        for name in os.listdir(folder):
            if ours.fullmatch(name):
                _remove_orphan(os.path.join(folder, name))


def _remove_orphan(path: str) -> None:
    """Remove a file of this user's that no process holds."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            seen = os.fstat(descriptor)
            if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid():
                return
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(descriptor)
