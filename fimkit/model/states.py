"""The state of one path: what a snapshot line says. Pure."""

from enum import StrEnum
from typing import NamedTuple

__all__ = ["COMPARED", "TIMES_ONLY", "FileKey", "FileState", "FileType", "compare_states", "content_differs"]


class FileType(StrEnum):
    """What ``st_mode`` says that a path is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    BLOCK = "block"
    CHAR = "char"
    FIFO = "fifo"
    SOCKET = "socket"


class FileKey(NamedTuple):
    """What names one file within its life: the device as ``st_dev`` has it, and the inode."""

    dev: int
    inode: int


class FileState(NamedTuple):
    """One path as it was seen. A named tuple: a million of them must be cheap.

    ``mode`` is the permission bits with set-id and sticky (12 bits, no type). ``xattrs`` maps a name to the value's bytes. ``None``
    is "not known or none". ``problem`` says in words why something is not known (vanished, changed while read, not readable).
    """

    path: bytes
    type: FileType
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    inode: int | None = None
    dev: int | None = None
    nlink: int | None = None
    mtime_ns: int | None = None
    ctime_ns: int | None = None
    sha256: str | None = None
    target: bytes | None = None
    xattrs: dict[str, bytes] | None = None
    problem: str | None = None

    @property
    def key(self) -> FileKey | None:
        """Device and inode, where both are known."""
        if self.dev is None or self.inode is None:
            return None
        return FileKey(self.dev, self.inode)


COMPARED = ("type", "sha256", "target", "mode", "uid", "gid", "xattrs", "size", "inode", "dev", "nlink", "mtime_ns", "ctime_ns")
"""The attributes that a difference is made of, the weightiest first."""

TIMES_ONLY = frozenset({"inode", "dev", "nlink", "mtime_ns", "ctime_ns"})
"""Attributes that differ without the file being another one to its users: severity info."""

_FOLDER_NOISE = frozenset({"size", "nlink", "mtime_ns", "ctime_ns"})


def compare_states(before: FileState, after: FileState) -> tuple[str, ...]:
    """Name the attributes that differ, in the order of :data:`COMPARED`; the path is not looked at.

    An attribute that is not known on one side is no difference. A folder whose times, size or link count alone differ does
    not differ: that is what happens to a folder whenever something in it comes or goes.

    >>> compare_states(FileState(b"/a", FileType.FILE, mode=0o644, uid=0), FileState(b"/a", FileType.FILE, mode=0o755))
    ('mode',)
    """
    changed = tuple(
        name
        for name in COMPARED
        if (old := getattr(before, name)) != (new := getattr(after, name)) and old is not None and new is not None
    )
    if before.type is after.type is FileType.DIRECTORY and _FOLDER_NOISE.issuperset(changed):
        return ()
    return changed


def content_differs(before: FileState, after: FileState, changed: tuple[str, ...]) -> bool:
    """Tell whether the bytes differ, and not only attributes; ``changed`` is what :func:`compare_states` gave.

    Where a hash is missing, the size is what is known of a file's bytes. A folder has none.

    >>> old = FileState(b"/a", FileType.DIRECTORY, mode=0o755, size=1)
    >>> new = FileState(b"/a", FileType.DIRECTORY, mode=0o700, size=2)
    >>> content_differs(old, new, compare_states(old, new))
    False
    """
    if {"type", "sha256", "target"} & set(changed):
        return True
    return "size" in changed and before.type is FileType.FILE and (before.sha256 is None or after.sha256 is None)
