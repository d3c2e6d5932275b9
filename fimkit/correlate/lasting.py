"""Explains the differences that a rescan shows: deleted, created, moved, modified, attributes. Pure."""

from collections.abc import Callable, Mapping, Sequence

from fimkit.correlate.causes import (
    Cause,
    bytes_cause,
    distinct_processes,
    likeliest_first,
    mode_cause,
    naming_step,
    other_cause,
    owner_cause,
    steps_cause,
    steps_within,
    xattrs_cause,
)
from fimkit.correlate.draft import Draft
from fimkit.correlate.lives import SLACK_NS, Life, Origin, Step
from fimkit.correlate.moves import Moves, find_moves
from fimkit.correlate.reasons import LEFT_OUT
from fimkit.correlate.timeline import Timeline
from fimkit.model.changes import Action, Source, StateDiff
from fimkit.model.findings import Attribution, Kind
from fimkit.model.paths import render_path
from fimkit.model.states import TIMES_ONLY, FileState, FileType, compare_states, content_differs

__all__ = ["draft_lasting"]

_CONTENT = ("type", "sha256", "target", "size")
_NAME = "name"
_REMOVALS = (Action.UNLINKED, Action.MOVED_FROM)
_TIMES = (
    Action.BORN,
    Action.OPENED,
    Action.MODE,
    Action.OWNER,
    Action.XATTRS,
    Action.TIMES,
    Action.LINKED,
    Action.UNLINKED,
    Action.MOVED_FROM,
    Action.MOVED_TO,
)
_NO_CAUSE = Cause(attribution=Attribution.UNATTRIBUTED)


def draft_lasting(diffs: Sequence[StateDiff], timeline: Timeline, watched: Callable[[bytes], bool]) -> list[Draft]:
    """Explain every difference between two snapshots.

    Args:
        diffs: Of the watched paths, any order.
        timeline: What the other sources say.
        watched: Tells whether a look sees what lies at a path.

    Returns:
        One draft a path, sorted by path; what a renamed folder carried along unchanged, and a link count that another draft
        explains, have none.
    """
    moves = find_moves(diffs, timeline)
    moved_to = {diff.path for diff in moves.pairs.values()}
    drafts: list[Draft] = []
    for diff in sorted(diffs, key=lambda diff: diff.path):
        if diff.path in moves.carried or (diff.before is None and diff.path in moved_to):
            continue
        drafts.append(_draft(diff, moves, timeline, watched))
        _doubt(drafts[-1], timeline)
    return _fold_links(drafts)


def _draft(diff: StateDiff, moves: Moves, timeline: Timeline, watched: Callable[[bytes], bool]) -> Draft:
    if diff.before is not None and diff.path in moves.pairs:
        return _moved(diff.before, moves.pairs[diff.path], timeline, watched)
    if diff.after is None:
        return _deleted(diff, timeline, watched)
    if diff.before is None:
        return _created(diff, diff.after, timeline)
    return _differing(diff, diff.before, diff.after, timeline)


def _fold_links(drafts: Sequence[Draft]) -> list[Draft]:
    """Leave out a link count that changed because another name of the file, itself a finding, came or went."""
    names = {
        state.key
        for draft in drafts
        if draft.kind in (Kind.CREATED, Kind.DELETED, Kind.MOVED)
        for state in (draft.before, draft.after)
        if state is not None and state.type is not FileType.DIRECTORY
    }
    return [
        draft
        for draft in drafts
        if not (
            draft.kind is Kind.ATTRIBUTES
            and {"nlink"} <= set(draft.changed) <= {"nlink", "ctime_ns"}
            and draft.before is not None
            and draft.before.key in names
        )
    ]


