"""A finding is a judged change; its severity is one table, here. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from fimkit.model.changes import Actor, Source
from fimkit.model.states import TIMES_ONLY, FileState

__all__ = ["Attribution", "Finding", "Kind", "Severity", "Tier", "Verdict", "severity_of"]


class Tier(StrEnum):
    """How much a path matters: critical must never change, watch is kept an eye on."""

    CRITICAL = "critical"
    WATCH = "watch"


class Kind(StrEnum):
    """What happened to a path; the first that is true, in this order, is the finding's."""

    DELETED = "deleted"
    CREATED = "created"
    MOVED = "moved"
    MODIFIED = "modified"
    ATTRIBUTES = "attributes"
    ATTEMPTED = "attempted"
    TRANSIENT = "transient"


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
class Finding:
    """One judged change of one path on one host. ``actors`` has the maker of the content at its head, then the others in time."""

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


def severity_of(tier: Tier, kind: Kind, verdict: Verdict, changed: tuple[str, ...]) -> Severity:
    """The one table of severities, by tier, kind and verdict. Source: the design's contract.

    >>> severity_of(Tier.CRITICAL, Kind.MODIFIED, Verdict.UNEXPLAINED, ("sha256",)).value
    'critical'
    >>> severity_of(Tier.WATCH, Kind.ATTEMPTED, Verdict.SUSPECT, ()).value
    'low'
    """
    critical = tier is Tier.CRITICAL
    if verdict is Verdict.EXPECTED:
        return Severity.INFO
    if kind is Kind.ATTEMPTED:
        return Severity.MEDIUM if critical else Severity.LOW
    if kind is Kind.ATTRIBUTES and TIMES_ONLY.issuperset(changed):
        return Severity.INFO
    if kind is Kind.TRANSIENT and critical:
        return Severity.HIGH
    if critical:
        return Severity.CRITICAL
    return Severity.HIGH if verdict is Verdict.SUSPECT else Severity.MEDIUM
