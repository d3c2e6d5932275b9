"""Serves tables to osqueryd: registers, answers requests in a thread each, and ends when osqueryd does.

The ``osquery`` package's ``start_extension`` reads the command line by itself, says nothing of a failure, serves one caller at a
time and dies with ``os._exit``; its ``TablePlugin.call`` fails on an action that it does not know. So of that package only the
Thrift interface is used here.
"""

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from osquery.extensions.Extension import Iface, Processor
from osquery.extensions.ttypes import ExtensionResponse, ExtensionStatus
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

from fimkit.model.errors import FimkitError, HostError, OsqueryAbsentError, OsqueryError, OsqueryLostError, clip
from fimkit.osquery.columns import Table, render_routes
from fimkit.osquery.extension import NAME
from fimkit.osquery.manager import Manager, Refused
from fimkit.osquery.row_filter import row_filter
from fimkit.osquery.tables import Asked, parse_context
from fimkit.osquery.wire import AnswerTooLarge, EncodedResponse, encode_rows

__all__ = ["Answer", "ExtensionServer", "TableSource"]

_MOST_CALLERS = 64
_MOST_WAITING = 128
_LONGEST_REQUEST = 16 << 20
_LONGEST_SOCKET = 107  # sun_path of unix(7), without its NUL
_LONGEST_NUMBER = len(".65535")
_RETRY_S = 0.2
_MOST_SILENCES = 3
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, errno.EINTR})
_WRITES = frozenset({"insert", "update", "delete"})


class Answer(NamedTuple):
    """Rows for one request: their columns, which begin with those that were asked for, and the values, ``None`` where not known."""

    columns: Sequence[str]
    rows: Iterable[Sequence[str | None]]


class TableSource(Protocol):
    """Where the rows are from."""

    def answer(self, table: Table, asked: Asked) -> Answer:
        """Give rows for a request; more than were asked for are fine. Any FimkitError becomes osquery's error of the query."""

    def refused(self, words: str) -> None:
        """Hear of a request that was refused, in words."""


class _Protocol(TBinaryProtocol):  # type: ignore[misc]  # thrift ships no types
    """Takes bytes that are no UTF-8 in a query's text, and gives none."""

    def __init__(self, transport: TBufferedTransport) -> None:
        super().__init__(transport, string_length_limit=_LONGEST_REQUEST, container_length_limit=_LONGEST_REQUEST)

    def readString(self) -> str:  # Thrift's name
        return str(self.readBinary(), "utf-8", "surrogateescape")

    def writeString(self, text: str) -> None:  # Thrift's name
        self.writeBinary(text.encode("utf-8", "backslashreplace"))


class _Calls(Iface):  # type: ignore[misc]  # osquery ships no types
    """What osqueryd may ask of an extension."""

    def __init__(self, tables: Mapping[str, Table], source: TableSource, most_bytes: int, stop: Callable[[], None]) -> None:
        self._tables, self._source, self._most_bytes, self._stop = tables, source, most_bytes, stop

    def ping(self) -> ExtensionStatus:
        return ExtensionStatus(code=0, message="OK")

    def shutdown(self) -> None:
        self._stop()

    def call(self, registry: str | None, item: str | None, request: Mapping[str, str] | None) -> Any:
        table = self._tables.get(item or "") if registry == "table" else None
        if table is None:
            return _error(f"there is no {clip(item)} of the kind {clip(registry)} here; there are: {', '.join(self._tables)}")
        action = (request or {}).get("action")
        if action == "columns":
            return ExtensionResponse(status=ExtensionStatus(code=0, message="OK"), response=render_routes(table))
        if action in _WRITES:
            return ExtensionResponse(status=ExtensionStatus(code=0, message="OK"), response=[{"status": "readonly"}])
        if action != "generate":
            return _error(f"unknown action {clip(action)}; expected 'generate' or 'columns'")
        try:
            return self._generate(table, (request or {}).get("context"))
        except (FimkitError, AnswerTooLarge) as error:
            words = _too_large(error, self._most_bytes) if isinstance(error, AnswerTooLarge) else str(error)
            self._source.refused(f"{table.name}: {words}")
            return _error(words)

    def _generate(self, table: Table, context: str | None) -> EncodedResponse:
        asked = parse_context(context, table)
        answer = self._source.answer(table, asked)
        keep = row_filter(answer.columns, asked.limits)
        wanted = [column for column in table.columns if column.name in asked.columns]
        count, body = encode_rows(
            wanted, answer.rows if keep is None else filter(keep, answer.rows), most_bytes=self._most_bytes
        )
        return EncodedResponse(ExtensionStatus(code=0, message="OK"), count, body)


def _too_large(error: AnswerTooLarge, most_bytes: int) -> str:
    return (
        f"the answer has more than {error.rows} rows, which are {most_bytes >> 20} MB already: name the columns that are needed, or"
        " limit the rows, as with WHERE path LIKE '/etc/%' or WHERE time > …"
    )


def _error(words: str) -> ExtensionResponse:
    return ExtensionResponse(status=ExtensionStatus(code=1, message=words), response=[])


