"""Rows of an answer as Thrift sends them, written row by row: no objects for rows, and a size that is known on the way. Pure.

Source: Thrift's binary protocol; osquery.thrift, ExtensionResponse: 1 is the status, 2 a list of maps of strings.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from osquery.extensions.ttypes import ExtensionStatus
from thrift.Thrift import TType

from fimkit.osquery.columns import Column, ColumnType

__all__ = ["AnswerTooLarge", "EncodedResponse", "encode_rows"]

_length = struct.Struct("!i").pack
_map = struct.Struct("!BBi").pack


class AnswerTooLarge(Exception):
    """An answer grew over its limit; ``rows`` were fine."""

    def __init__(self, rows: int) -> None:
        """Take the number of rows that fitted."""
        self.rows = rows
        super().__init__(f"more than {rows} rows")


class EncodedResponse:
    """Stands in for an ExtensionResponse whose rows are encoded already."""

    def __init__(self, status: ExtensionStatus, rows: int = 0, body: bytes | bytearray = b"") -> None:
        """Take a status, how many rows there are, and their bytes."""
        self.status, self.rows, self.body = status, rows, body

    def write(self, protocol: Any) -> None:
        """Write it, as the generated code calls for it."""
        protocol.writeStructBegin("ExtensionResponse")
        protocol.writeFieldBegin("status", TType.STRUCT, 1)
        self.status.write(protocol)
        protocol.writeFieldEnd()
        protocol.writeFieldBegin("response", TType.LIST, 2)
        protocol.writeListBegin(TType.MAP, self.rows)
        protocol.trans.write(self.body)
        protocol.writeListEnd()
        protocol.writeFieldEnd()
        protocol.writeFieldStop()
        protocol.writeStructEnd()


def encode_rows(
    columns: Sequence[Column], rows: Iterable[Sequence[str | None]], *, most_bytes: int
) -> tuple[int, bytearray]:
    r"""Encode rows; a value that is ``None`` is the empty text, or a number that is left out, which is NULL.

    Args:
        columns: Whose the values are, in order. A row may have more values: they are not sent.
        rows: The rows.
        most_bytes: How large the answer may become.

    Returns:
        How many rows, and their bytes.

    Raises:
        AnswerTooLarge: At the first row that does not fit.

    >>> encode_rows([Column("a", ColumnType.BIGINT, "")], [["7"], [None]], most_bytes=100)
    (2, bytearray(b'\x0b\x0b\x00\x00\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x017\x0b\x0b\x00\x00\x00\x00'))
    """
    keys = [
        (_length(len(name.encode())) + name.encode(), "" if kind is ColumnType.TEXT else None) for name, kind, *_ in columns
    ]
    body, count = bytearray(), 0
    for row in rows:
        parts: list[bytes] = []
        for (key, empty), value in zip(keys, row, strict=False):
            value = empty if value is None else value
            if value is not None:
                raw = value.encode("utf-8", "backslashreplace")
                parts += (key, _length(len(raw)), raw)
        body += _map(TType.STRING, TType.STRING, len(parts) // 3)
        body += b"".join(parts)
        if len(body) > most_bytes:
            raise AnswerTooLarge(count)
        count += 1
    return count, body
