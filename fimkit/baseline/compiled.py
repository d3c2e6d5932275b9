"""The compiled reader of files, where it was built, and which way a scan reads them. Pure.

``_plain.c`` is built with the package where there is a compiler. It reads what :func:`fimkit.baseline.plain.read_plain` reads, and
files of any size and with extended attributes, by threads that the interpreter does not hold up; without it the Python way gives
the same states (tested). Both leave the rest to the exact way.

A checkout may have newer sources than what was built of them once: a module of another revision than this file's is not used.
"""

from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING

from fimkit.baseline.pairs import why_single
from fimkit.baseline.xattrs import NO_XATTRS
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType

if TYPE_CHECKING:
    from fimkit.baseline._plain import Readers

__all__ = ["REVISION", "Way", "best_way", "new_readers", "why_python"]

REVISION = 6
"""Of ``_plain.c``, which says the same of itself: raised with every change there (tested by its digest)."""


class Way(StrEnum):
    """How ordinary files are read."""

    PAIRS = "compiled, two files of a thread at once"
    COMPILED = "compiled"
    PYTHON = "Python"


def why_python() -> str | None:
    """Say why the compiled reader is not used; ``None``: it is."""
    try:
        built = import_module("fimkit.baseline._plain")
    except ModuleNotFoundError:
        return "the compiled reader was not built (no C compiler, or no headers of this Python, when it was installed)"
    except ImportError as error:
        return f"the compiled reader cannot be used here ({error})"
    revision = getattr(built, "REVISION", None)
    if revision != REVISION:
        return f"the compiled reader was built of other sources (revision {revision}, not {REVISION}): install again"
    return None


def best_way() -> Way:
    """Give the quickest way that is here; a reader that was built for another Python, or of other sources, is none."""
    if why_python() is not None:
        return Way.PYTHON
    return Way.COMPILED if why_single() is not None else Way.PAIRS


def new_readers(way: Way) -> "Readers":
    """Make a compiled reader for one scan.

    Args:
        way: One of the compiled ones.

    Raises:
        ImportError: If it was not built here, or cannot be used.
        ValueError: If this processor cannot hash two files at once.
    """
    from fimkit.baseline._plain import Readers

    lanes = 2 if way is Way.PAIRS else 1
    return Readers(state=FileState, kind=FileType.FILE, no_xattrs=NO_XATTRS, render=render_path, lanes=lanes)
