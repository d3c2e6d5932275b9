"""Netlink attributes: length, type, value, padded to four bytes; nested ones are values made of the same. Pure."""

import struct
from collections.abc import Iterator

__all__ = ["find_attribute", "pack_attribute", "split_attributes", "text_of"]

_HEAD = struct.Struct("=HH")
_TYPE = 0x3FFF  # the two high bits say nested and byte order


def split_attributes(raw: bytes, start: int = 0, wanted: frozenset[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Give each attribute's type and value, up to the end or to the first that is none; of these types alone, if any are named.

    Source: linux/netlink.h, struct nlattr.

    >>> list(split_attributes(pack_attribute(3, b"eth0") + pack_attribute(4, b"1")))
    [(3, b'eth0'), (4, b'1')]
    """
    end, read = len(raw) - _HEAD.size, _HEAD.unpack_from
    while start <= end:
        length, kind = read(raw, start)
        if length < _HEAD.size:
            return
        if wanted is None or kind & _TYPE in wanted:
            yield kind & _TYPE, raw[start + _HEAD.size : start + length]
        start += (length + 3) & ~3


def find_attribute(raw: bytes, start: int, kind: int) -> bytes | None:
    """Give the first attribute of a type, or None.

    >>> find_attribute(pack_attribute(3, b"eth0"), 0, 3), find_attribute(b"", 0, 3)
    (b'eth0', None)
    """
    return next((value for found, value in split_attributes(raw, start) if found == kind), None)


def pack_attribute(kind: int, value: bytes) -> bytes:
    r"""Write one attribute.

    >>> pack_attribute(3, b"lo")
    b'\x06\x00\x03\x00lo\x00\x00'
    """
    return _HEAD.pack(_HEAD.size + len(value), kind) + value + bytes(-len(value) % 4)


def text_of(value: bytes) -> bytes:
    """Give a name without the NUL that ends it."""
    return value.split(b"\0", 1)[0]
