"""What packages explain of the findings of one look: those that a signed package proves are expected, the others get words."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from fimkit.model.findings import Finding, Kind, Verdict, severity_of
from fimkit.model.paths import is_below, join_path
from fimkit.model.states import TIMES_ONLY
from fimkit.packages.proof import Proof
from fimkit.packages.proofs import PackageProofs

__all__ = ["Explained", "explain_findings"]

_PROVABLE = frozenset({Kind.CREATED, Kind.MODIFIED, Kind.DELETED, Kind.MOVED, Kind.ATTRIBUTES})
_DENIED_TRY = "a denied try"
"""What the judge says of tries that are folded into a finding: no package explains them."""


class Explained(NamedTuple):
    """The same findings in the same order, judged anew, and every proof that bears on them."""

    findings: list[Finding]
    proofs: list[Proof]


def explain_findings(
    findings: Iterable[Finding],
    proofs: PackageProofs,
    earlier: Mapping[str, Finding] | None = None,
    *,
    root: bytes = b"/",
) -> Explained:
    """Judge findings anew in the light of the host's packages.

    A finding becomes expected if every difference of it is proved and the package is not older than the one before: a downgrade
    is how a mended hole is opened again. What the proofs are by should go into the pins
    (:func:`fimkit.packages.pins.add_proved`), so that the next look knows the version.

    Args:
        findings: Of this look.
        proofs: Of this look.
        earlier: The findings that were open before, by their id. The id stands for the two states: what was proved of them stays
            proved, also when the archive and the index have gone since.
        root: Where the tree of the packages is, as findings name it: a container's that is watched from outside, say. What lies
            elsewhere is left as it is.
    """
    findings, root = list(findings), join_path(b"/", root)
    concerned = [finding for finding in findings if _is_provable(finding, root)]
    paths = (path for finding in concerned for path in (finding.path, finding.moved_to) if path is not None)
    proofs.prepare(_inside(path, root) for path in paths)
    answers = {id(finding): _prove(finding, proofs, root) for finding in concerned}
    return Explained(
        [
            _explain(finding, answers[id(finding)], (earlier or {}).get(finding.id)) if id(finding) in answers else finding
            for finding in findings
        ],
        [proof for each in answers.values() for _, proof in each],
    )


def _is_provable(finding: Finding, root: bytes) -> bool:
    times_only = finding.kind is Kind.ATTRIBUTES and TIMES_ONLY.issuperset(finding.changed)
    here = is_below(finding.path, root) and (finding.moved_to is None or is_below(finding.moved_to, root))
    return here and finding.kind in _PROVABLE and not times_only


def _inside(path: bytes, root: bytes) -> bytes:
    return path.removeprefix(root.rstrip(b"/")) or b"/"


def _explain(finding: Finding, answers: list[tuple[bool, Proof]], earlier: Finding | None) -> Finding:
    words = tuple(dict.fromkeys(reason for _, proof in answers for reason in proof.reasons))
    is_proved = all(is_explained and not proof.older for is_explained, proof in answers)
    if not is_proved and earlier is not None and earlier.verdict is Verdict.EXPECTED:
        is_proved, words = True, earlier.reasons
    if not is_proved or _DENIED_TRY in finding.reasons:
        return replace(finding, reasons=tuple(dict.fromkeys((*finding.reasons, *words))))
    return replace(
        finding,
        verdict=Verdict.EXPECTED,
        severity=severity_of(finding.tier, finding.kind, Verdict.EXPECTED, finding.changed),
        reasons=tuple(dict.fromkeys((*words, *finding.reasons))),
    )


def _prove(finding: Finding, proofs: PackageProofs, root: bytes) -> list[tuple[bool, Proof]]:
    """Ask about each path of a finding; a move is what went away and what came."""
    before, after, path = finding.before, finding.after, _inside(finding.path, root)
    if finding.moved_to is None:
        proof = proofs.prove(path, before, after)
        return [(proof.explains(before, after, finding.changed), proof)]
    gone, come = proofs.prove(path, before, None), proofs.prove(_inside(finding.moved_to, root), None, after)
    return [(gone.explains(before, None, ()), gone), (come.explains(None, after, ()), come)]
