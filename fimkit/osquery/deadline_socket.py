"""A Thrift transport over a UNIX socket that ends at one moment, whatever the other side does.

Thrift's own socket has a timeout for each read: a server that sends a byte now and then holds it for ever. Here each read and
write gets what is left until the deadline. All that can go wrong is one of our own errors.
"""

import errno
import os
import socket
import stat
import time

from thrift.transport.TTransport import TTransportBase

from fimkit.model.errors import (
    OsqueryAbsentError,
    OsqueryDeniedError,
    OsqueryError,
    OsqueryLostError,
    OsqueryProtocolError,
    OsqueryTimeoutError,
    clip,
)

__all__ = ["DeadlineSocket"]

_MOST_BYTES = 1 << 30  # of one answer: a server gone mad must not eat this host's memory before the deadline
_CHUNK = 1 << 18
_RETRY_S = 0.02


class DeadlineSocket(TTransportBase):  # type: ignore[misc]  # thrift ships no types
    """One connection. ``deadline`` is a moment of :func:`time.monotonic`; ``received`` counts the bytes of the answer so far."""

    def __init__(self, path: str) -> None:
        """Take the socket's path; nothing is opened yet."""
        self.path = path
        self.deadline = 0.0
        self.received = 0
        self._socket: socket.socket | None = None

    def _left_s(self, doing: str) -> float:
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise OsqueryTimeoutError(f"osqueryd on {clip(self.path)}: {doing} took longer than the deadline")
        return left_s

    def open(self) -> None:
        """Connect.

        Raises:
            OsqueryError: One of its family, saying why not.
        """
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            while True:
                opened.settimeout(self._left_s("connecting"))
                try:
                    opened.connect(self.path)
                    break
                except BlockingIOError:  # the queue of the socket is full; the kernel does not wait here as it does for TCP
                    time.sleep(min(_RETRY_S, self._left_s("connecting")))
        except OsqueryError:
            opened.close()
            raise
        except OSError as error:
            opened.close()
            raise self._explain(error) from error
        self._socket = opened

    def _explain(self, error: OSError) -> OsqueryError:
        """Say why there is no connection, and what to do."""
        shown = clip(self.path)
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return OsqueryAbsentError(f"there is no socket {shown}: osqueryd does not run, or has another --extensions_socket")
        if isinstance(error, PermissionError):
            return OsqueryDeniedError(f"user {os.geteuid()} may not talk to osqueryd on {shown}: run this as root")
        if not self._is_socket() or error.errno == errno.EPROTOTYPE:
            return OsqueryProtocolError(f"{shown} is no stream socket; expected osqueryd's --extensions_socket")
        if isinstance(error, ConnectionRefusedError):
            return OsqueryAbsentError(f"nobody listens on {shown}: osqueryd has stopped and left its socket behind")
        if isinstance(error, TimeoutError):
            return OsqueryTimeoutError(f"osqueryd on {shown}: connecting took longer than the deadline")
        return OsqueryAbsentError(f"osqueryd on {shown} cannot be reached: {error.strerror or error}")

    def _is_socket(self) -> bool:
        try:
            return stat.S_ISSOCK(os.stat(self.path).st_mode)
        except OSError:  # as after a name that is too long: the first error tells more
            return True

    def isOpen(self) -> bool:  # Thrift's name
        """Tell whether the other side is still there, as far as this side has heard."""
        if self._socket is None:
            return False
        try:
            self._socket.settimeout(0)
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Close; the other side sees the end."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def read(self, size: int) -> bytes:
        """Read at least one byte and at most ``size``.

        Raises:
            OsqueryTimeoutError: If nothing comes before the deadline.
            OsqueryLostError: If the connection ends.
            OsqueryProtocolError: If the answer has no end.
        """
        assert self._socket is not None
        self._socket.settimeout(self._left_s("its answer"))
        try:
            chunk = self._socket.recv(min(size, _CHUNK))
        except TimeoutError as error:
            raise OsqueryTimeoutError(f"osqueryd on {clip(self.path)}: its answer took longer than the deadline") from error
        except OSError as error:
            raise self._lost() from error
        if not chunk:
            raise self._lost()
        self.received += len(chunk)
        if self.received > _MOST_BYTES:
            raise OsqueryProtocolError(f"osqueryd on {clip(self.path)}: an answer of more than {_MOST_BYTES} bytes")
        return chunk

    def _lost(self) -> OsqueryLostError:
        heard = f"after {self.received} bytes of its answer" if self.received else "before it answered"
        return OsqueryLostError(f"osqueryd on {clip(self.path)} closed the connection {heard}: did it stop, or its worker die?")

    def write(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises:
            OsqueryTimeoutError: If it is not taken before the deadline.
            OsqueryLostError: If the connection ends.
        """
        assert self._socket is not None
        self._socket.settimeout(self._left_s("taking the query"))
        try:
            self._socket.sendall(data)  # its timeout is for the whole
        except TimeoutError as error:
            raise OsqueryTimeoutError(f"osqueryd on {clip(self.path)}: taking the query took longer than the deadline") from error
        except OSError as error:
            raise self._lost() from error

    def flush(self) -> None:
        """Do nothing: what is written is sent."""
