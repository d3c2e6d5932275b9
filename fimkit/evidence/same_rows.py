"""Finds which states are as rows of the baseline say, without decoding these. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from fimkit.model.states import FileState

__all__ = ["mark_same"]

_NONE: dict[str, bytes] = {}


def mark_same(states: Sequence[FileState], rows: Mapping[bytes, tuple[tuple[Any, ...], int]], marks: bytearray) -> list[FileState]:
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
