"""What a report is made of: findings, the times nobody looked, and what could not be seen. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fimkit.model.changes import Actor
from fimkit.model.findings import Finding

__all__ = ["Blind", "Incident", "ReportData"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """A time in which a source did not tell all, and why. Both ends are the same where only one is known."""

    from_ns: int
    to_ns: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One panic of the host: what set it off, how far it came, and where its evidence is."""

    id: str
    cause: str
    triggered_ns: int
    phase: str
    folder: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """All that a report shows.

    ``statuses`` has words for the findings that are not open any more, by id; what is missing there is open. ``watched`` says
    what was looked at, ``coverage`` what could not be seen. ``processes`` are recorded ones beside the findings' own actors, in
    which a parent may be found. ``diffs`` has the unified diff of a finding's text, by id, where it was kept. ``has_store`` says
    that the findings are in a host's store, where commands can show and settle them. ``head`` is that of its evidence chain.
    """

    host: str
    made_ns: int
    since_ns: int | None = None
    findings: tuple[Finding, ...] = ()
    statuses: Mapping[str, str] = field(default_factory=dict)
    blind: tuple[Blind, ...] = ()
    watched: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()
    incidents: tuple[Incident, ...] = ()
    processes: tuple[Actor, ...] = ()
    diffs: Mapping[str, str] = field(default_factory=dict)
    has_store: bool = False
    head: str | None = None
