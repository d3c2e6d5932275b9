"""Which paths wait to be looked at, and until when: a record tells of an open, and the bytes come after it, mostly at once.

So what was opened for writing is looked at when it has bytes and two glimpses find the same ones; what is empty, or still as it
was, or grows, has a longer time. Bytes that come later are in no record: such a path is looked at again after a while, and one
that was looked at early with its hash, for what is written within one tick of the kernel's clock leaves the times as they are.

Where the records come late, there is more to do than can be done: what was looked at just now rests then, if it changes again. So
the first change of a path is told of as soon as it can be, however often others change, and what is behind stays small: of a file
that is written again and again not every state is found, while all that was recorded is stored. What may become an alarm rests for
a moment only, and where the records come in time again, or none come, everything wakes.
"""

import heapq
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fimkit.verbs.watch_looks import Glimpse, Looks

__all__ = [
    "CRITICAL_REST_PART", "CRITICAL_REST_S", "LATER_S", "LATE_HOLDS_S", "LONGEST_REST_S", "LONGEST_SETTLE_S", "MOST_PATHS",
    "MOST_WOKEN", "QUIET_S", "REST_S", "SETTLE_S", "Waiting", "WaitingPaths",
]  # fmt: skip

QUIET_S = 0.001
"""What has bytes, and the same ones after this time, is taken as written."""
SETTLE_S = 0.015
"""What is empty or as it was may be about to be written: it has so long from its opening on."""
LONGEST_SETTLE_S = 0.06
LATER_S = (0.3, 2.0)
LARGE_WAITS_S = 5.0
MOST_PATHS = 500
REST_S, LONGEST_REST_S, MOST_LOOKED = 5.0, 60.0, 20_000
CRITICAL_REST_S, CRITICAL_REST_PART = 1.0, 0.25
"""Where the next look may be the first to find what is critical, it is put off for so long only, or that part of the time by which
the records are late, never for longer than :data:`REST_S`: else very many such files, each written again and again, would make all
of them later and later."""
LATE_HOLDS_S = 5.0
"""That the last records came late holds for so long: where none come, changes are heard of from others, or there are none."""
MOST_WOKEN = 200
"""So many wake at once when the records come in time again: all of them together would make the next ones late."""
_MOST_ASKED = 2000
"""Of so many that wait one is taken to be due."""
_SLACK_S = 0.0002


@dataclass(slots=True)
class Waiting:
    """A path that waits: until when, and since when; ``below`` with all that lies in it; ``glimpse``, what was last seen of it.

    ``settles`` and ``urgent`` are for one that rests, as for :meth:`WaitingPaths.mark`.
    """

    due_s: float
    since_s: float
    settled_s: float = 0.0
    below: bool = False
    judge: bool = False
    tries: int = 0
    glimpse: Glimpse | None = None
    settles: bool = False
    urgent: bool = False


