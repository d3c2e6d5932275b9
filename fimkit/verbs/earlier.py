"""What earlier looks and acceptances settled, so that old records are not found again as something new."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fimkit.correlate.timeline import folders_above
from fimkit.evidence.store import Store
from fimkit.model.changes import Action, Change, Source
from fimkit.model.findings import Finding, Kind

__all__ = ["Earlier"]

_ARRIVALS = frozenset({Action.BORN, Action.LINKED, Action.MOVED_TO})
_MOST_NAMES = 1000
_MOST_FOLLOWED = 64
"""So many names that renamed folders gave a file are asked about."""


class Earlier:
    """What was settled before this look. It is asked of the store when it is needed: after a storm that has millions of findings.

    Args:
        store: Open; what is stored later counts as well.

    Attributes:
        accepted_ns: Up to when what happened to a path was accepted, as of now.
    """

    def __init__(self, store: Store) -> None:
        """Read what was accepted."""
        self._store = store
        self._evidence: dict[bytes, tuple[set[str], int]] = {}
        accepted_ns = {row.path: row.acceptance.time_ns for row in store.history() if row.acceptance.kind == "accept"}
        for path, last_seen_ns in store.accepted_tries():
            # Up to the last try that the finding had, not up to the acceptance: nobody saw what came in between.
            accepted_ns[path] = max(last_seen_ns + 1, accepted_ns.get(path, 0))
        self.accepted_ns: Mapping[bytes, int] = accepted_ns

    def unsettled(self, findings: Iterable[Finding], changes: Sequence[Change]) -> list[Finding]:
        """Leave out the passing of files that an earlier look saw there: that is the end of its finding, and no new one.

        Args:
            findings: Of this look, before they are stored.
            changes: What they were made from.
        """
        found = list(findings)
        passing = [finding for finding in found if finding.kind is Kind.TRANSIENT]
        if not passing:
            return found
        trails = _Trails(changes, {event for finding in passing for event in finding.evidence})
        seen = {finding.id for finding in passing if self._was_seen(finding, trails)}
        return [finding for finding in found if finding.kind is not Kind.TRANSIENT or finding.id not in seen]

    def _was_seen(self, finding: Finding, trails: "_Trails") -> bool:
        if self._store.is_open(finding.id):
            return False
        came = trails.arrivals.intersection(finding.evidence)
        if came:
            left = came
            for name in trails.names_of(finding):
                left = left - self._events_of(name)
            return not left
        seen_ns = self._store.last_seen(finding.path)
        return seen_ns is not None and trails.last_ns.get(finding.path, 0) <= seen_ns

    def _events_of(self, name: bytes) -> set[str]:
        """Give the events that differences of a name stood on: what comes and goes all the time is asked about again and again."""
        events, last_row = self._evidence.pop(name, (set(), 0))
        more, last_row = self._store.evidence_of(name, after_row=last_row)
        events |= more
        if events:
            if len(self._evidence) >= _MOST_NAMES:
                del self._evidence[next(iter(self._evidence))]
            self._evidence[name] = events, last_row
        return events


class _Trails:
    """The events by which names came, when osquery saw one come last, and which names some events and renamed folders gave."""

    def __init__(self, changes: Iterable[Change], wanted: set[str]) -> None:
        self.arrivals: set[str] = set()
        self.last_ns: dict[bytes, int] = {}
        self._names: dict[str, set[bytes]] = defaultdict(set)
        moved: dict[str, tuple[set[bytes], set[bytes]]] = defaultdict(lambda: (set(), set()))
        for change in changes:
            event = None if change.actor is None else change.actor.event
            if change.action in _ARRIVALS:
                if event is not None:
                    self.arrivals.add(event)
                if change.source is Source.OSQUERY and change.path is not None:
                    self.last_ns[change.path] = max(change.time_ns, self.last_ns.get(change.path, 0))
            if event is None or change.path is None:
                continue
            if event in wanted:
                self._names[event].add(change.path)
            if change.action is Action.MOVED_FROM:
                moved[event][0].add(change.path)
            elif change.action is Action.MOVED_TO:
                moved[event][1].add(change.path)
        self._moved: dict[bytes, set[bytes]] = defaultdict(set)
        for old, new in moved.values():
            for path in old:
                self._moved[path] |= new

    def names_of(self, finding: Finding) -> list[bytes]:
        """Give the names that what passed may have been found under: its own, and those that it or a folder of it was given."""
        names = dict.fromkeys([finding.path, *(path for event in finding.evidence for path in self._names.get(event, ()))])
        todo = list(names)
        while todo and self._moved and len(names) < _MOST_FOLLOWED:
            path = todo.pop()
            for folder in folders_above(path):
                for new in self._moved.get(folder, ()):
                    name = new + path[len(folder) :]
                    if name not in names:
                        names[name] = None
                        todo.append(name)
        return list(names)
