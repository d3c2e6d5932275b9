"""Columns of frames: a list of plain values becomes an array of the schema's dtype, and what no array can hold is counted. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fimkit.model.paths import render_path
from fimkit.report.frame_schema import KINDS, ORDERED, TIME, Field

__all__ = ["Lost", "clean_text", "column_of", "render_lost", "render_octal"]

_MOST_NS = (1 << 63) - 1
_RANGE = {"Int64": (-_MOST_NS, _MOST_NS), "UInt64": (0, (1 << 64) - 1)}
_FEW = 4  # values in a column for each that differs, from which on each is made text but once

Lost = Counter[tuple[str, str]]
"""How many values of which column could not be held, and of what kind they were."""


def render_lost(lost: Lost) -> list[str]:
    """Say what could not be held."""
    words = {"number": "numbers of more than 64 bits are left out", "time": "times before 1678 or after 2261 are left out"}
    return [f"{name}: {count} {words[kind]}" for (name, kind), count in lost.items()]


def clean_text(value: Any) -> str | None:
    """Make text that Arrow and a page can hold; of bytes, as a path is written."""
    if value is None or isinstance(value, str):
        # Half a surrogate pair (a byte that was no UTF-8) is nothing that Arrow or a page could hold.
        return value if value is None or value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    return render_path(value) if isinstance(value, bytes) else str(value)


def _plain_numbers(values: Sequence[Any], dtype: str) -> tuple[Any, Any] | None:
    """Give numbers and what is missing, where all fit: nearly always."""
    try:
        whole = np.array([0 if value is None else value for value in values], dtype=dtype)
    except OverflowError:
        return None
    if dtype == "int64" and len(whole) and int(whole.min()) < -_MOST_NS:
        return None
    return whole, np.array([value is None for value in values], dtype=bool)


def _numbers(values: Sequence[Any], field: Field, lost: Lost) -> Any:
    plain = _plain_numbers(values, field.dtype.lower())
    if plain is None:
        low, high = _RANGE[field.dtype]
        fitting = [value if value is not None and low <= value <= high else None for value in values]
        lost[field.name, "number"] += fitting.count(None) - sum(value is None for value in values)
        plain = _plain_numbers(fitting, field.dtype.lower())
    assert plain is not None
    return pd.arrays.IntegerArray(*plain)


def _times(values: Sequence[Any], field: Field, lost: Lost) -> Any:
    plain = _plain_numbers(values, "int64")
    if plain is None:
        fitting = [value if value is not None and -_MOST_NS < value <= _MOST_NS else None for value in values]
        lost[field.name, "time"] += fitting.count(None) - sum(value is None for value in values)
        plain = _plain_numbers(fitting, "int64")
    assert plain is not None
    whole, missing = plain
    stamps = whole.view("datetime64[ns]").copy()
    stamps[missing] = np.datetime64("NaT")
    return pd.DatetimeIndex(stamps).tz_localize("UTC").array


def _texts(values: Sequence[Any]) -> Any:
    distinct = set(values)
    if len(distinct) * _FEW <= len(values):
        known = {value: clean_text(value) for value in distinct}
        return pd.array([known[value] for value in values], dtype="str")
    return pd.array([clean_text(value) for value in values], dtype="str")


def column_of(values: Sequence[Any], field: Field, lost: Lost) -> Any:
    """Make one column.

    Args:
        values: Plain values: integers, truth, text, bytes of names, ``None``; times are nanoseconds.
        field: The column.
        lost: Counts what could not be held.

    Returns:
        An array of the column's dtype.
    """
    if field.dtype in _RANGE:
        return _numbers(values, field, lost)
    if field.dtype == TIME:
        return _times(values, field, lost)
    if field.dtype == "category":
        words = ORDERED.get(field.name) or KINDS[field.name]
        return pd.Categorical(values, categories=list(words), ordered=field.name in ORDERED)
    if field.dtype == "boolean":
        return pd.array(list(values), dtype="boolean")
    if field.dtype == "object":
        held = np.empty(len(values), dtype=object)
        held[:] = values
        return held
    return _texts(values)


def render_octal(mode: int | None) -> str | None:
    """Write a mode as the frames have it.

    >>> render_octal(0o4755), render_octal(0o100644), render_octal(None)
    ('4755', '100644', None)
    """
    return None if mode is None else f"{mode:04o}"
