"""Finds where a file is that osquery names by a folder's old name. Pure.

osquery watches a folder by the name that it had when the watch was made. After the folder is renamed, what happens in it is
reported under the old name, and nothing is there: no stat, no hash. Where the rename is known (by both its rows, or by the
folder's inode in two snapshots), the true name is too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from fimkit.model.changes import Action, Change, Source
from fimkit.model.paths import is_below, render_path
from fimkit.model.state_index import States, only_after, only_before
from fimkit.model.states import FileState, FileType
from fimkit.osquery.moves import pair_moves

__all__ = ["Relocated", "relocate_rows"]

_ARRIVALS = (Action.BORN, Action.MOVED_TO)


class Relocated(NamedTuple):
    """The changes, with true paths where they were found, and words on it."""

    changes: list[Change]
    words: list[str]


class _FolderMove(NamedTuple):
    """One rename of a folder; ``time_ns`` is ``None`` where only the snapshots tell of it."""

    old: bytes
    new: bytes
    time_ns: int | None


def relocate_rows(changes: Sequence[Change], *, before: States, after: States, earlier: Iterable[Change] = ()) -> Relocated:
    """Correct the paths of rows that stand under a renamed folder's old name.

    Args:
        changes: Of one host.
        before: The earlier snapshot by path.
        after: The later one.
        earlier: Changes read before, whose renames still count.

    Returns:
        As many changes in the same order. One whose file was in the earlier snapshot, and is in the later one, has its inode too.
    """
    moves = _folder_moves([*earlier, *changes], before, after)
    if not moves:
        return Relocated(list(changes), [])
    born: dict[bytes, list[int]] = {}
    for change in (*earlier, *changes):
        if change.action in _ARRIVALS and change.source is Source.OSQUERY and change.path is not None:
            born.setdefault(change.path, []).append(change.time_ns)
    found: list[Change] = []
    counts: Counter[tuple[bytes, bytes]] = Counter()
    for change in changes:
        moved = _relocate(change, moves, born, before, after) if _is_lost(change, after) else None
        found.append(change if moved is None else moved)
        if moved is not None and change.path is not None and moved.path is not None:
            counts[_parting(change.path, moved.path)] += 1
    words = [
        f"osquery names {render_path(new)} by its old name {render_path(old)}: changes told under the new one: {count}"
        for (old, new), count in sorted(counts.items())
    ]
    return Relocated(found, words)


def _is_lost(change: Change, after: States) -> bool:
    """Tell whether osquery found nothing under the name that it gave, and neither does a look."""
    return (
        change.source is Source.OSQUERY
        and change.actor is None
        and change.inode is None
        and change.sha256 is None
        and change.path is not None
        and change.path not in after
    )


def _folder_moves(changes: Iterable[Change], before: States, after: States) -> list[_FolderMove]:
    def is_folder(state: FileState | None) -> bool:
        return state is not None and state.type is FileType.DIRECTORY

    told = [
        _FolderMove(move.old, move.new, move.time_ns)
        for move in pair_moves(change for change in changes if change.actor is None)
        if is_folder(before.get(move.old)) or is_folder(after.get(move.new))
    ]
    places = {state.key: state.path for state in only_after(before, after) if is_folder(state) and state.key is not None}
    known = {move.old for move in told}
    seen = [
        _FolderMove(state.path, places[state.key], None)
        for state in (only_before(before, after) if places else ())
        if state.path not in known and is_folder(state) and state.key in places
    ]
    return [*told, *sorted(seen, key=lambda move: len(move.old))]


def _relocate(
    change: Change, moves: Sequence[_FolderMove], born: Mapping[bytes, Sequence[int]], before: States, after: States
) -> Change | None:
    """Follow the renames of the folders above; ``None`` where none was, or the old name had another folder by then."""
    path, certain = change.path, True
    assert path is not None
    for move in moves:
        if path == move.old or not is_below(path, move.old):
            continue
        if move.time_ns is None:
            certain = False
        elif change.time_ns < move.time_ns or any(move.time_ns < time_ns <= change.time_ns for time_ns in born.get(move.old, ())):
            continue
        path = move.new + path[len(move.old) :]
    if path == change.path:
        return None
    old, new = before.get(change.path or b""), after.get(path)
    same = old is not None and new is not None and old.key is not None and old.key == new.key
    if not same and not certain:
        return None
    return replace(change, path=path, inode=new.inode if same and new is not None else None)


def _parting(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """Give the two folders by which two paths differ: what they have in common at their ends is left out.

    >>> _parting(b"/a/b/c/x", b"/a/z/c/x")
    (b'/a/b', b'/a/z')
    """
    left, right = old.split(b"/"), new.split(b"/")
    while len(left) > 2 and len(right) > 2 and left[-1] == right[-1]:
        left.pop()
        right.pop()
    return b"/".join(left), b"/".join(right)
