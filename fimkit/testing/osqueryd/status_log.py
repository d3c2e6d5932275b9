"""The daemon's own words: to stderr, and to the status files beside the results, as glog shapes them."""

import os
import sys
import threading
import time
from pathlib import Path

__all__ = ["StatusLog"]

_LETTERS = "IWEF"
_FILES = {0: "osqueryd.INFO", 1: "osqueryd.WARNING", 2: "osqueryd.ERROR"}


class StatusLog:
    """Writes a line a message. Levels: 0 information, 1 warning, 2 error."""

    def __init__(self, folder: Path | None, *, verbose: bool, stderr: bool = True) -> None:
        """Begin.

        Args:
            folder: Where the status files are; none writes none.
            verbose: Whether :meth:`detail` says anything.
            stderr: Whether standard error gets the lines too.
        """
        self._folder, self._verbose, self._stderr = folder, verbose, stderr
        self._lock = threading.Lock()

    def detail(self, words: str) -> None:
        """Say what only ``--verbose`` wants to know."""
        if self._verbose:
            self.say(0, words)

    def info(self, words: str) -> None:
        """Say something."""
        self.say(0, words)

    def warn(self, words: str) -> None:
        """Say that something is not as it should be."""
        self.say(1, words)

    def error(self, words: str) -> None:
        """Say that something is wrong."""
        self.say(2, words)

    def say(self, level: int, words: str) -> None:
        """Write one line."""
        now = time.time()
        stamp = time.strftime("%m%d %H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}"
        line = f"{_LETTERS[level]}{stamp} {os.getpid():5d} osqueryd] {words}\n".encode("utf-8", "backslashreplace")
        with self._lock:
            if self._stderr:
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()
            if self._folder is not None:
                for lower in range(level + 1):
                    with (self._folder / _FILES[lower]).open("ab") as file:
                        file.write(line)
