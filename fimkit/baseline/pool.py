"""Processes that read files while the walk goes on, and the walk's way to talk to them.

Measured on two cores, warm, seconds from start to a written snapshot, against one thread that walks and another that hashes the
files over 512 KB (the best that threads gave: with smaller files handed over they took up to half as long again):

- 60,000 files of 1.07 GB: threads 2.2 to 2.5, one process beside the walk 1.3 (2.3 of processor time against 2.4)
- /usr, 117,000 files of 5.5 GB: 5.1 with the process; while other work kept both cores busy 8.1 against 8.5, so nothing is lost

What is won is what the interpreter does for each file, and the rows that the caller writes meanwhile. One core: no worker.
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path

import fimkit
from fimkit.baseline.batch import Batch, Runs, read_here
from fimkit.baseline.entry import EntryReader
from fimkit.baseline.worker import MOST_FOLDERS, receive, send, unpack_state

__all__ = ["WorkerPool"]

_MOST_WORKERS = 4
_PARCEL = 64
_WAITING = 4
"""Parcels that one worker may have: enough to be busy while the walk reads one itself, and few descriptors."""

# Isolated, so that nothing of the caller's folder or environment is imported; and without `site`, which takes longer than the rest.
_START = (
    "import sys; sys.path.insert(0, sys.argv[2]); from fimkit.baseline.worker import main; main(int(sys.argv[1]), *sys.argv[3:])"
)


class _Worker:
    """One process, and the parcels of batches that it has, in order."""

    __slots__ = ("parcels", "peer", "process")

    def __init__(self, *wishes: str) -> None:
        self.parcels: deque[list[Batch]] = deque()
        self.peer, theirs = socket.socketpair()
        # Room for all that may wait: were both sides ever stuck in sending, neither would go on.
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        with theirs:
            # A group of its own: an interrupt from the terminal is the walk's affair, which then ends its workers.
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, str(theirs.fileno()), str(Path(fimkit.__file__).parents[1]), *wishes],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip

    def end(self) -> None:
        self.peer.close()
        self.process.kill()
        self.process.wait()


class WorkerPool:
    """Takes batches, gives states in any order. A worker that dies costs nothing but time: its parcels are read here."""

    many_paths = 2000
    """From here on a scan is worth the start of other processes, some 40 ms of a core for each."""

    def __init__(self, reader: EntryReader, *, spares_cache: bool = False) -> None:
        """Take the walk's own reader, for what no worker does, and whether workers leave the page cache as they found it."""
        self._wishes = ("spare",) if spares_cache else ()
        self.bytes_read = 0
        self._reader = reader
        self._workers: list[_Worker] = []
        self._answers = select.poll()
        self._parcel: list[Batch] = []
        self._lost: deque[list[Batch]] = deque()

    @property
    def process_ids(self) -> list[int]:
        """The workers that live, as far as is known."""
        return [worker.process.pid for worker in self._workers]

    def start(self) -> None:
        """Start a worker for each core but the walk's own; where that is refused, the walk is alone."""
        most = min(len(os.sched_getaffinity(0)) - 1, _MOST_WORKERS)
        with contextlib.suppress(OSError):
            while sys.executable and len(self._workers) < most:
                worker = _Worker(*self._wishes)
                self._workers.append(worker)
                self._answers.register(worker.peer, select.POLLIN)

    def read(self, batch: Batch) -> Runs:
        """Take a batch, whose folder stays the caller's; give what is ready, of this batch or earlier ones."""
        if not self._workers and not self._lost:
            yield from read_here(self._reader, batch)
            return
        try:
            self._parcel.append(batch._replace(folder=os.dup(batch.folder)))  # the walk closes its own when it leaves the folder
        except OSError:
            yield from read_here(self._reader, batch)
        if len(self._parcel) >= MOST_FOLDERS or sum(len(batch.names) for batch in self._parcel) >= _PARCEL:
            yield from self._ship()

    def finish(self) -> Runs:
        """Give all that is left."""
        yield from self._ship()
        while self._lost or any(worker.parcels for worker in self._workers):
            yield from self._take_done(wait_ms=100)

    def close(self) -> None:
        """End the workers; to be called in any case."""
        for worker in self._workers:
            worker.end()
            self._lost.extend(worker.parcels)
        self._workers = []
        self._lost.append(self._parcel)
        self._parcel = []
        while self._lost:
            _close_folders(self._lost.popleft())

    def _ship(self) -> Runs:
        parcel, self._parcel = self._parcel, []
        free = min(self._workers, key=lambda worker: len(worker.parcels), default=None)
        if free is None or len(free.parcels) >= _WAITING:
            yield from self._read_parcel(parcel)
        elif parcel:
            free.parcels.append(parcel)
            try:
                send(free.peer, [batch.names for batch in parcel], *(batch.folder for batch in parcel))
            except OSError:
                self._lose(free)
        yield from self._take_done()

    def _take_done(self, wait_ms: int = 0) -> Runs:
        answered = {descriptor for descriptor, _ in self._answers.poll(wait_ms)}
        for worker in [worker for worker in self._workers if worker.peer.fileno() in answered]:
            yield from self._take(worker)
        while self._lost:
            yield from self._read_parcel(self._lost.popleft())

    def _take(self, worker: _Worker) -> Runs:
        try:
            (size, rows), _ = receive(worker.peer)
        except (EOFError, OSError):
            self._lose(worker)
            return
        parcel = worker.parcels.popleft()
        _close_folders(parcel)
        self.bytes_read += size
        paths = (batch.start + name for batch in parcel for name in batch.names)
        yield list(map(unpack_state, paths, rows))

    def _lose(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._answers.unregister(worker.peer)
        self._lost.extend(worker.parcels)
        worker.end()

    def _read_parcel(self, parcel: list[Batch]) -> Runs:
        try:
            for batch in parcel:
                yield from read_here(self._reader, batch)
        finally:
            _close_folders(parcel)


def _close_folders(parcel: list[Batch]) -> None:
    for batch in parcel:
        os.close(batch.folder)
