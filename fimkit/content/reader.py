"""Opening what lies in a hostile tree, and reading it within bounds: regular files alone, and no link is ever followed."""

import ctypes
import errno
import os
import stat
from typing import NamedTuple

from fimkit.model.paths import is_below

__all__ = [
    "DEFAULT_MOST_BYTES",
    "OpenContent",
    "Piece",
    "Unread",
    "kind_words",
    "open_beneath",
    "open_content",
    "open_named",
    "read_piece",
]

DEFAULT_MOST_BYTES = 8 << 20
"""What of a file is read. Of a larger one, the first and the last half of this."""

# O_NONBLOCK: a fifo that took a file's name opens at once instead of waiting for a writer; O_NOCTTY: so does a terminal.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# Source: linux/openat2.h; the number is the same on every architecture.
_OPENAT2 = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 2, 4, 8
_LONGEST = 3000
"""Bytes of a path that one call is given: the kernel takes 4096."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link, not followed",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class OpenContent(NamedTuple):
    """A regular file, open, as it was then. Whoever has it closes ``file``."""

    path: bytes
    file: int
    seen: os.stat_result


class Unread(NamedTuple):
    """A path that is not read, and why."""

    path: bytes
    reason: str


class Piece(NamedTuple):
    """What was read: where the part after ``gap`` begins in the file, and whether anything was left out between."""

    content: bytes
    gap: int | None
    tail: int


def kind_words(mode: int) -> str:
    """Say what a path is that is no regular file."""
    return _KINDS.get(stat.S_IFMT(mode), "no regular file")


def open_content(path: bytes, root: bytes) -> OpenContent | Unread:
    """Open a file of a tree; no link between the root and the file, nor the file itself, is followed.

    Args:
        path: Absolute, below ``root``.
        root: The tree's folder; links in its own path are followed, as whoever named it meant.

    Returns:
        The file, or why it is not to be read.
    """
    if path == root or not is_below(path, root):
        return Unread(path, "not below the tree that it was said to be in")
    try:
        tree = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Unread(path, f"the tree cannot be opened: {error.strerror}")
    try:
        folder, _, name = path[len(root) :].strip(b"/").rpartition(b"/")
        above = open_beneath(tree, folder, os.O_PATH) if folder else os.dup(tree)
        try:
            return open_named(above, name, path)
        finally:
            os.close(above)
    except OSError as error:
        return Unread(path, _open_words(error))
    finally:
        os.close(tree)


def open_named(folder: int, name: bytes, path: bytes) -> OpenContent | Unread:
    """Open a name in an open folder."""
    try:
        file = os.open(name, _FLAGS, dir_fd=folder)
    except OSError as error:
        return Unread(path, _refused(folder, name, error))
    try:
        seen = os.fstat(file)
    except OSError as error:
        os.close(file)
        return Unread(path, f"cannot be looked at: {error.strerror}")
    if not stat.S_ISREG(seen.st_mode):
        os.close(file)
        return Unread(path, kind_words(seen.st_mode))
    return OpenContent(path, file, seen)


def _refused(folder: int, name: bytes, error: OSError) -> str:
    """A socket or a device without a driver cannot be opened at all: then its kind says more than the error."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return _open_words(error)
    return _open_words(error) if stat.S_ISREG(mode) else kind_words(mode)


def _open_words(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "vanished before it was opened"
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV):
        return "a folder on the way to it is a link now, not followed"
    return f"cannot be opened: {error.strerror}"


def open_beneath(tree: int, path: bytes, flags: int) -> int:
    """Open a folder of a tree, of any depth, without ever leaving the tree.

    Raises:
        OSError: ELOOP or ENOTDIR where a part of the path is a link.
    """
    here = os.dup(tree)
    while True:
        part, path = _split(path)
        try:
            below = _open_part(here, part, flags if not path else os.O_PATH)
        finally:
            os.close(here)
        if not path:
            return below
        here = below


def _split(path: bytes) -> tuple[bytes, bytes]:
    if len(path) <= _LONGEST:
        return path, b""
    cut = path.rindex(b"/", 0, _LONGEST)
    return path[:cut], path[cut + 1 :]


def _open_part(tree: int, path: bytes, flags: int) -> int:
    how = _How(flags | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    file: int = _libc.syscall(_OPENAT2, tree, ctypes.c_char_p(path), ctypes.byref(how), ctypes.sizeof(how))
    if file >= 0:
        return file
    code = ctypes.get_errno()
    if code not in (errno.ENOSYS, errno.EPERM):
        raise OSError(code, os.strerror(code))
    # Before Linux 5.6, and where a container's filter does not know the call: one name at a time, none of them a link.
    here = os.dup(tree)
    names = path.split(b"/")
    for position, name in enumerate(names):
        try:
            if name == b"..":
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            below = os.open(name, _FOLDER if position < len(names) - 1 else flags | _FOLDER & ~os.O_PATH, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def read_piece(file: int, size: int, most_bytes: int = DEFAULT_MOST_BYTES) -> Piece:
    """Read an open file: all of it, or its head and its tail.

    Args:
        file: Open for reading.
        size: How long it was when it was opened; what has grown since is read up to the limit.
        most_bytes: The limit.

    Raises:
        OSError: If it cannot be read.
    """
    if size <= most_bytes:
        content = _read(file, 0, most_bytes, guess=size)
        return Piece(content, None, 0)
    half = most_bytes // 2
    head = _read(file, 0, half, guess=half)
    tail = _read(file, size - half, half, guess=half)
    # A line end between them: nothing is to match across what was left out.
    return Piece(head + b"\n" + tail, len(head), size - half)


def _read(file: int, offset: int, most: int, *, guess: int) -> bytes:
    """Read until the end or the limit. Most files come in one call, and a second that finds nothing more."""
    part = os.pread(file, min(guess + 1, most), offset)
    if len(part) < guess + 1 and len(part) == guess:
        return part
    parts, length = [part], len(part)
    while part and length < most:
        part = os.pread(file, min(most - length, 1 << 20), offset + length)
        parts.append(part)
        length += len(part)
    return b"".join(parts)
