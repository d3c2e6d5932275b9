"""What a live watch writes into the coverage ledger: what it lost, what lasts, and, each minute, how the host stands."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from fimkit.evidence.store import Store
from fimkit.model.changes import Note
from fimkit.model.config import Config
from fimkit.model.coverage import Cause, Gap, Sense, say_gaps, select_gaps, weighty
from fimkit.model.errors import FimkitError
from fimkit.model.findings import Finding
from fimkit.verbs.coverage import COVERAGE_STATE, all_gaps, close_downtime, judge_now, keep_gaps
from fimkit.verbs.coverage_judge import STEP_NS, GapsNow
from fimkit.verbs.self_look import find_own_meddling, lasting_kinds
from fimkit.verbs.watch_records import Blind
from fimkit.verbs.watch_status import WatchStatus

__all__ = ["WatchCoverage"]

_ASK_S = 60.0
_YOUNG_NS = 5_000_000_000
_KERNEL = "the kernel"
_INOTIFY = (Sense.LIVE, Cause.INOTIFY)


class WatchCoverage:
    """The ledger of one run. A store that refuses is said once, and tried again.

    Args:
        config: The configuration; a later one may be put in its place.
        store: Open.
        before: How the last watch ended.
        senses_files: What is heard is inotify, and not the audit.
    """

    def __init__(self, config: Config, store: Store, before: WatchStatus | None, *, senses_files: bool) -> None:
        """Write that nobody watched until now."""
        self.config = config
        self._store, self._sense = store, Sense.LIVE if senses_files else Sense.AUDIT
        self._began_ns = time.time_ns()
        self._next_s = time.monotonic() + _ASK_S
        self._offset_ns = _offset()
        self._unseen: tuple[str, ...] = ()
        self._deaf: Cause | None = None
        self.problem = ""
        self._lasted: frozenset[tuple[Sense, Cause]] = frozenset()
        self._met, self._notes = list[Gap](), list[Note]()
        self._findings: list[Finding] = []
        self._misread: dict[Sense, Gap] = {}
        self._write(lambda: close_downtime(store, before, now_ns=self._began_ns))

    def _write(self, write: Callable[[], object]) -> None:
        try:
            write()
            self.problem = ""
        except FimkitError as error:
            self.problem = f"what cannot be seen could not be written down: {error}"

    def begin(self) -> None:
        """Take up what the first look told of: what lasts since is not told of again."""
        self._write(self._begin)

    def _begin(self) -> None:
        self._lasted = lasting_kinds(self._store)

    def hear(self, notes: Sequence[Note]) -> None:
        """Take what the sources say of themselves: it may be somebody's doing."""
        self._notes += notes

    def take_findings(self) -> list[Finding]:
        """Give what was found to have been done to the means, each once; it is not stored yet."""
        found, self._findings = self._findings, []
        return found

    def lose(self, blind: Blind) -> None:
        """Write what was lost on the way."""
        cause = Cause.LOST if blind.source == _KERNEL else Cause.OVERFLOW
        words = "the kernel dropped records" if cause is Cause.LOST else f"{blind.source} overflowed"
        gap = Gap(from_ns=blind.from_ns, to_ns=blind.to_ns, source=self._sense, cause=cause, words=words, lost=blind.lost)
        self._write(lambda: self._keep_loss(gap))

    def _keep_loss(self, gap: Gap) -> None:
        """Write a loss; what the kernel counted is not to be found a second time by the next check."""
        with self._store.transaction():
            self._store.add_gaps([gap])
            state = self._store.cursor(*COVERAGE_STATE)
            if gap.cause is Cause.LOST and state is not None and "lost" in state:
                lost = int(state["lost"]) + (gap.lost or 0)
                self._store.set_cursor(*COVERAGE_STATE, {**state, "lost": lost})

    def leave(self, *, from_ns: int, words: str) -> None:
        """Write that what was recorded from a time on is read by nobody."""
        now_ns = time.time_ns()
        gap = Gap(from_ns=min(from_ns, now_ns), to_ns=now_ns, source=self._sense, cause=Cause.OVERFLOW, words=words)
        self._write(lambda: self._store.add_gaps([gap]))

    def take_gaps(self, gaps: Iterable[Gap]) -> None:
        """Write what the readings of the logs came upon. Of bad lines, which come again and again, one gap a minute is made."""
        for gap in gaps:
            bad = self._misread.get(gap.source)
            if gap.cause is not Cause.BAD_LINES:
                self._write(partial(self._store.add_gaps, [gap]))
            elif bad is None:
                self._misread[gap.source] = gap
            else:
                self._misread[gap.source] = replace(bad, to_ns=gap.to_ns, lost=(bad.lost or 0) + (gap.lost or 0))

    def _keep_misread(self) -> None:
        gaps = list(self._misread.values())
        if gaps:
            self._store.add_gaps(gaps)
            self._misread.clear()

    def go_deaf(self, cause: Cause | None, words: str, *, since_ns: int) -> None:
        """Write that nothing is recorded from a time on; without a cause, that it is again."""
        was, self._deaf = self._deaf, cause
        now_ns = time.time_ns()
        kinds = {(Sense.AUDIT, one) for one in (was, cause) if one is not None}
        gaps = [] if cause is None else [Gap(from_ns=since_ns, to_ns=None, source=Sense.AUDIT, cause=cause, words=words)]
        self._write(lambda: self._store.settle_gaps(gaps, judged=kinds, now_ns=now_ns))

    def set_unseen(self, words: Sequence[str]) -> None:
        """Write what inotify cannot see, where that is another thing than before."""
        if tuple(words) == self._unseen:
            return
        self._unseen, now_ns = tuple(words), time.time_ns()
        gaps = [Gap(from_ns=now_ns, to_ns=None, source=Sense.LIVE, cause=Cause.INOTIFY, words="; ".join(words))] if words else []
        self._write(lambda: self._store.settle_gaps(gaps, judged={_INOTIFY}, now_ns=now_ns))

    def step(self) -> tuple[str, ...]:
        """Look at the clock; and each minute ask the host. Words are what is to be said."""
        words = self._clock()
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _ASK_S
            self._write(self._ask)
            self._write(self._keep_misread)
        return words

    def _clock(self) -> tuple[str, ...]:
        was, self._offset_ns = self._offset_ns, _offset()
        step_ns = self._offset_ns - was
        if abs(step_ns) <= STEP_NS:
            return ()
        now_ns = time.time_ns()
        words = f"the clock was set {'forward' if step_ns > 0 else 'back'} by {abs(step_ns) / 1e9:.0f} s"
        gap = Gap(from_ns=min(now_ns, now_ns - step_ns), to_ns=max(now_ns, now_ns - step_ns), source=Sense.AUDIT, cause=Cause.CLOCK,
                  words=f"{words}: times before and after do not compare")  # fmt: skip
        self._met.append(gap)
        self._write(lambda: self._keep_step(gap, step_ns))
        return (words,)

    def _keep_step(self, gap: Gap, step_ns: int) -> None:
        """Write a step of the clock; the next look is not to find it again."""
        with self._store.transaction():
            self._store.add_gaps([gap])
            state = self._store.cursor(*COVERAGE_STATE)
            if state is not None and "asked_ns" in state:
                self._store.set_cursor(*COVERAGE_STATE, {**state, "asked_ns": int(state["asked_ns"]) + step_ns})

    def _ask(self) -> None:
        judged = judge_now(self.config, self._store, self._notes)
        self._find(judged)
        over, kinds = judged.over, judged.judged
        if self._deaf is not None:  # who asks each second knows better since when
            kinds -= {(Sense.AUDIT, self._deaf)}
            judged = replace(judged, open=tuple(gap for gap in judged.open if gap.cause is not self._deaf))
        keep_gaps(self._store, GapsNow(open=judged.open, over=over, judged=kinds, state=judged.state), now_ns=time.time_ns())

    def _find(self, judged: GapsNow) -> None:
        """Find what was done to the means; an end that was only just heard of may have its beginning anew with the next words."""
        now_ns = time.time_ns()
        ready = [note for note in self._notes if not 0 <= now_ns - note.time_ns < _YOUNG_NS]
        met = GapsNow(over=tuple(self._met))
        self._findings += find_own_meddling(self.config, self._store, [judged, met], ready, lasted=self._lasted, now_ns=now_ns)
        self._met.clear()
        self._notes = [note for note in self._notes if note not in ready]
        self._lasted = frozenset((gap.source, gap.cause) for gap in judged.open)

    def last_words(self) -> tuple[str, ...]:
        """Say at the end what was not seen in this run."""
        self._write(self._keep_misread)
        try:
            now_ns = time.time_ns()
            gaps: Iterable[Gap] = all_gaps(self._store.gaps(), self._store.notes(), now_ns=now_ns)
        except FimkitError as error:
            return (f"what could not be seen is not to be read: {error}",)
        words = say_gaps(weighty(select_gaps(gaps, since_ns=self._began_ns, until_ns=now_ns)))
        return (words,) if words else ()


def _offset() -> int:
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
