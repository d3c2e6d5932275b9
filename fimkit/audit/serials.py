"""Follows the kernel's serials through a log: missing ones are records that were never written, or were taken out. Pure.

The kernel gives every event the next number, and starts anew at each boot; events of one moment may stand in any order. So a number
counts as missing only when the log has gone on for some seconds without it. auditd's own records (DAEMON_*) have numbers of their
own kind. A log that a daemon wrote which drops records on purpose has gaps too: that is what it is.

Source: kernel, kernel/audit.c, audit_serial().
"""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["MissingSerials", "SerialTrack"]

_SETTLED_MS = 10_000
_MOST_OPEN = 1000
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
                self._open.append(MissingSerials(self._next, serial - 1, self._newest_ms, time_ms))
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
