"""The place up to which findings were handed out, in a small file of its own."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from fimkit.model.errors import HostError, UsageError, clip
from fimkit.model.paths import render_path
from fimkit.verbs.whole_files import open_beside

__all__ = ["Cursor", "load_cursor", "save_cursor"]

_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last finding that was handed out: its place in the store's order and its id; and how long which file was then.

    ``inode`` and ``offset`` are of the file that was written to; ``None`` for a stream.
    """

    place: int = 0
    id: str | None = None
    inode: int | None = None
    offset: int | None = None


def load_cursor(file: Path | None) -> Cursor:
    """Read a cursor; where there is no file yet, nothing was handed out.

    Raises:
        UsageError: If the file is no cursor: taking it for an empty one would hand everything out again.
        HostError: If it cannot be read.
    """
    if file is None:
        return Cursor()
    name = render_path(os.fsencode(file))
    try:
        with file.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return Cursor()
    except OSError as error:
        raise HostError(f"cannot read {name}: {error.strerror}") from error
    try:
        values = json.loads(text)
        cursor = Cursor(**values)
        numbers = (cursor.place, cursor.inode or 0, cursor.offset or 0)
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or not isinstance(cursor.id, str | None):
            raise ValueError
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{name} is no cursor of an export: {clip(text, 60)}; name another file, or remove it") from error
    return cursor


def save_cursor(file: Path, cursor: Cursor) -> None:
    """Write a cursor, so that a crash leaves the old one or the new one.

    Raises:
        HostError: If it cannot be written.
    """
    with open_beside(file) as stream:
        stream.write(f"{json.dumps(asdict(cursor))}\n".encode())
