"""Two snapshots to the scan's claims: what was created, deleted, or differs. Pure."""

from collections.abc import Iterable, Mapping

from fimkit.baseline.problems import UNLISTED, VANISHED
from fimkit.model.changes import StateDiff
from fimkit.model.state_index import troubled_of
from fimkit.model.states import FileState, compare_states

__all__ = ["diff_pairs", "diff_states"]


def diff_states(before: Mapping[bytes, FileState], after: Mapping[bytes, FileState]) -> list[StateDiff]:
    """Compare two snapshots.

    A row that vanished while it was read stands for an absent path. What is missing below a folder that could not be listed is
    not known, and so not deleted.

    Args:
        before: The older states by path.
        after: The newer ones.

    Returns:
        The differences, sorted by path; ``changed`` is empty where one of the states is absent.

    >>> from fimkit.model.states import FileType
    >>> old, new = FileState(b"/a", FileType.FILE, mode=0o644, size=1), FileState(b"/a", FileType.FILE, mode=0o755)
    >>> [(diff.path, diff.changed) for diff in diff_states({b"/a": old}, {b"/a": new})]
    [(b'/a', ('mode',))]
    """
    differing: list[tuple[bytes, FileState | None, FileState | None]] = []
    common = 0
    for path, old in before.items():
        new = after.get(path)
        if new is not None:
            common += 1
        if new is not old and old != new:
            differing.append((path, old, new))
    if common < len(after):
        differing += [(path, None, new) for path, new in after.items() if path not in before]
    return diff_pairs(differing, after)


def diff_pairs(
    differing: Iterable[tuple[bytes, FileState | None, FileState | None]], after: Mapping[bytes, FileState]
) -> list[StateDiff]:
    """Do the same for the paths alone whose states are not equal.

    Args:
        differing: Each such path once, with its older and its newer state, in any order.
        after: All the newer states: for the folders that could not be listed.
    """
    pairs = list(differing)
    if not pairs:  # the nightly case: no row is looked at a second time
        return []
    unlisted = {state.path for state in troubled_of(after) if _is_unlisted(state)}
    diffs = (_diff_pair(path, old, new, unlisted) for path, old, new in pairs)
    found = [diff for diff in diffs if diff is not None]
    found.sort(key=lambda diff: diff.path)
    return found


def _is_unlisted(state: FileState) -> bool:
    return state.problem is not None and UNLISTED in state.problem


def _present(state: FileState | None) -> FileState | None:
    return None if state is None or state.problem == VANISHED else state


def _diff_pair(path: bytes, before: FileState | None, after: FileState | None, unlisted: set[bytes]) -> StateDiff | None:
    before, after = _present(before), _present(after)
    if before is None and after is None:
        return None
    if before is None or after is None:
        if after is None and unlisted and _lies_in(path, unlisted):
            return None
        return StateDiff(path=path, before=before, after=after, changed=())
    changed = compare_states(before, after)
    return StateDiff(path=path, before=before, after=after, changed=changed) if changed else None


def _lies_in(path: bytes, folders: set[bytes]) -> bool:
    end = path.rfind(b"/")
    while end > 0:
        if path[:end] in folders:
            return True
        end = path.rfind(b"/", 0, end)
    return b"/" in folders
