"""Reads a Release file: which index has which hash. Pure."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from fimkit.model.errors import PackageError, clip

__all__ = ["IndexHash", "Release", "parse_release", "render_list_name"]

_LINE = re.compile(r"[ \t]+(?P<sha256>[0-9a-f]{64})[ \t]+(?P<size>[0-9]{1,18})[ \t]+(?P<name>\S+)[ \t\r]*")

# What apt writes as %xx when it makes a file's name of an address; then every / becomes _.
_QUOTED = frozenset('\\|{}[]<>"^~_=!@#$%^&*')


class IndexHash(NamedTuple):
    """What a Release file says of one index."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A Release file. ``indexes`` are by their name below the Release file, as in ``main/binary-amd64/Packages.xz``."""

    origin: str = ""
    suite: str = ""
    date: str = ""
    indexes: dict[str, IndexHash] = field(default_factory=dict)


def parse_release(text: str) -> Release:
    r"""Read a Release file, after its signature was verified. Only SHA-256 counts.

    Raises:
        PackageError: If it names no index with a SHA-256, or one index with two.

    Source: Debian's repository format, wiki.debian.org/DebianRepository/Format, "Release" files.

    >>> parse_release("Suite: stable\nSHA256:\n " + 64 * "0" + " 7 main/binary-amd64/Packages\n").suite
    'stable'
    """
    fields: dict[str, str] = {}
    indexes: dict[str, IndexHash] = {}
    name = ""
    for line in text.split("\n"):
        if not line.startswith((" ", "\t")):
            name, _, value = line.partition(":")
            name = name.lower()
            fields.setdefault(name, value.strip())
        elif name == "sha256" and (match := _LINE.fullmatch(line)) is not None:
            one = IndexHash(match["sha256"], int(match["size"]))
            if indexes.setdefault(match["name"], one) != one:
                raise PackageError(f"a Release file with two hashes for {clip(match['name'])}")
    if not indexes:
        raise PackageError(f"no SHA-256 of any index in a Release file that begins {clip(text[:60])}")
    return Release(
        origin=fields.get("origin", ""),
        suite=fields.get("suite", "") or fields.get("codename", ""),
        date=fields.get("date", ""),
        indexes=indexes,
    )


def render_list_name(name: str) -> str:
    """Give the end of the file's name under which apt keeps an index.

    Source: apt, apt-pkg/contrib/strutl.cc, URItoFileName.

    >>> render_list_name("main/binary-amd64/Packages"), render_list_name("non_free/x")
    ('main_binary-amd64_Packages', 'non%5ffree_x')
    """
    return "".join(f"%{ord(char):02x}" if char in _QUOTED else char for char in name).replace("/", "_")
