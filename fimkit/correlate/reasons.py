"""Says in words why a change may have no record. Pure."""

from collections.abc import Sequence

from fimkit.correlate.draft import Draft
from fimkit.correlate.lives import Step
from fimkit.model.changes import Note, NoteKind
from fimkit.model.findings import Attribution
from fimkit.model.states import TIMES_ONLY, FileType
from fimkit.model.time import render_time

__all__ = ["LEFT_OUT", "RecordSpan", "explain_gaps"]

RecordSpan = tuple[int, int] | None
"""The times of the first and the last audit change; ``None`` without any."""

LEFT_OUT = "more was recorded of that time than can be looked through: another may have had a part in it"
_NEAR_NS = 2_000_000_000


def explain_gaps(draft: Draft, notes: Sequence[Note], span: RecordSpan, lost: Sequence[Step] = ()) -> list[str]:
    """Give the likely reasons why nothing recorded explains a change.

    Args:
        draft: The change; an attributed one needs no reasons.
        notes: What the sources said of themselves, in time.
        span: Between which times there are audit records at all.
        lost: Calls on watched files that do not say which file they were for.

    Returns:
        Sentences, the surest first; never empty for an unattributed draft.
    """
    if draft.attribution is not Attribution.UNATTRIBUTED:
        return []
    if span is None:
        return ["no audit record of the watched paths was read: what changed is known, who did it is not"]
    state = draft.after or draft.before
    reasons = []
    time_ns = draft.after.ctime_ns if draft.after is not None else None
    if time_ns is not None and time_ns < span[0]:
        reasons.append(f"it changed at {render_time(time_ns)}, before the first record ({render_time(span[0])})")
    reasons += _note_reasons(notes, time_ns)
    nameless = [step for step in lost if time_ns is not None and abs(step.change.time_ns - time_ns) <= _NEAR_NS]
    if nameless:
        pids = sorted({actor.pid for step in nameless if (actor := step.change.actor) is not None and actor.pid is not None})
        reasons.append(f"calls of that time do not say which file they were for (pid {', '.join(map(str, pids))})")
    is_folder = state is not None and state.type is FileType.DIRECTORY  # its link count is that of its subfolders
    if state is not None and not is_folder and (state.nlink or 0) > 1 and draft.after is not None and draft.after.target is None:
        reasons.append(f"it has {state.nlink} names (hard links): another one, outside the watched paths, may have been used")
    if draft.before is not None and draft.after is not None and draft.before.dev != draft.after.dev:
        reasons.append("another file system is mounted here now: what happens below a mount is not recorded")
    if draft.changed and TIMES_ONLY.issuperset(draft.changed):
        reasons.append("setting times alone is not recorded")
    if not reasons:
        reasons.append(
            "no record names it: a process without an audit context (started before auditing), a file opened before the "
            "records begin, or a mount or link outside the watched paths"
        )
    return reasons


def _was_off(notes: Sequence[Note], off: Note, time_ns: int | None) -> bool:
    """Tell whether auditing was off still at a time: it may have been switched on again before."""
    if time_ns is None:
        return True
    on = [note.time_ns for note in notes if note.kind is NoteKind.AUDIT_ENABLED and note.time_ns >= off.time_ns]
    return off.time_ns <= time_ns <= min(on, default=time_ns) + _NEAR_NS


def _note_reasons(notes: Sequence[Note], time_ns: int | None) -> list[str]:
    reasons = []
    for note in notes:
        when = render_time(note.time_ns)
        if note.kind is NoteKind.AUDIT_ENABLED and (time_ns is None or time_ns <= note.time_ns + _NEAR_NS):
            reasons.append(f"auditing began only at {when}")
        elif note.kind is NoteKind.AUDIT_DISABLED and _was_off(notes, note, time_ns):
            reasons.append(f"auditing was switched off at {when}")
        elif note.kind is NoteKind.RECORDS_LOST:
            reasons.append(f"records were lost: {note.text}")
        elif note.kind is NoteKind.INCOMPLETE and (time_ns is None or abs(time_ns - note.time_ns) <= _NEAR_NS):
            reasons.append(f"records of that time are incomplete: {note.text}")
    return list(dict.fromkeys(reasons))[:3]
