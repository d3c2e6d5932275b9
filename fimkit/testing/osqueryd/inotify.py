"""The kernel's inotify, by its system calls: watches, and the events of one read.

Source: inotify(7); linux/inotify.h.
"""

import ctypes
import errno
import os
import select
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "ACCESS",
    "ATTRIB",
    "CLOSE_WRITE",
    "CREATE",
    "DELETE",
    "IGNORED",
    "MODIFY",
    "MOVED_FROM",
    "MOVED_TO",
    "OPEN",
    "Q_OVERFLOW",
    "Inotify",
    "InotifyEvent",
]

ACCESS, MODIFY, ATTRIB, CLOSE_WRITE, OPEN = 0x1, 0x2, 0x4, 0x8, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
Q_OVERFLOW, IGNORED = 0x4000, 0x8000

_HEAD = struct.Struct("iIII")
_READ_BYTES = 512 * (_HEAD.size + 256)


class InotifyEvent(NamedTuple):
    """One event: the watch that it belongs to, what happened, the cookie that pairs moves, and the name inside a folder."""

    watch: int
    mask: int
    cookie: int
    name: bytes


class Inotify:
    """One inotify instance."""

    def __init__(self, *, max_watches: int = 0) -> None:
        """Open it.

        Args:
            max_watches: Refuse more as the kernel does at its limit; 0 is the kernel's own limit.

        Raises:
            OSError: If the kernel gives no instance.
        """
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._max_watches = max_watches
        self._watches: set[int] = set()

    def add(self, path: bytes, mask: int) -> int:
        """Watch a path, or change the mask of its watch: an inode has one in an instance.

        Raises:
            OSError: As inotify_add_watch(2).
        """
        watch: int = self._libc.inotify_add_watch(self._fd, path, mask)
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        if self._max_watches and watch not in self._watches and len(self._watches) >= self._max_watches:
            self._libc.inotify_rm_watch(self._fd, watch)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self._watches.add(watch)
        return watch

    def remove(self, watch: int) -> None:
        """Watch no more."""
        self._libc.inotify_rm_watch(self._fd, watch)
        self._watches.discard(watch)

    def read(self, timeout_s: float) -> Iterator[InotifyEvent]:
        """Wait for events, and give those of one read."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return
        content = os.read(self._fd, _READ_BYTES)
        place = 0
        while place < len(content):
            watch, mask, cookie, length = _HEAD.unpack_from(content, place)
            name = content[place + _HEAD.size : place + _HEAD.size + length].rstrip(b"\0")
            place += _HEAD.size + length
            if mask & IGNORED:
                self._watches.discard(watch)
            yield InotifyEvent(watch, mask, cookie, name)

    def close(self) -> None:
        """Let it go."""
        os.close(self._fd)
