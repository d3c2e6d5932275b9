"""Explains what audit left unexplained by the processes that osquery's ``process_file_events`` names. Pure.

Such a row has a path and no inode, whole seconds that may be late, and is one of a few operations only; a rename, an exchange or
a write in another way may be missing. So ``exact`` stands only where every row that can be meant is one process's, none of them
is partial, all are surely later than the baseline, the file's own times are those of the last of them, it has one name, and
nothing else that osquery saw of the name tells of another file there. Whatever is short of that is ambiguous, and says why. What
audit explained stays, unless a row names another process.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fimkit.correlate.causes import Cause, distinct_processes, likeliest_first, steps_cause
from fimkit.correlate.draft import Draft
from fimkit.correlate.lives import Step
from fimkit.correlate.timeline import Timeline, folders_above
from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.findings import Attribution, Kind
from fimkit.model.states import TIMES_ONLY, FileState, FileType, content_differs

__all__ = ["LATE_NS", "add_witnesses"]

LATE_NS = 5_000_000_000
"""How late osquery may stamp an event: it does when it takes it from its queue, at once, or seconds later under load."""

_SECOND_NS = 1_000_000_000
_WRITES = (Action.OPENED, Action.UPDATED)
_NAMINGS = (Action.MOVED_TO, Action.LINKED, Action.BORN)
_REMOVALS = (Action.UNLINKED, Action.MOVED_FROM)
_OTHER_FILE = (Action.BORN, Action.UNLINKED, Action.MOVED_FROM, Action.MOVED_TO)
_CONTENT = frozenset({"bytes", "type", "sha256", "target", "size", "mtime_ns", "ctime_ns"})
_LINKED = "it has, or had, more names (hard links), and osquery tells of a name, not of the file"
_BLIND = "osquery's file_events do not tell of it: nothing excludes that another did the same out of sight"
_WORDS = "osquery's process_file_events says who: it knows paths and whole seconds, no inodes"


def add_witnesses(draft: Draft, timeline: Timeline, since_ns: int) -> None:
    """Explain a draft's causes that nothing explains yet, and lower those that a witness contradicts.

    Args:
        draft: Changed in place.
        timeline: What the sources say.
        since_ns: When the earlier state was taken or accepted: what osquery stamped before that is in it.
    """
    if draft.kind is Kind.ATTEMPTED or not timeline.witnessed:
        return
    case = _Case.of(draft, timeline, since_ns)
    if not case.steps:
        return
    judges: dict[str, Callable[[], Cause]] = {"name": case.name_cause, **dict.fromkeys(_CONTENT, case.content_cause)}
    wanted = [*draft.causes, *([] if "sha256" in draft.causes or not case.has_new_bytes else ["sha256"])]
    for attribute in (name for name in wanted if name in judges):
        known = draft.causes.get(attribute)
        cause = judges[attribute]()
        if known is not None and known.steps:
            draft.causes[attribute] = _lowered(known, cause, draft)
        elif cause.steps:
            draft.causes[attribute] = cause
            draft.say([*cause.reasons, _WORDS])
            draft.makers = draft.makers or list(cause.steps)
    content = draft.causes.get("sha256")
    if content is not None and draft.after is not None and any(step.change.source is Source.OSQUERY for step in content.steps):
        draft.makers = likeliest_first(content, draft.after)
    if draft.kind is Kind.TRANSIENT:
        draft.others = [*draft.others, *case.steps]  # who took it away, where no more is known


def _lowered(known: Cause, cause: Cause, draft: Draft) -> Cause:
    """Keep what audit explained; a process that osquery names, and audit does not, makes it ambiguous."""
    actors = [step.change.actor for step in known.steps if step.change.actor is not None]
    others = [step for step in cause.steps if not any(_same_hand(step.change.actor, actor) for actor in actors)]
    if not others or known.attribution is not Attribution.EXACT:
        return known
    draft.say(["osquery names another process than audit does"])
    return Cause(attribution=Attribution.AMBIGUOUS, steps=(*known.steps, *others), reasons=known.reasons)


def _same_hand(one: Actor | None, other: Actor) -> bool:
    """Tell whether two sources name one process: osquery knows no sessions, and may not know the program."""
    if one is None or (one.pid, one.auid) != (other.pid, other.auid):
        return False
    return one.exe == other.exe or None in (one.exe, other.exe)


@dataclass(slots=True, kw_only=True)
class _Case:
    """One draft with the rows that can be about it: those of its names, in the time that the two looks leave."""

    draft: Draft
    timeline: Timeline
    low_ns: int
    steps: list[Step]

    @classmethod
    def of(cls, draft: Draft, timeline: Timeline, since_ns: int) -> "_Case":
        before, after = draft.before, draft.after
        low = max(since_ns, 0 if before is None or before.ctime_ns is None else before.ctime_ns)
        case = cls(draft=draft, timeline=timeline, low_ns=low, steps=[])
        high = None if after is None or draft.kind is Kind.DELETED else after.ctime_ns
        case.steps = [step for path in case.names for step in case.witnessed(path, high)]
        return case

    @property
    def names(self) -> list[bytes]:
        return [self.draft.path, *([] if self.draft.moved_to is None else [self.draft.moved_to])]

    @property
    def last_name(self) -> bytes:
        return self.names[-1]

    @property
    def has_new_bytes(self) -> bool:
        """Tell whether there are bytes, made since, to be explained beside the name."""
        after = self.draft.after
        return self.draft.kind is Kind.CREATED and after is not None and after.type is FileType.FILE

    @property
    def is_replaced(self) -> bool:
        before, after = self.draft.before, self.draft.after
        return before is not None and after is not None and before.key != after.key

    def witnessed(self, path: bytes, high_ns: int | None = None) -> list[Step]:
        """Give the rows of a name that may be later than the earlier state, and not later than the last change."""
        return [
            step
            for step in self.timeline.witnessed.get(path, ())
            if step.change.time_ns + _SECOND_NS > self.low_ns and (high_ns is None or step.change.time_ns - LATE_NS <= high_ns)
        ]

    def seen(self, path: bytes, actions: Sequence[Action]) -> list[Change]:
        """Give what file_events saw of a name since the earlier state."""
        rows = self.timeline.osquery.get(path, ())
        return [row for row in rows if row.action in actions and (row.last_ns or row.time_ns) + _SECOND_NS > self.low_ns]

    # who named it, or took its name away

    def name_cause(self) -> Cause:
        if self.draft.kind is Kind.MOVED:
            return self._moved_cause()
        if self.draft.kind in (Kind.DELETED, Kind.TRANSIENT):
            return self._removed_cause()
        return self._named_cause()

    def _removed_cause(self) -> Cause:
        path = self.draft.path
        steps = self._of(_REMOVALS, path)
        if not steps:
            return _nobody()
        last_ns = max(step.change.time_ns for step in steps)
        later = [step for step in self._of((*_WRITES, *_NAMINGS), path) if step.change.time_ns >= last_ns]
        doubts = self._doubts(steps)
        if len(distinct_processes([*steps, *later])) > len(distinct_processes(steps)):
            doubts.append("another process was at this name in the same second or later")
        doubts += self._count_doubts(path, _REMOVALS, len(steps))
        return _judged(steps, doubts, "removed it")

    def _moved_cause(self) -> Cause:
        old, new = self.draft.path, self.last_name
        came = self._of((Action.MOVED_TO,), new)
        gone = [step for step in self._of((Action.MOVED_FROM,), old) if any(_is_pair(step, other) for other in came)]
        steps = [*gone, *(step for step in came if any(_is_pair(other, step) for other in gone))]
        if not steps:
            return _nobody()
        doubts = [*self._doubts(steps), *self._time_doubts(steps, written=False)]
        doubts += self._count_doubts(old, _REMOVALS, len(gone)) + self._count_doubts(new, _NAMINGS, len(came))
        return _judged(steps, doubts, "renamed it")

    def _named_cause(self) -> Cause:
        path, after = self.draft.path, self.draft.after
        steps = self._of(_NAMINGS, path)
        doubts: list[str] = []
        if not steps:
            steps = self._writers()
            if not any(step.change.action is Action.OPENED for step in steps):
                doubts.append("osquery shows who wrote to it, and not who made its name")
            if self.is_replaced and not self._of(_REMOVALS, path):
                doubts.append("how another file came to this name is not shown")
            doubts += self._count_doubts(path, _NAMINGS, 1)
        else:
            doubts += self._count_doubts(path, _NAMINGS, len(steps))
            linked = any(step.change.action is Action.BORN for step in steps)
            if linked and (after is None or after.type is not FileType.SYMLINK):
                doubts.append("what is there now is not what osquery saw made")
            doubts += self._time_doubts([*steps, *self._of(_WRITES, path)], written=False)
        return _judged(steps, [*doubts, *self._doubts(steps)], "named it")

    # who made the bytes

    def content_cause(self) -> Cause:
        draft = self.draft
        if draft.kind is Kind.TRANSIENT:
            return self._passed_cause()
        if draft.before is not None and draft.after is not None and not self._has_changed_content(draft.before, draft.after):
            return _nobody()
        if draft.after is not None and draft.after.type is FileType.SYMLINK:
            steps = self._of((Action.BORN,), self.last_name)
            return _judged(steps, [*self._doubts(steps), *self._time_doubts(steps, written=False)], "made the link")
        return self._written_cause()

    def _has_changed_content(self, before: FileState, after: FileState) -> bool:
        """Tell whether bytes differ, or an opening for writing is all that can be meant by new times."""
        changed = self.draft.changed
        return content_differs(before, after, changed) or (TIMES_ONLY.issuperset(changed) and not self.is_replaced)

    def _written_cause(self) -> Cause:
        arrivals = self._of((Action.MOVED_TO, Action.LINKED), self.last_name)
        steps = self._writers()
        if not steps and arrivals:
            words = "osquery shows who brought it, and not who made its bytes"
            return _judged(arrivals, [words, *self._doubts(arrivals)], "brought it")
        if not steps:
            return _nobody()
        doubts = [*self._doubts(steps), *self._time_doubts(steps, written=True), *self._earlier_doubts()]
        if any((state.nlink or 1) > 1 for state in (self.draft.before, self.draft.after) if state is not None):
            doubts.append(_LINKED)
        if self.draft.kind is Kind.MOVED:
            doubts += self._leave_doubts(self.draft.path)
        elif self.draft.kind is not Kind.CREATED and not self.is_replaced:
            doubts += self._stay_doubts(self.draft.path)
        elif not arrivals and self.seen(self.last_name, (Action.MOVED_TO,)):
            doubts.append("osquery saw a file renamed to this name, and not by whom")
        elif self.is_replaced and not arrivals and not self._of(_REMOVALS, self.draft.path):
            doubts.append("how another file came to this name is not shown")
        return _judged(steps, doubts, "made the bytes")

    def _passed_cause(self) -> Cause:
        """Explain a file that came and went: by all that osquery names at this name, for nothing of it is left to look at."""
        steps = self._of((*_WRITES, *_NAMINGS), self.draft.path)
        doubts = self._doubts(self.steps)
        if len(distinct_processes(self.steps)) > len(distinct_processes(steps)):
            doubts.append("another process took it away")
        if not any(step.change.action in (Action.OPENED, *_NAMINGS) for step in steps):
            doubts.append("osquery shows who wrote to it, and not who made its name")
        path = self.draft.path
        doubts += self._count_doubts(path, _NAMINGS, len(self._of(_NAMINGS, path)) or 1)
        doubts += self._count_doubts(path, _REMOVALS, len(self._of(_REMOVALS, path)))
        return _judged(steps, doubts, "made it")

    def _writers(self) -> list[Step]:
        """Give who wrote to the file under its names, and under those that it was renamed from, one after the other."""
        after = self.draft.after
        high = None if after is None else after.ctime_ns
        others = [step for name in self._earlier_names() for step in self.witnessed(name, high)]
        return [step for step in (*self.steps, *others) if step.change.action in _WRITES]

    def _earlier_names(self) -> list[bytes]:
        found: list[bytes] = []
        todo = [self.last_name]
        while todo:
            name = todo.pop()
            arrivals = [step for step in self.witnessed(name) if step.change.action is Action.MOVED_TO]
            for other in self.timeline.osquery_partners(name):
                if other in found or other in self.names:
                    continue
                if any(_is_pair(step, arrival) for step in self.witnessed(other) for arrival in arrivals):
                    found.append(other)
                    todo.append(other)
        return found

    def _earlier_doubts(self) -> list[str]:
        """Doubt that the file had no other names, and that those it was renamed from had no other file in between."""
        whole = [*self.names, *self._earlier_names()]
        if any(step.change.action in (Action.LINKED, Action.ATTRIBUTES) for name in whole for step in self.witnessed(name)):
            return [_LINKED]
        for name in whole:
            arrivals = [step for step in self.witnessed(name) if step.change.action is Action.MOVED_TO]
            if len(arrivals) > 1:
                return ["more than one file was renamed to a name that it had"]
            if name in self.names:
                continue
            if len(self.seen(name, (Action.MOVED_TO,))) > len(arrivals) or not self.seen(name, (*_NAMINGS, Action.UPDATED)):
                return ["what was at the name that it was renamed from is not shown whole"]
        return []

    def _stay_doubts(self, path: bytes) -> list[str]:
        """Doubt that one file had the name all the time."""
        if self.seen(path, _OTHER_FILE) or self._of((*_NAMINGS, *_REMOVALS), path):
            return ["osquery saw another file come to this name, or this one leave it, in between"]
        return [] if self.seen(path, (Action.UPDATED,)) else [_BLIND]

    def _leave_doubts(self, path: bytes) -> list[str]:
        """Doubt that one file had the name until it was renamed to its new one."""
        if self._of(_NAMINGS, path) or self.seen(path, _NAMINGS) or len(self._of(_REMOVALS, path)) > 1:
            return ["osquery saw another file come to this name in between"]
        return self._count_doubts(path, _REMOVALS, 1)

    # what all of them may be doubted for

    def _of(self, actions: Sequence[Action], path: bytes) -> list[Step]:
        return [step for step in self.steps if step.change.action in actions and step.path == path]

    def _doubts(self, steps: Iterable[Step]) -> list[str]:
        whole = list(steps)
        doubts = []
        if any(not step.change.path_sure for step in whole):
            doubts.append("osquery has a part of the record only, or does not say that it is whole")
        if any(step.change.time_ns - LATE_NS <= self.low_ns for step in whole):
            doubts.append("osquery's stamps do not tell whether it was before the baseline")
        paths = dict.fromkeys(step.path for step in whole if step.path is not None)
        if any(self._is_shifted(folder) for path in paths for folder in folders_above(path)):
            doubts.append("a folder above it was renamed or made anew, and osquery's names are those of before or after")
        return doubts

    def _count_doubts(self, path: bytes, actions: Sequence[Action], count: int) -> list[str]:
        """Doubt that the rows that name a process are all: file_events sees names come and go whoever does it, and however."""
        seen = len(self.seen(path, actions))
        if seen == 0:
            return [_BLIND]
        return ["osquery saw the name come or go more often than it saw who did it"] if seen > count else []

    def _is_shifted(self, folder: bytes) -> bool:
        """Tell whether a folder may not have had its name all the time: then names in it may mean other files."""
        old, new = self.timeline.states_at(folder)
        if self.seen(folder, (*_REMOVALS, Action.MOVED_TO)) or self.witnessed(folder):
            return True
        if old is None and new is not None:
            return not self.seen(folder, (Action.BORN,)) and not any(map(self._is_new, folders_above(folder)))
        return old is not None and (new is None or old.key != new.key)

    def _is_new(self, folder: bytes) -> bool:
        old, new = self.timeline.states_at(folder)
        return old is None and new is not None

    def _time_doubts(self, steps: Sequence[Step], *, written: bool) -> list[str]:
        """Doubt that the last row is the last change: the file's own times say when that was."""
        after = self.draft.after
        if after is None or not steps:
            return []
        last_ns = max(step.change.time_ns for step in (*steps, *(self.steps if written else ())))
        doubts = []
        if after.ctime_ns is None or after.ctime_ns >= last_ns + _SECOND_NS:
            doubts.append("it was changed once more after the last that osquery shows")
        if written:
            write_ns = max(step.change.time_ns for step in steps)
            if after.mtime_ns is None or not write_ns - LATE_NS <= after.mtime_ns < write_ns + _SECOND_NS:
                doubts.append("its modification time is not that of the last write that osquery shows")
        return doubts


def _is_pair(gone: Step, came: Step) -> bool:
    return gone.change.action is Action.MOVED_FROM and gone.change.cookie is not None and gone.change.cookie == came.change.cookie


def _nobody() -> Cause:
    return Cause(attribution=Attribution.UNATTRIBUTED)


def _judged(steps: Sequence[Step], doubts: Sequence[str], what: str) -> Cause:
    cause = steps_cause(steps, what)
    if cause.attribution is not Attribution.EXACT or not doubts:
        return cause
    return Cause(attribution=Attribution.AMBIGUOUS, steps=tuple(steps), reasons=tuple(dict.fromkeys(doubts)))
