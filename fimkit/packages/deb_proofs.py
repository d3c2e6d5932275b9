"""Proves paths by dpkg's packages: a pinned key, the index that it signed, the archive that stands in it, the file in that."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from fimkit.model.errors import PackageError
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType
from fimkit.packages.apt_lists import IndexedPackage, SignedIndexes, load_signed_indexes
from fimkit.packages.archives import Archive, ArchiveShelf
from fimkit.packages.deb_spots import Spot, find_spots, other_names
from fimkit.packages.dpkg import DpkgDatabase, md5_of_file
from fimkit.packages.keyrings import load_keyring
from fimkit.packages.pins import PackagePins
from fimkit.packages.proof import DELETED, Proof
from fimkit.packages.shipped import Shipped, matching_attributes
from fimkit.packages.sources import PackageSources
from fimkit.packages.versions import deb_is_older

__all__ = ["DebProofs"]

_REMEDY = 'have apt keep what it installs: Binary::apt::APT::Keep-Downloaded-Packages "true"'
_MOST_OWNERS = 8
"""Of a folder such as /usr/bin every package is an owner: not all of their archives are read for it."""


class _Match(NamedTuple):
    """One archive's word on a path."""

    package: IndexedPackage
    shipped: Shipped
    proved: frozenset[str]
    archive_sha256: str | None


