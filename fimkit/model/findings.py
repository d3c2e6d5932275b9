"""A finding is a judged change; its severity is one table, here. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fimkit.model.changes import Actor, Source
from fimkit.model.states import TIMES_ONLY, FileState

__all__ = [
    "ANNOUNCED", "ANNOUNCED_BYTES", "FEWEST_HOSTS", "NEARLY_ALL", "Attribution", "ContentMark", "Finding", "Kind", "Severity",
    "Spread", "Tier", "Verdict", "is_announced", "is_content_reason", "judge_content", "severity_in_fleet", "severity_of",
]  # fmt: skip

_CONTENT_REASONS = ("rule ", "content: ", "story: ")
_HARMLESS = "info"

ANNOUNCED = "announced: "
"""How the reason begins of what is expected for somebody announced it, but not its bytes: a hit in them is suspect all the same."""

ANNOUNCED_BYTES = "announced with its hash: "
"""And of that whose very bytes were announced."""

FEWEST_HOSTS = 3
"""With fewer hosts, "on all of them" and "on one alone" say nothing."""

NEARLY_ALL = 0.9
"""The share of hosts that makes a roll-out."""


class Tier(StrEnum):
    """How much a path matters: critical must never change, watch is kept an eye on."""

    CRITICAL = "critical"
    WATCH = "watch"


class Kind(StrEnum):
    """What happened to a path; the first that is true, in this order, is the finding's.

    The last two are no change of a path: ``tampered`` says that what sees or what proves was interfered with (rules, logs, daemons,
    the clock, the store), ``overdue`` that an announced change never came. Their path is that of what it is about.
    """

    DELETED = "deleted"
    CREATED = "created"
    MOVED = "moved"
    MODIFIED = "modified"
    ATTRIBUTES = "attributes"
    ATTEMPTED = "attempted"
    TRANSIENT = "transient"
    TAMPERED = "tampered"
    OVERDUE = "overdue"

    @property
    def lasts(self) -> bool:
        """Whether it is a difference from the baseline, which a later look finds again; else it happened once."""
        return self in (Kind.DELETED, Kind.CREATED, Kind.MOVED, Kind.MODIFIED, Kind.ATTRIBUTES)


class Severity(StrEnum):
    """From the least to the most severe."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 4 for critical."""
        return list(Severity).index(self)


class Verdict(StrEnum):
    """Whether a change is explained."""

    EXPECTED = "expected"
    UNEXPLAINED = "unexplained"
    SUSPECT = "suspect"


