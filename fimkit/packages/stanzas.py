"""Reads the stanzas that dpkg and apt write: the status file, and Packages indexes of any length. Pure."""

import re
from collections.abc import Iterable, Iterator

from fimkit.model.errors import PackageError

__all__ = ["MAX_STANZA_BYTES", "parse_stanzas"]

MAX_STANZA_BYTES = 1 << 22


def parse_stanzas(chunks: Iterable[bytes], names: Iterable[str]) -> Iterator[dict[bytes, bytes]]:
    r"""Read the stanzas of a text that comes in pieces.

    Args:
        chunks: The text, cut anywhere.
        names: The fields that are wanted, as they are usually written; case does not matter. Continuation lines are not read.

    Returns:
        Of each stanza the wanted fields that it has, by their name in lower case; a field that stands twice is as first said.

    Raises:
        PackageError: If a stanza is longer than any real one.

    Source: deb822(5).

    >>> stanzas = list(parse_stanzas([b"Package: a\nVer", b"sion: 1\n more\n\n\nPackage: b\n"], ["Package", "Version"]))
    >>> stanzas == [{b"package": b"a", b"version": b"1"}, {b"package": b"b"}]
    True
    """
    wanted = re.compile(rb"^(" + b"|".join(re.escape(name.encode()) for name in names) + rb"):[ \t]*(.*?)[ \t\r]*$", re.I | re.M)
    rest = b""
    for chunk in chunks:
        whole, end, rest = (rest + chunk).rpartition(b"\n\n")
        if end:
            yield from _stanzas(whole, wanted)
        if len(rest) > MAX_STANZA_BYTES:
            raise PackageError(f"a stanza of more than {MAX_STANZA_BYTES} bytes")
    yield from _stanzas(rest, wanted)


def _stanzas(text: bytes, wanted: re.Pattern[bytes]) -> Iterator[dict[bytes, bytes]]:
    for stanza in text.split(b"\n\n"):
        found: list[tuple[bytes, bytes]] = wanted.findall(stanza)
        if found:
            yield {name.lower(): value for name, value in reversed(found)}
