"""Proves paths by rpm's headers: a pinned key, the header that it signed, the file's digest in that."""

from collections.abc import Iterable, Iterator
from functools import cached_property

from fimkit.model.errors import PackageError
from fimkit.model.states import FileState
from fimkit.packages.deb_spots import other_names
from fimkit.packages.openpgp import Keyring
from fimkit.packages.pins import PackagePins
from fimkit.packages.proof import Proof
from fimkit.packages.rpm_database import RpmDatabase
from fimkit.packages.rpm_header import RpmHeader, shipped_by_rpm
from fimkit.packages.shipped import Shipped, matching_attributes
from fimkit.packages.sources import PackageSources
from fimkit.packages.versions import rpm_is_older

__all__ = ["RpmProofs"]

_ASIDE = b".rpmnew"
"""Where rpm puts the new version of a configuration file that was changed. Source: rpm-spec(7), %config(noreplace)."""


class RpmProofs:
    """The proofs of one look at one host; see :class:`fimkit.packages.proofs.PackageProofs`."""

    def __init__(self, sources: PackageSources, pins: PackagePins) -> None:
        """Take where things are, and what is trusted. Nothing is read before the first question."""
        self._sources = sources
        self._pins = pins
        self._own_problems: list[str] = []
        self._verified: dict[bytes, str | None] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read or believed, so far."""
        database = self.__dict__.get("_database")
        return (*self._own_problems, *(dict.fromkeys(database.problems) if database is not None else ()))

    def close(self) -> None:
        """Remove the copy of the database."""
        database = self.__dict__.get("_database")
        if database is not None:
            database.close()

    @cached_property
    def _database(self) -> RpmDatabase | None:
        assert self._sources.rpm is not None
        try:
            return RpmDatabase(self._sources.rpm)
        except PackageError as error:
            self._own_problems.append(str(error))
            return None

    @cached_property
    def _keyring(self) -> Keyring:
        try:
            updates = self._database.certificates().values() if self._database is not None else ()
            return Keyring([key.certificate for key in self._pins.keys], updates=updates)
        except PackageError as error:
            self._own_problems.append(f"the pinned keys: {error}")
            return Keyring([])

    def prepare(self, paths: Iterable[bytes]) -> None:
        """Nothing is gained by asking for many paths at once: every header is found by its index."""

    def prove(self, path: bytes, before: FileState | None, after: FileState | None) -> Proof:
        """Answer for one path."""
        if self._database is None:
            return Proof(path=path, reasons=self.problems)
        if after is None:
            return Proof(path=path, reasons=("rpm keeps nothing of what it replaced: a deletion is never proved",))
        reasons: list[str] = []
        best: Proof | None = None
        try:
            for header, shipped in self._headers(path):
                proof = self._prove_by(path, header, shipped, after, reasons)
                if proof is not None and proof.explains(None, after, ()):
                    return proof
                best = proof if best is None or (proof is not None and len(proof.proved) > len(best.proved)) else best
        except PackageError as error:
            reasons.append(str(error))
        return best or Proof(path=path, reasons=tuple(dict.fromkeys(reasons)) or ("no package ships this path",))

    def _headers(self, path: bytes) -> Iterator[tuple[RpmHeader, Shipped]]:
        assert self._database is not None
        for name in dict.fromkeys((path, path.removesuffix(_ASIDE))):
            places = other_names(name, self._sources.merged)
            for header in self._database.naming(name.rpartition(b"/")[2]):
                for place in places:
                    shipped = shipped_by_rpm(header, place)
                    if shipped is not None and (name == path or shipped.is_config):
                        yield header, shipped

    def _prove_by(
        self, path: bytes, header: RpmHeader, shipped: Shipped, after: FileState, reasons: list[str]
    ) -> Proof | None:
        package = f"{header.name} {header.evr}"
        proved = matching_attributes(shipped, after)
        if not proved:
            config = ": a configuration file of it, which was changed" if shipped.is_config else ""
            reasons.append(f"it differs from what {package} ships, says rpm's database{config}")
            return None
        signer = self._signer_of(header)
        if signer is None:
            reasons.append(f"rpm's database says that it is {package}'s own, unproved: no pinned key signed that header")
            return None
        older = self._is_older(header)
        words = [f"{package} ships it so: its header in rpm's database is signed by {signer}"]
        if older:
            words.append("an older version than was installed before")
        if all(one.name != header.name for one in self._pins.packages):
            words.append(f"{header.name} was not installed when the baseline was taken")
        if missing := {"mode", "uid", "gid", "xattrs"} - proved:
            words.append(f"not proved: its {', '.join(sorted(missing))}")
        return Proof(
            path=path,
            proved=proved,
            package=header.name,
            version=header.evr,
            architecture=str(header.values.get("arch", "")) or None,
            older=older,
            reasons=tuple(words),
        )

    def _signer_of(self, header: RpmHeader) -> str | None:
        key = header.signed
        if key not in self._verified:
            self._verified[key] = None
            for signature in header.signatures:
                try:
                    self._verified[key] = self._keyring.verify_detached(header.signed, signature).signers[0]
                    break
                except PackageError:
                    continue  # the reasons say that there is no good one
        return self._verified[key]

    def _is_older(self, header: RpmHeader) -> bool | None:
        assert self._database is not None
        known = {one.version for one in self._pins.packages if one.name == header.name}
        known |= set(self._database.version_of(header.name))
        answers = [rpm_is_older(header.evr, version) for version in known]
        return True if True in answers else (False if False in answers else None)
