"""Adds to findings on their way to another system what their files say differently, where everybody may read it."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from fimkit.evidence.contents import Contents, open_contents_reading
from fimkit.evidence.kept_diff import diff_of, said_differently
from fimkit.model.errors import HostError, StoreError
from fimkit.report.export_rows import ExportRow

__all__ = ["add_diffs"]

_PRIVATE = "not everybody may read what this file says"


def add_diffs(state_dir: bytes, rows: Iterable[ExportRow]) -> Iterator[ExportRow]:
    """Give the rows with their diffs, one after the other.

    Args:
        state_dir: Where the contents are kept; nothing is added where none ever were.
        rows: Findings of this host.

    Returns:
        The rows in their order. Who gets an export is not known, so a diff of a file that not everybody may read stays here, as it
        does in mail; the row says so, and says why where the contents could not be read.
    """
    try:
        contents, why = open_contents_reading(state_dir), None
    except (HostError, StoreError) as error:
        contents, why = None, str(error)
    with contents or contextlib.nullcontext():
        for row in rows:
            yield _with_diff(row, contents, why) if said_differently(row.finding) else row


def _with_diff(row: ExportRow, contents: Contents | None, why: str | None) -> ExportRow:
    if contents is None:
        return row if why is None else replace(row, no_diff=why)
    try:
        diff = diff_of(contents, row.finding)
    except (HostError, StoreError) as error:
        return replace(row, no_diff=str(error))
    if diff is None or diff.text is None:
        return row
    return replace(row, diff=diff.text) if diff.public else replace(row, no_diff=_PRIVATE)
