"""The line to the process that has contents searched and runs handlers: packets of JSON over a pair of sockets nobody else has."""

import contextlib
import json
import socket
import subprocess
from collections import deque
from collections.abc import Mapping
from typing import Any

from fimkit.model.own_process import own_command

__all__ = ["PACKET_BYTES", "ContentLine"]

PACKET_BYTES = 128 << 10


class ContentLine:
    """One such process, and the line to it. Nothing here waits, but :meth:`end`."""

    def __init__(self) -> None:
        """Start it, in a session of its own: it ends with its line, and not by a signal that is meant for the caller.

        Raises:
            OSError: If it cannot be started.
        """
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            try:
                self.process = subprocess.Popen(
                    own_command("fimkit.verbs.content_runner"), stdin=other.fileno(), stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
            except BaseException:
                self._socket.close()
                raise
        self._socket.setblocking(False)
        self._out: deque[bytes] = deque()
        self.is_over = False

    def fileno(self) -> int:
        """The descriptor that can be read when there is an answer."""
        return self._socket.fileno()

    @property
    def has_more(self) -> bool:
        """Whether something waits until the other side reads."""
        return bool(self._out)

    def put(self, row: Mapping[str, Any]) -> None:
        """Have a message sent by the next :meth:`exchange`."""
        self._out.append(json.dumps(row, separators=(",", ":")).encode("ascii"))

    def send_out(self) -> None:
        """Send as much as goes without waiting."""
        try:
            while self._out:
                self._socket.send(self._out[0])
                self._out.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()
            self.is_over = True

    def exchange(self) -> list[dict[str, Any]]:
        """Send and read as much as goes without waiting; ``is_over`` says when it is gone. Gives what it said."""
        self.send_out()
        rows: list[dict[str, Any]] = []
        try:
            while packet := self._socket.recv(PACKET_BYTES):
                row = json.loads(packet)
                if isinstance(row, dict):
                    rows.append(row)
            self.is_over = True
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            self.is_over = True
        return rows

    def end(self, wait_s: float) -> None:
        """Close the line, and see to its end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._socket.close()
