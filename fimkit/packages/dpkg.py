"""dpkg's database on this host: who is said to own a path. Root can edit all of it: it gives candidates and words, no proof."""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import cached_property

from fimkit.model.errors import PackageError
from fimkit.model.paths import render_path
from fimkit.packages.dpkg_text import (
    Alternative,
    InstalledPackage,
    parse_alternative,
    parse_diversions,
    parse_md5sums,
    parse_status,
)
from fimkit.packages.pins import Diversion
from fimkit.packages.streams import BLOCK, open_regular, read_whole

__all__ = ["DpkgDatabase", "md5_of_file"]

_MOST_BYTES = 1 << 28
_MOST_LISTS_BYTES = 1 << 30
_MOST_GROUP_BYTES = 1 << 24


class DpkgDatabase:
    """What stands in ``/var/lib/dpkg``, each part read when it is first asked for and then kept: make a new one for a new look."""

    def __init__(self, folder: bytes) -> None:
        """Take the folder; nothing is read yet."""
        self.folder = folder
        self.problems: list[str] = []
        self._found: dict[bytes, tuple[str, ...]] = {}

    def _read(self, name: bytes, most_bytes: int = _MOST_BYTES) -> bytes:
        path = self.folder + b"/" + name
        try:
            return read_whole(path, most_bytes) if os.path.lexists(path) else b""
        except PackageError as error:
            self.problems.append(str(error))
            return b""

    def _names(self, folder: bytes) -> list[bytes]:
        try:
            return sorted(os.listdir(self.folder + b"/" + folder))
        except OSError as error:
            self.problems.append(f"{render_path(self.folder + b'/' + folder)} cannot be listed: {error.strerror}")
            return []

    @cached_property
    def packages(self) -> dict[str, list[InstalledPackage]]:
        """The packages that the status file names, by name: one for each architecture."""
        packages: dict[str, list[InstalledPackage]] = {}
        try:
            for package in parse_status([self._read(b"status")]):
                packages.setdefault(package.name, []).append(package)
        except PackageError as error:
            self.problems.append(f"dpkg's status file: {error}")
        return packages

    @cached_property
    def diversions(self) -> frozenset[Diversion]:
        """Where dpkg is said to put files aside."""
        return parse_diversions(self._read(b"diversions"))

    @cached_property
    def _alternatives(self) -> dict[bytes, Alternative]:
        groups: dict[bytes, Alternative] = {}
        for name in self._names(b"alternatives"):
            group = parse_alternative(name, self._read(b"alternatives/" + name, _MOST_GROUP_BYTES))
            for one, link in group.links.items():
                groups[one] = groups[link] = group
        return groups

    @cached_property
    def _lists(self) -> tuple[bytes, list[int], list[str]]:
        """All lists of files in one piece: a distribution has a million paths, too many for an object each."""
        parts, starts, owners = bytearray(b"\n"), [], []
        for name in self._names(b"info"):
            if name.endswith(b".list"):
                starts.append(len(parts))
                owners.append(name[:-5].decode("utf-8", "surrogateescape"))
                parts += self._read(b"info/" + name).rstrip(b"\n") + b"\n"
                if len(parts) > _MOST_LISTS_BYTES:
                    self.problems.append("dpkg's lists of files are longer than any real ones")
                    break
        return bytes(parts), starts, owners

    def prepare(self, paths: Iterable[bytes]) -> None:
        """Look many paths up at once, which is quicker than one by one."""
        lists, starts, owners = self._lists
        found: dict[bytes, list[str]] = {path: [] for path in paths if path not in self._found}
        for number, start in enumerate(starts if found else []):
            end = starts[number + 1] if number + 1 < len(starts) else len(lists)
            for line in lists[start:end].split(b"\n"):
                if line in found:
                    found[line].append(owners[number])
        self._found.update((path, tuple(names)) for path, names in found.items())

    def owners(self, path: bytes) -> tuple[str, ...]:
        """Name the packages that are said to have put something at a path; of several architectures as ``NAME:ARCH``."""
        if path not in self._found:
            lists, starts, owners = self._lists
            found, line, at = [], b"\n" + path + b"\n", -1
            while (at := lists.find(line, at + 1)) != -1:
                found.append(owners[bisect_right(starts, at + 1) - 1])
            self._found[path] = tuple(found)
        return self._found[path]

    def installed(self, owner: str) -> InstalledPackage | None:
        """Give what the status file says of an owner."""
        name, _, architecture = owner.partition(":")
        packages = self.packages.get(name, [])
        return next((package for package in packages if architecture in ("", package.architecture)), None)

    def is_alternative(self, path: bytes, target: bytes) -> bool:
        """Tell whether the database of alternatives says that this symlink leads there."""
        group = self._alternatives.get(path.removeprefix(b"/etc/alternatives/"))
        if group is None:
            return False
        if path.startswith(b"/etc/alternatives/"):
            return target in group.choices.get(path.removeprefix(b"/etc/alternatives/"), ())
        return any(link == path and target == b"/etc/alternatives/" + name for name, link in group.links.items())

    def has_md5(self, owner: str, names: Iterable[bytes], md5_of: Callable[[], str | None]) -> bool:
        """Tell whether the package's own list of MD5 sums has this one for one of the path's names."""
        data = self._read(b"info/" + owner.encode("utf-8", "surrogateescape") + b".md5sums")
        sums = {parse_md5sums(data, name) for name in names} - {None}
        return bool(sums) and md5_of() in sums


def md5_of_file(path: bytes, sha256: str | None) -> str | None:
    """Give a file's MD5, if it still has the SHA-256 that it is known by."""
    try:
        with open_regular(path) as descriptor:
            md5, whole = hashlib.md5(usedforsecurity=False), hashlib.sha256()
            while part := os.read(descriptor, BLOCK):
                md5.update(part)
                whole.update(part)
    except (PackageError, OSError):
        return None
    return md5.hexdigest() if whole.hexdigest() == sha256 else None
