"""What earlier looks and acceptances settled, so that old records are not found again as something new."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fimkit.evidence.finding_life import PASSING, FindingStatus, Stored
from fimkit.evidence.store import Store
from fimkit.model.changes import Action, Change, Source
from fimkit.model.findings import Finding, Kind

__all__ = ["Earlier", "load_earlier"]

_ARRIVALS = frozenset({Action.BORN, Action.LINKED, Action.MOVED_TO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What was settled before this look.

    ``accepted_ns`` says up to when what happened to a path was accepted; ``seen_ns`` when a path that came was last seen there;
    ``events`` are those that findings stood on, and of a watch's own findings those alone by which a name came: more is never asked
    for, and a file that is written for months would add one with each writing. ``open_ids`` are the findings that are open.
    """

    accepted_ns: Mapping[bytes, int]
    seen_ns: dict[bytes, int]
    events: set[str]
    open_ids: set[str]
    _came: set[str] = field(default_factory=set)

    def unsettled(self, findings: Iterable[Finding], changes: Sequence[Change]) -> list[Finding]:
        """Leave out the passing of files that an earlier look saw there: that is the end of its finding, and no new one."""
        arrivals = _Arrivals(changes)
        self._came.clear()
        self._came.update(arrivals.events)
        return [finding for finding in findings if finding.kind is not Kind.TRANSIENT or not self._was_seen(finding, arrivals)]

    def settle(self, stored: Stored) -> None:
        """Take in what was stored of the findings that :meth:`unsettled` gave last: no look of a watch reads the store anew."""
        self.open_ids.difference_update(finding.id for finding in (*stored.superseded, *stored.gone))
        for finding in (*stored.new, *stored.known):
            self.open_ids.add(finding.id)
            self._saw(finding, self._came.intersection(finding.evidence))

    def _saw(self, finding: Finding, events: Iterable[str]) -> None:
        if finding.kind in PASSING:
            return
        self.events.update(events)
        name = finding.moved_to or finding.path
        if finding.after is not None:
            self.seen_ns[name] = max(finding.last_seen_ns, self.seen_ns.get(name, 0))

    def _was_seen(self, finding: Finding, arrivals: "_Arrivals") -> bool:
        if finding.id in self.open_ids:
            return False
        came = arrivals.events.intersection(finding.evidence)
        if came:
            return came.issubset(self.events)
        seen_ns = self.seen_ns.get(finding.path)
        return seen_ns is not None and arrivals.last_ns.get(finding.path, 0) <= seen_ns


class _Arrivals:
    """The events by which a name came, and when osquery saw one come last."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self.events: set[str] = set()
        self.last_ns: dict[bytes, int] = {}
        for change in changes:
            if change.action not in _ARRIVALS:
                continue
            if change.actor is not None:
                self.events.add(change.actor.event)
            if change.source is Source.OSQUERY and change.path is not None:
                self.last_ns[change.path] = max(change.time_ns, self.last_ns.get(change.path, 0))


def load_earlier(store: Store) -> Earlier:
    """Read it from the store, before this look's findings are put there."""
    accepted_ns = {row.path: row.acceptance.time_ns for row in store.history() if row.acceptance.kind == "accept"}
    earlier = Earlier(accepted_ns=accepted_ns, seen_ns={}, events=set(), open_ids=set())
    for row in store.finding_rows(None):
        finding = row.finding
        if row.status is FindingStatus.OPEN:
            earlier.open_ids.add(finding.id)
        earlier._saw(finding, finding.evidence)
        if finding.kind in PASSING and row.status is FindingStatus.ACCEPTED:
            # Up to the last try that the finding had, not up to the acceptance: nobody saw what came in between.
            accepted_ns[finding.path] = max(finding.last_seen_ns + 1, accepted_ns.get(finding.path, 0))
    return earlier
