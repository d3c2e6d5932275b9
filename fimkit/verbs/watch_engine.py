"""The live engine: what the sources claim goes in, paths are looked at again, what bears on them is correlated, findings come out.

The same :func:`fimkit.correlate.correlate.correlate` as `check`, on the neighbourhood of what changed instead of on everything.
A batch is one commit: the changes, the findings, what is undone. Where the store refuses (a full disk, somebody who holds it for
long), what was found is given all the same, as not stored, and judged and stored again and again until that is done: whoever fills
the disk first does not keep an armed host from its panic.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar

from fimkit.audit.logfile import LogCursor
from fimkit.baseline.diff import diff_states
from fimkit.correlate.correlate import Around, correlate
from fimkit.correlate.judge import DataFolders
from fimkit.correlate.ledger import ChangeLedger
from fimkit.correlate.neighbourhood import Neighbourhood, Picture
from fimkit.correlate.picture import LAST_OPENINGS, ChangeIndex, Snapshot, is_coming_folder, key_of_change, parent_of_change
from fimkit.correlate.recall import Recall
from fimkit.evidence.finding_life import PASSING, Stored
from fimkit.evidence.store import Store
from fimkit.evidence.ticket_rows import TicketEnd
from fimkit.model.changes import Action, Change, Note, Source, end_of
from fimkit.model.config import Config, Watch
from fimkit.model.errors import HostError
from fimkit.model.findings import Attribution, Finding, Severity, Tier
from fimkit.model.paths import is_below
from fimkit.model.records import BadLine
from fimkit.model.states import FileKey, FileState
from fimkit.verbs.canaries import Canaries
from fimkit.verbs.earlier import Earlier
from fimkit.verbs.expected_changes import find_unmet, judge_announced
from fimkit.verbs.watch_arrivals import POLL_S, Arrivals
from fimkit.verbs.watch_looks import Looks
from fimkit.verbs.watch_waiting import Waiting, WaitingPaths

__all__ = ["Batch", "Engine"]

MOST_CHANGES = 30_000
"""So many are kept at hand, at some 1.5 KB each; what older ones tell of a path is asked of the store."""
MOST_NOTES = 1000
MOST_NAMELESS = 1000
MOST_ARRIVED = 200
ARRIVALS_WAIT_S = 2.0
"""So many paths of folders that came are taken at once, and so long they wait for what else is due."""
RECORD_S = 0.02
"""What nobody is recorded to have done may have been seen before its record came: it is judged again after this time,"""
RECORD_TRIES = 6
"""and so often, each time after twice as long: in a storm the records come late, and a phantom without a who is worse."""
RECORD_LONGEST_S = RECORD_S * (2**RECORD_TRIES - 1)
GATHER_FROM, GATHER_FULLY, GATHER_S = 300.0, 900.0, 0.02
"""From so many looks a second on, and from so many on for the whole time, what comes is gathered: a commit for each path takes most
of a core then, for every one writes the same pages anew, and what falls behind by that is late by seconds."""
RATE_S = 0.5
LATE_S = 2.0
"""Records that are so old when they are taken come late."""
MOST_UNSTORED = 50_000
"""So many changes wait for a store that refuses,"""
MANY_UNSTORED = 2000
"""and so many for something to be found, where it does not."""
STORE_AGAIN_S = 1.0
_OPENINGS = frozenset({Action.BORN, Action.OPENED})
_PASSED = frozenset({Action.DENIED, Action.UNLINKED, Action.MOVED_FROM})
_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one turn came to: findings nobody was shown yet, differences that are no more, and how many paths were looked at.

    ``undone`` are those of paths that are watched still, and those whose place another difference on the same path has taken.
    ``unstored`` were found, and the store refused them: they come again until they are stored.
    """

    new: tuple[Finding, ...] = ()
    unstored: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    undone: tuple[Finding, ...] = ()
    looked: int = 0


@dataclass(slots=True)
class _Unstored:
    """What is to go into the next commit beside the findings."""

    changes: list[Change] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    cursors: dict[tuple[str, bytes], LogCursor] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    ends: list[TicketEnd] = field(default_factory=list)
    bad_lines: list[BadLine] = field(default_factory=list)
    uncounted: Counter[str] = field(default_factory=Counter)