class Attribution(StrEnum):
    """How surely the actors made the change; from the weakest to the surest."""

    UNATTRIBUTED = "unattributed"
    AMBIGUOUS = "ambiguous"
    EXACT = "exact"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentMark:
    """What a content rule found in the file: ``severity`` is the rule's own word, ``line`` 0 where nobody knows it.

    ``text`` is printable as it is, ``attack`` an ATT&CK technique, or empty.
    """

    rule: str
    severity: str
    line: int
    text: str
    attack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One judged change of one path on one host. ``actors`` has the maker of the content at its head, then the others in time.

    ``content`` is what rules found in the file as ``after`` has it: empty where it was searched and nothing was found, and ``None``
    where it was not searched.
    """

    id: str
    host: str
    path: bytes
    kind: Kind
    tier: Tier
    severity: Severity
    verdict: Verdict
    changed: tuple[str, ...]
    before: FileState | None
    after: FileState | None
    moved_to: bytes | None
    actors: tuple[Actor, ...]
    attribution: Attribution
    reasons: tuple[str, ...]
    sources: tuple[Source, ...]
    first_seen_ns: int
    last_seen_ns: int
    evidence: tuple[str, ...] = field(default=())
    content: tuple[ContentMark, ...] | None = None


def severity_of(tier: Tier, kind: Kind, verdict: Verdict, changed: tuple[str, ...]) -> Severity:
    """The one table of severities, by tier, kind and verdict. Source: the design's contract.

    >>> severity_of(Tier.CRITICAL, Kind.MODIFIED, Verdict.UNEXPLAINED, ("sha256",)).value
    'critical'
    >>> severity_of(Tier.WATCH, Kind.ATTEMPTED, Verdict.SUSPECT, ()).value
    'low'

    An announced change that never came harms nothing by itself: low, whatever the tier. What was tampered with weighs as a change
    of its tier does.
    """
    critical = tier is Tier.CRITICAL
    if verdict is Verdict.EXPECTED:
        return Severity.INFO
    if kind is Kind.OVERDUE:
        return Severity.LOW
    if kind is Kind.ATTEMPTED:
        return Severity.MEDIUM if critical else Severity.LOW
    if kind is Kind.ATTRIBUTES and TIMES_ONLY.issuperset(changed):
        return Severity.INFO
    if kind is Kind.TRANSIENT and critical:
        return Severity.HIGH
    if critical:
        return Severity.CRITICAL
    return Severity.HIGH if verdict is Verdict.SUSPECT else Severity.MEDIUM


class Spread(StrEnum):
    """How a change lies over a fleet: on nearly all hosts, on one, or on one that alone departs from what nearly all have."""

    ROLL_OUT = "roll-out"
    SOME = "some"
    LEAD = "lead"
    DEPARTURE = "departure"


def severity_in_fleet(tier: Tier, kind: Kind, verdict: Verdict, severity: Severity, spread: Spread) -> Severity:
    """The table's rows for a fleet: where other hosts tell something of what nothing else explains.

    An unexplained medium change of the watch tier is low where nearly all hosts have it, and high where a host alone departs from
    them. Nothing else moves: what is critical, suspect or a try weighs as much on a thousand hosts, of a passing file nobody knows
    that it was the same, and a change of one host alone keeps what it has.

    >>> severity_in_fleet(Tier.WATCH, Kind.MODIFIED, Verdict.UNEXPLAINED, Severity.MEDIUM, Spread.ROLL_OUT).value
    'low'
    >>> severity_in_fleet(Tier.CRITICAL, Kind.MODIFIED, Verdict.UNEXPLAINED, Severity.CRITICAL, Spread.ROLL_OUT).value
    'critical'
    """
    if tier is not Tier.WATCH or verdict is not Verdict.UNEXPLAINED or severity is not Severity.MEDIUM or not kind.lasts:
        return severity
    return {Spread.ROLL_OUT: Severity.LOW, Spread.DEPARTURE: Severity.HIGH}.get(spread, severity)


def is_content_reason(text: str) -> bool:
    """Tell whether a reason comes from the file's content and its story: such ones stay when the others are found anew.

    >>> is_content_reason("rule php_eval: line 3: eval("), is_content_reason("the file was replaced by another one")
    (True, False)
    """
    return text.startswith(_CONTENT_REASONS)


def is_announced(finding: Finding) -> bool:
    """Tell whether somebody announced a finding's change, and not the hash of its bytes."""
    return any(text.startswith(ANNOUNCED) for text in finding.reasons)


def judge_content(finding: Finding, content: tuple[ContentMark, ...] | None, reasons: Sequence[str]) -> Finding:
    """Judge a finding by what is in the file: a hit makes it suspect.

    It does not where a package is proved to have brought just this, or where its hash was announced.

    Args:
        finding: As it was judged without.
        content: What rules found; ``None`` where the file was not searched.
        reasons: What the search and its story say; they come first, in the place of what an earlier search said.

    Returns:
        The finding, never less severe than it was.
    """
    others = [text for text in finding.reasons if not is_content_reason(text)]
    judged = replace(finding, content=content, reasons=tuple(dict.fromkeys((*reasons, *others))))
    is_proved = finding.verdict is Verdict.EXPECTED and not is_announced(finding)
    if is_proved or all(mark.severity == _HARMLESS for mark in content or ()):
        return judged
    severity = severity_of(finding.tier, finding.kind, Verdict.SUSPECT, finding.changed)
    worse = max(severity, finding.severity, key=lambda one: one.rank)
    return replace(judged, verdict=Verdict.SUSPECT, severity=worse)
