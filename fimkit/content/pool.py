"""Processes with few rights, and the way to have them read: descriptors in, hits out, and a verdict on each file in any case.

The caller opens (it may), a worker reads (it may nothing else). A worker that dies or takes too long on a file is ended and made
anew: that file is named, and the others of its parcel are handed out again. What a worker says is checked: it has read hostile
files, and may not be itself any more.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import fimkit
from fimkit.content.answers import PACKET_BYTES, BadAnswerError, Scanned, parse_answers, parse_hello, parse_packet
from fimkit.content.confine import SCAN_USER, Confinement, find_user
from fimkit.content.reader import DEFAULT_MOST_BYTES, OpenContent, Unread
from fimkit.content.rule_files import RuleSet, has_yara
from fimkit.content.worker import MOST_FILES, PROGRESS_BYTES, pack_setup
from fimkit.model.errors import HostError

__all__ = ["FILE_S", "ContentPool"]

FILE_S = 30.0
"""What one file may take. Eight MiB take well under a second; the rest is for a busy machine."""

_START_S = 60.0
_WAITING = 2
_PARCEL_BYTES = 4 << 20
_PARCEL_WORDS = 48 << 10
_PATH_BYTES = 4096
_MOST_WORKERS = 8
_RETIRE_CPU_S = 300.0
_MOST_LOST_STARTS = 3

# Isolated: nothing of the caller's folder or environment is imported. Without `site`, which takes longer than all the rest.
_START = (
    "import sys; sys.path.insert(0, sys.argv[3]); sys.path += sys.argv[4:];"
    "from fimkit.content.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


class _Worker:
    """One process, the files that it has in the order in which it answers, and since when it has said nothing.

    It imports what it needs, and then waits for its setup.
    """

    def __init__(self, places: list[str]) -> None:
        self.files: deque[OpenContent] = deque()
        self.parcels: deque[int] = deque()
        self.since = time.monotonic()
        self.cpu_s = 0.0
        self.confinement: Confinement | None = None
        self.peer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.answered = 0
        self._progress = os.memfd_create("fimkit-progress", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._progress, PROGRESS_BYTES)
            with theirs:
                # A group of its own: an interrupt from the terminal is the caller's affair, which then ends its workers.
                self.process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _START, str(theirs.fileno()), str(self._progress), *places],
                    pass_fds=[theirs.fileno(), self._progress], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, process_group=0, env={"LC_ALL": "C.UTF-8"}, cwd="/",
                )  # fmt: skip
        except OSError:
            self.peer.close()
            os.close(self._progress)
            raise

    def set_up(self, setup: bytes) -> None:
        """Give it its rules, once: a file without a name, for a packet is too small."""
        given = os.memfd_create("fimkit-rules", os.MFD_CLOEXEC)
        try:
            with open(os.dup(given), "wb") as stream:
                stream.write(setup)
            os.lseek(given, 0, os.SEEK_SET)
            with contextlib.suppress(OSError):  # it is gone: the next look finds that out
                socket.send_fds(self.peer, [b"!"], [given])
        finally:
            os.close(given)
        self.since = time.monotonic()

    def at(self) -> int:
        """Tell which of its files it is at, by what it noted; one that is not itself any more may note anything."""
        noted = int.from_bytes(os.pread(self._progress, PROGRESS_BYTES, 0), sys.byteorder)
        return min(max(noted - self.answered - 1, 0), len(self.files) - 1)

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.end()

    def end(self) -> int:
        """Give the status that it ended with, or by which it was ended."""
        self.peer.close()
        os.close(self._progress)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(0.05)  # one that died has a status of its own to tell
        self.process.kill()
        return self.process.wait()


class ContentPool:
    """Searches files that the caller opened. Use it in a ``with`` block; it may live as long as its caller."""

    def __init__(
        self, rules: RuleSet | None, *, workers: int | None = None, most_bytes: int = DEFAULT_MOST_BYTES, file_s: float = FILE_S,
        user: str = SCAN_USER, most: int | None = None,
    ) -> None:  # fmt: skip
        """Prepare; a process is started when there is a file for it.

        Args:
            rules: What to search for; ``None`` to start the processes now, and have them wait for :meth:`set_rules`.
            workers: How many processes; one a core where nothing is said.
            most_bytes: What of one file is read.
            file_s: How long one file may take. YARA itself gives up after half of it, so that keyword hits are not lost.
            user: Whom the processes become, where they may become anybody.
            most: How many files there can be, where that is known: no more processes than that.
        """
        self.confinement: Confinement | None = None
        """What the workers run with; known once the first file was read."""
        self._most = max(1, workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS, most or _MOST_WORKERS))
        self._file_s = file_s
        self._most_bytes, self._user = most_bytes, user
        self._setup = b""
        self._places = _import_places(with_yara=has_yara() and (rules is None or bool(rules.yara)))
        self._workers: list[_Worker] = []
        self._early: deque[_Worker] = deque()
        self._again: deque[OpenContent] = deque()
        self._lost_starts = 0
        if rules is not None:
            self.set_rules(rules)
        else:
            with contextlib.suppress(OSError):  # said where one is needed
                self._early.extend(_Worker(self._places) for _ in range(self._most))

    def set_rules(self, rules: RuleSet) -> None:
        """Give the rules that the processes wait for; once, and before the first scan."""
        self._setup = pack_setup(rules, most_bytes=self._most_bytes, file_s=self._file_s / 2, user=find_user(self._user))
        for worker in self._early:
            worker.set_up(self._setup)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the processes."""
        self.close()

    @property
    def process_ids(self) -> list[int]:
        """The workers that live, as far as is known."""
        return [worker.process.pid for worker in self._workers]

    def close(self) -> None:
        """End the processes, and close what they were to read."""
        for worker in (*self._workers, *self._early):
            worker.kill()
            self._again.extend(worker.files)
        self._workers = []
        self._early.clear()
        while self._again:
            os.close(self._again.popleft().file)

    def scan(self, contents: Iterable[OpenContent | Unread]) -> Iterator[Scanned]:
        """Have files read and searched.

        Args:
            contents: Taken as they are needed; each file is closed when it is done.

        Returns:
            What came of each, in any order; what is no open file is given back as not read.

        Raises:
            HostError: If no process that reads can be started.
        """
        source = iter(contents)
        is_open = True
        try:
            while is_open or self._again or any(worker.files for worker in self._workers):
                while (is_open or self._again) and self._has_room():
                    parcel, unread, is_open = self._take_parcel(source, is_open=is_open)
                    if parcel:
                        self._send(self._free_worker(), parcel)
                    yield from unread
                if any(worker.files for worker in self._workers):
                    yield from self._receive()
        finally:
            self._forget()

    def _forget(self) -> None:
        """After a scan that was left in the middle nobody waits for its files: an answer to them must not pass for another's."""
        if self._again or any(worker.files for worker in self._workers):
            self.close()

    def _has_room(self) -> bool:
        return len(self._workers) < self._most or any(len(worker.parcels) < _WAITING for worker in self._workers)

    def _free_worker(self) -> _Worker:
        """Give the one with least to do; a further one is started when all have as much as may wait."""
        free = min(self._workers, key=lambda worker: len(worker.parcels), default=None)
        return free if free is not None and len(free.parcels) < _WAITING else self._start()

    def _start(self) -> _Worker:
        if self._early:
            self._workers.append(self._early.popleft())
            return self._workers[-1]
        try:
            worker = _Worker(self._places)
            worker.set_up(self._setup)
        except OSError as error:
            raise HostError(f"no process that reads could be started: {error.strerror or error}") from error
        self._workers.append(worker)
        return worker

    def _take_parcel(
        self, source: Iterator[OpenContent | Unread], *, is_open: bool
    ) -> tuple[list[OpenContent], list[Scanned], bool]:
        parcel: list[OpenContent] = []
        unread: list[Scanned] = []
        size = words = 0
        while len(parcel) < MOST_FILES and size < _PARCEL_BYTES and words < _PARCEL_WORDS and len(unread) < MOST_FILES:
            content = self._again.popleft() if self._again else next(source, None) if is_open else None
            if content is None:
                is_open = False
                break
            if isinstance(content, Unread):
                unread.append(Scanned(content.path, problem=content.reason))
                continue
            parcel.append(content)
            size += min(content.seen.st_size, _PARCEL_BYTES)
            words += 6 * min(len(content.path), _PATH_BYTES)
        return parcel, unread, is_open

    def _send(self, worker: _Worker, parcel: list[OpenContent]) -> None:
        if not worker.files:
            worker.since = time.monotonic()
        worker.files.extend(parcel)
        worker.parcels.append(len(parcel))
        names = [(content.path[-_PATH_BYTES:].decode("latin-1"), content.seen.st_size) for content in parcel]
        packet = json.dumps(names, separators=(",", ":")).encode("ascii")
        with contextlib.suppress(OSError):  # it is gone: the next look finds that out, and hands its files out again
            socket.send_fds(worker.peer, [packet], [content.file for content in parcel])

    def _receive(self) -> Iterator[Scanned]:
        poll = select.poll()
        for worker in self._workers:
            poll.register(worker.peer, select.POLLIN)
        answered = {descriptor for descriptor, _ in poll.poll(self._wait_ms())}
        for worker in list(self._workers):
            if worker.peer.fileno() in answered:
                yield from self._hear(worker)
            elif worker.files and time.monotonic() - worker.since > self._patience(worker):
                yield from self._lose(worker, f"took longer than {self._file_s:g} s")

    def _patience(self, worker: _Worker) -> float:
        return self._file_s if worker.confinement is not None else _START_S

    def _wait_ms(self) -> int:
        now = time.monotonic()
        waits = [worker.since + self._patience(worker) - now for worker in self._workers if worker.files]
        return max(0, int(min(waits, default=0.0) * 1000)) + 1

    def _hear(self, worker: _Worker) -> Iterator[Scanned]:
        """Take all that a worker has said by now."""
        try:
            while packet := worker.peer.recv(PACKET_BYTES + 1, socket.MSG_DONTWAIT):
                said = parse_packet(packet)
                if worker.confinement is None:
                    self._welcome(worker, said)
                else:
                    yield from self._finish(worker, said)
        except BlockingIOError:
            if worker.cpu_s > _RETIRE_CPU_S and not worker.files:
                self._retire(worker)
            return
        except BadAnswerError as error:
            yield from self._lose(worker, f"the process that read it was not itself any more: {error}")
            return
        except OSError:
            pass
        yield from self._lose(worker, None)

    def _welcome(self, worker: _Worker, said: dict[str, Any]) -> None:
        worker.confinement = self.confinement = parse_hello(said)
        worker.since = time.monotonic()
        self._lost_starts = 0

    def _finish(self, worker: _Worker, said: dict[str, Any]) -> Iterator[Scanned]:
        worker.since = time.monotonic()
        answers, worker.cpu_s = parse_answers(said, [(content.path, content.seen.st_size) for content in worker.files])
        for scanned in answers:
            content = worker.files.popleft()
            worker.answered += 1
            worker.parcels[0] -= 1
            if not worker.parcels[0]:
                worker.parcels.popleft()
            yield _close(content, scanned)

    def _retire(self, worker: _Worker) -> None:
        """Before its limit of processor time ends it in the middle of a file."""
        self._workers.remove(worker)
        worker.end()

    def _lose(self, worker: _Worker, why: str | None) -> Iterator[Scanned]:
        self._workers.remove(worker)
        if why is not None:
            worker.process.kill()
        at = worker.at() if worker.files else 0
        status = worker.end()
        if worker.confinement is None:
            self._lost_starts += 1
            self._again.extend(worker.files)
            if self._lost_starts >= _MOST_LOST_STARTS:
                raise HostError(f"the process that reads does not start: it ended with {_status_words(status)}, {why or 'early'}")
            return
        if worker.files:
            content = worker.files[at]
            del worker.files[at]
            self._again.extend(worker.files)
            problem = why or f"the process that read it ended with {_status_words(status)}"
            yield _close(content, Scanned(content.path, problem=problem, size_bytes=content.seen.st_size))


def _import_places(*, with_yara: bool) -> list[str]:
    """Where a worker imports from: fimkit's own folder, and yara-x's behind all else."""
    places = [str(Path(fimkit.__file__).parents[1])]
    if with_yara:
        import yara_x

        places.append(str(Path(yara_x.__file__).parents[1]))
    return places


def _status_words(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _close(content: OpenContent, scanned: Scanned) -> Scanned:
    """Look once more at the open file, and close it."""
    before = content.seen
    notes = list(scanned.notes)
    try:
        after = os.fstat(content.file)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            notes.append("changed while it was read")
        if after.st_nlink > 1:
            notes.append(f"has {after.st_nlink} names (hard links)")
    except OSError as error:
        notes.append(f"could not be looked at again: {error.strerror}")
    finally:
        os.close(content.file)
    return scanned._replace(notes=tuple(notes))
