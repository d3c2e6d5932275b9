"""Threads that read files while the walk goes on: the compiled reader's, which need no interpreter.

Measured on two cores, warm, processor seconds for 84,000 files of 1.5 GB from start to a stored baseline: 2.8 with a process beside
the walk (fimkit.baseline.pool), 2.1 with these threads, of which 1.5 are the kernel's and SHA-256's own, and 0.4 less where they
hash two files at once. A thread for each core: the walk itself reads nothing, and takes from them what it needs.
"""

import os
import resource
import sys
import threading
from collections import deque

from fimkit.baseline.batch import Batch, Runs, read_here
from fimkit.baseline.compiled import Way, new_readers
from fimkit.baseline.entry import EntryReader

__all__ = ["ThreadPool"]

_MOST_THREADS = 4
_MOST_WAITING = 128
"""Batches that may wait, each with a descriptor: those of small folders are read in 10 ms, so long may the walk be held up."""
_LONGEST_MS = 100


class ThreadPool:
    """Takes batches, gives states in any order; what is no ordinary file is read here."""

    many_paths = 2
    """From here on a scan is worth the start of threads, some 0.1 ms: two files may be large ones."""

    def __init__(self, reader: EntryReader, way: Way) -> None:
        """Take the walk's own reader, for what the threads leave, and which of the compiled ways is theirs.

        Raises:
            ImportError: If the compiled reader was not built here, or cannot be used.
        """
        self._reader = reader
        self._readers = new_readers(way)
        self._threads: list[threading.Thread] = []
        self._left: deque[Batch] = deque()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most_waiting = _MOST_WAITING if soft == resource.RLIM_INFINITY else min(_MOST_WAITING, max(soft // 8, 1))

    @property
    def bytes_read(self) -> int:
        """How much the threads hashed so far."""
        return self._readers.bytes_read

    def start(self) -> None:
        """Start a thread for each core; where that is refused, the walk is alone."""
        for _ in range(min(len(os.sched_getaffinity(0)), _MOST_THREADS)):
            thread = threading.Thread(target=self._readers.work, name="fimkit-reader", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return
            self._threads.append(thread)

    def read(self, batch: Batch) -> Runs:
        """Take a batch, whose folder stays the caller's; give what is ready, of this batch or earlier ones."""
        if not self._threads:
            yield from read_here(self._reader, batch)
            return
        try:
            self._readers.put(*batch)
        except OSError:
            yield from read_here(self._reader, batch)
        while self._readers.waiting >= self._most_waiting:
            yield from self._take(self._most_waiting // 2)  # many at once: each wait costs a change of threads

    def finish(self) -> Runs:
        """Give all that is left."""
        while self._readers.waiting:
            yield from self._take(1)

    def close(self) -> None:
        """End the threads; to be called in any case."""
        self._readers.stop()
        if sys.is_finalizing():
            return  # no thread gets to its end any more: the process's end is theirs
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._readers.clear()
        while self._left:
            os.close(self._left.popleft().folder)

    def _take(self, least: int) -> Runs:
        """Give what is done; an empty run, where it took long, is for the walk to say how far it came."""
        states, left = self._readers.take(least, _LONGEST_MS)
        self._left.extend(map(Batch._make, left))
        yield states
        while self._left:
            yield from read_here(self._reader, self._left[0])
            os.close(self._left.popleft().folder)