class _Open:
    """The open differences: path by id, and which paths have one."""

    def __init__(self, paths: Mapping[str, bytes]) -> None:
        self.paths = dict(paths)
        self._counts = Counter(self.paths.values())

    def put(self, number: str, path: bytes) -> None:
        self.drop(number)
        self.paths[number] = path
        self._counts[path] += 1

    def drop(self, number: str) -> None:
        path = self.paths.pop(number, None)
        if path is not None:
            self._counts[path] -= 1
            if not self._counts[path]:
                del self._counts[path]

    def has(self, path: bytes) -> bool:
        return path in self._counts


class _Gathering:
    """How long the next batch is put off, by how much there is to do: not at all up to some hundred paths a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.until_s = 0.0
        self._clock, self._rate = clock, 0.0
        self._since_s, self._count = clock(), 0

    def goes_on(self) -> bool:
        """Tell whether it is too early for a batch."""
        return self._clock() < self.until_s

    def count(self, paths: int) -> None:
        """Take in how many paths a batch had, when it is done."""
        now_s = self._clock()
        self._count += paths
        if now_s - self._since_s >= RATE_S:
            self._rate = self._count / (now_s - self._since_s)
            self._since_s, self._count = now_s, 0
        part = (self._rate - GATHER_FROM) / (GATHER_FULLY - GATHER_FROM)
        self.until_s = now_s + GATHER_S * min(max(part, 0.0), 1.0)


class Engine:
    """A picture of the host that follows the records. One thread; nothing in it waits.

    Args:
        config: The configuration.
        store: Open; written by this one and by a `check` beside it.
        watches: What is scanned.
        since_ns: When the baseline was taken.
        before: The baseline.
        after: The present, as a whole look just found it.
        hidden: Tells what that look could not see: nothing is concluded from its absence.
        changes: What was recorded since the baseline, and is stored: the last of it is kept at hand.
        has_records: There are live records of who does what.

    Attributes:
        refusal: Why the store refused the last time; ``None``: it did not.
        refused_ns: Since when it refuses, or did the last time.
        dropped: How many changes could not wait for it any longer.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        watches: Sequence[Watch],
        since_ns: int,
        before: Mapping[bytes, FileState],
        after: Mapping[bytes, FileState],
        hidden: Callable[[bytes], bool],
        changes: ChangeLedger,
        has_records: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the picture over from a whole look."""
        self.config, self.store, self.since_ns = config, store, since_ns
        self.is_hidden, self.has_records = hidden, has_records
        self.looks = Looks(watches, Snapshot(before.values()), Snapshot(after.values()))
        self._clock = clock
        self._waiting = WaitingPaths(self.looks, clock)
        self._alarmed: set[bytes] = set()
        self._arrivals, self._arrivals_s, self._arrived_s = Arrivals(), 0.0, 0.0
        self._gather = _Gathering(clock)
        self.picture = Picture(self.looks.before, self.looks.after, ChangeIndex(MOST_CHANGES))
        self._devices: dict[int, int] = {}
        self._known_devs: set[int] = set()
        self._span: tuple[int, int] | None = None
        self._unstored = _Unstored()
        self.refusal: HostError | None = None
        self.refused_ns = self.dropped = 0
        self._recall = Recall(self.picture, self._load_forgotten)
        self._nameless: dict[FileKey | None, list[Change]] = {}
        self._canaries = Canaries(store.canaries())
        self._open_count, self._counted = 0, (-1, -1)
        self._tickets, self._tickets_version, self._over = store.tickets(), store.version(), set[int]()
        self._take_over(changes)
        self.reload_store()

    def _take_over(self, changes: ChangeLedger) -> None:
        """Remember the last changes; what older ones tell of a path is asked of the store, like all that is forgotten."""
        index = self.picture.changes
        last = range(max(0, len(changes) - index.most // 2), len(changes))
        folders = [row for row in changes.rows_of(is_coming_folder) if row < last.start][-index.most_staying :]
        lost = [row for row in changes.rows_of(lambda action, mode: action is Action.LOST) if row < last.start]
        staying = sorted([*folders, *lost[-index.most_staying :]])
        index.forgotten = last.start - len(staying)
        if gone := lost[: -index.most_staying]:
            first, end = changes.changes_at([gone[0], gone[-1]])
            index.note_gone(first.time_ns, end.time_ns)
        for change in changes.changes_at([*staying, *last]):
            self._remember(change)
        index.note_stored()
        self._span = changes.span(Source.AUDIT)

    def reload_store(self) -> None:
        """Read anew what others may have written: the baseline, what is open, what was accepted; differing paths are looked at."""
        fresh = self.store.baseline()
        for path in [path for path in {*fresh, *self.looks.before} if fresh.get(path) != self.looks.before.get(path)]:
            if path in fresh:
                self.looks.before.put(fresh[path])
            else:
                self.looks.before.drop(path)
            self.mark_dirty(path, judge=True)
        self._data_folders = DataFolders(self.looks.before)
        self._mark = self._baseline_mark()
        self.reload_findings()
        self._version = self.store.version()

    def _baseline_mark(self) -> object:
        """Give what is another whenever the baseline is: it is loaded anew for that alone."""
        acceptances = self.store.acceptances()
        return self.store.baseline_meta(), acceptances[-1].id if acceptances else 0

    def reload_findings(self) -> None:
        """Read anew what is open and what was accepted."""
        self._earlier = Earlier(self.store)
        self._notes = list(self.store.notes(self.since_ns))[-MOST_NOTES:]
        self._open = _Open(self.store.open_ids())
        self._version = self.store.version()

    def notice_others(self) -> bool:
        """Where others wrote, judge anew what they may have found otherwise."""
        if self.store.version() == self._version:
            return False
        was = self._open.paths
        if self._baseline_mark() == self._mark:
            self.reload_findings()
        else:
            meta = self.store.baseline_meta()
            self.since_ns = self.since_ns if meta is None else meta.time_ns
            self.reload_store()
        now = self._open.paths
        for number in was.keys() ^ now.keys():
            self.mark_dirty(was.get(number) or now[number], judge=True)
        return True

    @property
    def trouble(self) -> str:
        """Why nothing can be stored just now."""
        return "" if self.refusal is None else str(self.refusal)

    @property
    def open_count(self) -> int:
        """How many findings are open, as a check counts them: differences, and what happened once and was not accepted yet."""
        with contextlib.suppress(HostError):  # what the store cannot say now, it said before
            mark = self.store.version(), self.store.writes
            if mark != self._counted:
                self._open_count, self._counted = self.store.count_open(), mark
        return self._open_count

    @property
    def waiting(self) -> int:
        """How many paths wait to be looked at; a folder that is looked through beside them counts as one."""
        return len(self._waiting) + len(self._arrivals) + len(self.looks.arrivals)

    @property
    def next_s(self) -> float | None:
        """When the next look is due."""
        dues = [one for one in (self._waiting.next_s,) if one is not None]
        if self._arrivals or self.looks.arrivals:
            dues.append(self._arrivals_s)
        return max(min(dues), self._gather.until_s) if dues else None

    # What comes in.

    def take(self, changes: Iterable[Change]) -> int:
        """Take what the sources claim; paths that it concerns are looked at when they have settled. Gives how many concern us."""
        changes = list(changes)
        if last_ns := next((change.time_ns for change in reversed(changes) if change.source is Source.AUDIT), 0):
            late_s = (time.time_ns() - last_ns) / 1e9
            self._waiting.late_s = late_s if late_s > LATE_S else 0.0
        return self._take(changes)

    def _take(self, changes: Iterable[Change]) -> int:
        taken = 0
        for change in changes:
            if change.time_ns < self.since_ns - 1_000_000_000:
                continue
            if not self.concerns(change):
                self._keep_nameless(change)
                continue
            for one in (*self._nameless.pop(key_of_change(change), ()), change):
                taken += 1
                self._unstored.changes.append(one)
                self._schedule(self._remember(one))
        waiting = self._unstored.changes
        if self.refusal is None and len(waiting) > MANY_UNSTORED:  # what is not stored cannot be forgotten
            self.flush()
        elif len(waiting) > MOST_UNSTORED:
            self.dropped += len(waiting)
            self.picture.changes.note_gone(min(one.time_ns for one in waiting), max(map(end_of, waiting)))
            waiting.clear()
            self.picture.changes.note_stored()  # it stands for what is nowhere
        return taken

    def _keep_nameless(self, change: Change) -> None:
        """Keep what is done to a file that has no name yet (O_TMPFILE): it may be given one in a watched folder."""
        key = key_of_change(change)
        if key is None or change.path is not None or change.source is not Source.AUDIT:
            return
        if change.action is Action.BORN:
            while len(self._nameless) >= MOST_NAMELESS:
                del self._nameless[next(iter(self._nameless))]
            self._nameless[key] = [change]
        elif key in self._nameless:
            self._nameless[key].append(change)

    def take_again(self, changes: Iterable[Change]) -> int:
        """Take what another way of reading tells of too: what is known already is left out."""
        return self._take([change for change in changes if not self.picture.changes.has(self._named_device(change))])

    def add_note(self, note: Note) -> None:
        """Store what a source says of itself, with the next batch."""
        self._unstored.notes.append(note)
        self._notes = [*self._notes, note][-MOST_NOTES:]

    def add_bad_lines(self, lines: Sequence[BadLine], uncounted: Mapping[str, int]) -> None:
        """Store what could not be read, with the next batch; ``uncounted``: by file, how many more there were."""
        self._unstored.bad_lines += lines
        self._unstored.uncounted.update(uncounted)

    def set_cursor(self, source: str, log: bytes, cursor: LogCursor) -> None:
        """Store where the reading of a log stands, with the next batch: all that it has told of is in that batch, or before it."""
        self._unstored.cursors[source, log] = cursor

    def set_shown(self, ids: Sequence[str]) -> None:
        """Store that findings were shown, with the next batch: a commit of its own would hold the next change up."""
        self._unstored.shown += ids

    @property
    def holds_shown(self) -> bool:
        """Tell whether it is still to be stored that something was shown."""
        return bool(self._unstored.shown)

    def mark_dirty(self, path: bytes, *, below: bool = False, judge: bool = False, settles: bool = False) -> None:
        """Have a path looked at.

        Args:
            path: It may have changed.
            below: And so may all that lies in it.
            judge: It is judged anew, even where it is as it was.
            settles: A writer may be at it still.
        """
        self._waiting.mark(path, below=below, judge=judge, settles=settles, urgent=self._is_urgent(path, below=below))

    def concerns(self, change: Change) -> bool:
        """Tell whether a change may be about a watched path, as :class:`fimkit.verbs.scope.Scope` does for logs."""
        if change.path is not None and self.looks.is_within(change.path):
            return True
        if change.action is Action.LOST and change.path is None and change.dev is None and change.parent_dev is None:
            return True
        return any(map(self._is_known, (key_of_change(change), parent_of_change(change))))

    def _is_known(self, key: FileKey | None) -> bool:
        if key is None:
            return False
        dev = self._devices.get(key.dev, key.dev)
        same = FileKey(dev, key.inode)
        if self.picture.paths_of(same) or self.picture.changes.of_key(same):
            return True
        # a device that records call otherwise than stat does (btrfs): by its number alone, rather too much
        is_foreign = dev not in self._known_devices()
        return is_foreign and (self.looks.before.has_inode(key.inode) or self.looks.after.has_inode(key.inode))

    def _known_devices(self) -> set[int]:
        if not self._known_devs:
            self._known_devs = {state.dev for state in self.looks.after.values() if state.dev is not None}
        return self._known_devs

    def _named_device(self, change: Change) -> Change:
        """Call a device as ``stat`` does, where a record's name of a path shows that it is the same one."""
        if change.dev is None or change.dev in self._known_devices():
            return change
        if change.dev not in self._devices and change.path is not None:
            state = self.looks.after.get(change.path) or self.looks.before.get(change.path)
            if state is not None and state.dev is not None and state.inode == change.inode:
                self._devices[change.dev] = state.dev
        dev = self._devices.get(change.dev)
        if dev is None:
            return change
        return replace(change, dev=dev, parent_dev=None if change.parent_dev is None else self._devices.get(change.parent_dev, dev))

    def _remember(self, change: Change) -> Change:
        known = self._named_device(change)
        self.picture.add(known)
        if change.source is Source.AUDIT:
            low, high = self._span or (change.time_ns, change.time_ns)
            self._span = min(low, change.time_ns), max(high, change.time_ns)
        return known

    def _schedule(self, change: Change) -> None:
        settles = change.action in _OPENINGS and (change.mode or 0) & 0o170000 == 0o100000
        for path, below in self._recall.affected(change):
            if self.looks.is_within(path):
                urgent = self._is_urgent(path, below=below)
                self._waiting.mark(path, below=below, judge=True, settles=settles, opened_ns=change.time_ns, urgent=urgent)

    def _is_urgent(self, path: bytes, *, below: bool) -> bool:
        """Tell, where the records come late, whether a look at a path may be the first to find what is critical."""
        if not self._waiting.late_s or path in self._alarmed:
            return False
        watches = self.looks.watches
        watch = watches.watch_of(path) or watches.watch_of(path, is_folder=True)
        if watch is not None and watch.tier is Tier.CRITICAL:
            return True
        return below and any(one.tier is Tier.CRITICAL and is_below(one.path, path) for one in watches.watches)

    # One turn.

    def step(self, *, everything: bool = False) -> Batch:
        """Look at what is due, judge it, store it.

        Args:
            everything: At the end: what would settle still is looked at now.
        """
        if self._gather.goes_on() and not everything:
            return Batch()
        self._take_arrivals()
        due = self._waiting.take(everything=everything)
        if not due:
            return Batch()
        batch = self._work(due)
        self._gather.count(len(due))
        return batch

    def _take_arrivals(self) -> None:
        """Have some of what was found in folders that came looked at, beside what else is due: as much as holds nothing up."""
        now_s = self._clock()
        for arrival in self.looks.arrivals:
            self._arrivals.put(arrival)
        self.looks.arrivals.clear()
        if not self._arrivals or now_s < self._arrivals_s:
            return
        if len(self._waiting) > MOST_ARRIVED and now_s < self._arrived_s + ARRIVALS_WAIT_S:
            self._arrivals_s = now_s + POLL_S
            return
        self._arrived_s = now_s
        states = self._arrivals.take(MOST_ARRIVED)
        self.looks.offer(states, began_ns=self._arrivals.began_ns)
        for state in states:
            self.mark_dirty(state.path)
        for folder in self._arrivals.failed:
            self.looks.look_through_next(folder)
            self.mark_dirty(folder, below=True)
        self._arrivals.failed.clear()
        self._arrivals_s = now_s if len(states) == MOST_ARRIVED else now_s + POLL_S

    def close(self) -> None:
        """Stop what is done beside; what it had left is found by the next look at everything."""
        self._arrivals.end()

    def flush(self) -> None:
        """Store what has no finding to go with it."""
        if self._unstored != _Unstored() and self._try(self._store_sources) is not None:
            self._note_stored()

    def _note_stored(self) -> None:
        self._unstored = _Unstored()
        self.picture.changes.note_stored()

    def _try(self, write: Callable[[], _Done]) -> _Done | None:
        """Write in one commit; nothing, and :attr:`refusal`, where the store refuses."""
        try:
            with self.store.transaction():
                done = write()
        except HostError as error:
            if self.refusal is None:
                self.refused_ns = time.time_ns()
            self.refusal = error
            return None
        self.refusal = None
        return done

    def add_findings(self, findings: Sequence[Finding]) -> tuple[Finding, ...] | None:
        """Store what no change of a path came to, and give what is new of it; nothing where the store refuses."""
        now_ns = time.time_ns()
        return self._try(lambda: self.store.add_findings(findings, now_ns=now_ns).new)

    def _work(self, due: dict[bytes, Waiting]) -> Batch:
        began_ns = time.time_ns()
        folders = [path for path, waiting in due.items() if waiting.below]
        seen = self.looks.look((path for path in due), folders)
        self._canaries = Canaries(self.store.canaries())
        changed = self.looks.keep(seen, self._canaries, self._unread(seen), began_ns)
        paths = {path for path, waiting in due.items() if waiting.judge} | changed
        if not paths:
            return Batch(looked=len(seen))
        near = self._recall.neighbourhood(paths)
        findings, early = self._without_early(self._judge(near), due)
        batch = self._store(near, findings, looked=len(seen), left=early)
        batch = self._put_off(paths, findings, looked=len(seen)) if batch is None else batch
        self._note_alarms(near.core - early, findings, (*batch.new, *batch.unstored))
        return batch

    def _note_alarms(self, judged: Collection[bytes], findings: Iterable[Finding], told: Iterable[Finding]) -> None:
        """Note at which paths something critical was told and is so still."""
        self._alarmed.difference_update(set(judged) - {one.path for one in findings if one.severity is Severity.CRITICAL})
        self._alarmed.update(one.path for one in told if one.severity is Severity.CRITICAL)

    def note_explained(self, findings: Iterable[Finding]) -> None:
        """Note what packages made of what was told: what they explain is no alarm, and what follows at its path may be one."""
        self._alarmed.difference_update(one.path for one in findings if one.severity is not Severity.CRITICAL)

    def _put_off(self, paths: Iterable[bytes], findings: Sequence[Finding], *, looked: int) -> Batch:
        """Have what the store refused judged again soon; what is not known to be open already is given as it is."""
        for path in paths:
            self._waiting.retry(path, STORE_AGAIN_S, tries=RECORD_TRIES)
        passing = self.store.stored_of([finding.id for finding in findings if finding.kind in PASSING])
        known = passing | self._open.paths.keys()
        return Batch(unstored=tuple(finding for finding in findings if finding.id not in known), looked=looked)

    def _without_early(self, findings: Sequence[Finding], due: Mapping[bytes, Waiting]) -> tuple[list[Finding], set[bytes]]:
        """Leave out, for a moment, what is so young that its record may not have come yet."""
        now_ns = time.time_ns()
        kept: list[Finding] = []
        early: set[bytes] = set()
        for finding in findings:
            waiting = due.get(finding.path)
            tries = 0 if waiting is None else waiting.tries
            changed_ns = None if finding.after is None else finding.after.ctime_ns
            if changed_ns is None or changed_ns > now_ns:
                is_young = tries < RECORD_TRIES
            else:  # a path that is written again and again has had its tries, and its file of just now none
                is_young = now_ns - changed_ns < RECORD_LONGEST_S * 1e9
            is_early = self.has_records and is_young and finding.attribution is Attribution.UNATTRIBUTED
            if is_early and finding.id not in self._open.paths:
                early.add(finding.path)
                self._waiting.retry(finding.path, RECORD_S * 2 ** min(tries, RECORD_TRIES - 1), tries=tries + 1)
            else:
                kept.append(finding)
        return kept, early

    def _unread(self, seen: Mapping[bytes, FileState | None]) -> list[Finding]:
        """Give what is open at paths that could not be read whole; hardly ever any."""
        paths = {path for path, state in seen.items() if state is not None and state.problem is not None}
        if not paths:
            return []
        return [finding for finding in self.store.findings() if (finding.moved_to or finding.path) in paths]

    def _load_forgotten(self, paths: Collection[bytes], inodes: Collection[int]) -> list[Change]:
        weighing = self.store.changes_weighing(paths, inodes, since_ns=self.since_ns - 1_000_000_000, ends=LAST_OPENINGS)
        return [self._named_device(change) for change in weighing]

    def _judge(self, near: Neighbourhood) -> list[Finding]:
        changes = self._canaries.strip(near.changes)
        diffs = [
            diff
            for diff in diff_states(near.before, near.after)
            if diff.before is None or not self.is_hidden(diff.path)
        ]
        if not diffs and _PASSED.isdisjoint(change.action for change in changes):
            return []
        findings = correlate(
            host=self.config.host.name,
            watches=self.looks.watches,
            before=near.before,
            after=near.after,
            diffs=diffs,
            changes=changes,
            notes=self._notes,
            since_ns=self.since_ns,
            accepted_ns=self._earlier.accepted_ns,
            seen_ns=time.time_ns(),
            around=Around(data_folders=self._data_folders, span=self._span),
        )
        findings = self._earlier.unsettled([finding for finding in findings if finding.path in near.core], changes)
        return self._judge_announced(findings)

    def _judge_announced(self, findings: list[Finding]) -> list[Finding]:
        """Judge by what was announced up to now: a change may follow its announcement within a moment."""
        if not findings:
            return findings
        self._load_tickets()
        judged, ends = judge_announced(findings, self._tickets)
        self._unstored.ends = list(dict.fromkeys([*self._unstored.ends, *ends]))
        return judged

    def _load_tickets(self) -> None:
        if (version := self.store.version()) != self._tickets_version:
            self._tickets, self._tickets_version = self.store.tickets(), version

    def find_unmet(self, *, now_ns: int) -> tuple[Finding, ...]:
        """Store what was announced until a time and never came; gives what is new of it.

        Args:
            now_ns: Up to when all that came is known and stored.
        """
        self._load_tickets()
        over = [one for one in self._tickets if one.until_ns < now_ns and one.number not in self._over]
        if not over:
            return ()

        def write() -> tuple[Finding, ...]:
            unmet = find_unmet(self.config.host.name, over, self.store.ticket_ends(), self.looks.watches, now_ns=now_ns)
            self.store.end_tickets([end for _, end in unmet])
            return self.store.add_findings([finding for finding, _ in unmet], now_ns=now_ns).new

        new = self._try(write)
        if new is None:
            return ()
        self._over.update(one.number for one in over)
        return new

    def _store_sources(self) -> bool:
        self.store.add_changes(self._unstored.changes)
        self.store.add_notes(self._unstored.notes)
        for (source, log), cursor in self._unstored.cursors.items():
            self.store.set_cursor(source, log, asdict(cursor))
        self.store.tell(self._unstored.shown, time_ns=time.time_ns())
        self.store.end_tickets(self._unstored.ends)
        bad, uncounted = self._unstored.bad_lines, self._unstored.uncounted
        if bad or uncounted:
            self.store.add_bad_lines(bad, time_ns=time.time_ns(), uncounted=uncounted)
        return True

    def _store(
        self, near: Neighbourhood, findings: Sequence[Finding], *, looked: int, left: Collection[bytes]
    ) -> Batch | None:
        now_ns = time.time_ns()

        def write() -> tuple[Stored, tuple[Finding, ...], set[str]]:
            self._store_sources()
            stored = self.store.add_findings(findings, now_ns=now_ns)
            undone = [path for path in near.core if self._open.has(path) and path not in left and not self.is_hidden(path)]
            gone = self.store.close_undone(undone, findings, now_ns=now_ns) if undone else ()
            untold = self.store.untold_of([finding.id for finding in stored.new if finding.kind in PASSING])
            return stored, gone, untold

        if (done := self._try(write)) is None:
            return None
        stored, gone, untold = done
        self._note_stored()
        for finding in (*stored.superseded, *gone):
            self._open.drop(finding.id)
        for finding in stored.new:
            if finding.kind not in PASSING:
                self._open.put(finding.id, finding.path)
        # a difference that was stored just now was shown to nobody; a try may have been, as a part of one
        new = tuple(finding for finding in stored.new if finding.kind not in PASSING or finding.id in untold)
        no_more = tuple(finding for finding in (*gone, *stored.superseded) if self.looks.is_watched(finding.path))
        return Batch(new=new, gone=gone, undone=no_more, looked=looked)

    # A whole look, done elsewhere; another configuration.

    def take_rescan(self, differing: frozenset[bytes], hidden: frozenset[bytes]) -> None:
        """Take what a rescan found to differ from the baseline: it is looked at again, for it may be another by now.

        Args:
            differing: The paths that differ, as the rescan saw them.
            hidden: Those that it could not see: nothing is concluded from that.
        """
        before, after = self.looks.before, self.looks.after
        held = {path for path in {*before, *after} if before.get(path) != after.get(path)}
        self.is_hidden = hidden.__contains__
        for path in differing:
            if path not in held or self.looks.has_moved_on(path):
                self.mark_dirty(path)
        for path in held - differing - hidden:
            self.mark_dirty(path)

    def reconfigure(self, config: Config, watches: Sequence[Watch]) -> None:
        """Take another configuration: what is watched anew is looked at, and what is not watched any more is forgotten."""
        was = {watch.path for watch in self.looks.watches.watches}
        self.config = config
        self.looks.set_watches(watches)
        for path in [path for path in self.looks.after if not self.looks.is_within(path) or not self.looks.is_watched(path)]:
            self.looks.after.drop(path)
        for path in list(self._open.paths.values()):
            self.mark_dirty(path, judge=True)
        for watch in watches:
            if watch.path not in was and not any(watch.path != one and is_below(watch.path, one) for one in was):
                self.mark_dirty(watch.path, below=True)