def _removal(
    path: bytes, before: FileState | None, timeline: Timeline, watched: Callable[[bytes], bool]
) -> tuple[Step | None, list[str]]:
    """Find the step that took a name away: on the name, on the inode wherever it was then, or on a folder above."""
    low = None if before is None else before.ctime_ns
    here = [step for step in timeline.at_path(path) if low is None or step.change.time_ns >= low]
    steps = [step for step in here if step.change.action in _REMOVALS]
    own = next((life for life in timeline.lives(timeline.table.key_of(before)) if life.origin is Origin.BASELINE), None)
    if own is not None and len(own.first_names) == 1:
        ends = [step for step in own.steps if step.change.action in _REMOVALS and (low is None or step.change.time_ns >= low)]
        steps += [step for step in ends if step.path is None] + (ends[-1:] if own.dead else [])
    reasons = []
    folder = timeline.folder_moved_from(path)
    if folder is not None and all(step.order < folder.row for step in steps) and not _was_gone(here, steps, folder.row):
        trail = timeline.trail(path)
        steps += _removals_on(trail[1:], before, timeline)
        place = trail[-1][1]
        # where a look sees the new place, and it is not there, the renaming is not what took it away
        if all(step.order < folder.row for step in steps) and (len(trail) < 2 or place is None or not watched(place)):
            steps.append(timeline.step(folder.row))
            where = "elsewhere" if folder.new is None else render_path(folder.new)
            reasons.append(f"its folder {render_path(folder.old or b'')} was renamed to {where}")
    if not steps:
        return None, []
    last = max(steps, key=lambda step: step.order)
    if last.change.action is Action.MOVED_FROM:
        target = _rename_target(last, timeline)
        reasons.append(f"it was renamed to {render_path(target)}" if target else "it was renamed away")
    return last, reasons


def _removals_on(trail: Sequence[tuple[int, bytes | None]], before: FileState | None, timeline: Timeline) -> list[Step]:
    """Find what took the file away under the names that its renamed folders gave it."""
    key = timeline.table.key_of(before)
    ends = [row for row, _ in trail[1:]]
    return [
        step
        for (row, name), end in zip(trail, [*ends, None], strict=True)
        if name is not None
        for step in timeline.at_path(name)
        if step.change.action in _REMOVALS
        and step.order > row
        and (end is None or step.order < end)
        and timeline.key_of_row(step.order) == key
    ]


def _was_gone(here: Sequence[Step], removals: Sequence[Step], row: int) -> bool:
    """Tell whether a name was already without a file when its folder was renamed."""
    last = max((step.order for step in removals if step.order < row), default=-1)
    return last >= 0 and not any(last < step.order < row and step.change.action not in _REMOVALS for step in here)


def _rename_target(step: Step, timeline: Timeline) -> bytes | None:
    life = timeline.life_of_step(step)
    targets = (
        []
        if life is None
        else [other for other in life.steps if other.change.action is Action.MOVED_TO and other.change.cookie == step.change.cookie]
    )
    return targets[0].path if targets else None


def _deleted(diff: StateDiff, timeline: Timeline, watched: Callable[[bytes], bool]) -> Draft:
    draft = Draft(path=diff.path, kind=Kind.DELETED, before=diff.before, after=None, sources={Source.SCAN})
    step, reasons = _removal(diff.path, diff.before, timeline, watched)
    if step is not None:
        draft.causes[_NAME] = steps_cause([step], "removed it")
        draft.makers = [step]
        draft.others = [other for other in timeline.at_path(diff.path) if other.order < step.order]
    else:
        draft.causes[_NAME] = _NO_CAUSE
    draft.say(reasons)
    return draft


def _arrival(after: FileState, life: Life | None, timeline: Timeline) -> tuple[Step | None, list[str]]:
    """Find the step that gave a name to what is there now: on the name itself, or on a folder above."""
    step = None if life is None else naming_step(life, after.path, timeline.since_ns - SLACK_NS)
    if step is not None:
        return step, []
    folder = next(iter(timeline.folders_moved_to(after.path)), None)
    if folder is None or folder.path is None or _came_later(after, life, folder):
        return None, []
    return folder, [f"it came with its folder, renamed to {render_path(folder.path)}"]


def _came_later(after: FileState, life: Life | None, folder: Step) -> bool:
    """Tell whether a file may not have been there yet when its folder was renamed: that leaves what lies in it as it was."""
    if after.type is FileType.DIRECTORY or after.ctime_ns is None or after.ctime_ns <= folder.change.time_ns + SLACK_NS:
        return False  # a folder's own change time moves with what comes and goes in it
    return life is None or not life.steps


def _content_cause(
    life: Life, step: Step | None, own: FileState | None, after: FileState, timeline: Timeline
) -> tuple[Cause, list[str]]:
    """Explain the bytes of a file that got its name by ``step``; bytes made out of sight are explained by who brought them."""
    cause = bytes_cause(life, own, after)
    if cause.steps or step is None:
        return cause, list(cause.reasons)
    if own is not None:
        if own.sha256 != after.sha256 or own.target != after.target:
            return _NO_CAUSE, ["its bytes were changed before or after that, and no record says by whom"]
        return steps_cause([step], "brought it"), ["its bytes are an older file's of this tree"]
    return _brought(_first_arrival(life, step, timeline), after)


