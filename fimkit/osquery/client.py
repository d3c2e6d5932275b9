"""Asks a running osqueryd over its extensions socket: with deadlines, reconnection, and errors that say what to do.

Texts are as :func:`os.fsdecode` gives file names: bytes that are no UTF-8 are lone surrogates, and ``os.fsencode`` gives them back.
"""

import os
import time
from types import TracebackType
from typing import Self, TypeVar

from osquery.extension_client import ExtensionClient
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.Thrift import TApplicationException, TException, TMessageType
from thrift.transport.TTransport import TBufferedTransport

from fimkit.model.errors import OsqueryError, OsqueryLostError, OsqueryProtocolError, OsqueryQueryError, clip
from fimkit.osquery.deadline_socket import DeadlineSocket
from fimkit.osquery.replies import ExtensionInfo, ExtensionsReply, OptionsReply, QueryReply

__all__ = ["DEFAULT_SOCKET", "OsqueryClient"]

DEFAULT_SOCKET = b"/var/osquery/osquery.em"

_MOST_ITEMS = 20_000_000  # of one list or map: the decoder makes room for as many as the answer claims to have
_READ_AHEAD = 1 << 16
_Reply = TypeVar("_Reply", QueryReply, ExtensionsReply, OptionsReply)


class _Protocol(TBinaryProtocolAccelerated):  # type: ignore[misc]  # thrift ships no types
    """Thrift's binary protocol; it decodes in C where that is built, and takes any text that this module gave."""

    def __init__(self, transport: TBufferedTransport) -> None:
        super().__init__(transport, strictRead=True, container_length_limit=_MOST_ITEMS)
        self._fast_encode = None  # it cannot write the osquery package's structs

    def writeString(self, text: str) -> None:  # Thrift's name
        self.writeBinary(text.encode("utf-8", "surrogateescape"))


class _Connection(ExtensionClient):  # type: ignore[misc]  # osquery ships no types
    """One connection of osquery's own client, with a deadline under it and replies that stay bytes."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.socket = DeadlineSocket(path)
        self._transport = TBufferedTransport(self.socket, _READ_AHEAD)
        self._protocol = _Protocol(self._transport)

    def ask(self, method: str, arguments: tuple[str, ...], reply: _Reply) -> _Reply:
        self.socket.received = 0
        getattr(self.extension_manager_client(), f"send_{method}")(*arguments)
        try:
            name, kind, _ = self._protocol.readMessageBegin()
            if kind == TMessageType.EXCEPTION:
                refusal = TApplicationException()
                refusal.read(self._protocol)
                words = f"{clip(self.path)} refuses {method}: {refusal}; expected osqueryd's --extensions_socket"
                raise OsqueryProtocolError(words)
            reply.read(self._protocol)
            self._protocol.readMessageEnd()
        except OsqueryError:
            raise
        except (TException, EOFError, MemoryError, OverflowError, TypeError, ValueError) as error:
            raise OsqueryProtocolError(f"{clip(self.path)} answers, but not as osqueryd does: {clip(str(error))}") from error
        if name != method or kind != TMessageType.REPLY or reply.success is None:
            raise OsqueryProtocolError(f"{clip(self.path)} answers, but not what was asked: {clip(name)} for {method!r}")
        return reply


class OsqueryClient:
    """A client of one osqueryd. Nothing is connected before the first question; one thread at a time.

    The connection is kept. Where a kept one turns out to be dead before anything was answered, as after a restart of osqueryd,
    the question is asked once more on a new one: it only reads.
    """

    def __init__(self, socket: bytes | str = DEFAULT_SOCKET, *, deadline_s: float = 10.0) -> None:
        """Take osqueryd's ``--extensions_socket``, and how long one question may take from connecting to the last byte."""
        self.socket = os.fsencode(socket)
        self.deadline_s = deadline_s
        self._connection: _Connection | None = None

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, deadline: float) -> _Connection:
        if self._connection is None:
            connection = _Connection(os.fsdecode(self.socket))
            connection.socket.deadline = deadline
            connection.socket.open()
            self._connection = connection
        self._connection.socket.deadline = deadline
        return self._connection

    def _ask(self, method: str, arguments: tuple[str, ...], reply: type[_Reply], deadline_s: float | None) -> _Reply:
        deadline = time.monotonic() + (self.deadline_s if deadline_s is None else deadline_s)
        if self._connection is not None and not self._connection.socket.isOpen():
            self.close()
        kept = self._connection
        try:
            return self._ask_once(method, arguments, reply(), deadline)
        except OsqueryLostError:
            if kept is None or kept.socket.received:
                raise
        return self._ask_once(method, arguments, reply(), deadline)

    def _ask_once(self, method: str, arguments: tuple[str, ...], reply: _Reply, deadline: float) -> _Reply:
        try:
            return self._connect(deadline).ask(method, arguments, reply)
        except BaseException:  # whatever stopped it: what is still to come on this connection answers no later question
            self.close()
            raise

    def _rows(self, method: str, sql: str, deadline_s: float | None) -> list[dict[str, str]]:
        reply = self._ask(method, (sql,), QueryReply, deadline_s)
        status = reply.status
        if status is None:
            raise OsqueryProtocolError(f"{clip(os.fsdecode(self.socket))} answers without a status: it is no osqueryd")
        code, message = status
        if code != 0:
            raise OsqueryQueryError(message, code=code)
        rows: list[dict[str, str]] = reply.rows()
        return rows

    def query(self, sql: str, *, deadline_s: float | None = None) -> list[dict[str, str]]:
        """Run a query.

        Args:
            sql: One SELECT, in osquery's SQLite.
            deadline_s: How long it may take, where the client's own deadline does not fit.

        Returns:
            The rows; all values are texts, a NULL is the empty one. osqueryd sorts the columns of a row by name.

        Raises:
            OsqueryQueryError: If osqueryd refuses it, with its words.
            OsqueryError: Another of its family, if osqueryd cannot be asked.
        """
        return self._rows("query", sql, deadline_s)

    def query_columns(self, sql: str, *, deadline_s: float | None = None) -> list[tuple[str, str]]:
        """Give name and type of the columns that a query would have, in its order, without running it.

        Types are osquery's: ``TEXT``, ``INTEGER``, ``BIGINT``, ``UNSIGNED BIGINT``, ``DOUBLE``, ``BLOB``, ``UNKNOWN``.

        Raises:
            OsqueryQueryError: If osqueryd refuses the query, with its words.
            OsqueryError: Another of its family, if osqueryd cannot be asked.
        """
        return [column for row in self._rows("getQueryColumns", sql, deadline_s) for column in row.items()]

    def extensions(self) -> tuple[ExtensionInfo, ...]:
        """Say which extensions are registered, osqueryd itself (number 0) first.

        Raises:
            OsqueryError: If osqueryd cannot be asked.
        """
        found: tuple[ExtensionInfo, ...] = self._ask("extensions", (), ExtensionsReply, None).extensions()
        return found

    def flags(self) -> dict[str, str]:
        """Give the values of all of osqueryd's flags, as they are now.

        Raises:
            OsqueryError: If osqueryd cannot be asked.
        """
        return self._ask("options", (), OptionsReply, None).flags()

    def tables(self) -> frozenset[str]:
        """Name the tables that this osqueryd has, those of its extensions too.

        Raises:
            OsqueryError: If osqueryd cannot be asked.
        """
        rows = self.query("SELECT name FROM osquery_registry WHERE registry = 'table'")
        return frozenset(row["name"] for row in rows)
