"""What a query wants of one of our tables: osquery's context, read into columns and limits. Pure.

osquery and SQLite check every row again, so that more rows than asked for are always right, and fewer never. What is not understood
(an operator, a number that is none) limits nothing.

Source: osquery, osquery/core/tables.cpp and osquery/sql/virtual_table.cpp; https://www.sqlite.org/vtab.html, xBestIndex.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from fimkit.model.errors import UsageError, clip
from fimkit.osquery.columns import Column, ColumnType, Table

__all__ = ["Asked", "Limits", "Operator", "Pattern", "parse_context"]


class Operator(IntEnum):
    """The operators of constraints that limit something here. Source: SQLITE_INDEX_CONSTRAINT_* of sqlite3.h."""

    EQUAL = 2
    GREATER = 4
    AT_MOST = 8
    LESS = 16
    AT_LEAST = 32
    LIKE = 65
    GLOB = 66


class Pattern(NamedTuple):
    """A pattern of LIKE or GLOB."""

    operator: Operator
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a query says of one column; all of it holds at once.

    ``texts`` (a TEXT column) and ``numbers`` (the others) are values of which one must be met; ``None`` is any. ``low`` and
    ``high`` are in.
    """

    texts: frozenset[str] | None = None
    numbers: frozenset[int] | None = None
    low: int | None = None
    high: int | None = None
    patterns: tuple[Pattern, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one request wants: the columns that the query reads, in the table's order, and limits by column."""

    columns: tuple[str, ...]
    limits: Mapping[str, Limits]


_MAX = (1 << 63) - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,14}\.[0-9]+")
_LONGEST_PATTERN = 1000


def parse_context(text: str | None, table: Table) -> Asked:
    """Read the context of a ``generate`` request.

    Args:
        text: JSON as osquery sends it; without any, every column that is not hidden is asked for.
        table: The table concerned; columns that it has not are not looked at.

    Raises:
        UsageError: If it is no such context.

    >>> from fimkit.osquery.columns import BASELINE
    >>> text = '{"constraints": [{"name": "path", "list": [{"op": 2, "expr": "/a"}], "affinity": "TEXT"}], "colsUsed": ["path"]}'
    >>> asked = parse_context(text, BASELINE)
    >>> asked.columns, asked.limits["path"].texts
    (('path',), frozenset({'/a'}))
    """
    context = _load(text)
    used = context.get("colsUsed")
    names = [column.name for column in table.columns]
    shown = {column.name for column in table.columns if not column.hidden}
    wanted = set(used) if isinstance(used, list) and all(isinstance(name, str) for name in used) else shown
    limits = {}
    for column, constraints in _by_column(context, table):
        found = _limits_of(column, constraints)
        if found != Limits():
            limits[column.name] = found
    return Asked(columns=tuple(name for name in names if name in wanted), limits=limits)


def _load(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        context = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the context {clip(text)} is no JSON: {error}") from error
    if not isinstance(context, dict):
        raise UsageError(f"the context {clip(text)} is no JSON object")
    return context


def _by_column(context: Mapping[str, Any], table: Table) -> Iterable[tuple[Column, list[tuple[Operator, str]]]]:
    columns = {column.name: column for column in table.columns}
    constraints = context.get("constraints")
    for entry in constraints if isinstance(constraints, list) else ():
        # An object of a column; in its list, objects of operator and value: anything else limits nothing.
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and entry["name"] in columns:
            found = entry.get("list")
            yield columns[entry["name"]], [pair for each in (found if isinstance(found, list) else ()) if (pair := _pair(each))]


def _pair(constraint: object) -> tuple[Operator, str] | None:
    if not isinstance(constraint, dict):
        return None
    try:
        operator = Operator(int(constraint.get("op", 0)))
    except (TypeError, ValueError):
        return None
    expr = constraint.get("expr")
    return (operator, expr) if isinstance(expr, str) and expr else None


def _limits_of(column: Column, constraints: Iterable[tuple[Operator, str]]) -> Limits:
    if column.type is not ColumnType.TEXT:
        return _number_limits(constraints)
    texts, patterns = [], []
    for operator, text in constraints:
        if operator is Operator.EQUAL:
            texts.append(text)
        elif len(text) <= _LONGEST_PATTERN and text.strip({Operator.LIKE: "%", Operator.GLOB: "*"}.get(operator, text)):
            patterns.append(Pattern(operator, text))  # any other matches no text that is not known
    return Limits(texts=frozenset(texts) or None, patterns=tuple(dict.fromkeys(patterns)))


def _number_limits(constraints: Iterable[tuple[Operator, str]]) -> Limits:
    """Several equalities are one IN, of which one must be met; if they are two conditions, that is more than asked for."""
    numbers: set[int] | None = set()
    low: int | None = None
    high: int | None = None
    for operator, text in constraints:
        bounds = _bounds(operator, text)
        if bounds is None:
            if operator is Operator.EQUAL:
                numbers = None
        elif operator is Operator.EQUAL and bounds[0] == bounds[1] is not None:
            if numbers is not None:
                numbers.add(bounds[1])
        elif operator is Operator.EQUAL:
            numbers = None
        else:
            low = bounds[0] if low is None else low if bounds[0] is None else max(low, bounds[0])
            high = bounds[1] if high is None else high if bounds[1] is None else min(high, bounds[1])
    return Limits(numbers=frozenset(numbers) if numbers else None, low=low, high=high)


def _bounds(operator: Operator, text: str) -> tuple[int | None, int | None] | None:
    """Give the least and the greatest integer that can meet a constraint, or nothing if that is not sure.

    A fraction comes as the 15 digits that SQLite writes: its neighbours are let in.
    """
    if _INTEGER.fullmatch(text):
        down = up = int(text)
        if abs(down) > _MAX:
            return None
        step = 1
    elif _DECIMAL.fullmatch(text):
        down, up, step = math.floor(float(text)) - 1, math.ceil(float(text)) + 1, 0
    else:
        return None
    return {
        Operator.EQUAL: (down, up),
        Operator.GREATER: (down + step, None),
        Operator.AT_LEAST: (down, None),
        Operator.LESS: (None, up - step),
        Operator.AT_MOST: (None, up),
    }.get(operator)
