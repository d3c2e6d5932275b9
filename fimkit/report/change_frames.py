"""The CHANGES frame, put together of blocks of some thousands of rows: millions of changes never are objects all at once. Pure."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fimkit.model.changes import Change
from fimkit.model.findings import Tier
from fimkit.report.columns import Lost, column_of, render_lost, render_octal
from fimkit.report.frame_schema import CHANGES, Field
from fimkit.report.frames import Frame

__all__ = ["ChangeBlock", "change_blocks", "change_frame", "changes_frame", "stored_change_block"]

_ROWS = 20_000
_ORDER = ("time", "serial", "item")
_WHO = ("auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses")
_FIELDS = {field.name: field for field in CHANGES.fields}
_STORED = {"new_uid": "uid", "new_gid": "gid", "last_time": "last_ns"}  # columns that the claim has under another name


class ChangeBlock(NamedTuple):
    """Some rows of the CHANGES frame: an array a column, and what no array could hold."""

    columns: dict[str, Any]
    lost: Lost


def _row(host: str, tier: Tier | None, change: Change) -> tuple[Any, ...]:
    actor = change.actor
    who = (None,) * len(_WHO) if actor is None else tuple(getattr(actor, name) for name in _WHO)
    return (
        host, change.time_ns, change.source.value, change.action.value, change.path, change.path_sure,
        None if tier is None else tier.value, *who, None if actor is None else actor.syscall,
        None if actor is None else actor.event, change.serial, change.item,
        change.error, change.dev, change.inode, change.parent_dev, change.parent_inode,
        render_octal(change.mode), render_octal(change.new_mode), change.uid, change.gid, change.size, change.sha256,
        change.hash_late, change.cookie, change.last_ns, change.node,
    )  # fmt: skip


def change_blocks(rows: Iterable[tuple[str, Tier | None, Change]]) -> Iterator[ChangeBlock]:
    """Make blocks of changes, each given with its host, and the tier of its path where that is known."""
    stream = iter(rows)
    while some := list(itertools.islice(stream, _ROWS)):
        lost, values = Lost(), list(zip(*(_row(*row) for row in some), strict=True))
        yield ChangeBlock(
            {field.name: column_of(column, field, lost) for field, column in zip(CHANGES.fields, values, strict=True)}, lost
        )


def stored_change_block(
    host: str,
    tier_of: Callable[[bytes | None], Tier | None] | None,
    changes: Mapping[str, Sequence[Any]],
    process: Sequence[int],
    processes: Mapping[str, Sequence[Any]],
) -> ChangeBlock:
    """Make a block of columns, as the store has them.

    Args:
        host: The host.
        tier_of: Gives a path's tier; ``None`` where no configuration says it.
        changes: A column each for what a change has, with ``syscall`` and ``event`` of its actor.
        process: The row of ``processes`` that is the actor, -1 where nobody is known.
        processes: A column each for what else an actor has.
    """
    lost, count = Lost(), len(process)
    places = np.array(process, dtype=np.intp)
    nobody = places < 0

    def who(field: Field) -> Any:
        values, odd = processes[field.name], Lost()
        few = column_of(values, field, odd)
        if odd:  # counted by the rows that it is missing in, and not by processes
            (kind,) = odd
            gone = few.isna() & np.array([value is not None for value in values])
            lost[kind] += int(gone[places[~nobody]].sum())
        return few.take(places, allow_fill=True)

    def plain(field: Field) -> Any:
        values = changes[_STORED.get(field.name, f"{field.name}_ns" if field.name == "time" else field.name)]
        if field.name in ("mode", "new_mode"):
            known = {mode: render_octal(mode) for mode in set(values)}
            values = [known[mode] for mode in values]
        if field.name == "event":  # a claim whose maker is not known names the event; a row is silent of it, as of the maker
            values = [None if skip else value for value, skip in zip(values, nobody.tolist(), strict=True)]
        return column_of(values, field, lost)

    def one(field: Field) -> Any:
        if field.name == "host":
            return column_of([host], field, lost).take(np.zeros(count, dtype=np.intp))
        if field.name == "tier":
            return column_of(_tiers(tier_of, changes["path"]), field, lost)
        return who(field) if field.name in _WHO else plain(field)

    return ChangeBlock({field.name: one(field) for field in CHANGES.fields}, lost)


def _tiers(tier_of: Callable[[bytes | None], Tier | None] | None, paths: Sequence[bytes | None]) -> list[str | None]:
    if tier_of is None:
        return [None] * len(paths)
    known: dict[bytes | None, str | None] = {}
    for path in set(paths):
        tier = tier_of(path)
        known[path] = None if tier is None else tier.value
    return [known[path] for path in paths]


def _in_order(frame: pd.DataFrame) -> bool:
    """Tell whether the rows are in the order of :data:`_ORDER`, so that millions need not be moved."""
    time, serial, item = (frame[name] for name in _ORDER)
    if time.hasnans or serial.hasnans or item.hasnans:
        return False
    keys = (time.array.asi8, *(numbers.array.to_numpy(dtype="int64") for numbers in (serial, item)))
    tied = np.ones(max(0, len(frame) - 1), dtype=bool)
    for key in keys:
        step = key[1:] >= key[:-1]
        if not step[tied].all():
            return False
        tied &= key[1:] == key[:-1]
    return True


def change_frame(blocks: Iterable[ChangeBlock]) -> Frame:
    """Make the CHANGES frame of blocks: the columns of :data:`fimkit.report.frame_schema.CHANGES`, by time, serial and item."""
    lost, held = Lost(), list[dict[str, Any]]()
    for block in blocks:
        lost += block.lost
        held.append(block.columns)
    empty = Lost()
    whole = {}
    for name, field in _FIELDS.items():  # a column at a time, each let go when it is joined: not all of it twice
        arrays = [pd.Series(columns.pop(name), copy=False) for columns in held]
        whole[name] = pd.concat(arrays, ignore_index=True).array if arrays else column_of([], field, empty)
    frame = Frame(whole, copy=False)
    if not _in_order(frame):
        frame = Frame(frame.sort_values(list(_ORDER), kind="stable", ignore_index=True))
    frame.attrs["schema"], frame.attrs["notes"] = CHANGES.name, render_lost(lost)
    return frame


def changes_frame(rows: Iterable[tuple[str, Tier | None, Change]]) -> Frame:
    """Make the CHANGES frame.

    Args:
        rows: Each change with its host, and the tier of its path where that is known.

    Returns:
        The columns of :data:`fimkit.report.frame_schema.CHANGES`, a row a change, by ``time``, ``serial``, ``item``.

    >>> changes_frame([]).shape[0]
    0
    """
    return change_frame(change_blocks(rows))
