"""The one door: is what is at this path now proved to be what a package ships there?"""

from collections.abc import Iterable
from types import TracebackType

from fimkit.model.states import FileState
from fimkit.packages.deb_proofs import DebProofs
from fimkit.packages.pins import PackagePins
from fimkit.packages.proof import Proof
from fimkit.packages.rpm_proofs import RpmProofs
from fimkit.packages.sources import PackageSources

__all__ = ["PackageProofs"]


class PackageProofs:
    """Answers for one look at one host, from what its packages are as of that look. Make a new one for the next look.

    Only what a pinned key signed proves anything. The package managers' own databases, which root can edit, choose where to look
    and give words; so nothing that an intruder writes on the host makes a path more than what a signed package ships at it.

    >>> with PackageProofs(PackageSources(), PackagePins()) as proofs:
    ...     proofs.prove(b"/bin/ls", None, None).reasons
    ('this host has no package database that is known here',)
    """

    def __init__(self, sources: PackageSources, pins: PackagePins) -> None:
        """Take where the packages are, and what was trusted when the baseline was taken. Nothing is read before it is needed."""
        self._makers: list[DebProofs | RpmProofs] = []
        if sources.dpkg is not None:
            self._makers.append(DebProofs(sources, pins))
        if sources.rpm is not None:
            self._makers.append(RpmProofs(sources, pins))

    def __enter__(self) -> "PackageProofs":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was copied."""
        for maker in self._makers:
            if isinstance(maker, RpmProofs):
                maker.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read or believed, so far, in words."""
        return tuple(dict.fromkeys(problem for maker in self._makers for problem in maker.problems))

    def prepare(self, paths: Iterable[bytes]) -> None:
        """Read on all cores what questions about these paths will need; the answers are the same without it, and slower."""
        paths = tuple(paths)
        for maker in self._makers:
            maker.prepare(paths)

    def prove(self, path: bytes, before: FileState | None, after: FileState | None) -> Proof:
        """Answer for one path.

        Args:
            path: Absolute, on the host.
            before: What was there, or ``None``.
            after: What is there now, or ``None``.

        Returns:
            What is proved, of which package, and words. Never an error: what cannot be read is a reason.
        """
        reasons: list[str] = []
        for maker in self._makers:
            proof = maker.prove(path, before, after)
            if proof.proved:
                return proof
            reasons += proof.reasons
        return Proof(path=path, reasons=tuple(reasons) or ("this host has no package database that is known here",))
