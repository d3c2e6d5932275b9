"""Other ways to read the same bytes, where a file is written so that rules for bytes or for small files pass it by. Pure."""

import re
from collections.abc import Iterator

__all__ = ["other_views"]

_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_HEAD = 64
_SMALL = 4 << 10
_PADDED = 8
"""Honest programs are not seven parts of comment to one of program."""

# Strings first, so that what looks like a comment in one stays. What has no end goes to the file's: nothing is tried twice.
_PARTS = re.compile(
    rb"""'[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z) | "[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)
       | (/\*.*?(?:\*/|\Z) | (?://|\#)[^\n]* | \s+)""",
    re.VERBOSE | re.DOTALL,
)


def other_views(content: bytes) -> Iterator[bytes]:
    r"""Give the texts that rules should be put to as well.

    Args:
        content: A file's bytes.

    Returns:
        What is in UTF-16, as UTF-8: a server reads such a page, by its mark or by its setting. And PHP without its comments and
        spaces, if it is little else: the rules for small files go by the size of the program, not of its padding.

    >>> list(other_views("<%eval".encode("utf-16")))
    [b'<%eval']
    >>> list(other_views(b"<?php " + b"// and so on\n" * 1000 + b"eval('# x');"))
    [b"<?php eval('# x');"]
    """
    plain = _narrow(content)
    if plain is not None:
        yield plain
    squeezed = _squeeze(content if plain is None else plain)
    if squeezed is not None:
        yield squeezed


def _narrow(content: bytes) -> bytes | None:
    coding = _MARKS.get(content[:2]) or _guess(content[:_HEAD])
    if coding is None:
        return None
    return content.decode(coding, "replace").removeprefix("\ufeff").encode("utf-8", "replace")


def _guess(head: bytes) -> str | None:
    """Tell UTF-16 without a mark: in text of this kind every other byte is nothing."""
    even, odd = head[::2], head[1::2]
    if len(odd) < 2:
        return None
    if not even.strip(b"\0") and 0 not in odd:
        return "utf-16-be"
    return "utf-16-le" if not odd.strip(b"\0") and 0 not in even else None


def _squeeze(content: bytes) -> bytes | None:
    begin = content.find(b"<?")  # what stands before is text, and its apostrophes open no string
    if begin < 0 or len(content) <= _SMALL:
        return None
    squeezed = _PARTS.sub(lambda part: b" " if part[1] is not None else part[0], content[begin:])
    squeezed = re.sub(rb" {2,}", b" ", squeezed)
    return squeezed if len(squeezed) * _PADDED < len(content) else None