class ExtensionServer:
    """One extension of one osqueryd, from its registration to its end. ``stop`` may be called from any thread, or a signal."""

    def __init__(
        self,
        manager: bytes | str,
        tables: Sequence[Table],
        source: TableSource,
        *,
        version: str,
        most_bytes: int = 64 << 20,
        say: Callable[[str], None],
    ) -> None:
        """Take what is to be served.

        Args:
            manager: osqueryd's extensions socket.
            tables: The tables.
            source: Gives their rows, in any thread.
            version: Ours.
            most_bytes: How large an answer may become. Thrift's readers refuse 100 MB, and osqueryd's watchdog ends it at 200 MB.
            say: Takes words on what happens.
        """
        self._manager = Manager(manager)
        self._routes = {table.name: render_routes(table) for table in tables}
        self._version, self._say = version, say
        self._stopped = threading.Event()
        self._callers = threading.BoundedSemaphore(_MOST_CALLERS)
        self._processor = Processor(_Calls({table.name: table for table in tables}, source, most_bytes, self.stop))

    def stop(self) -> None:
        """Ask for the end."""
        self._stopped.set()

    def run(self, *, timeout_s: float, interval_s: float) -> None:
        """Serve until osqueryd goes, or :meth:`stop`.

        Args:
            timeout_s: How long to wait for osqueryd, and for an extension before us to be forgotten.
            interval_s: How often to ask whether osqueryd still knows us.

        Raises:
            OsqueryError: If osqueryd does not answer within ``timeout_s``.
            HostError: If it does not take us, or the socket cannot be made.
        """
        if len(os.fsencode(self._manager.socket)) + _LONGEST_NUMBER > _LONGEST_SOCKET:
            raise HostError(f"the path {clip(self._manager.socket)} is too long for a socket beside it: its --extensions_socket")
        served = False
        while not self._stopped.is_set():
            try:
                uuid = self._register(timeout_s)
            except OsqueryError:
                if not served:
                    raise
                self._say("osqueryd has gone away")
                return
            if uuid is None:
                return
            served = True
            with self._listen(uuid) as listener:
                threading.Thread(target=self._accept, args=(listener,), name=f"fimkit accept {uuid}", daemon=True).start()
                self._say(f"registered {', '.join(self._routes)} with osqueryd on {self._manager.socket} as number {uuid}")
                again = self._watch(uuid, interval_s)
                if self._stopped.is_set():
                    with suppress(OsqueryError):
                        self._manager.deregister(uuid)
            if not again:
                return

    def _listen(self, uuid: int) -> "_Listener":
        try:
            return _Listener(f"{self._manager.socket}.{uuid}")
        except HostError:
            with suppress(OsqueryError):
                self._manager.deregister(uuid)
            raise

    def _register(self, timeout_s: float) -> int | None:
        until = time.monotonic() + timeout_s
        while True:
            try:
                return self._manager.register(NAME, self._version, self._routes)
            except Refused as refusal:
                failure: Exception = self._explain(refusal)
            except OsqueryError as error:
                failure = error
            if time.monotonic() >= until:
                raise failure
            if self._stopped.wait(_RETRY_S):
                return None

    def _explain(self, refusal: Refused) -> Exception:
        """Make room where an extension before us was killed; else say who is in the way."""
        with suppress(OsqueryError):
            uuid = self._manager.drop_dead(NAME)
            if uuid is not None:
                return HostError(f"osqueryd refuses ({refusal}): another fimkit extension is at work, as number {uuid}")
        return HostError(f"osqueryd refuses to register fimkit's tables: {refusal}")

    def _watch(self, uuid: int, interval_s: float) -> bool:
        """Wait for the end; give true where osqueryd is there and does not know us any more: it was restarted, or dropped us."""
        silences = 0
        while not self._stopped.wait(interval_s):
            try:
                known = self._manager.registered()
            except (OsqueryAbsentError, OsqueryLostError):
                self._say("osqueryd has gone away")
                return False
            except OsqueryError as error:
                silences += 1
                if silences >= _MOST_SILENCES:
                    self._say(f"osqueryd does not answer any more: {error}")
                    return False
                continue
            silences = 0
            if known.get(uuid) != NAME:
                self._say("osqueryd does not know this extension any more; registering again")
                return True
        return False

    def _accept(self, listener: "_Listener") -> None:
        while True:
            self._callers.acquire()
            caller = listener.accept()
            if caller is None:
                self._callers.release()
                return
            threading.Thread(target=self._serve, args=(caller,), name="fimkit request", daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        """Answer one caller until it goes. Whatever it sends, only its own connection ends."""
        connection = TSocket()
        connection.setHandle(caller)
        protocol = _Protocol(TBufferedTransport(connection))
        try:
            while True:
                self._processor.process(protocol, protocol)
        except (TTransportException, OSError):
            pass
        except (TException, EOFError, ValueError, TypeError, KeyError, AttributeError, struct.error, MemoryError) as error:
            self._say(f"a request that cannot be read: {clip(str(error) or type(error).__name__)}")
        finally:
            connection.close()
            self._callers.release()


class _Listener:
    """The extension's own socket; a context manager that leaves nothing behind."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._path)  # osqueryd gave the number to us: whoever had it is gone
            self._socket.bind(self._path)
            os.chmod(self._path, 0o700)
            self._socket.listen(_MOST_WAITING)
        except OSError as error:
            self._socket.close()
            raise HostError(f"cannot make the socket {clip(self._path)}: {error.strerror or error}") from error

    def __enter__(self) -> "_Listener":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._socket.close()
        with suppress(OSError):
            os.unlink(self._path)

    def accept(self) -> socket.socket | None:
        """Wait for a caller; nothing at the end."""
        while True:
            try:
                return self._socket.accept()[0]
            except OSError as error:
                if self._socket.fileno() < 0 or error.errno not in _PASSING:
                    return None
                time.sleep(_RETRY_S)  # no descriptor is free
