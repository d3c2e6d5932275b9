"""Links of a chain: each carries the hash of the one before, so that the last one, the head, stands for all. Pure.

What is hashed is the text that Python's ``ascii()`` gives of a tuple of numbers, bytes, texts and ``None``: it is one text for one
value, on any host, and takes a microsecond.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from fimkit.model.errors import UsageError, clip

__all__ = ["NO_LINK", "Head", "digest_row", "next_link", "parse_head", "render_head"]

NO_LINK = bytes(32)
"""What stands before the first link of a chain."""

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


class Head(NamedTuple):
    """The last link of a chain at some moment: its number, and its hash, which depends on all before it."""

    seq: int
    link: bytes


def digest_row(row: Sequence[object]) -> bytes:
    """Hash a row of a database.

    >>> digest_row((1, b"/etc", "x", None)).hex()[:16]
    '2b77c687474bb023'
    """
    return hashlib.sha256(ascii(tuple(row)).encode()).digest()


def next_link(before: bytes, fields: Sequence[object]) -> bytes:
    """Hash a link's fields together with the hash of the link before it."""
    return hashlib.sha256(before + ascii(tuple(fields)).encode()).digest()


def render_head(head: Head) -> str:
    """Write a head as mails, logs and exports carry it: number, colon, 64 hexadecimal digits."""
    return f"{head.seq}:{head.link.hex()}"


def parse_head(text: str) -> Head:
    """Read what :func:`render_head` gave.

    Raises:
        UsageError: If it is no head.

    >>> parse_head("7:" + "ab" * 32).seq
    7
    """
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"no head in {clip(text)}; expected a number, a colon and 64 hexadecimal digits")
    return Head(int(found[1]), bytes.fromhex(found[2]))
