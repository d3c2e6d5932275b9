"""Collects the keys that apt trusts on this host, as of now: what a baseline pins."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fimkit.model.errors import PackageError
from fimkit.model.paths import render_path
from fimkit.packages.apt_sources import SignedBy, parse_list_file, parse_sources_file
from fimkit.packages.openpgp import split_certificates
from fimkit.packages.pins import PinnedKey
from fimkit.packages.streams import read_whole

__all__ = ["FoundKeys", "load_apt_keys"]

_APT = b"/etc/apt"
_MOST_BYTES = 1 << 24


class FoundKeys(NamedTuple):
    """The keys, each once, and what could not be read."""

    keys: tuple[PinnedKey, ...]
    problems: tuple[str, ...]


class _Reader:
    """Reads below a root, and remembers what went wrong."""

    def __init__(self, root: bytes) -> None:
        self.root = root.rstrip(b"/")
        self.problems: list[str] = []

    def names(self, folder: bytes, *endings: bytes) -> list[bytes]:
        try:
            return [folder + b"/" + name for name in sorted(os.listdir(self.root + folder)) if name.endswith(endings)]
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problems.append(f"{render_path(folder)} cannot be listed: {error.strerror}")
            return []

    def exists(self, path: bytes) -> bool:
        return os.path.exists(self.root + path)

    def read(self, path: bytes) -> bytes:
        try:
            return read_whole(self.root + path, _MOST_BYTES)
        except PackageError as error:
            self.problems.append(str(error))
            return b""


def load_apt_keys(root: bytes = b"/") -> FoundKeys:
    """Collect every key that apt would accept a repository by.

    Keys that merely lie in ``/usr/share/keyrings`` are not trusted by apt, and not taken: a distribution ships its withdrawn ones
    there. The keyrings in apt's own folders count where some source names no key. A source that is ``trusted`` without a
    signature gives none: what comes from it is never proved.

    Source: sources.list(5), Signed-By; apt-key(8), "Supported keyring files".
    """
    reader = _Reader(root)
    sources = list(_sources(reader))
    keys: dict[str, PinnedKey] = {}
    own = _own_keyrings(reader) if any(source.by_all or source.fingerprints for source in sources) else []
    wanted = {fingerprint for source in sources for fingerprint in source.fingerprints}
    by_all = any(source.by_all for source in sources)
    for file, data in own:
        _take(keys, reader.problems, file, data, lambda fingerprint: by_all or fingerprint in wanted)
    for file in dict.fromkeys(file for source in sources for file in source.files):
        _take(keys, reader.problems, file, reader.read(file), lambda _: True)
    for data in dict.fromkeys(data for source in sources for data in source.embedded):
        _take(keys, reader.problems, _APT, data, lambda _: True)
    return FoundKeys(tuple(keys.values()), tuple(reader.problems))


def _sources(reader: _Reader) -> Iterator[SignedBy]:
    lists = [_APT + b"/sources.list"] if reader.exists(_APT + b"/sources.list") else []
    for file in [*lists, *reader.names(_APT + b"/sources.list.d", b".list")]:
        yield from parse_list_file(reader.read(file).decode("utf-8", "surrogateescape"))
    for file in reader.names(_APT + b"/sources.list.d", b".sources"):
        yield from parse_sources_file(reader.read(file).decode("utf-8", "surrogateescape"))


def _own_keyrings(reader: _Reader) -> Iterable[tuple[bytes, bytes]]:
    first = [_APT + b"/trusted.gpg"] if reader.exists(_APT + b"/trusted.gpg") else []
    return [(file, reader.read(file)) for file in [*first, *reader.names(_APT + b"/trusted.gpg.d", b".gpg", b".asc")]]


def _take(
    keys: dict[str, PinnedKey], problems: list[str], file: bytes, data: bytes, accepts: Callable[[str], bool]
) -> None:
    if not data:
        return
    try:
        certificates = split_certificates(data)
    except PackageError as error:
        problems.append(f"{render_path(file)}: {error}")
        return
    for fingerprint, certificate in certificates.items():
        if accepts(fingerprint):
            keys.setdefault(fingerprint, PinnedKey(fingerprint, certificate, file, hashlib.sha256(data).hexdigest()))
