"""The folders that a walk stands in: a stack of open descriptors that a tree of any depth does not exhaust."""

import os
from collections.abc import Iterator

from fimkit.baseline.selection import Selection

__all__ = ["MOST_OPEN", "Folder", "FolderStack"]

MOST_OPEN = 64
"""Descriptors held at once. The usual limit of a process is 1024, and a tree may be deeper than that."""


class Folder:
    """One folder on the way, its subfolders still to be visited, and what its children are judged by."""

    __slots__ = ("dev", "file", "inode", "path", "pending", "selection")

    def __init__(self, path: bytes, file: int, seen: os.stat_result, selection: Selection) -> None:
        """Take an open folder."""
        self.path = path
        self.file = file
        self.dev = seen.st_dev
        self.inode = seen.st_ino
        self.selection = selection
        self.pending: list[bytes] = []

    def child_path(self, name: bytes) -> bytes:
        """Give a child's path."""
        return (b"" if self.path == b"/" else self.path) + b"/" + name


class FolderStack:
    """From the walk's root down to where it stands. All names are opened in the folder above, so no path is ever too long."""

    def __init__(self) -> None:
        """Start empty."""
        self._folders: list[Folder] = []

    def __bool__(self) -> bool:
        """True while the walk stands somewhere."""
        return bool(self._folders)

    @property
    def top(self) -> Folder:
        """Where the walk stands."""
        return self._folders[-1]

    def push(self, folder: Folder) -> None:
        """Go down; the descriptor furthest up is given back when there are too many."""
        self._folders.append(folder)
        if len(self._folders) > MOST_OPEN:
            far = self._folders[-1 - MOST_OPEN]
            _close(far)

    def pop(self) -> Iterator[bytes]:
        """Go up.

        Returns:
            The paths of subfolders that can no longer be reached, because a folder on the way was moved meanwhile.
        """
        left = self._folders.pop()
        if self._folders and self.top.file < 0 and not self._reopen(self.top, left):
            lost, self.top.pending = self.top.pending, []
            yield from map(self.top.child_path, lost)
        _close(left)

    def close(self) -> None:
        """Give all descriptors back."""
        for folder in self._folders:
            _close(folder)
        self._folders = []

    @staticmethod
    def _reopen(folder: Folder, child: Folder) -> bool:
        if child.file < 0:
            return False
        try:
            file = os.open(b"..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=child.file)
            seen = os.fstat(file)
        except OSError:
            return False
        if (seen.st_dev, seen.st_ino) != (folder.dev, folder.inode):
            os.close(file)
            return False
        folder.file = file
        return True


def _close(folder: Folder) -> None:
    if folder.file >= 0:
        os.close(folder.file)
        folder.file = -1
