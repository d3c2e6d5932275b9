"""The helper's side of the line: who asks is looked at by the kernel's word, what is asked is answered, an end is noticed."""

import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from fimkit.model.errors import FimkitError, HostError, RecordError, clip
from fimkit.panic.helper_wire import SOCKET_NAME, PacketReader, split_packets
from fimkit.panic.resident import Resident

__all__ = ["Server", "Waker"]

_PEER = struct.Struct("=iII")  # Source: unix(7), struct ucred
_SEND_S = 2.0
_TICK_S = 0.5
_MOST_LINES = 64

Asked = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class _Line:
    """One connection."""

    number: int
    pid: int
    socket: socket.socket
    reader: PacketReader = field(default_factory=PacketReader)


class Waker:
    """Ends the wait of a server, from any thread or signal."""

    def __init__(self) -> None:
        """Open both ends."""
        self.reader, self.writer = socket.socketpair()
        for each in (self.reader, self.writer):
            each.setblocking(False)

    def wake(self) -> None:
        """End the wait."""
        with suppress(OSError):  # it is full: then it ends anyway
            self.writer.send(b"1")

    def drain(self) -> None:
        """Take what was sent."""
        with suppress(BlockingIOError):
            self.reader.recv(4096)


class Server:
    """Listens in the panic's folder. Nothing that comes over the line ends it."""

    def __init__(self, resident: Resident, folder: int, waker: Waker) -> None:
        """Take over ``folder``, open; :meth:`listen` begins."""
        self._resident, self._folder = resident, folder
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._lines: dict[int, _Line] = {}
        self._count = self._refused = 0
        self._busy_s = time.monotonic()
        self._waker = waker
        self._selector.register(waker.reader, selectors.EVENT_READ)
        self._answers: dict[str, Callable[[_Line, Asked], object]] = {
            "hello": lambda _, asked: resident.hello(),
            "plan": lambda _, asked: resident.plan(asked.get("settings")),
            "arm": lambda _, asked: resident.arm(_object(asked, "settings"), _text(asked, "by"), _texts(asked, "seen")),
            "disarm": lambda _, asked: resident.disarm(_text(asked, "by")),
            "judged": lambda _, asked: resident.judged(_texts(asked, "seen"), _texts(asked, "counted")),
            "forget": lambda _, asked: resident.forget(_texts(asked, "ids")),
            "begin": lambda line, asked: resident.begin(
                line.number, incident=_text(asked, "incident"), cause=_text(asked, "cause"), nokill=asked.get("nokill") is True,
                armed_ns=_number(asked, "armed_ns"),
            ),
            "add": lambda _, asked: resident.add(_text(asked, "cause"), _number(asked, "armed_ns")),
            "cut": lambda _, asked: resident.cut(),
            "finish": lambda _, asked: resident.finish(_text(asked, "words")),
            "restore": lambda _, asked: resident.restore(by=_text(asked, "by")),
        }

    def listen(self) -> None:
        """Open the socket; a stale one goes.

        Raises:
            HostError: If it cannot be opened.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            with suppress(FileNotFoundError):
                os.unlink(SOCKET_NAME, dir_fd=self._folder)
            mask = os.umask(0o177)
            try:
                listener.bind(f"/proc/self/fd/{self._folder}/{SOCKET_NAME}")
            finally:
                os.umask(mask)
            listener.listen(16)
        except OSError as error:
            listener.close()
            raise HostError(error.errno, f"cannot listen for a panic: {error.strerror}") from error
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    @property
    def is_listening(self) -> bool:
        """Whether the socket is open."""
        return self._listener is not None

    def idle_s(self) -> float:
        """Seconds for which nobody has had a line."""
        return 0.0 if self._lines else time.monotonic() - self._busy_s

    def turn(self) -> None:
        """Wait for something to come, half a second at most, and do it."""
        for key, _ in self._selector.select(_TICK_S):
            try:
                if key.fileobj is self._waker.reader:
                    self._waker.drain()
                elif key.fileobj is self._listener:
                    self._accept(self._listener)
                elif (line := self._lines.get(key.fd)) is not None:
                    self._read(line)
            except Exception as error:  # one line's trouble is not the others'
                self._resident.note(f"trouble on a line: {type(error).__name__}: {error}")
        if not self.idle_s():
            self._busy_s = time.monotonic()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError:
            time.sleep(0.05)  # no descriptor left: it stays readable, and this must not spin
            raise
        pid, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        connection.settimeout(_SEND_S)
        refusal = ""
        if uid not in (0, os.geteuid()):
            refusal = f"process {pid} of uid {uid} may not ask"
        elif len(self._lines) >= _MOST_LINES:
            refusal = f"{_MOST_LINES} lines are open"
        if refusal:
            self._refuse(connection, refusal)
            return
        self._count += 1
        line = _Line(number=self._count, pid=pid, socket=connection)
        self._lines[connection.fileno()] = line
        self._selector.register(connection, selectors.EVENT_READ)

    def _refuse(self, connection: socket.socket, why: str) -> None:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # who asks again and again fills no disk
            self._resident.note(f"refused: {why} ({self._refused} refused so far)")
        with connection, suppress(OSError):
            connection.send(split_packets({"error": why})[0])

    def _read(self, line: _Line) -> None:
        try:
            asked = line.reader.receive(line.socket)
        except (EOFError, OSError):
            self._end(line)
            return
        except RecordError as error:
            self._resident.note(f"process {line.pid} sends {error}")
            self._end(line)
            return
        if asked is None:
            return
        answer = self._answer(line, asked)
        try:
            for packet in split_packets({"n": asked.get("n")} | answer):
                line.socket.send(packet)
        except OSError:  # it does not read what it asked for
            self._end(line)

    def _answer(self, line: _Line, asked: Asked) -> dict[str, Any]:
        do = asked.get("do")
        try:
            if not isinstance(do, str) or do not in self._answers:
                raise HostError(f"there is no {clip(do)} to be asked for")
            found: Any = self._answers[do](line, asked)
        except FimkitError as error:
            return {"error": str(error)}
        except Exception as error:  # whatever goes wrong is told to who asked, and the helper stays
            self._resident.note(f"{do!r} failed: {type(error).__name__}: {error}")
            return {"error": f"{type(error).__name__}: {error}"}
        return {"ok": {} if found is None else asdict(found)}

    def _end(self, line: _Line) -> None:
        self._selector.unregister(line.socket)
        self._lines.pop(line.socket.fileno(), None)
        line.socket.close()
        self._busy_s = time.monotonic()
        self._resident.gone(line.number)


def _text(asked: Asked, name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise HostError(f"{name} is {clip(value)}, expected text")
    return value


def _number(asked: Asked, name: str) -> int | None:
    value = asked.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise HostError(f"{name} is {clip(value)}, expected a number")
    return value


def _texts(asked: Asked, name: str) -> list[str]:
    value = asked.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise HostError(f"{name} is {clip(value)}, expected texts")
    return value


def _object(asked: Asked, name: str) -> Mapping[str, Any]:
    value = asked.get(name)
    if not isinstance(value, dict):
        raise HostError(f"{name} is {clip(value)}, expected an object")
    return value
