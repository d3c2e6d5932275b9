"""The compiled inner loop, where it was built, and which way events are read. Pure.

``_blocks.c`` is built with the package where there is a compiler, and takes what :data:`fimkit.audit.fastpath.BLOCK` takes, in a
fraction of the time; without it the Python way gives the same events in the same order (tested). Both leave the rest to the exact
way.

Columns over the bytes were measured first: on 226 MB of records, numpy takes as long for the positions of newlines, blanks, ``=``
and 0x1D (0.55 s), and as long again for one slice a line, as the expression takes to find all events with their texts (0.65 s).
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from fimkit.audit.fastpath import TYPES, TYPES_WITHOUT_CWD, Memories
from fimkit.model.records import AuditEvent, AuditProcess, EventId, PathItem

if TYPE_CHECKING:
    from fimkit.audit._blocks import Blocks

__all__ = ["AT_END", "CLOCK_TURNED", "NOT_MINE", "Way", "best_way", "new_blocks"]

AT_END, NOT_MINE, CLOCK_TURNED = range(3)
"""Why the compiled loop stopped: no more lines; something for the Python way; an event before which the generations turn."""


class Way(StrEnum):
    """How the commonest events are read."""

    COMPILED = "compiled"
    PYTHON = "Python"


def best_way() -> Way:
    """Give the quickest way that is here; a loop that was built for another Python is none."""
    try:
        import fimkit.audit._blocks  # noqa: F401
    except ImportError:
        return Way.PYTHON
    return Way.COMPILED


def new_blocks(memories: Memories) -> "Blocks":
    """Make a compiled loop for one assembler.

    Args:
        memories: What a new text is read with.

    Raises:
        ImportError: If it was not built here.
    """
    from fimkit.audit._blocks import Blocks

    return Blocks(
        event=AuditEvent,
        event_id=EventId,
        path=PathItem,
        process=AuditProcess,
        types=tuple(TYPES),
        types_without_cwd=tuple(TYPES_WITHOUT_CWD),
        heads=memories.heads.compute,
        paths=memories.paths.compute,
        rests=memories.rests.compute,
        users=memories.users.compute,
        titles=memories.titles.compute,
        cwds=memories.cwds.compute,
    )
