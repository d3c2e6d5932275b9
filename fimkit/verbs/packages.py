"""What packages explain of the findings of one look: those that a signed package proves are expected, the others get words."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from fimkit.model.findings import Finding, Kind, Verdict, severity_of
from fimkit.model.states import TIMES_ONLY
from fimkit.packages.proof import Proof
from fimkit.packages.proofs import PackageProofs

__all__ = ["explain_findings"]

_PROVABLE = frozenset({Kind.CREATED, Kind.MODIFIED, Kind.DELETED, Kind.MOVED, Kind.ATTRIBUTES})
_DENIED_TRY = "a denied try"
"""What the judge says of tries that are folded into a finding: no package explains them."""


def explain_findings(
    findings: Iterable[Finding], proofs: PackageProofs, earlier: Mapping[str, Finding] | None = None
) -> list[Finding]:
    """Judge findings anew in the light of the host's packages.

    A finding becomes expected if every difference of it is proved and the package is not older than the one before: a downgrade
    is how a mended hole is opened again. A path outside of every package gets no words about packages.

    Args:
        findings: Of this look.
        proofs: Of this look.
        earlier: The findings that were open before, by their id. The id stands for the two states: what was proved of them stays
            proved, also when the archive and the index have gone since.

    Returns:
        The same findings in the same order.
    """
    findings = list(findings)
    concerned = [finding for finding in findings if _is_provable(finding)]
    proofs.prepare(path for finding in concerned for path in (finding.path, finding.moved_to) if path is not None)
    explained = {id(finding): _explain(finding, proofs, (earlier or {}).get(finding.id)) for finding in concerned}
    return [explained.get(id(finding), finding) for finding in findings]


def _is_provable(finding: Finding) -> bool:
    times_only = finding.kind is Kind.ATTRIBUTES and TIMES_ONLY.issuperset(finding.changed)
    return finding.kind in _PROVABLE and not times_only


def _explain(finding: Finding, proofs: PackageProofs, earlier: Finding | None) -> Finding:
    answers = _prove(finding, proofs)
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


def _prove(finding: Finding, proofs: PackageProofs) -> list[tuple[bool, Proof]]:
    """Ask about each path of a finding; a move is what went away and what came."""
    before, after, path = finding.before, finding.after, finding.path
    if finding.moved_to is None:
        proof = proofs.prove(path, before, after)
        return [(proof.explains(before, after, finding.changed), proof)]
    gone, come = proofs.prove(path, before, None), proofs.prove(finding.moved_to, None, after)
    return [(gone.explains(before, None, ()), gone), (come.explains(None, after, ()), come)]
