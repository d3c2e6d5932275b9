"""Pairs the two halves of a rename in ``file_events``. Pure.

inotify gives both halves one cookie, which osquery logs as ``transaction_id``. The halves may stand on different lines, in
different query runs, and in any order within a second. The kernel counts cookies anew after a restart of the host, and a log may
be of several hosts: so two halves are one rename only on the same host and within a window. A move in or out of what is watched
has one half only.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from fimkit.model.changes import Action, Change, Source, place_of

__all__ = ["WINDOW_NS", "Move", "pair_moves"]

WINDOW_NS = 10_000_000_000
"""How far the halves' stamps may be apart: osquery stamps both when it takes them from one queue (seen: in the same second)."""

_HALVES = (Action.MOVED_FROM, Action.MOVED_TO)


class Move(NamedTuple):
    """One rename: both names, and the later half's time."""

    old: bytes
    new: bytes
    time_ns: int
    arrival: Change


def pair_moves(changes: Iterable[Change]) -> list[Move]:
    """Find the renames that osquery saw whole.

    Args:
        changes: Of any source and host, any order; told twice or once.

    Returns:
        Each rename once, in the order of their times.
    """
    halves: dict[tuple[str | None, str], list[Change]] = defaultdict(list)
    for change in changes:
        if change.source is Source.OSQUERY and change.action in _HALVES and change.cookie and change.path is not None:
            halves[change.node, change.cookie].append(change)
    found: dict[tuple[bytes, bytes, int], Move] = {}
    for group in halves.values():
        gone = sorted((change for change in group if change.action is Action.MOVED_FROM), key=place_of)
        come = sorted((change for change in group if change.action is Action.MOVED_TO), key=place_of)
        for arrival in come:
            near = [change for change in gone if abs(change.time_ns - arrival.time_ns) <= WINDOW_NS]
            if near and arrival.path is not None:
                start = min(near, key=lambda change: abs(change.time_ns - arrival.time_ns))
                assert start.path is not None
                move = Move(start.path, arrival.path, max(start.time_ns, arrival.time_ns), arrival)
                found.setdefault((move.old, move.new, move.time_ns), move)
    return sorted(found.values(), key=lambda move: (move.time_ns, move.old, move.new))