class DebProofs:
    """The proofs of one look at one host; see :class:`fimkit.packages.proofs.PackageProofs`."""

    def __init__(self, sources: PackageSources, pins: PackagePins) -> None:
        """Take where things are, and what is trusted. Nothing is read before the first question."""
        assert sources.dpkg is not None
        self._sources = sources
        self._pins = pins
        self._database = DpkgDatabase(sources.dpkg)
        self._shelf = ArchiveShelf(sources.apt_archives, lambda sha256: self._identify(sha256) is not None)
        self._own_problems: list[str] = []
        self._pinned = {package.sha256: package for package in pins.packages if package.sha256 is not None}

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read or believed, so far."""
        indexes = self.__dict__.get("_indexes")
        return (
            *self._own_problems,
            *(indexes.problems if indexes is not None else ()),
            *self._database.problems,
            *self._shelf.problems,
        )

    @cached_property
    def _indexes(self) -> SignedIndexes:
        try:
            keyring = load_keyring(self._pins.keys, self._sources, self._own_problems)
        except PackageError as error:
            self._own_problems.append(f"the pinned keys: {error}")
            return SignedIndexes()
        if self._sources.apt_lists is None or not len(keyring):
            return SignedIndexes()
        return load_signed_indexes(self._sources.apt_lists, keyring)

    def _identify(self, sha256: str | None) -> IndexedPackage | None:
        if sha256 is None:
            return None
        pinned = self._pinned.get(sha256)
        if pinned is not None:
            return IndexedPackage(pinned.name, pinned.version, pinned.architecture, "the signed index of the baseline's time")
        return self._indexes.find(sha256)

    def prepare(self, paths: Iterable[bytes]) -> None:
        """Read what many questions need, at once and on all cores."""
        spots = [spot for path in paths for spot in self._spots(path)]
        names = {name for spot in spots for name in spot.names}
        self._database.prepare(names)
        owners = {owner for spot in spots for owner in self._owners(spot)}
        files = [file for owner in owners for file in self._candidates(owner)[:1]]
        if files:
            _ = self._indexes  # before the threads ask for it
        self._shelf.prepare(files, names)

    def _spots(self, path: bytes) -> list[Spot]:
        return find_spots(path, self._sources.merged, self._database.diversions)

    def _owners(self, spot: Spot) -> list[str]:
        if spot.by_nobody:
            return []
        found = dict.fromkeys(owner for name in spot.names for owner in self._database.owners(name))
        return [
            owner
            for owner in found
            if (name := owner.partition(":")[0]) != spot.never and (spot.only is None or name == spot.only)
        ][:_MOST_OWNERS]

    def _candidates(self, owner: str) -> list[bytes]:
        installed = self._database.installed(owner)
        return self._shelf.candidates(owner.partition(":")[0], installed.version if installed is not None else None)

    def prove(self, path: bytes, before: FileState | None, after: FileState | None) -> Proof:
        """Answer for one path."""
        if after is None:
            return self._prove_deletion(path, before)
        reasons: list[str] = []
        best: Proof | None = None
        for spot in self._spots(path):
            for owner in self._owners(spot):
                for match in self._matches(owner, spot, after, reasons):
                    proof = self._proof(path, match, spot, after)
                    if proof.explains(None, after, ()):
                        return proof
                    best = proof if best is None or len(proof.proved) > len(best.proved) else best
        return best or Proof(path=path, reasons=tuple(dict.fromkeys(self._unproved(path, after, reasons))))

    def _matches(self, owner: str, spot: Spot, after: FileState, reasons: list[str]) -> Iterator[_Match]:
        """Give the archives of an owner that ship this content here; say of the others why not."""
        files = self._candidates(owner)
        installed = self._database.installed(owner)
        if not files or (installed is not None and not self._shelf.named(installed.name, installed.version)):
            reasons.append(f"no archive of {self._called(owner)} is in apt's cache; {_REMEDY}")
        differs = None
        for file in files:
            archive = self._shelf.read(file, spot.names)
            if archive.problem is not None:
                reasons.append(archive.problem)
            package = self._identify(archive.sha256)
            shipped = next((archive.entries[name] for name in spot.names if name in archive.entries), None)
            if package is None or shipped is None or (spot.is_aside and not shipped.is_config):
                continue
            proved = matching_attributes(shipped, after)
            if not proved:
                differs = differs or f"it differs from what {package.name} {package.version} ships{_config_words(shipped)}"
            elif spot.diversion is not None and spot.diversion not in self._pins.diversions:
                reasons.append(
                    f"it is {package.name}'s {render_path(spot.diversion.path)}, put here by a diversion that was not there"
                    " when the baseline was taken: unproved"
                )
            else:
                yield _Match(package, shipped, proved, archive.sha256)
        if differs is not None:
            reasons.append(differs)

    def _proof(self, path: bytes, match: _Match, spot: Spot, after: FileState) -> Proof:
        package, shipped, proved, archive_sha256 = match
        older, words = self._age(package)
        reasons = [f"{package.name} {package.version} ships it so: the archive stands in {package.release}", *words]
        if spot.is_aside:
            reasons.append("the new version of a configuration file, put beside the one that was kept")
        if spot.diversion is not None:
            reasons.append(f"a diversion puts {render_path(spot.diversion.path)} here, as when the baseline was taken")
        reasons += _missing_words(shipped, after, proved)
        return Proof(
            path=path,
            proved=proved,
            package=package.name,
            version=package.version,
            architecture=package.architecture,
            older=older,
            archive_sha256=archive_sha256,
            reasons=tuple(reasons),
        )

    def _age(self, package: IndexedPackage) -> tuple[bool | None, list[str]]:
        """Tell whether it is older than what was installed when the baseline was taken, or than what the database says is."""
        known = {one.version for one in self._pins.packages if one.name == package.name}
        known |= {one.version for one in self._database.packages.get(package.name, []) if one.state == "installed"}
        answers = {version: deb_is_older(package.version, version) for version in known}
        later = sorted(version for version, answer in answers.items() if answer)
        if later:
            return True, [f"an older version than {later[0]}, which was installed before"]
        is_new = all(one.name != package.name for one in self._pins.packages)
        words = [f"{package.name} was not installed when the baseline was taken"] if is_new else []
        return (False if False in answers.values() else None), words

    def _called(self, owner: str) -> str:
        installed = self._database.installed(owner)
        return owner if installed is None else f"{owner.partition(':')[0]} {installed.version}"

    def _unproved(self, path: bytes, after: FileState, reasons: list[str]) -> Iterator[str]:
        """Say what little is known of a path that no signed package ships like this."""
        spots = self._spots(path)
        owners = [(spot, owner) for spot in spots for owner in self._owners(spot)]
        for spot, owner in owners:
            package = self._called(owner)
            installed = self._database.installed(owner)
            if installed is not None and installed.state != "installed":
                yield f"the package database says that {package} is {installed.state or 'in no known state'}"
            if after.type is FileType.FILE and self._database.has_md5(owner, spot.names, lambda: self._md5(path, after)):
                yield f"the package database says that these are {package}'s own bytes, unproved"
            else:
                yield f"the package database says that the path is {package}'s, unproved"
        yield from reasons
        if spots[0].only is not None or spots[0].by_nobody:
            yield "a diversion keeps other packages' files from this path, says the package database"
        if after.type is FileType.SYMLINK and after.target is not None:
            names = other_names(path, self._sources.merged)
            if any(self._database.is_alternative(name, after.target) for name in names):
                yield "the alternatives database says that this link leads there, unproved"
                return
        if not owners:
            yield "no package ships this path; what packages' own scripts make is never proved"
        elif not self._indexes.releases:
            yield "no index of packages here is signed by a key that was trusted when the baseline was taken"

    def _md5(self, path: bytes, after: FileState) -> str | None:
        return md5_of_file(self._sources.place(path), after.sha256)

    def _prove_deletion(self, path: bytes, before: FileState | None) -> Proof:
        """Prove that the version before shipped the path, and that the one installed now does not."""
        names = other_names(path, self._sources.merged)
        aside = next((one for one in self._database.diversions if one.path in names), None)
        if aside is not None:
            target = render_path(aside.target)
            return Proof(path=path, reasons=(f"a diversion puts it at {target}, says the package database, unproved",))
        still = [owner for name in names for owner in self._database.owners(name)]
        if still:
            return Proof(path=path, reasons=(f"the package database says that {self._called(still[0])} ships it, and it is gone",))
        reasons = []
        for old, new in self._upgrades():
            old_archive = self._shelf.read(old, names)
            was = next((old_archive.entries[name] for name in names if name in old_archive.entries), None)
            package = self._identify(old_archive.sha256)
            if was is None or package is None or (before is not None and was.type is not before.type):
                continue
            archive, now = self._believed(new, names)
            if archive is None or now is None:
                reasons.append(f"{package.name} {package.version} shipped it; of what came after it no archive can be believed")
            elif not any(name in archive.entries for name in names):
                older, words = self._age(now)
                reason = f"{package.name} {package.version} shipped it, and {now.version} does not: {now.release}"
                return Proof(
                    path=path,
                    proved=frozenset({DELETED}),
                    package=now.name,
                    version=now.version,
                    architecture=now.architecture,
                    older=older,
                    archive_sha256=archive.sha256,
                    reasons=(reason, *words),
                )
        reasons.append("no proof that an upgrade took it away: that needs the archives of both versions in apt's cache")
        return Proof(path=path, reasons=tuple(reasons))

    def _upgrades(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Give the cached archive of each version that was there before, with those of the version that is installed now."""
        for pinned in self._pins.packages:
            for now in self._database.packages.get(pinned.name, []):
                if now.state != "installed" or now.version == pinned.version:
                    continue
                old = self._shelf.named(pinned.name, pinned.version)
                new = self._shelf.named(now.name, now.version)
                yield from ((file, new) for file in old)

    def _believed(self, files: list[bytes], names: tuple[bytes, ...]) -> tuple[Archive | None, IndexedPackage | None]:
        for file in files:
            archive = self._shelf.read(file, names)
            package = self._identify(archive.sha256)
            if package is not None:
                return archive, package
        return None, None


def _config_words(shipped: Shipped) -> str:
    return ": a configuration file of it, which was changed" if shipped.is_config else ""


def _missing_words(shipped: Shipped, after: FileState, proved: frozenset[str]) -> Iterator[str]:
    if "mode" not in proved and shipped.mode is not None and after.mode is not None:
        yield f"not its mode: it ships {shipped.mode:04o}, seen is {after.mode:04o}"
    if not {"uid", "gid"} <= proved:
        yield f"not its owner: it ships {shipped.uid}:{shipped.gid}, seen is {after.uid}:{after.gid}"
    if "xattrs" not in proved:
        yield f"not its extended attributes: {', '.join(sorted(after.xattrs or ())) or 'not known'}"
