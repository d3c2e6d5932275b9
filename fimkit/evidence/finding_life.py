"""The life of a finding: what the store makes of one that is found again. Pure.

A finding's kind decides its life. A *lasting* one (deleted, created, moved, modified, attributes) is a difference from the
baseline: it stays open as long as a whole look finds it again, and closes as ``gone`` when one does not. A *passing* one
(attempted, transient, tampered, overdue) happened once: it stays open until it is accepted, or old.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from fimkit.model.changes import Source
from fimkit.model.findings import Attribution, Finding, Kind, Verdict, is_content_reason, judge_content

__all__ = ["PASSING", "FindingRow", "FindingStatus", "Stored", "is_doubt", "is_suspicion", "merge_finding"]

PASSING = frozenset(kind for kind in Kind if not kind.lasts)
"""The kinds of what happened and left no difference."""

_SURER = list(Attribution).index

_SUSPICIONS = frozenset({
    "a denied try", "an executable among web content", "an executable in a folder of data alone", "it gained file capabilities",
    "it gained the set-group-id bit", "it gained the set-user-id bit",
})  # fmt: skip
"""Source: ``fimkit.correlate.judge``. What is found in a file has marks of its own, see :func:`is_content_reason`."""

# How reasons on who did it begin. Source: what fimkit.correlate says, with the numbers left out; what begins otherwise is of the
# file. tests/evidence/test_doubts.py reads all words there: a new one fails it until it is told which of the two it is.
_DOUBTS = (
    "a folder above it was renamed or made anew, and osquery's names ", "another file system is mounted here now: ",
    "another process took it away", "another process was at this name ", "auditing began only at ",
    "auditing was switched off at ", "calls of that time do not say which file ", "events of that time lost the record ",
    "how another file came to this name ", "how it came was not recorded", "it changed at ", "it has names (hard links): ",
    "it has, or had, more names ", "it was changed once more after ", "it was done through io_uring: ",
    "it was opened for writing before the baseline's state", "it was written to after it came, ",
    "its bytes were changed before or after that, ", "its bytes were made out of sight ", "its modification time is not that of ",
    "more than one file was renamed to a name ", "more was recorded of that time than can be looked through",
    "no audit record of the watched paths was read", "no record explains the change of its ", "no record names it: ",
    "no recorded call asked for the ", "osquery has a part of the record only", "osquery names another process than audit does",
    "osquery saw a file renamed to this name, and not by whom", "osquery saw another file come to this name",
    "osquery saw it, and says what changed and not who", "osquery saw the name come or go more often ",
    "osquery shows who brought it, and not who ", "osquery shows who wrote to it, and not who ",
    "osquery's file_events do not tell ", "osquery's process_file_events says who: ", "osquery's stamps do not tell ",
    "processes could have ", "processes may have had a part in it", "records of that time are incomplete: ",
    "records were lost: ", "setting times alone is not recorded", "what is there now is not what osquery saw made",
    "what was at the name that it was ",
)  # fmt: skip
_TICKET_DOUBTS = (", but two processes could have made it", ", but nothing recorded says for sure who made it")
_COUNT = re.compile(r"\d+ denied tr(y|ies)\b")
_NUMBER = re.compile(r"\d+ ")


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


def is_doubt(text: str) -> bool:
    """Tell whether a reason is on who did it and how surely that is known: it means one finding's actors, and no other's.

    >>> is_doubt("2 processes could have made the bytes: pid 5, 6"), is_doubt("the file was replaced by another one")
    (True, False)
    """
    if text.startswith("ticket "):
        return text.endswith(_TICKET_DOUBTS)
    return _NUMBER.sub("", text).startswith(_DOUBTS)


def is_suspicion(text: str) -> bool:
    """Tell whether a reason alone makes a finding suspect.

    >>> is_suspicion("a denied try"), is_suspicion("1 denied try: EACCES")
    (True, False)
    """
    return text in _SUSPICIONS


def _joined(said: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Add words, each once; how many tries there were is said once too."""
    found = dict.fromkeys(said)
    counted = any(map(_COUNT.match, found))
    return tuple(dict.fromkeys((*found, *(text for text in more if not (counted and _COUNT.match(text))))))


def _judged(stored: Finding, again: Finding, said: Iterable[str]) -> Finding:
    """Take over what the configuration, or a new suspicion, makes of it now; unless it was proved to be expected.

    The proof may lie in records that this look has not. ``said`` is what is said again and bears on the stored one's actors too.
    """
    weightier = again.severity.rank > stored.severity.rank or again.verdict is Verdict.EXPECTED or again.tier is not stored.tier
    suspect = again.verdict is Verdict.SUSPECT and stored.verdict is Verdict.UNEXPLAINED
    if stored.verdict is Verdict.EXPECTED or not (weightier or suspect):
        return stored
    severity = again.severity if weightier else stored.severity
    return replace(stored, tier=again.tier, severity=severity, verdict=again.verdict, reasons=_joined(stored.reasons, said))


def _attributed(stored: Finding, again: Finding) -> Finding:
    """Take over a surer attribution, with the evidence of both; and one as sure that stands on all of the evidence and more.

    A surer one has its own reasons on who it was; what else was said stays. What stands on all the evidence says all of it anew.
    """
    gain = _SURER(again.attribution) - _SURER(stored.attribution)
    if gain < 0 or (gain == 0 and not set(again.evidence) > set(stored.evidence)):
        return stored
    kept = [text for text in stored.reasons if is_suspicion(text) or (gain > 0 and not is_doubt(text))]
    return replace(
        stored,
        actors=again.actors,
        attribution=again.attribution,
        reasons=_joined(again.reasons, kept),
        evidence=tuple(dict.fromkeys((*stored.evidence, *again.evidence))),
        first_seen_ns=min(stored.first_seen_ns, again.first_seen_ns),
    )


def _explained(joined: Finding, again: Finding) -> Finding:
    """Join what both say: reasons on who it was with the actors that they mean alone, and every suspicion.

    Where the second says all else that the first does, and more (what packages say comes a little later), it is taken over.
    """
    is_same = (again.attribution, again.actors) == (joined.attribution, joined.actors)
    said = [text for text in again.reasons if is_same or not is_doubt(text)]
    joined = _judged(joined, again, said)
    whole = said if is_same else _joined(said, filter(is_doubt, joined.reasons))
    reasons = whole if set(whole) > set(joined.reasons) else joined.reasons
    return replace(joined, reasons=_joined(reasons, filter(is_suspicion, said)))


def merge_finding(stored: Finding, again: Finding, now_ns: int) -> Finding:
    """Join a stored finding with the same one found again.

    It keeps its actors, evidence, attribution, reasons and first time; a surer attribution takes their place, and so does one that
    knows of more (a denied try that is repeated), and reasons that say more. A doubt about who did it stays with the attribution
    that it is of, and goes with it; no suspicion ever goes. ``sources`` are the union. The last time moves to ``now_ns`` where the
    difference is still there. What was found in the file stays: its bytes are part of what the finding is.
    """
    joined = _explained(_attributed(stored, again), again)
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
