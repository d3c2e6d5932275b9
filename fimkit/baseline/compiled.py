"""The compiled reader of files, where it was built, and which way a scan reads them. Pure.

``_plain.c`` is built with the package where there is a compiler. It reads what :func:`fimkit.baseline.plain.read_plain` reads, and
files of any size and with extended attributes, by threads that the interpreter does not hold up; without it the Python way gives
the same states (tested). Both leave the rest to the exact way.

A checkout may have newer sources than what was built of them once: a module of another revision than this file's is not used.
"""

from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING

from fimkit.baseline.xattrs import NO_XATTRS
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType

if TYPE_CHECKING:
    from fimkit.baseline._plain import Readers

__all__ = ["REVISION", "Way", "best_way", "new_readers", "why_python"]

REVISION = 3
"""Of ``_plain.c``, which says the same of itself: raised with every change there (tested by its digest)."""


class Way(StrEnum):
    """How ordinary files are read."""

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
    return Way.COMPILED if why_python() is None else Way.PYTHON


def new_readers() -> "Readers":
    """Make a compiled reader for one scan.

    Raises:
        ImportError: If it was not built here, or cannot be used.
    """
    from fimkit.baseline._plain import Readers

    return Readers(state=FileState, kind=FileType.FILE, no_xattrs=NO_XATTRS, render=render_path)