class WaitingPaths:
    """The paths that wait to be looked at, in the order in which they came.

    Args:
        looks: Tells what is at a path by metadata alone.
        clock: In seconds; only ever goes on.
    """

    def __init__(self, looks: Looks, clock: Callable[[], float]) -> None:
        """Begin with nothing."""
        self._looks, self._clock = looks, clock
        self._paths: dict[bytes, Waiting] = {}
        self._later: list[tuple[float, bytes, bool]] = []
        self._unsure: set[bytes] = set()
        self._late_s = self._late_until_s = 0.0
        self._looked: dict[bytes, float] = {}
        self._resting: dict[bytes, Waiting] = {}
        self._wakings: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._paths) + len(self._resting)

    @property
    def late_s(self) -> float:
        """How late the records come; 0 where they come in time, or none has told of it for a while."""
        return self._late_at(self._clock())

    @late_s.setter
    def late_s(self, late_s: float) -> None:
        self._late_s = late_s
        self._late_until_s = self._clock() + LATE_HOLDS_S if late_s else 0.0

    def _late_at(self, now_s: float) -> float:
        return self._late_s if now_s < self._late_until_s else 0.0

    @property
    def next_s(self) -> float | None:
        """When the next look is due."""
        dues = [waiting.due_s for waiting in self._paths.values()] if len(self._paths) < _MOST_ASKED else [0.0]
        dues += [due_s for due_s, *_ in self._wakings[:1]] + [due_s for due_s, *_ in self._later[:1]]
        if self._resting:
            dues.append(self._late_until_s)
        return min(dues, default=None)

    def mark(
        self, path: bytes, *, below: bool, judge: bool, settles: bool, opened_ns: int | None = None, urgent: bool = False
    ) -> None:
        """Have a path looked at.

        Args:
            path: It may have changed.
            below: And so may all that lies in it.
            judge: It is judged anew, even where it is as it was.
            settles: A writer may be at it still.
            opened_ns: Since when, where that is known.
            urgent: It may come to be critical: where the records come late, it rests for a moment at most.
        """
        now_s = self._clock()
        if self._rests(path, now_s, urgent=urgent):
            resting = self._resting[path]
            resting.below |= below
            resting.judge |= judge
            resting.settles |= settles
            resting.urgent |= urgent
            return
        waited = path in self._paths and path not in self._resting
        waiting = self._put(path, now_s)
        if settles and not waited:
            self._settle(path, waiting, now_s + _left_s(opened_ns), now_s)
        elif settles and opened_ns is not None:
            self._settle(path, waiting, min(now_s + _left_s(opened_ns), waiting.since_s + LONGEST_SETTLE_S), now_s)
        elif waiting.tries and opened_ns is not None:  # perhaps this is the record that it waits for
            waiting.due_s = min(waiting.due_s, now_s)
        waiting.below |= below
        waiting.judge |= judge
        if settles:
            self._look_later(path, now_s, rests=False)

    def _put(self, path: bytes, now_s: float) -> Waiting:
        """Have a path wait, whether it did, rested or is new."""
        if path in self._resting:
            return self._rouse(path, now_s)
        waiting = self._paths.get(path)
        if waiting is None:
            waiting = self._paths[path] = Waiting(now_s, now_s)
        return waiting

    def _look_later(self, path: bytes, now_s: float, *, rests: bool) -> None:
        for later_s in LATER_S:
            heapq.heappush(self._later, (now_s + later_s, path, rests))

    def _rests(self, path: bytes, now_s: float, *, urgent: bool) -> bool:
        """Tell whether a path rests; where the records come late, one that was looked at just now does from its next change on."""
        late_s = self._late_at(now_s)
        if not late_s:
            return False
        urgent_s = min(max(CRITICAL_REST_S, CRITICAL_REST_PART * late_s), REST_S)
        resting = self._resting.get(path)
        if resting is None:
            rest_s = urgent_s if urgent else min(max(REST_S, 2 * late_s), LONGEST_REST_S)
            if path in self._paths or self._looked.get(path, -rest_s) + rest_s <= now_s:
                return False
            self._rest(path, Waiting(now_s + rest_s, now_s))
        elif urgent and resting.due_s > (due_s := max(resting.since_s + urgent_s, now_s)):
            resting.due_s = due_s
            self._rest(path, resting)
        return True

    def _rest(self, path: bytes, resting: Waiting) -> None:
        self._resting[path] = resting
        heapq.heappush(self._wakings, (resting.due_s, path))

    def _wake(self, now_s: float, *, everything: bool) -> None:
        """Have those that rested for long enough looked at; and the others too, by and by, where the records come in time."""
        while self._wakings and self._wakings[0][0] <= now_s:
            due_s, path = heapq.heappop(self._wakings)
            if path in self._resting and self._resting[path].due_s == due_s:
                self._rouse(path, now_s)
        if everything or not self._late_at(now_s):
            for path in [*itertools.islice(self._resting, None if everything else MOST_WOKEN)]:
                self._rouse(path, now_s)
        if not self._resting:
            self._wakings.clear()

    def _rouse(self, path: bytes, now_s: float) -> Waiting:
        """Have one that rested looked at now; and later, where its bytes may come after the look, without a record."""
        rested = self._resting.pop(path)
        waiting = self._paths.setdefault(path, rested)
        waiting.below |= rested.below
        waiting.judge |= rested.judge
        waiting.due_s = min(waiting.due_s, now_s)
        if rested.settles:
            self._look_later(path, now_s, rests=not rested.urgent)
        return waiting

    def _note_looked(self, paths: Iterable[bytes], now_s: float) -> None:
        """Remember what is looked at while the records come late, for as long as that matters."""
        if not self._late_at(now_s):
            self._looked.clear()
            return
        for path in paths:
            self._looked.pop(path, None)
            self._looked[path] = now_s
        while self._looked:
            path, looked_s = next(iter(self._looked.items()))
            if len(self._looked) <= MOST_LOOKED and looked_s + LONGEST_REST_S > now_s:
                return
            del self._looked[path]

    def _settle(self, path: bytes, waiting: Waiting, settled_s: float, now_s: float) -> None:
        waiting.settled_s = settled_s
        waiting.due_s = min(settled_s, now_s + QUIET_S)
        waiting.glimpse = self._looks.glimpse(path) if settled_s > now_s else None

    def retry(self, path: bytes, after_s: float, *, tries: int) -> None:
        """Have a path judged again after a time, if nothing has it looked at sooner."""
        now_s = self._clock()
        self._paths.setdefault(path, Waiting(now_s + after_s, now_s, judge=True, tries=tries))

    def take(self, *, everything: bool = False) -> dict[bytes, Waiting]:
        """Take out what is due, at most so many at a time.

        Args:
            everything: At the end: what would settle still is looked at now.
        """
        now_s = self._clock()
        self._wake(now_s, everything=everything)
        self._recall(now_s)
        due = [*itertools.islice(self._paths if everything else self._due(now_s), MOST_PATHS)]
        taken = {path: self._paths.pop(path) for path in self._without_large(due, now_s)} if due else {}
        self._note_looked(taken, now_s)
        return taken

    def _recall(self, now_s: float) -> None:
        """Have those looked at again whose bytes may have come after the look, without a record."""
        while self._later and self._later[0][0] <= now_s:
            _, path, rests = heapq.heappop(self._later)
            is_unsure = path in self._unsure
            self._unsure.discard(path)
            if path in self._paths or path in self._resting or not (is_unsure or self._looks.has_moved_on(path)):
                continue
            if rests and self._rests(path, now_s, urgent=False):  # what is hot would be looked at thrice for each rest
                self._resting[path].settles = True
            else:
                self._paths[path] = Waiting(now_s, now_s)

    def _due(self, now_s: float) -> Iterator[bytes]:
        for path, waiting in self._paths.items():
            if waiting.due_s > now_s + _SLACK_S:
                continue
            if waiting.settled_s <= now_s + _SLACK_S or self._is_quiet(path, waiting, now_s):
                yield path

    def _is_quiet(self, path: bytes, waiting: Waiting, now_s: float) -> bool:
        """Tell whether a file has bytes that nobody adds to, by two glimpses; else it waits on."""
        glimpse, was = self._looks.glimpse(path), waiting.glimpse
        if glimpse is not None and glimpse == was and glimpse.size and self._looks.is_other(path, glimpse):
            self._unsure.add(path)
            return True
        waiting.glimpse = glimpse
        waiting.due_s = min(waiting.settled_s, now_s + QUIET_S)
        return False

    def _without_large(self, due: list[bytes], now_s: float) -> list[bytes]:
        """Put large files off: one at a time, where nothing small is due, or when it has waited for long.

        Who writes large files delays nobody's alarm by them, and who goes on writing small ones hides no large one.
        """
        large = set(filter(self._looks.is_large, due))
        if not large:
            return due
        small = [path for path in due if path not in large]
        first = min(large, key=lambda path: self._paths[path].since_s)
        return small if small and now_s - self._paths[first].since_s < LARGE_WAITS_S else [first]


def _left_s(opened_ns: int | None) -> float:
    """Give how much of the time to settle is left; a clock that was set makes it neither longer nor negative."""
    if opened_ns is None:
        return SETTLE_S
    return min(max(SETTLE_S - (time.time_ns() - opened_ns) / 1e9, 0.0), SETTLE_S)
