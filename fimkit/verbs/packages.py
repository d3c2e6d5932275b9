"""What packages explain of the findings of one look: those that a signed package proves are expected, the others get words."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from fimkit.model.findings import Finding, Kind, Verdict, severity_of
from fimkit.model.paths import is_below, join_path
from fimkit.model.states import TIMES_ONLY
from fimkit.packages.proof import Proof

if TYPE_CHECKING:  # brings what reads archives and signatures: a look at which nothing could be a package's needs none of it
    from fimkit.packages.proofs import PackageProofs

__all__ = ["Explained", "explain_findings", "is_provable"]

_PROVABLE = frozenset({Kind.CREATED, Kind.MODIFIED, Kind.DELETED, Kind.MOVED, Kind.ATTRIBUTES})
_DENIED_TRY = "a denied try"
"""What the judge says of tries that are folded into a finding: no package explains them."""


class Explained(NamedTuple):
    """The same findings in the same order, judged anew, and every proof that bears on them."""

    findings: list[Finding]
    proofs: list[Proof]


def explain_findings(
    findings: Iterable[Finding],
    proofs: "PackageProofs",
    earlier: Mapping[str, Finding] | None = None,
    *,
    root: bytes = b"/",
    is_candidate: Callable[[bytes], bool] = lambda path: True,
) -> Explained:
    """Judge findings anew in the light of the host's packages.

    A finding becomes expected if every difference of it is proved and the package is not older than the one before: a downgrade
    is how a mended hole is opened again. What the proofs are by should go into the pins
    (:func:`fimkit.packages.pins.add_proved`), so that the next look knows the version.

    Args:
        findings: Of this look.
        proofs: Of this look.
        earlier: The findings that were open before, by their id. The id stands for the two states: what was proved of them stays
            proved, also when the archive and the index have gone since, and is not asked again.
        root: Where the tree of the packages is, as findings name it: a container's that is watched from outside, say. What lies
            elsewhere is left as it is.
        is_candidate: Tells of a path, as the packages name it, whether one of them may have it. What cannot be is left as it is.
    """
    findings, root, earlier = list(findings), join_path(b"/", root), earlier or {}
    settled = {id(one): earlier[one.id] for one in findings if _was_proved(earlier.get(one.id))}
    concerned = [one for one in findings if id(one) not in settled and is_provable(one, root, is_candidate)]
    paths = (path for finding in concerned for path in (finding.path, finding.moved_to) if path is not None)
    proofs.prepare(_inside(path, root) for path in paths)
    answers = {id(finding): _prove(finding, proofs, root) for finding in concerned}
    return Explained(
        [
            _explain(finding, answers[id(finding)]) if id(finding) in answers
            else _judge(finding, settled[id(finding)].reasons) if id(finding) in settled
            else finding
            for finding in findings
        ],
        [proof for each in answers.values() for _, proof in each],
    )


def is_provable(finding: Finding, root: bytes, is_candidate: Callable[[bytes], bool] = lambda path: True) -> bool:
    """Tell by a finding alone whether packages below a root may explain it; ``is_candidate`` as in :func:`explain_findings`."""
    times_only = finding.kind is Kind.ATTRIBUTES and TIMES_ONLY.issuperset(finding.changed)
    if finding.kind not in _PROVABLE or (times_only and "inode" not in finding.changed):
        return False  # another inode with the same bytes is what an upgrade leaves of a file that did not change in it
    paths = [path for path in (finding.path, finding.moved_to) if path is not None]
    return all(is_below(path, root) and is_candidate(_inside(path, root)) for path in paths)


def _was_proved(earlier: Finding | None) -> bool:
    return earlier is not None and earlier.verdict is Verdict.EXPECTED


def _inside(path: bytes, root: bytes) -> bytes:
    return path.removeprefix(root.rstrip(b"/")) or b"/"


def _explain(finding: Finding, answers: list[tuple[bool, Proof]]) -> Finding:
    words = tuple(dict.fromkeys(reason for _, proof in answers for reason in proof.reasons))
    if all(is_explained and not proof.older for is_explained, proof in answers):
        return _judge(finding, words)
    return replace(finding, reasons=tuple(dict.fromkeys((*finding.reasons, *words))))


def _judge(finding: Finding, words: tuple[str, ...]) -> Finding:
    """Take a proved finding as expected; a denied try that is folded in is explained by no package."""
    if _DENIED_TRY in finding.reasons:
        return replace(finding, reasons=tuple(dict.fromkeys((*finding.reasons, *words))))
    return replace(
        finding,
        verdict=Verdict.EXPECTED,
        severity=severity_of(finding.tier, finding.kind, Verdict.EXPECTED, finding.changed),
        reasons=tuple(dict.fromkeys((*words, *finding.reasons))),
    )


def _prove(finding: Finding, proofs: "PackageProofs", root: bytes) -> list[tuple[bool, Proof]]:
    """Ask about each path of a finding; a move is what went away and what came."""
    before, after, path = finding.before, finding.after, _inside(finding.path, root)
    if finding.moved_to is None:
        proof = proofs.prove(path, before, after)
        return [(proof.explains(before, after, finding.changed), proof)]
    gone, come = proofs.prove(path, before, None), proofs.prove(_inside(finding.moved_to, root), None, after)
    return [(gone.explains(before, None, ()), gone), (come.explains(None, after, ()), come)]
