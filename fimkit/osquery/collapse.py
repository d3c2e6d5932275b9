"""Makes one change of the several rows that osquery gives for one. Pure.

One ``echo > new`` is CREATED, UPDATED, UPDATED; each is hashed when it is processed, so they mostly say the very same. Rows
become one where nothing is lost by it: the same host, path and kind of claim, the same inode, hash, size, mode, owner and
modification time, none of them further than :data:`WINDOW_NS` from the one before, and nothing else of that path in between. A
CREATED takes the UPDATED that follow it, for who makes a file writes it; what differs in anything stays apart. The first one's
time is kept, and the last one's.
"""

from collections.abc import Iterable
from dataclasses import replace

from fimkit.model.changes import Action, Change, Source, place_of

__all__ = ["WINDOW_NS", "collapse_rows"]

WINDOW_NS = 10_000_000_000
"""As long as between rows of one write at most: longer than an osquery under load needs for its queue, shorter than habits."""

_TAKES = {
    Action.BORN: frozenset({Action.UPDATED}),
    Action.UPDATED: frozenset({Action.UPDATED}),
    Action.ATTRIBUTES: frozenset({Action.ATTRIBUTES}),
}


def _content(change: Change) -> tuple[object, ...]:
    return (
        change.inode,
        change.sha256,
        change.size,
        change.new_mode,
        change.uid,
        change.gid,
        change.mtime_ns,
        change.cookie,
        change.hash_late,
    )


def collapse_rows(changes: Iterable[Change]) -> list[Change]:
    """Collapse the rows of ``file_events``; other changes, and rows that name a process, pass as they are.

    Args:
        changes: Any order.

    Returns:
        Sorted by time, serial and item; what stands for several has ``last_ns``.
    """
    whole = sorted(changes, key=place_of)
    kept: list[Change] = []
    open_at: dict[tuple[str | None, bytes | None], int] = {}
    for change in whole:
        if change.source is not Source.OSQUERY or change.actor is not None:
            kept.append(change)
            continue
        place = open_at.get((change.node, change.path))
        if place is not None and _is_told(kept[place], change):
            kept[place] = replace(kept[place], last_ns=max(_end(kept[place]), _end(change)))
            continue
        open_at[change.node, change.path] = len(kept)
        kept.append(change)
    return kept


def _end(change: Change) -> int:
    return change.time_ns if change.last_ns is None else change.last_ns


def _is_told(first: Change, other: Change) -> bool:
    """Tell whether a row says nothing that the one before it did not say; names come and go anew, if not in the same second."""
    if _content(first) != _content(other):
        return False
    if other.action in _TAKES.get(first.action, ()):
        return other.time_ns - _end(first) <= WINDOW_NS
    return other.action is first.action and other.time_ns == first.time_ns
