"""What lies in an open folder: names of regular files, of folders, and of all else; in pieces, for a folder may be large."""

import os
import sys
from collections.abc import Callable, Iterator

from fimkit.baseline.compiled import Way

__all__ = ["Listed", "Listing", "listing_of"]

Listed = tuple[list[bytes], list[bytes], list[bytes]]
"""Files, folders, and others: links, devices, and what could not be looked at."""

Listing = Callable[[int], Iterator[Listed]]
"""Lists a folder of which nothing was listed yet. OSError where that cannot be done to its end, after what could be listed."""

_PIECE = 4096
"""Files: so many are sorted by the walk at once."""
_CODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def listing_of(way: Way) -> Listing:
    """Give the one to be used.

    Raises:
        ImportError: If the compiled one is asked for, and cannot be used.
    """
    if way is Way.PYTHON:
        return _list_python
    from fimkit.baseline._plain import list_names

    def list_compiled(folder: int) -> Iterator[Listed]:
        more = True
        while more:
            files, folders, others, more = list_names(folder, _PIECE)
            yield files, folders, others

    return list_compiled


def _list_python(folder: int) -> Iterator[Listed]:
    files: list[bytes] = []
    folders: list[bytes] = []
    others: list[bytes] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.encode(_CODING, _ERRORS)
                _kind_of(entry, files, folders, others).append(name)
                if len(files) == _PIECE:
                    yield files, folders, others
                    files, folders, others = [], [], []
    except OSError:
        yield files, folders, others
        raise
    yield files, folders, others


def _kind_of(entry: os.DirEntry[str], files: list[bytes], folders: list[bytes], others: list[bytes]) -> list[bytes]:
    """Choose by what the listing says, where the file system tells kinds there."""
    try:
        if entry.is_file(follow_symlinks=False):
            return files
        return folders if entry.is_dir(follow_symlinks=False) else others
    except OSError:
        return others  # its reading will say why
