"""The line to the panic's runner, a process of its own: its standard input and output are one socket, with JSON lines both ways."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from fimkit.model.errors import clip
from fimkit.model.own_process import own_command

__all__ = ["RUNNER", "LineEnded", "RunnerLine"]

RUNNER = own_command("fimkit.verbs.panic_runner")
"""The command of the runner."""

_MOST_LINE_BYTES = 1 << 20
_PART_BYTES = 1 << 16


class LineEnded(Exception):
    """The other side is gone."""


class RunnerLine:
    """One runner and the line to it. Nothing here waits, but :meth:`end`."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it, in a session of its own: a Ctrl-C at the terminal is for the watch, and the watch tells it.

        Raises:
            OSError: If it cannot be started.
        """
        self._socket, other = socket.socketpair()
        with other:
            try:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    command, stdin=other.fileno(), stdout=other.fileno(), start_new_session=True
                )
            except BaseException:
                self._socket.close()
                raise
        self._socket.setblocking(False)
        self._out, self._in = bytearray(), bytearray()
        self._is_over = False
        self.pid = self._process.pid

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    @property
    def has_more(self) -> bool:
        """Whether something waits until the other side reads."""
        return bool(self._out)

    def put(self, row: Mapping[str, Any]) -> None:
        """Have a message sent by the next :meth:`exchange`."""
        self._out += json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n"

    def exchange(self) -> list[dict[str, Any]]:
        """Send and read as much as goes without waiting.

        Returns:
            What it said. What is no message is one that says so.

        Raises:
            LineEnded: If it is gone, when all that it said was given.
        """
        self._send()
        rows = self._read()
        if self._is_over and not rows:
            raise LineEnded
        return rows

    def _send(self) -> None:
        try:
            while self._out:
                del self._out[: self._socket.send(self._out[:_PART_BYTES])]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()
            self._is_over = True

    def _read(self) -> list[dict[str, Any]]:
        try:
            while len(self._in) <= _MOST_LINE_BYTES and (part := self._socket.recv(_PART_BYTES)):
                self._in += part
            self._is_over = self._is_over or len(self._in) <= _MOST_LINE_BYTES
        except BlockingIOError:
            pass
        except OSError:
            self._is_over = True
        *lines, rest = bytes(self._in).split(b"\n")
        self._in = bytearray(rest if len(rest) <= _MOST_LINE_BYTES else b"")
        return [_parse(line) for line in (*lines, *([rest] if len(rest) > _MOST_LINE_BYTES else [])) if line]

    def wake_if_stopped(self) -> bool:
        """Continue a process that somebody has stopped (SIGSTOP, or a debugger's), and tell whether it was."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                state = file.read().rpartition(b") ")[2][:1]
        except OSError:
            return False
        if state != b"T":
            return False
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGCONT)
        return True

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def end(self, wait_s: float) -> int | None:
        """Close the line, and wait for its end, for a time.

        Returns:
            Its exit status; ``None`` where it goes on: with a panic that has begun.
        """
        self._socket.close()
        try:
            return self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return None


def _parse(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    return row if isinstance(row, dict) else {"say": f"the panic's runner said what is no message: {clip(line)}"}