def _first_arrival(life: Life | None, step: Step, timeline: Timeline) -> Step:
    """Find the step that brought a file into sight: later renames only gave it other names."""
    arrivals = [] if life is None else [one for one in life.steps if one.change.action in (Action.LINKED, Action.MOVED_TO)]
    first = arrivals[0] if arrivals else step
    carried = timeline.folders_moved_to(first.path) if first.path is not None and first.order == step.order else []
    earlier = [one for one in carried if one.order < first.order or first.order == step.order]
    return min([first, *earlier], key=lambda one: one.order)


def _brought(first: Step, after: FileState) -> tuple[Cause, list[str]]:
    words = "its bytes were made out of sight (outside the watched paths, or before the records begin)"
    if after.type is FileType.FILE and after.mtime_ns is not None and after.mtime_ns > first.change.time_ns + SLACK_NS:
        # whoever wrote then had it open already when it came
        late = "it was written to after it came, and no record says by whom"
        return Cause(attribution=Attribution.AMBIGUOUS, steps=(first,)), [words, late]
    return steps_cause([first], "brought it"), [words]


def _created(diff: StateDiff, after: FileState, timeline: Timeline) -> Draft:
    draft = Draft(path=diff.path, kind=Kind.CREATED, before=None, after=after, sources={Source.SCAN})
    life = timeline.life_of(after)
    step, reasons = _arrival(after, life, timeline)
    draft.say(reasons)
    draft.causes[_NAME] = _NO_CAUSE if step is None else steps_cause([step], "named it")
    _explain_content(draft, life, step, after, timeline)
    if life is not None:
        draft.others = _recent(life, timeline.own_state(life), after)
    if life is not None and life.origin is Origin.BASELINE and after.type is not FileType.DIRECTORY:
        others = [render_path(path) for path in timeline.known_paths(life.key)]
        draft.say([f"it is another name (hard link) of {', '.join(others)}"] if others and after.nlink != 1 else [])
    return draft


def _explain_content(draft: Draft, life: Life | None, step: Step | None, after: FileState, timeline: Timeline) -> None:
    if life is None:
        if step is not None:
            cause, words = _brought(_first_arrival(None, step, timeline), after)
            draft.causes["sha256"] = cause
            draft.say(words)
            draft.makers = list(cause.steps)
        return
    own = timeline.own_state(life)
    cause, words = _content_cause(life, step, own, after, timeline)
    draft.say(words)
    draft.causes["sha256"] = cause
    draft.makers = likeliest_first(cause, after)


def _doubt(draft: Draft, timeline: Timeline) -> None:
    """Lower what is exact where a call of that time lost the record of which file it was for, and another process made it.

    And where not all is at hand that was recorded of that time.
    """
    if not (timeline.lost or timeline.left_out) or draft.attribution is not Attribution.EXACT:
        return
    before, after = draft.before, draft.after
    steps = draft.steps()
    low = before.ctime_ns if before is not None and before.ctime_ns is not None else steps[0].change.time_ns
    high = None if after is None or after.ctime_ns is None else after.ctime_ns + SLACK_NS
    names = {draft.path, *([draft.moved_to] if draft.moved_to else []), *(step.path for step in steps if step.path is not None)}
    key = timeline.table.key_of(after or before)
    sure_ns = _sure_since(draft, steps)
    if timeline.leaves_out(_life_of(draft, timeline), key, None if sure_ns is None else min(low, sure_ns), high):
        draft.doubt(LEFT_OUT)
    hidden = timeline.lost_between(key, names, low - SLACK_NS, high)
    nobody = any(step.change.actor is None for step in hidden)
    for name, cause in draft.causes.items():
        if hidden and len(distinct_processes([*cause.steps, *hidden])) + nobody > 1:
            draft.causes[name] = Cause(attribution=Attribution.AMBIGUOUS, steps=(*cause.steps, *hidden), reasons=cause.reasons)
            draft.say([f"{len(hidden)} events of that time lost the record of which file they were for, or whose they were"])


def _life_of(draft: Draft, timeline: Timeline) -> Life | None:
    """Find the life of the file that is there now; of one that is gone, the baseline's."""
    if draft.after is not None:
        return timeline.life_of(draft.after)
    life = None if draft.before is None else timeline.life_of(draft.before)
    return life if life is not None and life.origin is Origin.BASELINE else None


def _sure_since(draft: Draft, steps: Sequence[Step]) -> int | None:
    """Give since when a file is surely this one, whatever was left out: since its state in the baseline, or since it was made."""
    before, after = draft.before, draft.after
    if before is not None and (after is None or before.key == after.key):
        return before.ctime_ns
    return steps[0].change.time_ns if steps[0].change.action is Action.BORN else None


