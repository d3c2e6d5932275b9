"""Finds what left no difference: what came and went between two looks, and tries that were denied. Pure."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from fimkit.correlate.causes import Cause, bytes_cause, steps_cause
from fimkit.correlate.draft import Draft
from fimkit.correlate.lives import Life, Origin, Step
from fimkit.correlate.reasons import LEFT_OUT
from fimkit.correlate.timeline import Timeline
from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.findings import Attribution, Kind
from fimkit.model.paths import render_path
from fimkit.model.states import FileState

__all__ = ["draft_attempted", "draft_transient", "who_of"]

_ARRIVALS = (Action.BORN, Action.LINKED, Action.MOVED_TO)
_DEPARTURES = (Action.UNLINKED, Action.MOVED_FROM)
_WRITES = (Action.OPENED, Action.UPDATED)

States = Mapping[bytes, FileState]
SinceOf = Callable[[bytes], int]


def who_of(actor: Actor | None) -> tuple[object, ...]:
    """Name who tried: login, user and program; a second try of the same is the same finding."""
    return () if actor is None else (actor.auid, actor.uid, actor.exe)


def draft_transient(
    timeline: Timeline, before: States, after: States, since_of: SinceOf, watched: Callable[[bytes], bool]
) -> list[Draft]:
    """Find what came and went: a name in neither snapshot that records or osquery saw come or go.

    A temporary file that lives on under another name is none, nor is a name that a file of the baseline had for a while.

    Args:
        timeline: What the sources say.
        before: The earlier snapshot.
        after: The later one.
        since_of: When the earlier snapshot of a path was taken or accepted; what happened before is no matter of this look.
        watched: Tells whether a path belongs to a watch.
    """
    alive = {id(life) for state in after.values() if (life := timeline.life_of(state)) is not None}
    drafts = []
    for path in sorted(timeline.audited_paths()):
        if path in before or path in after or not watched(path):
            continue
        steps = [
            step
            for step in timeline.at_path(path)
            if step.change.time_ns >= since_of(path) and step.change.action in (*_ARRIVALS, *_DEPARTURES)
        ]
        draft = _transient(path, steps, timeline, alive, watched) if steps else None
        if draft is not None:
            drafts.append(draft)
    return drafts + _osquery_transients(timeline, before, after, since_of, watched)


def _lives_at(steps: Sequence[Step], timeline: Timeline) -> list[tuple[Step, Life]]:
    pairs = ((step, timeline.life_of_step(step)) for step in steps)
    return [(step, life) for step, life in pairs if life is not None]


def _went_on(path: bytes, life: Life, watched: Callable[[bytes], bool]) -> bool:
    """Tell whether a passing file left this name for another watched one: what became of it is told there.

    So a name that temporary files are saved under again and again, each renamed over the last, is none of its own.
    """
    here = [step for step in life.steps if step.path == path and step.change.action in _DEPARTURES]
    if not here or here[-1].change.action is not Action.MOVED_FROM:
        return False
    cookie = here[-1].change.cookie
    targets = [step.path for step in life.steps if step.change.cookie == cookie and step.change.action is Action.MOVED_TO]
    return any(target is not None and target != path and watched(target) for target in targets)


def _transient(
    path: bytes, steps: Sequence[Step], timeline: Timeline, alive: set[int], watched: Callable[[bytes], bool]
) -> Draft | None:
    passing = [
        (step, life)
        for step, life in _lives_at(steps, timeline)
        if id(life) not in alive and (life.origin is not Origin.BASELINE or step.change.action is Action.LINKED)
    ]
    passing += [
        (step, life) for step, life in _lives_at(steps, timeline) if id(life) in alive and step.change.action is Action.LINKED
    ]
    lives = {id(life): life for _, life in passing}
    gone_on = {name for name, life in lives.items() if _went_on(path, life, watched)}
    passing = [(step, life) for step, life in passing if id(life) not in gone_on]
    if not passing or not any(step.change.action in _DEPARTURES for step in steps):
        return None
    draft = Draft(path=path, kind=Kind.TRANSIENT, before=None, after=None, sources={Source.AUDIT})
    life = passing[-1][1]
    arrivals = _arrivals(path, passing, timeline)
    made = bytes_cause(life, None, None) if arrivals else Cause(attribution=Attribution.UNATTRIBUTED)
    if arrivals and not made.steps:
        made = steps_cause([arrivals[-1]], "brought it")
    draft.causes = {
        "bytes": made,
        "name": steps_cause([step for step in steps if step.change.action in _DEPARTURES][-1:], "removed it"),
    }
    draft.makers = list(made.steps)
    draft.others = [*steps, *life.steps]
    draft.say(made.reasons)
    made_ns = life.steps[0].change.time_ns if life.steps[0].change.action is Action.BORN else None
    if draft.attribution is Attribution.EXACT and timeline.leaves_out(life, life.key, made_ns, steps[-1].change.time_ns):
        draft.doubt(LEFT_OUT)
    if not arrivals:
        draft.say(["how it came was not recorded"])
    if steps[-1].change.action is Action.MOVED_FROM:
        target = [
            other.path
            for other in life.steps
            if other.change.cookie == steps[-1].change.cookie and other.change.action is Action.MOVED_TO
        ]
        draft.say([f"it was renamed to {render_path(target[0])}"] if target and target[0] else [])
    return draft


def _arrivals(path: bytes, passing: Sequence[tuple[Step, Life]], timeline: Timeline) -> list[Step]:
    """Find what brought a passing file: under this name, under another one before, or with its folder."""
    arrivals = [step for step, _ in passing if step.change.action in _ARRIVALS]
    last, life = passing[-1]
    arrivals = arrivals or [step for step in life.steps if step.change.action in _ARRIVALS and step.order < last.order]
    return arrivals or [step for step in timeline.folders_moved_to(path) if step.order < last.order][-1:]


def _osquery_transients(
    timeline: Timeline, before: States, after: States, since_of: SinceOf, watched: Callable[[bytes], bool]
) -> list[Draft]:
    """Find what only osquery saw come and go; audit records, where there are any of the name, have said more."""
    audited = set(timeline.audited_paths())
    drafts = []
    for path in sorted({*timeline.osquery, *timeline.witnessed}):
        told = [*timeline.osquery.get(path, ()), *(step.change for step in timeline.witnessed.get(path, ()))]
        rows = [change for change in told if change.time_ns >= since_of(path)]
        if (
            path in before
            or path in after
            or path in audited
            or not watched(path)
            or not _came_and_went(rows, path, timeline, before, after)
        ):
            continue
        draft = Draft(path=path, kind=Kind.TRANSIENT, before=None, after=None, sources={Source.OSQUERY})
        draft.causes["bytes"] = Cause(attribution=Attribution.UNATTRIBUTED)
        hashes = sorted({change.sha256 for change in rows if change.sha256 and not change.hash_late})
        draft.say([f"osquery saw it with SHA-256 {', '.join(hashes)}"] if hashes else [])
        drafts.append(draft)
    return drafts


def _came_and_went(rows: Sequence[Change], path: bytes, timeline: Timeline, before: States, after: States) -> bool:
    came = any(change.action in _ARRIVALS or (change.actor is not None and change.action in _WRITES) for change in rows)
    if not came or not any(change.action in _DEPARTURES for change in rows):
        return False
    # a name that a rename led on to a file that is there, or back from one that was, is a way point
    return not any(other in after or other in before for other in timeline.osquery_partners(path))


def draft_attempted(
    timeline: Timeline, before: States, after: States, since_of: SinceOf, watched: Callable[[bytes], bool]
) -> list[Draft]:
    """Give the denied tries on watched paths, one draft a path."""
    groups: dict[bytes, list[Step]] = defaultdict(list)
    for step in timeline.denied:
        path = _denied_path(step, timeline)
        if path is None or step.change.time_ns < since_of(path) or not watched(path):
            continue
        if not _is_elsewhere(path, step, timeline, (before, after)):
            groups[path].append(step)
    drafts = []
    for path, steps in sorted(groups.items()):
        draft = Draft(path=path, kind=Kind.ATTEMPTED, before=before.get(path), after=after.get(path), sources={Source.AUDIT})
        draft.causes["try"] = Cause(attribution=Attribution.EXACT, steps=tuple(steps))
        draft.makers = steps[:1]
        draft.denied = steps
        errors = sorted({step.change.error or "" for step in steps})
        draft.say([f"{len(steps)} denied {'try' if len(steps) == 1 else 'tries'}: {', '.join(errors)}"])
        drafts.append(draft)
    return drafts


def _is_elsewhere(path: bytes, step: Step, timeline: Timeline, snapshots: Sequence[States]) -> bool:
    """Tell whether a try was at another root's file of this name: the snapshots have another inode there, and no record has it."""
    key = timeline.key_of_row(step.order)
    states = [snapshot[path] for snapshot in snapshots if path in snapshot]
    return key >= 0 and bool(states) and all(timeline.table.key_of(state) != key for state in states) and not timeline.lives(key)


def _denied_path(step: Step, timeline: Timeline) -> bytes | None:
    """Find what a try was aimed at: the inode's own path where the name is a link's or not sure."""
    known = timeline.known_paths(timeline.key_of_row(step.order))
    if step.path is None or not step.change.path_sure or (known and step.path not in known):
        return known[0] if known else step.path
    return step.path
