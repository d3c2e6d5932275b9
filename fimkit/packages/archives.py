"""The cached archives of apt: found by name, believed by hash alone, each read once."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cmp_to_key
from typing import NamedTuple

from fimkit.model.errors import PackageError
from fimkit.model.paths import render_path
from fimkit.packages.deb import load_deb
from fimkit.packages.shipped import Shipped
from fimkit.packages.versions import deb_is_older

__all__ = ["Archive", "ArchiveShelf"]

_MOST_WHOLE = 8
_MOST_CANDIDATES = 6


class Archive(NamedTuple):
    """One archive: what it ships, or why it is not believed. ``sha256`` is ``None`` where it is not."""

    file: bytes
    sha256: str | None
    entries: dict[bytes, Shipped]
    problem: str | None


class ArchiveShelf:
    """The folder of cached archives.

    What was :meth:`prepare`-d is kept, cut down to the names that were asked for; of whole archives only the last few are.
    """

    def __init__(self, folder: bytes | None, is_trusted: Callable[[str], bool]) -> None:
        """Take the folder, and who tells of a SHA-256 whether an archive that has it is to be believed."""
        self._folder = folder
        self._is_trusted = is_trusted
        self._by_name: dict[bytes, list[bytes]] | None = None
        self._wanted: frozenset[bytes] = frozenset()
        self._prepared: dict[bytes, Archive] = {}
        self._whole: OrderedDict[bytes, Archive] = OrderedDict()
        self.problems: list[str] = []

    def _names(self) -> dict[bytes, list[bytes]]:
        if self._by_name is None:
            self._by_name = {}
            try:
                names = sorted(os.listdir(self._folder)) if self._folder is not None else []
            except OSError as error:
                names = []
                self.problems.append(f"apt's archives cannot be listed: {error.strerror}")
            for name in names:
                if name.endswith(b".deb"):
                    self._by_name.setdefault(name.partition(b"_")[0], []).append(name)
        return self._by_name

    def candidates(self, package: str, version: str | None) -> list[bytes]:
        """Name the cached archives of a package: that of ``version`` first, then the others, the latest first, not endlessly."""
        names = self._names().get(package.encode("utf-8", "surrogateescape"), [])
        if version is None:
            return names[:_MOST_CANDIDATES]
        first = self.named(package, version)
        others = sorted((name for name in names if name not in first), key=cmp_to_key(_later_first))
        return [*first, *others][:_MOST_CANDIDATES]

    def named(self, package: str, version: str) -> list[bytes]:
        """Name the cached archives of one version."""
        middle = _middle(version)
        return [name for name in self._names().get(package.encode("utf-8", "surrogateescape"), []) if middle in name]

    def prepare(self, files: Iterable[bytes], names: Iterable[bytes]) -> None:
        """Read archives on all cores, and keep of each what it says of some names.

        Args:
            files: Names of archives, as :meth:`candidates` gave.
            names: Paths as they stand in the archives.
        """
        new = frozenset(names) - self._wanted
        if new:
            self._wanted |= new
            self._prepared.clear()
        missing = [file for file in dict.fromkeys(files) if file not in self._prepared]
        # xz and SHA-256 let go of the interpreter's lock while they work
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for archive in pool.map(self._load_wanted, missing):
                self._prepared[archive.file] = archive

    def _load_wanted(self, file: bytes) -> Archive:
        archive = self._load(file)
        return archive._replace(entries={name: archive.entries[name] for name in self._wanted & archive.entries.keys()})

    def read(self, file: bytes, names: Iterable[bytes]) -> Archive:
        """Give an archive that is complete at least in what it says of ``names``."""
        if file in self._prepared and self._wanted.issuperset(names):
            return self._prepared[file]
        if file not in self._whole:
            self._whole[file] = self._load(file)
            if len(self._whole) > _MOST_WHOLE:
                self._whole.popitem(last=False)
        self._whole.move_to_end(file)
        return self._whole[file]

    def _load(self, file: bytes) -> Archive:
        assert self._folder is not None
        try:
            contents = load_deb(self._folder + b"/" + file, self._is_trusted)
        except PackageError as error:
            return Archive(file, None, {}, f"the archive {render_path(file)}: {error}")
        if contents is None:
            return Archive(file, None, {}, f"the archive {render_path(file)} is in no index that a pinned key signed")
        problem = f"{render_path(file)}: {'; '.join(contents.problems[:3])}" if contents.problems else None
        return Archive(file, contents.sha256, contents.entries, problem)


def _middle(version: str) -> bytes:
    return b"_" + version.replace(":", "%3a").encode("utf-8", "surrogateescape") + b"_"


def _later_first(one: bytes, other: bytes) -> int:
    return bool(deb_is_older(_version_in(one), _version_in(other))) - bool(deb_is_older(_version_in(other), _version_in(one)))


def _version_in(file: bytes) -> str:
    parts = file.split(b"_")
    return parts[1].replace(b"%3a", b":").decode("utf-8", "surrogateescape") if len(parts) > 1 else ""
