"""Holds the sealed rows against today's: which were altered, added, or are missing, and what acceptances explain of it. Pure."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from fimkit.evidence.values import STATE_COLUMNS

__all__ = ["Explained", "LineDiff", "RowChange", "RowFault", "diff_lines", "explain_diffs", "parse_row_change", "undo_steps"]


class RowFault(StrEnum):
    """What is wrong with a row."""

    ALTERED = "altered"
    ADDED = "added"
    MISSING = "missing"


class LineDiff(NamedTuple):
    """One row's sealed line and today's; one of them is ``None`` where there is no such row."""

    sealed: bytes | None
    now: bytes | None


class Explained(NamedTuple):
    """A difference, and the acceptances that made it, step by step from the sealed line to today's; none explain it: empty."""

    diff: LineDiff
    acceptances: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """A row that is not what was sealed: ``fields`` are name, sealed value and today's; digests are of the canonical lines."""

    path: bytes
    fault: RowFault
    fields: tuple[tuple[str, str | None, str | None], ...] = ()
    sealed_digest: str | None = None
    now_digest: str | None = None


_Key = tuple[int, Any]
_INFINITE = re.compile(r"(?<=[\[,])(-?)Inf(?=[,\]])")


def _key(line: bytes) -> _Key:
    """Give what SQLite orders by: numbers, then texts ("t…"), then bytes ("x…" in hex, which has their order)."""
    path = _cells(line)[0]
    return (1, path) if isinstance(path, str) else (0, path or 0)


def _cells(line: bytes) -> list[Any]:
    """Read a line. In one that was tampered with a text may be no UTF-8, and a number ``Inf``, which is no JSON."""
    text = line.decode("utf-8", "surrogateescape")
    try:
        cells = json.loads(text)
    except ValueError:
        cells = json.loads(_INFINITE.sub(r"\1Infinity", text))
    return list(cells)


def diff_lines(sealed: Iterable[bytes], now: Iterable[bytes]) -> Iterator[LineDiff]:
    """Walk two sequences of lines in path order side by side, and give what is not the same.

    >>> list(diff_lines([b'["x61",1]', b'["x62",1]'], [b'["x61",2]', b'["x62",1]', b'["x63",1]']))
    [LineDiff(sealed=b'["x61",1]', now=b'["x61",2]'), LineDiff(sealed=None, now=b'["x63",1]')]
    """
    olds, news = iter(sealed), iter(now)
    old, new = next(olds, None), next(news, None)
    while old is not None or new is not None:
        if old == new:
            old, new = next(olds, None), next(news, None)
            continue
        order = 0 if old is None or new is None else (_key(old) > _key(new)) - (_key(old) < _key(new))
        if new is None or order < 0:
            yield LineDiff(old, None)
            old = next(olds, None)
        elif old is None or order > 0:
            yield LineDiff(None, new)
            new = next(news, None)
        else:
            yield LineDiff(old, new)
            old, new = next(olds, None), next(news, None)


def explain_diffs(diffs: Iterable[LineDiff], passed: Iterable[tuple[int, int, bytes]]) -> Iterator[Explained]:
    """Find for each difference the acceptances that led from the sealed line to today's without a gap.

    Args:
        diffs: In path order.
        passed: Acceptance, side (0 before, 1 after) and line, by path, then in time.
    """
    groups = itertools.groupby(passed, key=lambda one: _key(one[2]))
    group = next(groups, None)
    for diff in diffs:
        key = _key(diff.sealed or diff.now or b"")
        while group is not None and group[0] < key:
            group = next(groups, None)
        steps = _steps(group[1]) if group is not None and group[0] == key else []
        yield Explained(diff, _chain(diff, steps))


def undo_steps(now: Iterable[bytes], passed: Iterable[tuple[int, int, bytes]]) -> Iterator[bytes]:
    """Give the lines as they were before the acceptances: what is none of their doing stays as it is.

    Args:
        now: In path order.
        passed: As in :func:`explain_diffs`.

    >>> list(undo_steps([b'["x61",2]', b'["x62",1]'], [(7, 0, b'["x61",1]'), (7, 1, b'["x61",2]')]))
    [b'["x61",1]', b'["x62",1]']
    """
    groups = itertools.groupby(passed, key=lambda one: _key(one[2]))
    group, lines = next(groups, None), iter(now)
    line = next(lines, None)
    while line is not None or group is not None:
        if group is None or (line is not None and _key(line) < group[0]):
            assert line is not None
            yield line
            line = next(lines, None)
            continue
        mine = line if line is not None and _key(line) == group[0] else None
        steps = _steps(group[1])
        was = steps[0][1] if steps[-1][2] == mine else mine
        if was is not None:
            yield was
        line, group = next(lines, None) if mine is not None else line, next(groups, None)


def _steps(rows: Iterable[tuple[int, int, bytes]]) -> list[tuple[int, bytes | None, bytes | None]]:
    steps = []
    for number, both in itertools.groupby(rows, key=lambda one: one[0]):
        sides = {side: line for _, side, line in both}
        steps.append((number, sides.get(0), sides.get(1)))
    return steps


def _chain(diff: LineDiff, steps: list[tuple[int, bytes | None, bytes | None]]) -> tuple[int, ...]:
    line = diff.sealed
    for _, before, after in steps:
        if before != line:
            return ()
        line = after
    return tuple(number for number, _, _ in steps) if line == diff.now else ()


def parse_row_change(diff: LineDiff) -> RowChange:
    """Name what a difference is.

    >>> change = parse_row_change(LineDiff(b'["x61","file",420]', b'["x61","file",493]'))
    >>> change.path, change.fault.value, change.fields
    (b'a', 'altered', (('mode', '0644', '0755'),))
    """
    old, new = (None if line is None else _cells(line) for line in diff)
    path = (old or new or [b""])[0]
    raw = bytes.fromhex(path[1:]) if isinstance(path, str) and path.startswith("x") else str(path).encode()
    names = zip(STATE_COLUMNS, old, new, strict=False) if old is not None and new is not None else ()
    return RowChange(
        path=raw,
        fault=RowFault.ADDED if old is None else RowFault.MISSING if new is None else RowFault.ALTERED,
        fields=tuple((name, _cell(name, was), _cell(name, now)) for name, was, now in names if was != now),
        sealed_digest=None if diff.sealed is None else sha256(diff.sealed).hexdigest(),
        now_digest=None if diff.now is None else sha256(diff.now).hexdigest(),
    )  # fmt: skip


def _cell(name: str, value: object) -> str | None:
    """Show a value as people know it: a digest in lower case, without the mark; the mode in octal."""
    if name == "mode" and isinstance(value, int):
        return f"{value:04o}"
    if name == "sha256" and isinstance(value, str):
        return value[1:].lower()
    return None if value is None else str(value)
