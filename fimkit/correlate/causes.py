"""Which recorded steps explain a difference, and how surely. Pure.

``exact`` only where everything recorded that can explain it is one process's. What excludes a step must be sound: a file's change
time cannot be set back by its owner, so a writer that opened the file after it wrote nothing; nothing else excludes.
"""

import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from fimkit.correlate.lives import SLACK_NS, Life, Origin, Step
from fimkit.correlate.picture import LAST_OPENINGS
from fimkit.model.changes import Action, Actor, end_of
from fimkit.model.findings import Attribution
from fimkit.model.states import FileState, FileType

__all__ = [
    "Cause",
    "bytes_cause",
    "distinct_processes",
    "likeliest_first",
    "mode_cause",
    "naming_step",
    "other_cause",
    "owner_cause",
    "steps_cause",
    "steps_within",
    "thin_openings",
    "xattrs_cause",
]

_WRITES = (Action.BORN, Action.OPENED)
_MOST_PIDS = 20
_SET_ID = 0o6000
_ACCESS_LIST = "system.posix_acl_access"
_TAKEN_BY_WRITES = frozenset({"security.capability"})
_told_of = attrgetter("pid", "auid", "ses", "exe", "ppid")
_program_of = attrgetter("pid", "auid", "ses", "exe")
_parent_of = attrgetter("pid", "auid", "ses", "ppid")
_URING = (
    "it was done through io_uring: thread {} of a child of pid {} is all that the record says, or whether it wrote is not in it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What explains one attribute: the steps that can, how surely, and why in words."""

    attribution: Attribution
    steps: tuple[Step, ...] = ()
    reasons: tuple[str, ...] = ()


def distinct_processes(steps: Iterable[Step]) -> list[Actor]:
    """Give one actor a process, in the order of the steps.

    Two are one process where pid, login and session agree, and program or parent too: a pid is given again.
    """
    found: list[Actor] = []
    firsts: dict[int | None, Actor] = {}
    by_program: set[tuple[object, ...]] = set()
    by_parent: set[tuple[object, ...]] = set()
    for step in steps:
        actor = step.change.actor
        if actor is None:
            continue
        first = firsts.get(actor.pid)
        if first is None:  # another number is another process, as most are
            firsts[actor.pid] = actor
            found.append(actor)
            continue
        by_program.add(_program_of(first))
        by_parent.add(_parent_of(first))
        if not ((program := _program_of(actor)) in by_program or (parent := _parent_of(actor)) in by_parent):
            by_program.add(program)
            by_parent.add(parent)
            found.append(actor)
    return found


def thin_openings(steps: Sequence[Step]) -> list[Step]:
    """Leave out the middle ones of the openings by one process: the first and the last ones say all that they have to say.

    A file that is written each second would have a longer list each time, and a store that grows by its square.
    """
    pids = Counter(actor.pid for step in steps if (actor := step.change.actor) is not None)
    if not pids or max(pids.values()) <= LAST_OPENINGS + 1:
        return list(steps)
    opened: dict[tuple[object, ...], list[Step]] = {}
    for step in steps:
        actor = step.change.actor
        if actor is not None and step.change.action is Action.OPENED:
            opened.setdefault((step.change.path, _told_of(actor)), []).append(step)
    left_out = {step.order for group in opened.values() for step in group[1:-LAST_OPENINGS]}
    return [step for step in steps if step.order not in left_out]


def _is_doubtful(actor: Actor, action: Action) -> bool:
    """Tell whether a record is io_uring's, and either a worker thread's or an opening that may have been for reading."""
    uring = actor.syscall is not None and actor.syscall.startswith("io_uring:")
    return uring and (actor.exe is None or action is Action.OPENED)


def steps_cause(steps: Sequence[Step], what: str) -> Cause:
    """Judge steps that each can explain something: one process's is exact, more are ambiguous, none is unattributed."""
    processes = distinct_processes(steps)
    if not processes:
        return Cause(attribution=Attribution.UNATTRIBUTED)
    if len(processes) == 1:
        return _of_one(steps)
    pids = ", ".join(str(actor.pid) for actor in processes[:_MOST_PIDS])
    if len(processes) > _MOST_PIDS:
        pids += f" and {len(processes) - _MOST_PIDS} more"
    return Cause(
        attribution=Attribution.AMBIGUOUS,
        steps=tuple(steps),
        reasons=(f"{len(processes)} processes could have {what}: pid {pids}",),
    )


def _of_one(steps: Sequence[Step]) -> Cause:
    """Judge the steps of one process."""
    actors = ((step.change.actor, step.change.action) for step in steps)
    doubtful = next((actor for actor, action in actors if actor is not None and _is_doubtful(actor, action)), None)
    if doubtful is None:
        return Cause(attribution=Attribution.EXACT, steps=tuple(steps))
    words = _URING.format(doubtful.pid, doubtful.ppid)
    return Cause(attribution=Attribution.AMBIGUOUS, steps=tuple(steps), reasons=(words,))


def _window(life: Life, before: FileState | None, after: FileState | None) -> tuple[int | None, int | None]:
    """Give the times between which a step can have made ``after``: its last change, and the baseline's of the same file."""
    low = before.ctime_ns if before is not None and life.origin is Origin.BASELINE else None
    high = None if after is None or after.ctime_ns is None else after.ctime_ns + SLACK_NS
    if low is not None and high is not None and high < low:
        return None, None  # the clock was set back: times exclude nothing
    return low, high


def steps_within(steps: Iterable[Step], low: int | None, high: int | None) -> list[Step]:
    """Give the steps of a time, both ends included; ``None`` is no end. What stands for several is of all the time between them."""
    return [step for step in steps if (low is None or end_of(step.change) >= low) and (high is None or step.change.time_ns <= high)]


def bytes_cause(life: Life, before: FileState | None, after: FileState | None) -> Cause:
    """Explain a file's bytes (or a link's target, a node's being) by who made it or opened it for writing.

    Args:
        life: The life of the inode that ``after`` shows.
        before: The state of this very inode in the baseline, where it was there.
        after: The state to explain; ``None`` for a file that is gone.
    """
    low, high = _window(life, before, after)
    writers = [step for step in life.steps if step.change.action in _WRITES]
    if after is not None and after.type is not FileType.FILE:
        writers = [step for step in writers if step.change.action is Action.BORN]
    cause = steps_cause(steps_within(writers, low, high), "made the bytes")
    if low is None or any(end_of(step.change) >= life.seen_ns for step in cause.steps):
        return cause
    earlier = cause.steps or steps_within(writers, None, low)
    if not earlier:
        return cause
    return Cause(
        attribution=Attribution.AMBIGUOUS,
        steps=tuple(earlier),
        reasons=("it was opened for writing before the baseline's state, and may have been written to later",),
    )


def likeliest_first(cause: Cause, after: FileState) -> list[Step]:
    """Put the likeliest of several makers of bytes at the head: who opened it last before its last writing."""
    if cause.attribution is not Attribution.AMBIGUOUS or not cause.steps:
        return list(cause.steps)
    high = None if after.mtime_ns is None else after.mtime_ns + SLACK_NS
    return [(steps_within(cause.steps, None, high) or cause.steps)[-1], *cause.steps]


def naming_step(life: Life, path: bytes, since_ns: int = 0) -> Step | None:
    """Find the step that last gave this name to the file; before ``since_ns``, of the earlier snapshot, it had it not."""
    arrivals = [
        step
        for step in life.steps
        if step.change.action in (Action.BORN, Action.LINKED, Action.MOVED_TO)
        and step.change.time_ns >= since_ns
    ]
    named = [step for step in arrivals if step.path == path] or [step for step in arrivals if step.path is None]
    return named[-1] if named else None


def _other_value(steps: Sequence[Step], what: str) -> Cause:
    """Judge calls of which the last asked for another value than the one that is there: something unrecorded came after."""
    words = f"no recorded call asked for the {what} that it has now"
    return Cause(attribution=Attribution.AMBIGUOUS, steps=tuple(steps), reasons=(words,))


def mode_cause(life: Life, before: FileState | None, after: FileState) -> Cause:
    """Explain the mode: by the last chmod or the birth, and by what alters bits on the way after that.

    Writing and chown take the set-id bits away, and nothing else; an access list sets the other bits anew.
    """
    low, high = _window(life, before, after)
    steps = steps_within(life.steps, low, high)
    setting = [step for step in steps if step.change.action is Action.MODE]
    setting = setting or [step for step in steps if step.change.action is Action.BORN]
    last = setting[-1] if setting else None
    asked = (before.mode if before is not None else None) if last is None else last.change.new_mode
    if last is not None and asked in (None, after.mode):
        return steps_cause(setting if asked is None else [last], "set the mode")
    lost = (asked or 0) & ~(after.mode or 0)
    stripped = asked is not None and lost & _SET_ID == asked ^ (after.mode or 0)
    altering = [
        step
        for step in steps
        if step.change.action in ((Action.OWNER, Action.OPENED) if stripped else (Action.XATTRS,))
        and (last is None or step.order > last.order or (step.change.last_ns or 0) > last.change.time_ns)
    ]
    if altering:
        cause = steps_cause(altering, "altered the mode")
        return Cause(attribution=cause.attribution, steps=(*setting[-1:], *cause.steps), reasons=cause.reasons)
    if last is None or (stripped and lost == stat.S_ISGID):  # who is not of the group is not given its bit
        return steps_cause(setting[-1:], "set the mode")
    return _other_value(setting, "mode")


def owner_cause(life: Life, before: FileState | None, after: FileState, name: str) -> Cause:
    """Explain ``uid`` or ``gid``: the last chown that set it, else the birth."""
    low, high = _window(life, before, after)
    steps = [step for step in steps_within(life.steps, low, high) if getattr(step.change, name) is not None]
    setting = [step for step in steps if step.change.action is Action.OWNER]
    setting = setting or [step for step in steps if step.change.action is Action.BORN]
    if not setting or getattr(setting[-1].change, name) == getattr(after, name):
        return steps_cause(setting[-1:], f"set the {name}")
    return _other_value(setting, name)


def xattrs_cause(life: Life, own: FileState | None, before: FileState | None, after: FileState) -> Cause:
    """Explain extended attributes: who set them, or what alters them on the way.

    The kernel takes capabilities away at a write or a chown, and writes a chmod's bits into an access list.
    """
    old, new = (before.xattrs if before else None) or {}, after.xattrs or {}
    differing = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    low, high = _window(life, own, after)
    steps = steps_within(life.steps, low, high)
    aside: set[Action] = set()
    if differing & _TAKEN_BY_WRITES and not differing & _TAKEN_BY_WRITES & new.keys():
        aside |= {Action.OPENED, Action.OWNER}
    if _ACCESS_LIST in differing & old.keys() & new.keys():
        aside.add(Action.MODE)
    setting = [step for step in steps if step.change.action in (Action.XATTRS, Action.BORN)]
    altering = [step for step in steps if step.change.action in aside]
    if not setting:
        return steps_cause(altering, "altered the extended attributes")
    if differing <= _TAKEN_BY_WRITES and altering:
        return steps_cause(sorted([*setting, *altering], key=lambda step: step.order), "altered the extended attributes")
    return steps_cause(setting, "set the extended attributes")


def other_cause(life: Life, before: FileState | None, after: FileState, actions: Sequence[Action], what: str) -> Cause:
    """Explain an attribute by any recorded step of these actions in the window, and since the earlier snapshot."""
    low, high = _window(life, before, after)
    steps = steps_within(life.steps, None if low is None else max(low, life.seen_ns - SLACK_NS), high)
    return steps_cause([step for step in steps if step.change.action in actions], what)
