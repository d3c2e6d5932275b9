"""Reads the texts of dpkg's database: what root can edit, and what is therefore a hint and never a proof. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from fimkit.packages.pins import Diversion
from fimkit.packages.stanzas import parse_stanzas

__all__ = ["Alternative", "InstalledPackage", "parse_alternative", "parse_diversions", "parse_md5sums", "parse_status"]


class InstalledPackage(NamedTuple):
    """A package that the status file names; ``state`` is the last word of its status, as ``installed`` or ``half-installed``."""

    name: str
    architecture: str
    version: str
    state: str


class Alternative(NamedTuple):
    """One group of update-alternatives: for each of its names, the link in the open and the files that it may lead to."""

    links: dict[bytes, bytes]
    choices: dict[bytes, frozenset[bytes]]


def parse_status(chunks: Iterable[bytes]) -> list[InstalledPackage]:
    r"""Read dpkg's status file; packages of which nothing is left but their configuration are in it too.

    Source: dpkg(1), "Package states".

    >>> parse_status([b"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"])[0].state
    'installed'
    """
    packages = []
    for stanza in parse_stanzas(chunks, ("Package", "Status", "Architecture", "Version")):
        fields = {name: value.decode("utf-8", "surrogateescape") for name, value in stanza.items()}
        if name := fields.get(b"package"):
            state = fields.get(b"status", "").rpartition(" ")[2]
            packages.append(InstalledPackage(name, fields.get(b"architecture", ""), fields.get(b"version", ""), state))
    return packages


def parse_diversions(data: bytes) -> frozenset[Diversion]:
    r"""Read the database of diversions: three lines each; a cut last one is left out.

    Source: dpkg-divert(1).

    >>> sorted(parse_diversions(b"/bin/a\n/bin/a.real\nx\n/b\n/c\n:\n"))[1].package
    'x'
    """
    lines = data.split(b"\n")
    return frozenset(
        Diversion(path, target, None if package == b":" else package.decode("utf-8", "surrogateescape"))
        for path, target, package in zip(lines[0::3], lines[1::3], lines[2::3], strict=False)
        if path and target
    )


def parse_alternative(name: bytes, data: bytes) -> Alternative:
    r"""Read one group of update-alternatives.

    Args:
        name: The name of the file, which is the group's.
        data: The file.

    Source: dpkg, utils/update-alternatives.c: mode, link, then name and link of each slave, an empty line; then for each choice
    its file, its priority, and the slaves' files in their order.

    >>> parse_alternative(b"vi", b"auto\n/usr/bin/vi\n\n/usr/bin/vim\n50\n/usr/bin/nano\n9\n\n").choices[b"vi"] == {
    ...     b"/usr/bin/vim", b"/usr/bin/nano"}
    True
    """
    lines = data.split(b"\n")
    head = lines.index(b"", 2) if b"" in lines[2:] else len(lines)
    links = {name: lines[1]} if len(lines) > 1 else {}
    links.update(zip(lines[2:head:2], lines[3:head:2], strict=False))
    names = [*dict.fromkeys([name, *lines[2:head:2]])]
    choices: dict[bytes, set[bytes]] = {one: set() for one in links}
    at = head + 1
    while at < len(lines) and lines[at]:
        files = [lines[at], *lines[at + 2 : at + 1 + len(names)]]
        for one, file in zip(names, files, strict=False):
            if file and one in choices:
                choices[one].add(file)
        at += 1 + len(names)
    return Alternative(links, {one: frozenset(files) for one, files in choices.items()})


def parse_md5sums(data: bytes, path: bytes) -> str | None:
    r"""Find what a package's list of MD5 sums says of one path.

    >>> parse_md5sums(b"0123456789abcdef0123456789abcdef  usr/bin/a\n", b"/usr/bin/a")
    '0123456789abcdef0123456789abcdef'
    """
    at = (b"\n" + data).find(b"  " + path[1:] + b"\n")
    return data[at - 33 : at - 1].decode("ascii", "replace") if at >= 33 else None
