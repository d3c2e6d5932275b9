"""Which recorded steps explain a difference, and how surely. Pure.

``exact`` only where everything recorded that can explain it is one process's. What excludes a step must be sound: a file's change
time cannot be set back by its owner, so a writer that opened the file after it wrote nothing; nothing else excludes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fimkit.correlate.lives import SLACK_NS, Life, Origin, Step
from fimkit.model.changes import Action, Actor
from fimkit.model.findings import Attribution
from fimkit.model.states import FileState, FileType

__all__ = [
    "Cause",
    "bytes_cause",
    "distinct_processes",
    "mode_cause",
    "naming_step",
    "other_cause",
    "owner_cause",
    "same_process",
    "steps_cause",
]

_WRITES = (Action.BORN, Action.OPENED)
_URING = (
    "it was done through io_uring: thread {} of a child of pid {} is all that the record says, or whether it wrote is not in it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What explains one attribute: the steps that can, how surely, and why in words."""

    attribution: Attribution
    steps: tuple[Step, ...] = ()
    reasons: tuple[str, ...] = ()


def same_process(one: Actor, other: Actor) -> bool:
    """Tell whether two actors are one process: pid, login and session agree, and exe or parent too (a pid is given again)."""
    return (one.pid, one.auid, one.ses) == (other.pid, other.auid, other.ses) and (one.exe == other.exe or one.ppid == other.ppid)


def distinct_processes(steps: Iterable[Step]) -> list[Actor]:
    """Give one actor a process, in the order of the steps."""
    found: list[Actor] = []
    for step in steps:
        actor = step.change.actor
        if actor is not None and not any(same_process(actor, other) for other in found):
            found.append(actor)
    return found


def _is_doubtful(actor: Actor, action: Action) -> bool:
    """Tell whether a record is io_uring's, and either a worker thread's or an opening that may have been for reading."""
    uring = actor.syscall is not None and actor.syscall.startswith("io_uring:")
    return uring and (actor.exe is None or action is Action.OPENED)


def steps_cause(steps: Sequence[Step], what: str) -> Cause:
    """Judge steps that each can explain something: one process's is exact, more are ambiguous, none is unattributed."""
    processes = distinct_processes(steps)
    if not processes:
        return Cause(attribution=Attribution.UNATTRIBUTED)
    doubtful = [actor for step in steps if (actor := step.change.actor) is not None and _is_doubtful(actor, step.change.action)]
    if len(processes) == 1 and doubtful:
        return Cause(
            attribution=Attribution.AMBIGUOUS, steps=tuple(steps), reasons=(_URING.format(doubtful[0].pid, doubtful[0].ppid),)
        )
    if len(processes) == 1:
        return Cause(attribution=Attribution.EXACT, steps=tuple(steps))
    pids = ", ".join(str(actor.pid) for actor in processes)
    return Cause(
        attribution=Attribution.AMBIGUOUS,
        steps=tuple(steps),
        reasons=(f"{len(processes)} processes could have {what}: pid {pids}",),
    )


def _window(life: Life, before: FileState | None, after: FileState | None) -> tuple[int | None, int | None]:
    """Give the times between which a step can have made ``after``: its last change, and the baseline's of the same file."""
    low = before.ctime_ns if before is not None and life.origin is Origin.BASELINE else None
    high = None if after is None or after.ctime_ns is None else after.ctime_ns + SLACK_NS
    if low is not None and high is not None and high < low:
        return None, None  # the clock was set back: times exclude nothing
    return low, high


def _within(steps: Iterable[Step], low: int | None, high: int | None) -> list[Step]:
    return [step for step in steps if (low is None or step.change.time_ns >= low) and (high is None or step.change.time_ns <= high)]


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
    cause = steps_cause(_within(writers, low, high), "made the bytes")
    if cause.steps or low is None:
        return cause
    earlier = _within(writers, None, low)
    if not earlier:
        return cause
    return Cause(
        attribution=Attribution.AMBIGUOUS,
        steps=tuple(earlier),
        reasons=("it was opened for writing before the baseline's state, and may have been written to later",),
    )


def naming_step(life: Life, path: bytes) -> Step | None:
    """Find the step that last gave this name to the file."""
    arrivals = [step for step in life.steps if step.change.action in (Action.BORN, Action.LINKED, Action.MOVED_TO)]
    named = [step for step in arrivals if step.path == path] or [step for step in arrivals if step.path is None]
    return named[-1] if named else None


def _last_wins(steps: Sequence[Step], matching: Sequence[Step], what: str) -> Cause:
    """Of calls that each set a value whole, the last decides; it must have asked for the value that is there."""
    if matching and matching[-1] is steps[-1]:
        return steps_cause([matching[-1]], what)
    return steps_cause(steps, what)


def mode_cause(life: Life, before: FileState | None, after: FileState) -> Cause:
    """Explain the mode: the last chmod, else the birth, else an ACL, a change of owner or a write, which alter bits too."""
    low, high = _window(life, before, after)
    steps = _within(life.steps, low, high)
    changes = [step for step in steps if step.change.action is Action.MODE]
    if changes:
        return _last_wins(changes, [step for step in changes if step.change.new_mode == after.mode], "set the mode")
    births = [step for step in steps if step.change.action is Action.BORN and step.change.new_mode == after.mode]
    if births:
        return steps_cause(births, "set the mode")
    return steps_cause(
        [step for step in steps if step.change.action in (Action.XATTRS, Action.OWNER, Action.OPENED)], "set the mode"
    )


def owner_cause(life: Life, before: FileState | None, after: FileState, name: str) -> Cause:
    """Explain ``uid`` or ``gid``: the last chown that set it, else the birth."""
    low, high = _window(life, before, after)
    wanted = getattr(after, name)
    steps = [step for step in _within(life.steps, low, high) if getattr(step.change, name) is not None]
    changes = [step for step in steps if step.change.action is Action.OWNER]
    if changes:
        return _last_wins(changes, [step for step in changes if getattr(step.change, name) == wanted], f"set the {name}")
    births = [step for step in steps if step.change.action is Action.BORN and getattr(step.change, name) == wanted]
    return steps_cause(births, f"set the {name}")


def other_cause(life: Life, before: FileState | None, after: FileState, actions: Sequence[Action], what: str) -> Cause:
    """Explain an attribute by any recorded step of these actions in the window."""
    low, high = _window(life, before, after)
    return steps_cause([step for step in _within(life.steps, low, high) if step.change.action in actions], what)
