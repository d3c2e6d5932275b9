r"""Reads names as osquery's log writes them: control bytes and bytes that are no UTF-8 are the literal text ``\xNN``. Pure.

osquery escapes bytes below 0x20 and, above 0x7F, what is no UTF-8 (before 5.2x: everything above 0x7F); a backslash in a name is
written as it is. So ``\x0A`` in a log may be a newline, or a name that really has these four characters: only what is known of the
files tells, and without that it is taken for the byte, which is by far the likelier.

Source: osquery, osquery/sql/sql.cpp, escapeNonPrintableBytes.
"""

import itertools
import re
from collections.abc import Callable, Iterator

__all__ = ["unescape_name"]

_ESCAPE = re.compile(rb"\\x([01][0-9A-F]|[89A-F][0-9A-F])")
_MOST_DOUBTS = 6


def unescape_name(text: str, is_known: Callable[[bytes], bool] | None = None) -> bytes:
    r"""Read a name: ``\xNN`` is a byte only where osquery had to escape it.

    Args:
        text: As logged.
        is_known: Tells whether there is, or was, a file of this name; it decides where a name can be read in two ways.

    >>> unescape_name(r"/etc/new\x0Aline"), unescape_name(r"/etc/bad\xFFname"), unescape_name(r"/etc/\x41\xff\x7F")
    (b'/etc/new\nline', b'/etc/bad\xffname', b'/etc/\\x41\\xff\\x7F')
    >>> unescape_name(r"/etc/new\x0Aline", {rb"/etc/new\x0Aline"}.__contains__)
    b'/etc/new\\x0Aline'
    """
    written = text.encode("utf-8", "surrogatepass")
    if b"\\x" not in written:
        return written
    likeliest = _ESCAPE.sub(_byte, written)
    if is_known is None or likeliest == written or is_known(likeliest):
        return likeliest
    return next(filter(is_known, _readings(written)), likeliest)


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)])


def _readings(written: bytes) -> Iterator[bytes]:
    """Give every way to read a name; with very many escapes, only the wholly literal one."""
    pieces = _ESCAPE.split(written)
    texts, digits = pieces[::2], pieces[1::2]
    if len(digits) > _MOST_DOUBTS:
        yield written
        return
    for literal in itertools.product((False, True), repeat=len(digits)):
        marks = [b"\\x" + digit if keep else bytes([int(digit, 16)]) for digit, keep in zip(digits, literal, strict=True)]
        yield b"".join(itertools.chain.from_iterable(itertools.zip_longest(texts, marks, fillvalue=b"")))
