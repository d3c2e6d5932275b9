"""What the compiled comparison offers; fimkit.evidence.same_rows is who uses it."""

from collections.abc import Sequence
from typing import Any

from fimkit.model.states import FileState

__all__ = ["REVISION", "mark_same"]

REVISION: int

def mark_same(
    states: Sequence[FileState], rows: dict[bytes, tuple[tuple[Any, ...], int]], marks: bytearray, /
) -> list[FileState]: ...