def _moved(before: FileState, target: StateDiff, timeline: Timeline, watched: Callable[[bytes], bool]) -> Draft:
    after = target.after
    assert after is not None
    changed = compare_states(before, after)
    draft = Draft(
        path=before.path, kind=Kind.MOVED, before=before, after=after, moved_to=after.path, changed=changed, sources={Source.SCAN}
    )
    life = timeline.life_of(after)
    step, reasons = _arrival(after, life, timeline)
    if step is None:
        step, reasons = _removal(before.path, before, timeline, watched)
    draft.say(reasons)
    draft.causes[_NAME] = _NO_CAUSE if step is None else steps_cause([step], "renamed it")
    draft.makers = [] if step is None else [step]
    if life is not None:
        _explain_attributes(draft, life, step, after, timeline)
    elif unexplained := [name for name in changed if name not in TIMES_ONLY]:
        # its folder took it along, and nothing at all was recorded of the file itself
        draft.causes.update(dict.fromkeys(unexplained, _NO_CAUSE))
        draft.say([f"no record explains the change of its {', '.join(unexplained)}"])
    return draft


def _differing(diff: StateDiff, before: FileState, after: FileState, timeline: Timeline) -> Draft:
    kind = Kind.MODIFIED if content_differs(before, after, diff.changed) else Kind.ATTRIBUTES
    draft = Draft(path=diff.path, kind=kind, before=before, after=after, changed=diff.changed, sources={Source.SCAN})
    life = timeline.life_of(after)
    replaced = before.key != after.key or (life is not None and life.origin is not Origin.BASELINE)
    step, reasons = _arrival(after, life, timeline) if replaced else (None, [])
    draft.say(reasons)
    if replaced:
        draft.say(["the file was replaced by another one"])
        draft.causes[_NAME] = _NO_CAUSE if step is None else steps_cause([step], "named it")
    if life is None and not replaced:
        draft.causes.update(dict.fromkeys(diff.changed, _NO_CAUSE))
        return draft
    _explain_attributes(draft, life, step, after, timeline)
    return draft


def _explain_attributes(draft: Draft, life: Life | None, step: Step | None, after: FileState, timeline: Timeline) -> None:
    """Explain each changed attribute; the makers of the content come first, then of what weighs most."""
    named, changed = draft.makers, draft.changed
    if set(_CONTENT) & set(changed):
        _explain_content(draft, life, step, after, timeline)
        if not draft.makers:
            draft.causes["sha256"] = _NO_CAUSE
    if life is None:
        return
    same = timeline.own_state(life)
    explained: dict[str, Callable[[], Cause]] = {
        "mode": lambda: mode_cause(life, same, after),
        "uid": lambda: owner_cause(life, same, after, "uid"),
        "gid": lambda: owner_cause(life, same, after, "gid"),
        "xattrs": lambda: xattrs_cause(life, same, draft.before, after),
    }
    for name in changed:
        if name in explained:
            cause = explained[name]()
            if not cause.steps and step is not None and _came_with_it(life, same, after, name):
                cause = steps_cause([step], "brought it")
            draft.causes[name] = cause
            draft.say(cause.reasons)
            draft.makers = draft.makers or list(cause.steps)
    if TIMES_ONLY.issuperset(changed) and not draft.causes:
        cause = other_cause(life, same, after, _TIMES, "changed its times or names")
        draft.causes[_NAME] = cause
        draft.say(cause.reasons)
    draft.makers = draft.makers or named or ([] if step is None else [step]) or list(_first(draft.causes))
    draft.others = [*draft.others, *(_recent(life, same, after))]


def _came_with_it(life: Life, own: FileState | None, after: FileState, name: str) -> bool:
    """Tell whether a file that was brought had this attribute already."""
    return life.origin is Origin.ELSEWHERE or (own is not None and getattr(own, name) == getattr(after, name))


def _first(causes: Mapping[str, Cause]) -> tuple[Step, ...]:
    return next((cause.steps for cause in causes.values() if cause.steps), ())


def _recent(life: Life, before: FileState | None, after: FileState) -> list[Step]:
    """Give what else was done to the file since its earlier state, by its last change time."""
    low = before.ctime_ns if before is not None else None
    high = None if after.ctime_ns is None else after.ctime_ns + SLACK_NS
    return steps_within(life.steps, low, high)
