"""The compiled inner loop, where it was built, and which way events are read. Pure.

``_blocks.c`` is built with the package where there is a compiler, and takes what :data:`fimkit.audit.fastpath.BLOCK` takes, the
same with an EXECVE or OPENAT2 record, and single records, in a fraction of the time; without it the Python way gives the same
events in the same order (tested). Both leave the rest to the exact way.

A checkout may have newer sources than what was built of them once: a module of another revision than this file's is not used.

Columns over the bytes were measured first: on 226 MB of records, numpy takes as long for the positions of newlines, blanks, ``=``
and 0x1D (0.55 s), and as long again for one slice a line, as the expression takes to find all events with their texts (0.65 s).
"""

from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING

from fimkit.audit.draft import Held
from fimkit.audit.fastpath import TYPES, TYPES_EXECVE, TYPES_OPENAT2, TYPES_WITHOUT_CWD, Memories, single_kind
from fimkit.model.records import AuditEvent, AuditProcess, EventId, PathItem

if TYPE_CHECKING:
    from fimkit.audit._blocks import Blocks

__all__ = ["AT_END", "CLOCK_TURNED", "NOT_MINE", "REVISION", "Way", "best_way", "new_blocks", "why_python"]

REVISION = 2
"""Of ``_blocks.c``, which says the same of itself: raised with every change there (tested by its digest)."""

AT_END, NOT_MINE, CLOCK_TURNED = range(3)
"""Why the compiled loop stopped: no more lines; something for the Python way; an event before which the generations turn."""


class Way(StrEnum):
    """How the commonest events are read."""

    COMPILED = "compiled"
    PYTHON = "Python"


def why_python() -> str | None:
    """Say why the compiled loop is not used; ``None``: it is."""
    try:
        built = import_module("fimkit.audit._blocks")
    except ImportError:
        return "the compiled loop was not built (no C compiler, or no headers of this Python, when it was installed)"
    revision = getattr(built, "REVISION", None)
    if revision != REVISION:
        return f"the compiled loop was built of other sources (revision {revision}, not {REVISION}): install again to build it anew"
    return None


def best_way() -> Way:
    """Give the quickest way that is here; a loop that was built for another Python, or of other sources, is none."""
    return Way.COMPILED if why_python() is None else Way.PYTHON


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
        held=Held,
        types=tuple(TYPES),
        types_without_cwd=tuple(TYPES_WITHOUT_CWD),
        types_execve=tuple(TYPES_EXECVE),
        types_openat2=tuple(TYPES_OPENAT2),
        heads=memories.heads.compute,
        paths=memories.paths.compute,
        rests=memories.rests.compute,
        users=memories.users.compute,
        titles=memories.titles.compute,
        cwds=memories.cwds.compute,
        kinds=single_kind,
    )
