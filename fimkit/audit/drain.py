"""A process of its own that empties the kernel's multicast socket, however busy the rest is, and hands the records on.

What is not taken yet waits in its memory (``MEMORY_BYTES``), then in a nameless file (``SPOOL_BYTES``); what comes beyond that is
counted as lost, as is what the kernel could not deliver. Nothing else is done here, so the socket is read as fast as it can be.

The end marks of events (EOE) stay behind: they are one record in six, and an event's last record says as much.

A message is one letter, its length in four bytes, and its body: ``R`` records, one a line; ``L`` a loss, marshalled: only this
program talks to itself here. How much waits is told on a line of its own: behind what waits, it would come when that is read.
"""

import contextlib
import fcntl
import itertools
import marshal
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import fimkit
from fimkit.audit.multicast import MulticastReader

__all__ = ["MEMORY_BYTES", "SPOOL_BYTES", "Drain", "Drained", "Loss", "main"]

MEMORY_BYTES = 64 << 20
SPOOL_BYTES = 2 << 30
_LINES = 500
_TELL_S = 0.5
_HEAD = 5
_END_MARK = b"type=EOE "
_PIPE_BYTES = 1 << 20
_PIECE_BYTES = 64 << 20
"""So large a piece of the file is given back to the disk as soon as it is read."""
_NUMBERS = struct.Struct("=QQ")
_START = (
    "import sys; sys.path.insert(0, sys.argv[5]);"
    " from fimkit.audit.drain import main; main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])"
)


class Loss(NamedTuple):
    """Records that are gone. ``times`` counts the kernel's refusals, each of an unknown number, or records without room."""

    time_ns: int
    times: int
    source: str


class Drained(NamedTuple):
    """What was handed over: record lines, losses, in the order of the stream."""

    lines: list[bytes]
    losses: list[Loss]
    ended: bool


class Drain:
    """The reading end. ``buffer_bytes`` is the size of the kernel's socket."""

    def __init__(self, *, buffer_bytes: int = 64 << 20, spool_dir: str, opened: Callable[[], None] = lambda: None) -> None:
        """Join the group and start the process; what is recorded from here on is handed over.

        Args:
            buffer_bytes: How much may wait in the socket.
            spool_dir: Where the nameless file is made, if it is needed.
            opened: Called once the socket is there, before the process starts: what rights are given up here, it never has.

        Raises:
            HostError: Without the right, or without audit in the kernel.
        """
        self._rest = b""
        self.peer, theirs = socket.socketpair()
        self.peer.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_BYTES)
        with theirs, MulticastReader(buffer_bytes=buffer_bytes) as reader, contextlib.ExitStack() as stack:
            self.buffer_bytes = reader.buffer_bytes
            opened()
            ours, numbers = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._told = _Told(ours)
            stack.enter_context(numbers)
            passed = [theirs.fileno(), reader.fileno(), numbers.fileno()]
            root = str(Path(fimkit.__file__).parents[1])
            # A group of its own: an interrupt from the terminal is its parent's affair.
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, *map(str, passed), spool_dir, root],
                pass_fds=passed, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the process; what it still has is gone."""
        self.peer.close()
        self._told.close()
        self.process.kill()
        self.process.wait()

    def fileno(self) -> int:
        """The descriptor that becomes readable, for ``select`` and its like."""
        return self.peer.fileno()

    @property
    def backlog_bytes(self) -> int:
        """How much waits: in the process, as of half a second ago at most, and on the line from it."""
        return self._told.last().waiting_bytes + len(self._rest) + _count_readable(self.peer)

    @property
    def records(self) -> int:
        """How many records the process has taken, as of then."""
        return self._told.last().records

    def finish(self) -> None:
        """Ask for all that there is, and the end: :meth:`read` says when that has come."""
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_WR)

    def read(self, most_bytes: int = 1 << 20) -> Drained:
        """Take what has come, without waiting."""
        ended = False
        parts = [self._rest]
        size = 0  # of what is new: a message that is longer than this must come to its end too
        while size < most_bytes:
            try:
                part = self.peer.recv(1 << 18)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            if not part:
                ended = True
                break
            parts.append(part)
            size += len(part)
        return self._unpack(b"".join(parts), ended)

    def _unpack(self, raw: bytes, ended: bool) -> Drained:
        drained = Drained([], [], ended)
        place = 0
        while len(raw) - place >= _HEAD:
            end = place + _HEAD + int.from_bytes(raw[place + 1 : place + _HEAD], "big")
            if end > len(raw):
                break
            kind, body = raw[place : place + 1], raw[place + _HEAD : end]
            place = end
            if kind == b"R":
                drained.lines.append(body)
            else:
                drained.losses.append(Loss(*marshal.loads(body)))
        self._rest = raw[place:]
        return drained


class _Numbers(NamedTuple):
    """What the process says of itself."""

    waiting_bytes: int = 0
    records: int = 0


class _Told:
    """The line on which it says so; what it said last counts."""

    def __init__(self, line: socket.socket) -> None:
        self._line, self._last = line, _Numbers()
        line.setblocking(False)

    def close(self) -> None:
        self._line.close()

    def last(self) -> _Numbers:
        with contextlib.suppress(OSError):
            while told := self._line.recv(_NUMBERS.size):
                self._last = _Numbers(*_NUMBERS.unpack(told))
        return self._last


def _count_readable(peer: socket.socket) -> int:
    try:
        return int.from_bytes(fcntl.ioctl(peer.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # closed
        return 0


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "big") + body


class _Piece:
    """A part of the file: nameless, and on the disk until it is closed."""

    def __init__(self, folder: str) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self.read_at = self.write_at = 0


class _Backlog:
    """What waits to be handed on, in order: the oldest in memory, then the file in pieces, then nothing."""

    def __init__(self, spool_dir: str, memory_bytes: int, spool_bytes: int, piece_bytes: int = _PIECE_BYTES) -> None:
        self.lost = 0
        self._dir, self._memory_bytes, self._spool_bytes, self._piece_bytes = spool_dir, memory_bytes, spool_bytes, piece_bytes
        self._first: deque[bytes] = deque()
        self._first_bytes = 0
        self._pieces: deque[_Piece] = deque()

    def close(self) -> None:
        while self._pieces:
            self._pieces.popleft().file.close()

    def __len__(self) -> int:
        return self._first_bytes + sum(piece.write_at - piece.read_at for piece in self._pieces)

    def put(self, message: bytes, records: int) -> None:
        if not self._pieces and self._first_bytes < self._memory_bytes:
            self._first.append(message)
            self._first_bytes += len(message)
            return
        if sum(piece.write_at for piece in self._pieces) + len(message) > self._spool_bytes or not self._spool(message):
            self.lost += records

    def _spool(self, message: bytes) -> bool:
        try:
            if not self._pieces or self._pieces[-1].write_at >= self._piece_bytes:
                self._pieces.append(_Piece(self._dir))
            piece = self._pieces[-1]
            if os.pwrite(piece.file.fileno(), message, piece.write_at) < len(message):
                return False  # the disk took a part of it: the next message is written over that
        except OSError:  # a full disk: what found no room is counted
            return False
        piece.write_at += len(message)
        return True

    def peek(self) -> bytes:
        while self._pieces and not self._first:
            piece = self._pieces[0]
            block = os.pread(piece.file.fileno(), min(1 << 20, piece.write_at - piece.read_at), piece.read_at)
            piece.read_at += len(block)
            if block:
                self._first.append(block)
                self._first_bytes += len(block)
            if piece.read_at >= piece.write_at:
                self._pieces.popleft().file.close()
        return self._first[0] if self._first else b""

    def advance(self, sent: int) -> None:
        head = self._first.popleft()
        self._first_bytes -= sent
        if sent < len(head):
            self._first.appendleft(head[sent:])


def main(peer_number: int, netlink: int, numbers_number: int, spool_dir: str) -> None:
    """Hand on until the other side is gone, or asks for the end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # a service manager sends them to all its processes; the end of the peer counts
    backlog = _Backlog(spool_dir, MEMORY_BYTES, SPOOL_BYTES)
    with (
        socket.socket(fileno=peer_number) as peer, socket.socket(fileno=numbers_number) as numbers,
        MulticastReader(joined=netlink) as reader, contextlib.closing(backlog),
    ):  # fmt: skip
        peer.setblocking(False)
        numbers.setblocking(False)
        with contextlib.suppress(OSError):  # the other side is gone
            _Pump(peer, numbers, reader, backlog).run()


