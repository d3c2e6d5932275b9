"""Findings as lines of CSV, safe to open in a spreadsheet. Pure.

A cell that a spreadsheet would take for a formula begins with ``%3D`` (``=``), ``%2B``, ``%2D`` or ``%40``: the same escape as in
paths. Nothing breaks a line: control characters are ``%XX`` too.

Source: RFC 4180; OWASP, CSV injection.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from fimkit.report.export_rows import COLUMNS, ExportRow, flat_row

__all__ = ["CSV_COLUMNS", "render_csv", "render_csv_heading"]

_SAID_TWICE = ("before", "after", "first_seen_time", "last_seen_time", "closed_time")
CSV_COLUMNS = (*(name for name in COLUMNS if name not in _SAID_TWICE), "evidence_head")
"""The columns of :data:`COLUMNS` without what other columns say too, and the head of the evidence chain."""

_FORMULA = frozenset("=+-@")


def _cell(value: Any) -> str:
    """Give a value's text.

    >>> _cell("=cmd|' /C calc'!A0"), _cell(-1), _cell(None), _cell(True)
    ("%3Dcmd|' /C calc'!A0", '-1', '', 'true')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value[:1] in _FORMULA and value:
        return f"%{ord(value[0]):02X}{value[1:]}"
    return str(value)


def _line(values: Iterable[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(list(values))
    return stream.getvalue()


def render_csv_heading(columns: Sequence[str] = CSV_COLUMNS) -> str:
    """Give the line of names."""
    return _line(columns)


def render_csv(row: ExportRow) -> str:
    """Give a finding as one line."""
    values = flat_row(row) | {"evidence_head": row.head}
    return _line(_cell(values[name]) for name in CSV_COLUMNS)
