"""Follows the kernel's serials through a log: missing ones are records that were never written, or were taken out. Pure.

The kernel gives every event the next number, and starts anew at each boot; events of one moment may stand in any order. So a number
counts as missing only when the log has gone on for some seconds without it. auditd's own records (DAEMON_*) have numbers of their
own kind. A log that a daemon wrote which drops records on purpose has gaps too: that is what it is.

Source: kernel, kernel/audit.c, audit_serial().
"""

from array import array
from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["MissingSerials", "SerialRuns", "SerialTrack"]

_SETTLED_MS = 10_000
_MOST_OPEN = 1000
_SINGLE_ROWS = 4000
_LATE = 100_000
"""A number that is lower than this much below what was seen, and missing nowhere, is of another boot."""


class MissingSerials(NamedTuple):
    """Numbers that are missing, both ends included, and the times of the events on either side of them."""

    first: int
    last: int
    from_ms: int
    to_ms: int


class SerialTrack:
    """The numbers of one log, in the order in which events were read.

    Args:
        state: What :attr:`state` was when an earlier reading stopped; empty for a log that was never read.

    >>> track = SerialTrack()
    >>> for serial, time_ms in ((7, 1000), (8, 1001), (11, 1002), (9, 1003), (12, 20_000)):
    ...     track.take(serial, time_ms)
    >>> track.missing()
    [MissingSerials(first=10, last=10, from_ms=1001, to_ms=1002)]
    """

    def __init__(self, state: Sequence[Sequence[int]] = ()) -> None:
        """Go on where an earlier reading stopped."""
        self._next = self._newest_ms = 0
        self._open: list[MissingSerials] = []
        self._found: list[MissingSerials] = []
        self._booted = False
        if state:
            self._next, self._newest_ms = (int(number) for number in state[0][:2])
            self._open = [MissingSerials(*map(int, one[:4])) for one in state[1:]]

    @property
    def state(self) -> tuple[tuple[int, ...], ...]:
        """What a later reading needs, in plain numbers."""
        return ((self._next, self._newest_ms), *(tuple(one) for one in self._open)) if self._next else ()

    @property
    def newest_ms(self) -> int:
        """The time of the newest event; 0 before the first."""
        return self._newest_ms

    def restart(self) -> None:
        """Note that auditd started: what comes may be of another boot, whose numbers begin anew."""
        self._booted = True

    def take(self, serial: int, time_ms: int) -> None:
        """Take the next event of the log."""
        if serial == self._next:
            self._next = serial + 1
        elif serial > self._next:
            if self._next and not self._booted:
                insort(self._open, MissingSerials(self._next, serial - 1, self._newest_ms, time_ms), key=_to_ms)
                if len(self._open) > _MOST_OPEN:
                    self._found.append(self._open.pop(0))
            self._next = serial + 1
        elif not self._came_late(serial) and (self._booted or serial + _LATE < self._next):
            self._settle(None)
            self._next = serial + 1
        if self._booted:
            self._booted = False
        if time_ms > self._newest_ms:
            self._newest_ms = time_ms
            if self._open and self._open[0].to_ms + _SETTLED_MS < time_ms:
                self._settle(time_ms)

    def copy(self) -> "SerialTrack":
        """Give another that goes on from the same."""
        other = SerialTrack(self.state)
        other._next, other._newest_ms = self._next, self._newest_ms
        other._found, other._booted = [*self._found], self._booted
        return other

    def take_run(self, first: int, count: int, first_ms: int, newest_ms: int) -> bool:
        """Take events each of whose numbers is the next one; false where that would not be what taking them one by one is."""
        self.take(first, first_ms)
        if count > 1:
            if self._next != first + 1:
                return False
            self._next += count - 1
            if newest_ms > self._newest_ms:
                self._newest_ms = newest_ms
                if self._open and self._open[0].to_ms + _SETTLED_MS < newest_ms:
                    self._settle(newest_ms)
        return True

    def _came_late(self, serial: int) -> bool:
        for place, one in enumerate(self._open):
            if one.first <= serial <= one.last:
                rest = (one._replace(last=serial - 1), one._replace(first=serial + 1))
                self._open[place : place + 1] = [part for part in rest if part.first <= part.last]
                return True
        return False

    def _settle(self, time_ms: int | None) -> None:
        done = [one for one in self._open if time_ms is None or one.to_ms + _SETTLED_MS < time_ms]
        self._found += done
        self._open = [one for one in self._open if one not in done]

    def missing(self, *, everything: bool = False) -> list[MissingSerials]:
        """Take out what is known to be missing.

        Args:
            everything: The log ends here: what may come late does not come any more.
        """
        if everything:
            self._settle(None)
        found, self._found = self._found, []
        return found


class SerialRuns:
    """The numbers of a part of a log, in few words: what a track takes that has taken all before.

    ``rows`` has four numbers a run: the first serial, how many follow it without a gap, itself included, the first one's time and
    the newest. The first thousand events are runs of one, for what comes late from before the part.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.rows = array("q")
        self._next = self._end = 0

    def take(self, serial: int, time_ms: int) -> None:
        """Take the next event."""
        rows = self.rows
        if serial == self._next == self._end and len(rows) > _SINGLE_ROWS:
            rows[-3] += 1
            rows[-1] = max(rows[-1], time_ms)
        else:
            rows.extend((serial, 1, time_ms, time_ms))
        self._end = serial + 1
        if serial >= self._next or serial + _LATE < self._next:
            self._next = serial + 1

    def restart(self) -> None:
        """Forget what comes next: auditd started."""
        self._next = self._end = 0


def _to_ms(one: MissingSerials) -> int:
    return one.to_ms
