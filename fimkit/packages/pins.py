"""What is trusted because it was so when the baseline was taken: keys, diversions, versions; and its JSON form. Pure."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fimkit.model.errors import PackageError, clip
from fimkit.model.paths import parse_path, render_path
from fimkit.packages.proof import Proof

__all__ = ["Diversion", "PackagePins", "PinnedKey", "PinnedPackage", "add_proved", "parse_pins", "render_pins"]


class PinnedKey(NamedTuple):
    """A certificate that packages may be signed with. ``file`` is where it was found, ``file_sha256`` that file's hash.

    The certificate itself is kept, and not its fingerprint alone: who rewrites the keyring can then take no expiry or revocation
    away. What the host's keyring adds to it later (an extended expiry, a revocation) is taken in, since only its owner can make it.
    """

    fingerprint: str
    certificate: bytes
    file: bytes
    file_sha256: str


class PinnedPackage(NamedTuple):
    """A package that is or was installed; a name may stand there several times.

    ``sha256`` is its archive's, where the signed index of that time had it.
    """

    name: str
    architecture: str
    version: str
    sha256: str | None = None


class Diversion(NamedTuple):
    """dpkg puts every package's file ``path`` at ``target``, but that of ``package`` (``None``: of none; a local diversion)."""

    path: bytes
    target: bytes
    package: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePins:
    """All of it. Empty pins prove nothing."""

    keys: tuple[PinnedKey, ...] = ()
    packages: tuple[PinnedPackage, ...] = ()
    diversions: frozenset[Diversion] = frozenset()


def add_proved(pins: PackagePins, proofs: Iterable[Proof]) -> PackagePins:
    """Take in the packages that proofs are by, but for older ones.

    So a later look knows the latest version that was there, and its archive, when the index has long moved on. The keys and the
    diversions stay as they are: only a new baseline trusts others.

    >>> proof = Proof(path=b"/a", proved=frozenset({"type"}), package="a", version="2", architecture="all", older=False)
    >>> add_proved(PackagePins(), [proof, proof]).packages
    (PinnedPackage(name='a', architecture='all', version='2', sha256=None),)
    """
    seen = [
        PinnedPackage(proof.package, proof.architecture or "", proof.version, proof.archive_sha256)
        for proof in proofs
        if proof.proved and not proof.older and proof.package is not None and proof.version is not None
    ]
    return replace(pins, packages=tuple(dict.fromkeys((*pins.packages, *seen))))


def render_pins(pins: PackagePins) -> dict[str, Any]:
    """Give pins as an object for JSON; the same pins give the same object."""
    return {
        "keys": [
            {
                "fingerprint": key.fingerprint,
                "certificate": base64.b64encode(key.certificate).decode("ascii"),
                "file": render_path(key.file),
                "file_sha256": key.file_sha256,
            }
            for key in pins.keys
        ],
        "packages": [list(package) for package in pins.packages],
        "diversions": sorted([render_path(one.path), render_path(one.target), one.package or ""] for one in pins.diversions),
    }


def parse_pins(row: object) -> PackagePins:
    """Read what :func:`render_pins` gave.

    Raises:
        PackageError: If it is something else.

    >>> parse_pins({"keys": [], "packages": [["a", "all", "1", None]], "diversions": [["/x", "/y", ""]]}).packages[0].name
    'a'
    """
    if not isinstance(row, Mapping) or not all(isinstance(row.get(name), list) for name in ("keys", "packages", "diversions")):
        raise PackageError(f"pins are an object with lists of keys, packages and diversions; seen: {clip(row)}")
    try:
        return PackagePins(
            keys=tuple(
                PinnedKey(
                    str(key["fingerprint"]),
                    base64.b64decode(key["certificate"], validate=True),
                    parse_path(key["file"]),
                    str(key["file_sha256"]),
                )
                for key in row["keys"]
            ),
            packages=tuple(
                PinnedPackage(str(name), str(architecture), str(version), None if sha256 is None else str(sha256))
                for name, architecture, version, sha256 in row["packages"]
            ),
            diversions=frozenset(
                Diversion(parse_path(path), parse_path(target), package or None) for path, target, package in row["diversions"]
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise PackageError(f"no pins: {type(error).__name__}: {error}") from error
