"""One path's state as it is now, read as a scan reads it."""

import os
import stat
import time

from fimkit.baseline.entry import EntryReader, Place, open_unfollowed
from fimkit.baseline.problems import VANISHED
from fimkit.model.states import FileState

__all__ = ["Looker"]


class Looker:
    """Looks at single paths. What lies in a folder is not looked at."""

    def __init__(self, *, hash_s: float = float("inf")) -> None:
        """Make the reader, whose buffer serves all looks; ``hash_s`` is how long one file may be hashed."""
        self._hash_s, self._until_s = hash_s, float("inf")
        self._reader = EntryReader(goes_on=lambda: time.monotonic() < self._until_s)

    def look(self, path: bytes) -> FileState | None:
        """Give the state of a path now; ``None`` if there is nothing. What cannot be known is words in its ``problem``."""
        place, self._until_s = Place(None, path, path), time.monotonic() + self._hash_s
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return self._reader.read_other(place)  # says why
        state = self._read(place, mode)
        return None if state.problem == VANISHED else state

    def _read(self, place: Place, mode: int) -> FileState:
        if stat.S_ISDIR(mode):
            return self._read_folder(place)
        if not stat.S_ISREG(mode):
            return self._reader.read_other(place)
        opened = self._reader.open_file(place)
        return opened if isinstance(opened, FileState) else self._reader.finish_file(opened)

    def _read_folder(self, place: Place) -> FileState:
        try:
            folder = open_unfollowed(place, os.O_DIRECTORY)
        except OSError:
            return self._reader.read_other(place)
        try:
            return self._reader.read_folder(place.path, folder, os.fstat(folder))
        finally:
            os.close(folder)
