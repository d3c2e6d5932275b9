"""The life of a finding: what the store makes of one that is found again. Pure.

A finding's kind decides its life. A *lasting* one (deleted, created, moved, modified, attributes) is a difference from the
baseline: it stays open as long as a whole look finds it again, and closes as ``gone`` when one does not. A *passing* one
(attempted, transient, tampered, overdue) happened once: it stays open until it is accepted, or old.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from fimkit.model.changes import Source
from fimkit.model.findings import Attribution, Finding, Kind, Verdict, is_content_reason, judge_content

__all__ = ["PASSING", "FindingRow", "FindingStatus", "Stored", "merge_finding"]

PASSING = frozenset(kind for kind in Kind if not kind.lasts)
"""The kinds of what happened and left no difference."""

_SURER = list(Attribution).index


class FindingStatus(StrEnum):
    """Where a finding is in its life."""

    OPEN = "open"
    ACCEPTED = "accepted"      # taken into the baseline, with a name and a reason
    GONE = "gone"              # a later look found the path as in the baseline again
    SUPERSEDED = "superseded"  # a later look found another difference on the same path, or a try that takes this one in


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """A finding and its life. ``acceptance`` is the id of who accepted it; ``superseded_by`` the finding that took its place."""

    finding: Finding
    status: FindingStatus
    closed_ns: int | None
    acceptance: int | None
    superseded_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a look's findings are to the store.

    ``new`` were not open before. ``known`` were open and were found again: as they are stored, with the actors and evidence of the
    first time. ``improved`` are those of them that are more surely attributed now. ``still_open`` were open before and are open
    now, found again or not (passing ones happen once). ``gone`` and ``superseded`` are closed by this look. ``accepted`` were
    passing ones that somebody had accepted already: they stay closed.
    """

    new: tuple[Finding, ...] = ()
    known: tuple[Finding, ...] = ()
    improved: tuple[Finding, ...] = ()
    still_open: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    superseded: tuple[Finding, ...] = ()
    accepted: tuple[Finding, ...] = ()


def _judged(stored: Finding, again: Finding) -> Finding:
    """Take over what the configuration, or a new suspicion, makes of it now; unless it was proved to be expected.

    The proof may lie in records that this look has not.
    """
    weightier = again.severity.rank > stored.severity.rank or again.verdict is Verdict.EXPECTED
    if stored.verdict is Verdict.EXPECTED or not (weightier or again.tier is not stored.tier):
        return stored
    reasons = tuple(dict.fromkeys((*stored.reasons, *again.reasons)))
    return replace(stored, tier=again.tier, severity=again.severity, verdict=again.verdict, reasons=reasons)


def _attributed(stored: Finding, again: Finding) -> Finding:
    """Take over a surer attribution, with the evidence of both; and one as sure that stands on all of the evidence and more."""
    gain = _SURER(again.attribution) - _SURER(stored.attribution)
    if gain < 0 or (gain == 0 and not set(again.evidence) > set(stored.evidence)):
        return stored
    return replace(
        stored,
        actors=again.actors,
        attribution=again.attribution,
        reasons=again.reasons,
        evidence=tuple(dict.fromkeys((*stored.evidence, *again.evidence))),
        first_seen_ns=min(stored.first_seen_ns, again.first_seen_ns),
    )


def merge_finding(stored: Finding, again: Finding, now_ns: int) -> Finding:
    """Join a stored finding with the same one found again.

    It keeps its actors, evidence, attribution, reasons and first time; a surer attribution takes their place, and so does one that
    knows of more (a denied try that is repeated), and reasons that say more, if they are not those of a doubt. ``sources`` are the
    union. The last time moves to ``now_ns`` where the difference is still there. What was found in the file stays: its bytes are
    part of what the finding is.
    """
    joined = _judged(_attributed(stored, again), again)
    if set(again.reasons) > set(joined.reasons) and _SURER(again.attribution) >= _SURER(joined.attribution):
        joined = replace(joined, reasons=again.reasons)  # all that was said, and more: what packages say comes a little later
    searched = stored if again.content is None else again
    words = [text for text in searched.reasons if is_content_reason(text)]
    if searched.content is not None or words:
        joined = judge_content(joined, searched.content, words)
    seen = () if stored.kind in PASSING else (now_ns,)
    return replace(
        joined,
        sources=tuple(source for source in Source if source in stored.sources or source in again.sources),
        last_seen_ns=max(stored.last_seen_ns, again.last_seen_ns, *seen),
    )
