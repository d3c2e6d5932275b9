"""Findings as osquery itself would log them: a differential result line of ``fimkit_findings``, every value a text. Pure.

Source: osquery documentation, "Results logs", event format. A pipeline that reads osqueryd.results.log needs nothing new.
"""

from typing import Any

from fimkit.report.export_rows import ExportRow, flat_row, made_ns, safe_text
from fimkit.report.export_times import render_calendar

__all__ = ["QUERY_NAME", "render_osquery"]

QUERY_NAME = "fimkit_findings"


def render_osquery(row: ExportRow) -> dict[str, Any]:
    """Give a finding as one line's object: its columns are those of the table ``fimkit_findings``, which is empty text for NULL.

    The head of the evidence chain, which is no finding's, is a decoration.
    """
    seconds = made_ns(row.finding) // 1_000_000_000
    return {
        "name": QUERY_NAME,
        "hostIdentifier": safe_text(row.finding.host),
        "calendarTime": render_calendar(seconds),
        "unixTime": seconds,
        "epoch": 0,
        "counter": 0,
        "numerics": False,
        **({} if row.head is None else {"decorations": {"evidence_head": row.head}}),
        "columns": {name: _word(value) for name, value in flat_row(row).items()},
        "action": "added",
    }


def _word(value: str | int | bool | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, int) else value
