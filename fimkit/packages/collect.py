"""Collects what a baseline pins: the keys that the package managers trust now, the diversions, the versions installed."""

import hashlib
from typing import NamedTuple

from fimkit.model.errors import PackageError
from fimkit.packages.apt_keys import load_apt_keys
from fimkit.packages.apt_lists import SignedIndexes, load_signed_indexes
from fimkit.packages.dpkg import DpkgDatabase
from fimkit.packages.openpgp import Keyring
from fimkit.packages.pins import Diversion, PackagePins, PinnedKey, PinnedPackage
from fimkit.packages.rpm_database import RPM_DATABASE, RpmDatabase
from fimkit.packages.sources import PackageSources

__all__ = ["CollectedPins", "collect_pins"]


class CollectedPins(NamedTuple):
    """The pins, and what could not be read for them, in words."""

    pins: PackagePins
    problems: tuple[str, ...]


def collect_pins(sources: PackageSources) -> CollectedPins:
    """Collect the pins of a host that is taken to be good, as when its baseline is created.

    Of every installed package whose archive stands in a signed index its hash is kept too: by it a later look knows the version
    that was there before, when the index has long moved on.
    """
    keys: list[PinnedKey] = []
    packages: list[PinnedPackage] = []
    problems: list[str] = []
    diversions: frozenset[Diversion] = frozenset()
    if sources.dpkg is not None:
        found = load_apt_keys(sources.root)
        keys += found.keys
        problems += found.problems
        database = DpkgDatabase(sources.dpkg)
        diversions = database.diversions
        packages += _deb_packages(database, sources, found.keys, problems)
        problems += database.problems
    if sources.rpm is not None:
        _collect_rpm(sources, sources.rpm, keys, packages, problems)
    unique = {key.fingerprint: key for key in keys}
    return CollectedPins(
        PackagePins(keys=tuple(unique.values()), packages=tuple(packages), diversions=diversions), tuple(dict.fromkeys(problems))
    )


def _deb_packages(
    database: DpkgDatabase, sources: PackageSources, keys: tuple[PinnedKey, ...], problems: list[str]
) -> list[PinnedPackage]:
    indexes = SignedIndexes()
    if sources.apt_lists is not None and keys:
        indexes = load_signed_indexes(sources.apt_lists, Keyring([key.certificate for key in keys]))
        problems += indexes.problems
    hashes = {(one.name, one.architecture, one.version): sha256 for sha256, one in indexes.items()}
    return sorted(
        PinnedPackage(one.name, one.architecture, one.version, hashes.get((one.name, one.architecture, one.version)))
        for group in database.packages.values()
        for one in group
        if one.state == "installed"
    )


def _collect_rpm(
    sources: PackageSources, folder: bytes, keys: list[PinnedKey], packages: list[PinnedPackage], problems: list[str]
) -> None:
    try:
        database = RpmDatabase(folder)
    except PackageError as error:
        problems.append(str(error))
        return
    try:
        for fingerprint, certificate in database.certificates().items():
            file = folder.removeprefix(sources.root.rstrip(b"/")) + b"/" + RPM_DATABASE
            keys.append(PinnedKey(fingerprint, certificate, file, hashlib.sha256(certificate).hexdigest()))
        packages += database.packages()
    except PackageError as error:
        problems.append(str(error))
    finally:
        problems += database.problems
        database.close()
