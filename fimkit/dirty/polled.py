"""Folders that no watch could be had for: their metadata is compared at intervals."""

import os
from collections.abc import Iterator

from fimkit.model.paths import is_below

__all__ = ["PolledFolders"]

_Look = dict[bytes, tuple[int, ...]]


def _metadata(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _look(folder: bytes) -> _Look:
    """Take what lies directly in a folder, and the folder itself under the empty name."""
    look: _Look = {}
    try:
        look[b""] = _metadata(os.lstat(folder))
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    look[entry.name] = _metadata(entry.stat(follow_symlinks=False))
                except OSError:
                    continue  # gone since it was listed
    except OSError:
        return look
    return look


class PolledFolders:
    """Folders and how they were when they were last looked at. A write that leaves times and size as they were is not seen."""

    def __init__(self) -> None:
        """Start without any."""
        self._looks: dict[bytes, _Look] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._looks)

    def __contains__(self, folder: bytes) -> bool:
        """Tell whether a folder is polled."""
        return folder in self._looks

    def __iter__(self) -> Iterator[bytes]:
        """Give their paths, in the order in which they came."""
        return iter(tuple(self._looks))

    def add(self, folder: bytes) -> bool:
        """Take a folder in as it is now; false if it is here already."""
        if folder in self._looks:
            return False
        self._looks[folder] = _look(folder)
        return True

    def discard(self, folder: bytes) -> None:
        """Look at it no more."""
        self._looks.pop(folder, None)

    def forget(self, path: bytes) -> None:
        """Look no more at a path and what lies below it."""
        for folder in [folder for folder in self._looks if is_below(folder, path)]:
            del self._looks[folder]

    def compare(self, folder: bytes) -> list[bytes]:
        """Look again: give the paths that came, went, or are not what they were; the folder's own is among them if it is gone."""
        before, now = self._looks[folder], _look(folder)
        self._looks[folder] = now
        start = b"" if folder == b"/" else folder
        changed = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
        return [start + b"/" + name if name else folder for name in sorted(changed)]