class _Pump:
    """The loop: from the kernel to the backlog, from the backlog to the peer."""

    def __init__(self, peer: socket.socket, numbers: socket.socket, reader: MulticastReader, backlog: _Backlog) -> None:
        self._peer, self._numbers, self._reader, self._backlog = peer, numbers, reader, backlog
        self._records = self._lost = self._unroomed = self._told = 0
        self._next_tell = 0.0
        self._ending = False

    def run(self) -> None:
        poller = select.poll()
        poller.register(self._reader.fileno(), select.POLLIN)
        while True:
            waits = select.POLLOUT if len(self._backlog) else 0
            poller.register(self._peer.fileno(), waits | (0 if self._ending else select.POLLIN))
            ready = dict(poller.poll(None if not len(self._backlog) and not self._ending else 1000))
            took = self._take()
            events = ready.get(self._peer.fileno(), 0)
            if events & (select.POLLERR | select.POLLHUP) and not self._ending and not self._peer_asks():
                return
            if events & select.POLLIN and self._peer_asks():
                self._ending = True
            self._hand_on()
            self._tell()
            if self._ending and not took and not len(self._backlog):
                return

    def _peer_asks(self) -> bool:
        """Tell whether the peer wants the end: it never writes, so whatever there is to read is that."""
        try:
            return self._peer.recv(1) == b""
        except BlockingIOError:
            return False

    def _take(self) -> int:
        taken = list(itertools.islice(self._reader.lines(0), _LINES))
        lines = [line for line in taken if not line.startswith(_END_MARK)]
        if self._reader.lost > self._lost:
            self._put_loss(self._reader.lost - self._lost, "the receive buffer")
            self._lost = self._reader.lost
        if lines:
            self._records += len(taken)
            self._backlog.put(_message(b"R", b"\n".join(lines) + b"\n"), len(lines))
        if self._backlog.lost > self._unroomed and len(self._backlog) < MEMORY_BYTES // 2:
            self._put_loss(self._backlog.lost - self._unroomed, "the spool")
            self._unroomed = self._backlog.lost
        return len(taken)

    def _put_loss(self, times: int, source: str) -> None:
        self._backlog.put(_message(b"L", marshal.dumps((time.time_ns(), times, source))), 0)

    def _tell(self) -> None:
        waiting = len(self._backlog)
        if time.monotonic() >= self._next_tell or (self._told and not waiting):
            self._next_tell = time.monotonic() + _TELL_S
            with contextlib.suppress(BlockingIOError):  # nobody asked for a while: what is there will do until the next time
                self._numbers.send(_NUMBERS.pack(waiting, self._records))
                self._told = waiting

    def _hand_on(self) -> None:
        while message := self._backlog.peek():
            try:
                sent = self._peer.send(message)
            except BlockingIOError:
                return
            self._backlog.advance(sent)
