"""Threads that hash the big files while the walk goes on.

Measured on two cores, a warm /usr of 117,000 files and 5.5 GB (4.4 GB of it in the 1,200 files over 256 KB), seconds: one
thread 5.5 to 6.2; a second thread for files over 512 KB 3.4 to 3.5, over 128 KB 3.6 to 5.5, over 32 KB 4.1 to 5.2. So only
big files go to a thread: hashlib and read() let the interpreter go meanwhile, and the walk, which holds it, loses nothing. Small
files gain nothing. The same tree split by hand between two processes took 2.9 at best, before any row is handed over.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator

from fimkit.baseline.entry import EntryReader, OpenedFile
from fimkit.model.states import FileState

__all__ = ["BIG", "HashPool"]

BIG = 1 << 19


class HashPool:
    """Takes opened files, gives states in any order. The threads start with the first file."""

    def __init__(self, make_reader: Callable[[Callable[[], bool]], EntryReader], threads: int) -> None:
        """Take what makes a reader (given the question whether to go on), and how many threads there may be."""
        self._stopped = threading.Event()
        self._readers = [make_reader(self._goes_on) for _ in range(threads)]
        self._threads: list[threading.Thread] = []
        # Each waiting file holds two descriptors: few may wait, and the walk hashes what finds no room.
        self._waiting: queue.Queue[OpenedFile | None] = queue.Queue(maxsize=4 * threads + 1)
        self._done: deque[FileState] = deque()

    def _goes_on(self) -> bool:
        return not self._stopped.is_set()

    @property
    def bytes_read(self) -> int:
        """How much the threads have hashed so far."""
        return sum(reader.bytes_read for reader in self._readers)

    def offer(self, opened: OpenedFile) -> bool:
        """Leave a file to a thread; false where there is none, or no room: then it stays the caller's."""
        if not self._readers or self._waiting.qsize() >= 4 * len(self._readers):
            return False
        place = opened.place
        if place.folder is not None:  # the walk closes its own when it leaves the folder
            try:
                opened = opened._replace(place=place._replace(folder=os.dup(place.folder)))
            except OSError:
                return False
        if not self._threads:
            self._threads = [threading.Thread(target=self._work, args=(reader,), daemon=True) for reader in self._readers]
            for thread in self._threads:
                thread.start()
        self._waiting.put(opened)
        return True

    def take_done(self) -> Iterator[FileState]:
        """Give the states that are ready."""
        while self._done:
            yield self._done.popleft()

    def finish(self, reader: EntryReader) -> Iterator[FileState]:
        """Give all that is left, with the caller's own reader at work too; nothing may be offered after this."""
        while (opened := self._next_left()) is not None:
            self._hash(reader, opened)
            yield from self.take_done()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.1)
                yield from self.take_done()
        self._threads = []
        yield from self.take_done()

    def close(self) -> None:
        """End the threads at their next block and close what waits; to be called in any case."""
        self._stopped.set()
        while (opened := self._next_left()) is not None:
            _close(opened)
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _next_left(self) -> OpenedFile | None:
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return None

    def _hash(self, reader: EntryReader, opened: OpenedFile) -> None:
        try:
            self._done.append(reader.finish_file(opened))
        finally:
            if opened.place.folder is not None:
                os.close(opened.place.folder)

    def _work(self, reader: EntryReader) -> None:
        while (opened := self._waiting.get()) is not None:
            self._hash(reader, opened)


def _close(opened: OpenedFile) -> None:
    os.close(opened.file)
    if opened.place.folder is not None:
        os.close(opened.place.folder)
