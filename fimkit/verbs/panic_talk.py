"""The runner's side of the line to the guard: JSON lines both ways; what is said from any thread goes out when the guard reads."""

import contextlib
import json
import os
import select
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any

from fimkit.model.errors import clip

__all__ = ["Talk"]

_PART_BYTES = 1 << 16
_MOST_LINE_BYTES = 256 << 20  # a thousand findings, each with all its actors
_MOST_WAITING = 2000


class Talk:
    """The line. :meth:`put` may be called by any thread, the rest by one."""

    def __init__(self, line: socket.socket) -> None:
        """Take over the line."""
        self._line = line
        self._line.setblocking(False)
        self._in, self._out = bytearray(), bytearray()
        self._waiting: deque[dict[str, Any]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.ended = False

    def put(self, row: Mapping[str, Any]) -> None:
        """Have a message sent. Words for a guard that does not read are dropped at last; answers never."""
        if "say" not in row or len(self._waiting) < _MOST_WAITING:
            self._waiting.append(dict(row))
        self.wake()

    def say(self, words: str) -> None:
        """Have words shown."""
        self.put({"say": words})

    def wake(self) -> None:
        """End a waiting that is under way."""
        with contextlib.suppress(OSError):
            os.eventfd_write(self._wake, 1)

    def exchange(self, timeout_s: float) -> list[dict[str, Any]]:
        """Wait until there is something to read, or room to write, or somebody wakes; send, and give what came."""
        self._fill()
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if not self.ended:
            poll.register(self._line, select.POLLIN | (select.POLLOUT if self._out else 0))
        poll.poll(timeout_s * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        self._fill()
        self._send()
        return self._read()

    def flush(self) -> None:
        """Send what goes at once."""
        self._fill()
        self._send()

    def _fill(self) -> None:
        while self._waiting and len(self._out) < _PART_BYTES:
            self._out += json.dumps(self._waiting.popleft(), separators=(",", ":")).encode("ascii") + b"\n"

    def _send(self) -> None:
        try:
            while self._out:
                del self._out[: self._line.send(self._out[:_PART_BYTES])]
                self._fill()
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()

    def _read(self) -> list[dict[str, Any]]:
        try:
            while not self.ended:
                part = self._line.recv(_PART_BYTES)
                self._in += part
                self.ended = not part or len(self._in) > _MOST_LINE_BYTES
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
        *lines, rest = self._in.split(b"\n")
        self._in = bytearray(rest)
        return [row for line in lines if line and (row := self._parse(bytes(line))) is not None]

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            self.say(f"the panic's runner was told what is no message: {clip(line)}")
            return None
        return row
