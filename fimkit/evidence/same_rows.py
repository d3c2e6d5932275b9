"""Finds which states are as rows of the baseline say, without decoding these. Pure.

``_rows.c`` is built with the package where there is a compiler, and does it in a fourth of the time; without it the Python way
marks the same (tested). A module that was built of other sources than this file's is not used.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from fimkit.model.states import FileState

__all__ = ["REVISION", "best_way", "mark_python", "mark_same"]

REVISION = 1
"""Of ``_rows.c``, which says the same of itself: raised with every change there (tested by its digest)."""

Rows = dict[bytes, tuple[tuple[Any, ...], int]]
Way = Callable[[Sequence[FileState], Rows, bytearray], list[FileState]]

_NONE: dict[str, bytes] = {}


def mark_python(states: Sequence[FileState], rows: Rows, marks: bytearray) -> list[FileState]:
    """Mark the places of rows that say of their path what a state says.

    Args:
        states: As a scan gives them.
        rows: By path, a row as the table has it and its place.
        marks: By place; one is set for each that is the same.

    Returns:
        The states that are not surely the same: another one, one without a row here, or one that is seldom (with a problem, with
        extended attributes). Of these the decoded row is to be asked.
    """
    rest: list[FileState] = []
    for state in states:
        found = rows.get(state[0])
        if found is not None:
            row, place = found
            digest = row[11]
            if (
                row[2:11] == state[2:11]
                and (digest.hex() if digest.__class__ is bytes else digest) == state[11]
                and row[13] == "{}"
                and state[13] == _NONE
                and row[1] == state[1]
                and row[12] == state[12]
                and row[14] is None is state[14]
            ):
                marks[place] = 1
                continue
        rest.append(state)
    return rest


def best_way() -> Way:
    """Give the quickest way that is here."""
    try:
        built = import_module("fimkit.evidence._rows")
    except ImportError:
        return mark_python
    way: Way = built.mark_same if getattr(built, "REVISION", None) == REVISION else mark_python
    return way


mark_same = best_way()
