"""Thrift as osquery speaks it: binary, buffered, on a unix socket; texts may hold bytes that are no UTF-8."""

import contextlib
import socket
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

with warnings.catch_warnings():  # the generated code names what newer Pythons rename
    warnings.simplefilter("ignore")
    from osquery.extensions.ExtensionManager import Client, Processor
    from osquery.extensions.ttypes import ExtensionResponse, ExtensionStatus, InternalExtensionInfo, InternalOptionInfo
    from thrift.protocol import TBinaryProtocol
    from thrift.transport import TSocket, TTransport

__all__ = [
    "ExtensionResponse",
    "ExtensionStatus",
    "InternalExtensionInfo",
    "InternalOptionInfo",
    "ThriftServer",
    "extension_client",
]


class _RawProtocol(TBinaryProtocol.TBinaryProtocol):  # type: ignore[misc]
    """Keeps bytes that are no UTF-8 as surrogate escapes."""

    def writeString(self, text: str) -> None:
        """Write a text."""
        self.writeBinary(text.encode("utf-8", "surrogateescape"))

    def readString(self) -> str:
        """Read a text."""
        return str(self.readBinary(), "utf-8", "surrogateescape")


@contextlib.contextmanager
def extension_client(path: str, *, timeout_s: float) -> Iterator[Any]:
    """Talk to an extension, for one call: extensions serve one caller at a time.

    Raises:
        OSError, TTransportException: If there is none, or it does not answer in time.
    """
    transport_socket = TSocket.TSocket(unix_socket=path)
    transport_socket.setTimeout(timeout_s * 1000)
    transport = TTransport.TBufferedTransport(transport_socket)
    transport.open()
    try:
        yield Client(_RawProtocol(transport))
    finally:
        transport.close()


class ThriftServer:
    """Answers many clients at once, a thread each. ``stop`` takes the socket away first, then the clients."""

    def __init__(self, path: Path, handler: Any) -> None:
        """Bind the socket; what was left there by a daemon that is gone is replaced."""
        self._path, self._processor = path, Processor(handler)
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        path.chmod(0o700)
        self._listener.listen(128)
        self._thread = threading.Thread(target=self._accept, name="extension manager", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        transport_socket = TSocket.TSocket()
        transport_socket.setHandle(client)
        transport = TTransport.TBufferedTransport(transport_socket)
        protocol = _RawProtocol(transport)
        try:
            while True:
                self._processor.process(protocol, protocol)
        except (OSError, EOFError, TTransport.TTransportException):
            pass  # the client is gone
        except Exception:  # what it sent is no Thrift, or a call that is none
            pass
        finally:
            with self._lock:
                self._clients.discard(client)
            transport.close()

    def stop(self) -> None:
        """Take the socket and the clients away."""
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
