"""What the events of an audit log say, by the host that each names: changes, notes, the kernel's numbers, auditd's starts."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from fimkit.audit.changes import AuditChanges
from fimkit.audit.serials import SerialRuns, SerialTrack
from fimkit.correlate.ledger import ChangeLedger, ChangeTables
from fimkit.model.changes import Change, Note
from fimkit.model.records import AuditEvent

__all__ = ["Harvest", "Numbers", "OfNode", "PartNumbers"]

_STARTED, _ENDED, _OTHER = 0, -1, 1
"""What auditd says of itself. The first two stand in a part's runs in place of how many serials there are."""


class _Follower(Protocol):
    def take(self, event: AuditEvent, /) -> None: ...


class Numbers:
    """The serials of one node's events, and the starts of its auditd that no end stands before.

    Args:
        state: Of a :class:`fimkit.audit.serials.SerialTrack`, when an earlier reading stopped.
    """

    def __init__(self, state: Sequence[Sequence[int]]) -> None:
        """Go on where an earlier reading stopped."""
        self.track = SerialTrack(state)
        self.restarts: list[tuple[int, int]] = []
        self._ended = False

    def copy(self) -> "Numbers":
        """Give another that goes on from the same."""
        other = Numbers(())
        other.track, other.restarts, other._ended = self.track.copy(), [*self.restarts], self._ended
        return other

    def take(self, event: AuditEvent) -> None:
        """Take the next event."""
        time_ms, serial = event.event_id
        mark = _mark_of(event)
        if mark is None:
            self.track.take(serial, time_ms)
        elif mark in (_STARTED, _ENDED):
            self._take_mark(mark, time_ms)

    def _take_mark(self, mark: int, time_ms: int) -> None:
        if mark == _STARTED:
            if not self._ended and 0 < self.track.newest_ms <= time_ms:
                self.restarts.append((self.track.newest_ms, time_ms))
            self.track.restart()
        self._ended = mark == _ENDED

    def follow(self, rows: Sequence[int]) -> bool:
        """Take what :class:`PartNumbers` has of a part; false, and this is of no use any more, where only its events can tell."""
        for place in range(0, len(rows), 4):
            first, count, first_ms, newest_ms = rows[place : place + 4]
            if count <= 0:
                self._take_mark(count, first_ms)
            elif not self.track.take_run(first, count, first_ms, newest_ms):
                return False
        return True


class PartNumbers:
    """The same of a part of a log, kept for who has taken the parts before."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._runs = SerialRuns()

    @property
    def rows(self) -> "array[int]":
        """Four numbers a run, or a mark: see :class:`fimkit.audit.serials.SerialRuns`."""
        return self._runs.rows

    def take(self, event: AuditEvent) -> None:
        """Take the next event."""
        time_ms, serial = event.event_id
        mark = _mark_of(event)
        if mark is None:
            self._runs.take(serial, time_ms)
        elif mark in (_STARTED, _ENDED):
            self._runs.rows.extend((0, mark, time_ms, time_ms))
            self._runs.restart()


def _mark_of(event: AuditEvent) -> int | None:
    """Tell what an event of auditd itself says; ``None`` for any other."""
    first = "" if event.syscall is not None or not event.types else event.types[0]  # nearly all are of a system call
    if not first.startswith("DAEMON_"):
        return None
    return _STARTED if first == "DAEMON_START" else _ENDED if first in ("DAEMON_END", "DAEMON_ABORT") else _OTHER


N = TypeVar("N", bound=_Follower)


class OfNode(NamedTuple, Generic[N]):
    """What one node's events say."""

    ledger: ChangeLedger
    notes: list[Note]
    numbers: N


class Harvest(Generic[N]):
    """Takes events in their order.

    Args:
        reader: Makes changes and notes of them.
        wanted: Tells which changes matter; the others are not kept.
        worth: A quick look beforehand: false only for an event none of whose changes would be ``wanted``.
        new_numbers: Makes what follows one node's serials.
    """

    def __init__(
        self,
        reader: AuditChanges,
        *,
        wanted: Callable[[Change], bool],
        worth: Callable[[AuditEvent], bool] | None,
        new_numbers: Callable[[], N],
    ) -> None:
        """Begin with no node known."""
        self.reader = reader
        self.tables = ChangeTables()
        self.by_node: dict[bytes | None, OfNode[N]] = {}
        self._wanted, self._worth, self._new_numbers = wanted, worth, new_numbers

    def of(self, node: bytes | None) -> OfNode[N]:
        """Give what one node's events say; of a new one nothing yet."""
        found = self.by_node.get(node)
        if found is None:
            found = self.by_node[node] = OfNode(ChangeLedger(tables=self.tables), [], self._new_numbers())
        return found

    def take(self, events: Iterable[AuditEvent]) -> None:
        """Take the next events."""
        reader, wanted, worth = self.reader, self._wanted, self._worth
        for event in events:
            ledger, notes, numbers = self.of(event.node)
            numbers.take(event)
            if worth is None or worth(event):
                ledger.extend(filter(wanted, reader.changes_of(event)))
            else:
                reader.pass_over(event)
            notes.extend(reader.notes_of(event))
