"""A socket server that misbehaves as it is told, and osqueryd's answers as bytes, to serve whole or in pieces."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType, TType
from thrift.transport.TTransport import TMemoryBuffer

__all__ = ["Peer", "Served", "refusal", "reply", "serve"]


class Peer:
    """One accepted connection."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self.connection, self.stopped = connection, stopped

    def take(self) -> bytes:
        """Read what comes in one go; a question of these tests does. Nothing at the end."""
        return self.connection.recv(1 << 16)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def trickle(self, data: bytes, *, every_s: float) -> None:
        """Send a byte at a time."""
        for byte in data:
            if self.stopped.wait(every_s):
                return
            self.connection.sendall(bytes([byte]))

    def hold(self) -> None:
        """Do nothing until the test is over."""
        self.stopped.wait(60)


class Served:
    """A server at work: its socket, and what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0


@contextmanager
def serve(path: Path, *talks: Callable[[Peer], None]) -> Iterator[Served]:
    """Listen, and lead one talk a connection, in turn; the last one for all that follow."""
    served, stopped, threads, accepted = Served(path), threading.Event(), [], []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(8)

    def lead(connection: socket.socket, talk: Callable[[Peer], None]) -> None:
        with connection, suppress(OSError):  # the client may be gone, as it should
            talk(Peer(connection, stopped))

    def accept() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            talk = talks[min(served.connections, len(talks) - 1)]
            served.connections += 1
            accepted.append(connection)
            threads.append(threading.Thread(target=lead, args=(connection, talk), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield served
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for connection in accepted:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        path.unlink(missing_ok=True)


def reply(
    rows: Sequence[Mapping[bytes, bytes]] = (), *, code: int = 0, message: bytes = b"OK", method: str = "query", status: bool = True
) -> bytes:
    """Write the answer to ``query`` as osqueryd does, any bytes in it."""
    buffer = TMemoryBuffer()
    out = TBinaryProtocol(buffer)
    out.writeMessageBegin(method, TMessageType.REPLY, 0)
    out.writeFieldBegin("success", TType.STRUCT, 0)
    if status:
        out.writeFieldBegin("status", TType.STRUCT, 1)
        out.writeFieldBegin("code", TType.I32, 1)
        out.writeI32(code)
        out.writeFieldBegin("message", TType.STRING, 2)
        out.writeBinary(message)
        out.writeFieldStop()
    out.writeFieldBegin("response", TType.LIST, 2)
    out.writeListBegin(TType.MAP, len(rows))
    for row in rows:
        out.writeMapBegin(TType.STRING, TType.STRING, len(row))
        for name, value in row.items():
            out.writeBinary(name)
            out.writeBinary(value)
    out.writeFieldStop()
    out.writeFieldStop()
    whole: bytes = buffer.getvalue()
    return whole


def refusal(words: str, *, method: str = "query") -> bytes:
    """Write a Thrift exception, as a server that does not know the method does."""
    buffer = TMemoryBuffer()
    out = TBinaryProtocol(buffer)
    out.writeMessageBegin(method, TMessageType.EXCEPTION, 0)
    out.writeFieldBegin("message", TType.STRING, 1)
    out.writeString(words)
    out.writeFieldBegin("type", TType.I32, 2)
    out.writeI32(1)
    out.writeFieldStop()
    whole: bytes = buffer.getvalue()
    return whole
