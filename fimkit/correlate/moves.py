"""Which paths that are gone live on under another name. Equal inode numbers alone prove nothing: they are given again. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fimkit.correlate.lives import Origin
from fimkit.correlate.timeline import Timeline
from fimkit.model.changes import Action, StateDiff
from fimkit.model.states import FileState, FileType, compare_states

__all__ = ["Moves", "find_moves"]


class Moves(NamedTuple):
    """``pairs``: old path to the diff of the new one. ``carried``: old paths whose folder took them along, unchanged."""

    pairs: Mapping[bytes, StateDiff]
    carried: frozenset[bytes]


def _same_content(before: FileState, after: FileState) -> bool:
    """Tell whether two states with one inode number are surely one file: a number given again has other times."""
    return (
        before.type is after.type
        and before.mtime_ns is not None
        and before.mtime_ns == after.mtime_ns
        and before.sha256 == after.sha256
        and before.target == after.target
        and (before.type is not FileType.FILE or before.sha256 is not None)
    )


def _expected_place(path: bytes, folders: Mapping[bytes, bytes]) -> bytes | None:
    """Give where a moved folder would have carried ``path``; the nearest moved ancestor decides."""
    above = path
    while folders and len(above) > 1:
        above = above.rpartition(b"/")[0]
        if above in folders:
            return folders[above] + path[len(above) :]
    return None


def _carried_to(path: bytes, timeline: Timeline) -> bytes | None:
    """Give where the recorded renames of folders carried ``path``, also where another folder has the old name now."""
    place = timeline.trail(path)[-1][1]
    return None if place == path else place


def _is_same_file(timeline: Timeline, gone: FileState, diff: StateDiff, expected: bytes | None) -> bool:
    after = diff.after
    if after is None or after.key != gone.key or after.type is not gone.type:
        return False
    life = timeline.life_of(after)
    if life is not None and life.origin is not Origin.BASELINE:
        return False
    if life is None and timeline.lives(timeline.table.key_of(gone)):
        return False
    arrived = life is not None and any(
        (step.path in (diff.path, None) and step.change.action in (Action.MOVED_TO, Action.LINKED))
        or (step.path == gone.path and step.change.action is Action.MOVED_FROM)
        for step in life.steps
    )
    if arrived or diff.before is not None:
        return arrived
    return diff.path == expected or timeline.osquery_move(gone.path, diff.path) or _same_content(gone, after)


def find_moves(diffs: Sequence[StateDiff], timeline: Timeline) -> Moves:
    """Pair gone paths with where they went.

    A pair needs more than the inode's number: a recorded rename or link, osquery's pair of names, a moved folder around it, or the
    very same bytes and times.
    """
    arrivals: dict[object, list[StateDiff]] = defaultdict(list)
    for diff in diffs:
        if diff.after is not None and diff.after.key is not None:
            arrivals[diff.after.key].append(diff)
    created = {diff.path: diff for diff in diffs if diff.before is None}
    pairs: dict[bytes, StateDiff] = {}
    folders: dict[bytes, bytes] = {}
    carried: set[bytes] = set()
    taken: set[bytes] = set()
    for gone in sorted(
        (diff.before for diff in diffs if diff.before is not None and diff.after is None), key=lambda state: state.path
    ):
        expected = _expected_place(gone.path, folders) or _carried_to(gone.path, timeline)
        found = [diff for diff in arrivals[gone.key] if diff.path not in taken and _is_same_file(timeline, gone, diff, expected)]
        if not found:
            found = [created[expected]] if expected in created and expected not in taken else []
        if not found:
            continue
        target = next((diff for diff in found if diff.path == expected), found[0])
        taken.add(target.path)
        pairs[gone.path] = target
        if gone.type is FileType.DIRECTORY:
            folders[gone.path] = target.path
        with_its_folder = target.path == _expected_place(gone.path, folders)
        if with_its_folder and target.after is not None and not compare_states(gone, target.after):
            carried.add(gone.path)
    return Moves(pairs, frozenset(carried))
