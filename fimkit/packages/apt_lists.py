"""Reads apt's lists: Release files signed by a pinned key, and the indexes whose hash stands in them; all else is left out."""

import hashlib
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from fimkit.model.errors import PackageError
from fimkit.model.paths import render_path
from fimkit.packages.openpgp import Keyring, Signed
from fimkit.packages.release import Release, parse_release, render_list_name
from fimkit.packages.stanzas import parse_stanzas
from fimkit.packages.streams import HashedFile, Readable, blocks_of, open_regular, read_whole, unpacked

__all__ = ["IndexedPackage", "SignedIndexes", "load_signed_indexes"]

_MOST_RELEASE_BYTES = 1 << 24
_MOST_INDEX_BYTES = 1 << 30
_PACKINGS = ("", ".lz4", ".xz", ".gz", ".zst", ".bz2", ".lzma")
_FIELDS = ("Package", "Version", "Architecture", "SHA256")
_SHA256 = re.compile(rb"[0-9a-fA-F]{64}")


class IndexedPackage(NamedTuple):
    """What a signed index says of the archive with one hash."""

    name: str
    version: str
    architecture: str
    release: str


class SignedIndexes:
    """The archives of every index that is signed by a pinned key."""

    __slots__ = ("_packed", "problems", "releases")

    def __init__(self) -> None:
        """Start without any."""
        self._packed: dict[bytes, bytes] = {}  # a distribution has 60,000 packages: two byte strings each
        self.problems: list[str] = []
        self.releases: list[str] = []

    def __len__(self) -> int:
        return len(self._packed)

    def find(self, sha256: str) -> IndexedPackage | None:
        """Give the package whose archive has this hash."""
        packed = self._packed.get(bytes.fromhex(sha256))
        if packed is None:
            return None
        name, version, architecture, release = packed.decode("utf-8", "surrogateescape").split("\0")
        return IndexedPackage(name, version, architecture, self.releases[int(release)])

    def items(self) -> Iterator[tuple[str, IndexedPackage]]:
        """Give every archive, by its hash."""
        for digest in self._packed:
            sha256 = digest.hex()
            if (package := self.find(sha256)) is not None:
                yield sha256, package

    def add(self, release: str, packages: dict[bytes, bytes]) -> None:
        """Take in a whole verified index: name, version and architecture, each with a NUL behind it, by the archive's hash."""
        if release not in self.releases:
            self.releases.append(release)
        number = b"%d" % self.releases.index(release)
        for digest, packed in packages.items():
            self._packed.setdefault(digest, packed + number)


def load_signed_indexes(lists: bytes, keyring: Keyring) -> SignedIndexes:
    """Read all indexes of packages below apt's lists.

    Args:
        lists: The folder, as ``/var/lib/apt/lists``.
        keyring: The pinned keys; what the host's own keyrings say is not asked.

    Returns:
        The archives, and in ``problems`` what was not taken, and why.

    Source: apt-secure(8); wiki.debian.org/DebianRepository/Format.
    """
    indexes = SignedIndexes()
    try:
        names = set(os.listdir(lists))
    except OSError as error:
        indexes.problems.append(f"apt's lists cannot be read: {render_path(lists)}: {error.strerror}")
        return indexes
    for name in sorted(names):
        if not name.endswith((b"_InRelease", b"_Release")):
            continue
        try:
            release, signed = _load_release(lists, name, names, keyring)
        except PackageError as error:
            indexes.problems.append(f"{render_path(name)} is signed by no pinned key: {error}")
            continue
        label = f"{release.origin or '?'} {release.suite or '?'} of {release.date or '?'}, signed by {signed.signers[0]}"
        _load_indexes(lists, name[: name.rindex(b"_") + 1], names, release, label, indexes)
    return indexes


def _load_release(lists: bytes, name: bytes, names: set[bytes], keyring: Keyring) -> tuple[Release, Signed]:
    data = read_whole(lists + b"/" + name, _MOST_RELEASE_BYTES)
    if name.endswith(b"_InRelease"):
        signed = keyring.verify_inline(data)
    elif name + b".gpg" in names:
        signed = keyring.verify_detached(data, read_whole(lists + b"/" + name + b".gpg", _MOST_RELEASE_BYTES))
    else:
        raise PackageError("it has no signature")
    return parse_release(signed.content.decode("utf-8", "surrogateescape").replace("\r\n", "\n")), signed


def _load_indexes(
    lists: bytes, prefix: bytes, names: set[bytes], release: Release, label: str, indexes: SignedIndexes
) -> None:
    for index in {re.sub(r"\.[a-z0-9]+$", "", name) for name in release.indexes}:
        if index.rpartition("/")[2] != "Packages":
            continue
        stem = prefix + render_list_name(index).encode("utf-8", "surrogateescape")
        for packing in _PACKINGS:
            name = stem + packing.encode()
            if name not in names:
                continue
            try:
                packages, useless = _read_index(lists + b"/" + name, packing, release, index)
                indexes.add(label, packages)
                if useless:
                    indexes.problems.append(f"{render_path(name)}: {useless} packages without a SHA-256, a name or a version")
            except PackageError as error:
                indexes.problems.append(f"{render_path(name)} is not taken: {error}")


def _read_index(path: bytes, packing: str, release: Release, index: str) -> tuple[dict[bytes, bytes], int]:
    plain, packed = release.indexes.get(index), release.indexes.get(index + packing)
    if plain is None and packed is None:
        raise PackageError("the Release file has no SHA-256 of it in this form")
    packages: dict[bytes, bytes] = {}
    useless = 0
    with open_regular(path) as descriptor:
        file = HashedFile(descriptor)
        counted = _Counted(unpacked(file, packing), plain.size_bytes if plain is not None else _MOST_INDEX_BYTES)
        for stanza in parse_stanzas(counted.blocks(), _FIELDS):
            sha256 = stanza.get(b"sha256", b"")
            if _SHA256.fullmatch(sha256) and all(name in stanza for name in (b"package", b"version", b"architecture")):
                row = (stanza[b"package"], stanza[b"version"], stanza[b"architecture"], b"")
                packages[bytes.fromhex(sha256.decode())] = b"\0".join(row)
            else:
                useless += 1
        # apt packs an index anew as it likes: then it is the unpacked bytes whose hash is signed
        if plain is not None and (counted.hash.hexdigest(), counted.size_bytes) == plain:
            return packages, useless
        if packed is not None and file.finish() == packed.sha256 and os.fstat(descriptor).st_size == packed.size_bytes:
            return packages, useless
    raise PackageError("its hash is not the signed one")


class _Counted:
    """A stream's unpacked bytes, hashed and counted as they go by."""

    def __init__(self, stream: Readable, most_bytes: int) -> None:
        self._stream = stream
        self._most_bytes = min(most_bytes, _MOST_INDEX_BYTES)
        self.hash = hashlib.sha256()
        self.size_bytes = 0

    def blocks(self) -> Iterator[bytes]:
        for block in blocks_of(self._stream, self._most_bytes):
            self.hash.update(block)
            self.size_bytes += len(block)
            yield block
