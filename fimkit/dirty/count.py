"""Counts the folders that inotify would need a watch for, within a bound."""

import os
import stat
import time
from typing import NamedTuple

from fimkit.model.watches import WatchSet

__all__ = ["FolderCount", "count_folders"]

_PATIENCE_S = 10.0


class FolderCount(NamedTuple):
    """How many folders; ``is_whole`` is false where the count was broken off, since it took too long."""

    folders: int
    is_whole: bool


def count_folders(watches: WatchSet, *, patience_s: float = _PATIENCE_S) -> FolderCount:
    """Count the folders at and below the watched paths, each once; excluded ones need no watch, mounts are entered where watched.

    Args:
        watches: What is watched.
        patience_s: After so long, what was counted by then is given.
    """
    until = time.monotonic() + patience_s
    seen: set[tuple[int, int]] = set()
    pending = [watch.path for watch in watches.watches]
    while pending:
        if time.monotonic() > until:
            return FolderCount(len(seen), False)
        path = pending.pop()
        try:
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode) or (status.st_dev, status.st_ino) in seen or not watches.enters(path):
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return FolderCount(len(seen), True)
