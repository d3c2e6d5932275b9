"""Reads an ar archive, which a .deb is, from a stream that only goes forward. Pure."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from fimkit.model.errors import PackageError, clip
from fimkit.packages.streams import BLOCK, Readable

__all__ = ["ArMember", "read_ar"]

_MAGIC = b"!<arch>\n"
_HEADER = re.compile(rb"(?P<name>[!-~][ -~]{15})[ -~]{12}[ -~]{6}[ -~]{6}[ -~]{8}(?P<size>[0-9]{1,10}) *`\n", re.S)
_HEADER_BYTES = 60
_MOST_MEMBERS = 100


class _Window:
    """The bytes of one member."""

    def __init__(self, stream: Readable, size_bytes: int) -> None:
        self._stream = stream
        self.left = size_bytes

    def read(self, size: int, /) -> bytes:
        part = self._stream.read(min(size, self.left))
        if self.left and size and not part:
            raise PackageError(f"an ar archive that ends {self.left} bytes too early")
        self.left -= len(part)
        return part


class ArMember(NamedTuple):
    """One member; its ``content`` can be read until the next member is asked for."""

    name: str
    size_bytes: int
    content: Readable


def _exactly(stream: Readable, size: int) -> bytes:
    parts = b""
    while len(parts) < size and (part := stream.read(size - len(parts))):
        parts += part
    return parts


def read_ar(stream: Readable) -> Iterator[ArMember]:
    """Give the members in turn.

    Raises:
        PackageError: If it is no ar archive, is cut, or has more members than any package.

    Source: ar(5), deb(5).
    """
    if (magic := _exactly(stream, len(_MAGIC))) != _MAGIC:
        raise PackageError(f"no ar archive: it begins {clip(magic)}")
    for _ in range(_MOST_MEMBERS):
        header = _exactly(stream, _HEADER_BYTES)
        if not header:
            return
        match = _HEADER.fullmatch(header)
        if match is None:
            raise PackageError(f"no header of an ar member: {clip(header)}")
        size = int(match["size"])
        window = _Window(stream, size)
        yield ArMember(match["name"].decode("ascii").rstrip().rstrip("/"), size, window)
        while window.read(BLOCK):
            pass
        if size % 2:
            _exactly(stream, 1)
    raise PackageError(f"more than {_MOST_MEMBERS} members")
