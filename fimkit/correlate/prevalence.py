"""Weighs findings by how many hosts of a fleet have the same change. Pure.

The same change is the same path with the same content, mode and owner after it (or the same path gone), whatever was there before:
a roll-out reaches hosts of different versions. What it means for the severity is :func:`fimkit.model.findings.severity_in_fleet`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from fimkit.model.findings import (
    FEWEST_HOSTS,
    NEARLY_ALL,
    Finding,
    Spread,
    Tier,
    Verdict,
    severity_in_fleet,
    severity_of,
)
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType

__all__ = ["LEAST_WEIGHED", "PlacedChange", "is_fleet_reason", "place_changes", "weigh_findings"]

LEAST_WEIGHED = 10
"""With fewer hosts, what they share is said, and moves no severity."""

_MARK = "fleet: "

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedChange:
    """One change and its findings, a host's or many hosts'. ``hosts`` are the names, sorted, ``of`` how many there are in all."""

    findings: tuple[Finding, ...]
    hosts: tuple[str, ...]
    of: int
    spread: Spread

    @property
    def worst(self) -> Finding:
        """The most severe of the findings, the first host's of those."""
        return max(self.findings, key=lambda one: one.severity.rank)


def is_fleet_reason(text: str) -> bool:
    """Tell whether a reason comes from the other hosts: of another fleet it may be another.

    >>> is_fleet_reason("fleet: seen on 1 of 40 hosts: a lead")
    True
    """
    return text.startswith(_MARK)


def _essence(state: FileState | None) -> Key | None:
    if state is None:
        return None
    xattrs = None if state.xattrs is None else tuple(sorted(state.xattrs.items()))
    return (state.type, state.mode, state.uid, state.gid, state.sha256, state.target, xattrs)


def _key(finding: Finding) -> Key:
    if not finding.kind.lasts:
        return (finding.path, finding.kind)
    return (finding.path, None, finding.moved_to, _essence(finding.after))


def _is_known(finding: Finding) -> bool:
    """Tell whether the change can be told from another one: of a file without a hash only the name is known."""
    after = finding.after
    if not finding.kind.lasts:
        return False
    return after is None or after.type is not FileType.FILE or after.sha256 is not None


def _spread(count: int, of: int, known: bool, departs: bool) -> Spread:
    if of < FEWEST_HOSTS:
        return Spread.SOME
    if count >= NEARLY_ALL * of:
        return Spread.ROLL_OUT if known else Spread.SOME
    if count == 1:
        return Spread.DEPARTURE if departs else Spread.LEAD
    return Spread.SOME


def place_changes(findings: Iterable[Finding], hosts: Collection[str]) -> list[PlacedChange]:
    """Put the findings of the same change together.

    Args:
        findings: Of any hosts.
        hosts: The names of all hosts that were judged, those without a finding too.

    Returns:
        The changes, the most severe first, then those on the fewest hosts, then by path.
    """
    groups: dict[Key, list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[_key(finding)].append(finding)
    of = len(set(hosts).union(finding.host for group in groups.values() for finding in group))
    where = {key: tuple(sorted({finding.host for finding in group})) for key, group in groups.items()}
    rolled = {
        group[0].path: len(where[key]) for key, group in groups.items()
        if of >= FEWEST_HOSTS and _is_known(group[0]) and len(where[key]) >= NEARLY_ALL * of
    }  # fmt: skip
    placed = [
        PlacedChange(
            findings=tuple(sorted(group, key=lambda one: (one.host, one.id))),
            hosts=where[key],
            of=of,
            spread=_spread(len(where[key]), of, _is_known(group[0]), _is_known(group[0]) and group[0].path in rolled),
        )
        for key, group in groups.items()
    ]
    return sorted(placed, key=_order)


def _order(change: PlacedChange) -> tuple[object, ...]:
    first = change.worst
    return (-first.severity.rank, len(change.hosts), first.path, first.kind, first.id)


def _words(change: PlacedChange) -> str | None:
    count, of = len(change.hosts), change.of
    seen = f"{_MARK}seen on {count} of {of} hosts"
    passing = not change.findings[0].kind.lasts
    match change.spread:
        case Spread.ROLL_OUT:
            return f"{seen}, the same content on each: a roll-out, or one who reaches them all"
        case Spread.DEPARTURE:
            return f"{seen}: nearly all others changed {render_path(change.findings[0].path)} too, to something else"
        case Spread.LEAD:
            return f"{seen}: a lead"
    if of < FEWEST_HOSTS:
        return None
    return f"{seen}, by name: what it was then nobody can compare" if passing and count > 1 else seen


def _weigh(finding: Finding, change: PlacedChange) -> Finding:
    own = tuple(reason for reason in finding.reasons if not is_fleet_reason(reason))
    severity = finding.severity
    if len(own) < len(finding.reasons) and finding.tier is Tier.WATCH and finding.verdict is Verdict.UNEXPLAINED:
        # An earlier fleet moved it, of other hosts perhaps: the table says what it was. Where verdict and tier are these, it can.
        severity = severity_of(finding.tier, finding.kind, finding.verdict, finding.changed)
    if change.of >= LEAST_WEIGHED:
        severity = severity_in_fleet(finding.tier, finding.kind, finding.verdict, severity, change.spread)
    words = _words(change)
    return replace(finding, severity=severity, reasons=own if words is None else (words, *own))


def weigh_findings(changes: Sequence[PlacedChange]) -> list[Finding]:
    """Give every finding with what the fleet says of it, as its first reason, and the severity that follows.

    Args:
        changes: As :func:`place_changes` has them. No finding takes anything of another host but the number of hosts.

    Returns:
        The same findings, the most severe first, then by path, host and id. Weighed again, they are the same.
    """
    weighed = [_weigh(finding, change) for change in changes for finding in change.findings]
    return sorted(weighed, key=lambda one: (-one.severity.rank, one.path, one.host, one.id))
