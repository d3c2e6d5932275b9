"""The formats of exports, a line a finding: how each is written, and whose finding a line is. Pure."""

import json
from enum import StrEnum
from typing import Any

from fimkit.model.json_form import render_finding
from fimkit.model.json_text import render_json_line
from fimkit.report.export_csv import render_csv, render_csv_heading
from fimkit.report.export_ecs import render_ecs
from fimkit.report.export_ocsf import render_ocsf
from fimkit.report.export_osquery import render_osquery
from fimkit.report.export_rows import ExportRow, safe_time

__all__ = ["LINE_FORMATS", "Format", "line_id", "render_heading", "render_json", "render_line"]


class Format(StrEnum):
    """What a finding is written as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    ECS = "ecs"
    OCSF = "ocsf"
    OSQUERY = "osquery"


LINE_FORMATS = tuple(format for format in Format if format is not Format.PARQUET)
"""Those that can be appended to, and read while they grow."""


def render_json(row: ExportRow) -> dict[str, Any]:
    """Give a finding as the contract's object, and its life."""
    life = {
        "status": row.status, "closed": safe_time(row.closed_ns), "accepted_by": row.accepted_by,
        "accept_reason": row.accept_reason, "superseded_by": row.superseded_by, "replaces": list(row.replaces) or None,
        "evidence_head": row.head,
    }  # fmt: skip
    return render_finding(row.finding) | {name: value for name, value in life.items() if value is not None}


def render_heading(format: Format) -> str | None:
    """Give the line that comes before all findings, where a format has one."""
    return render_csv_heading() if format is Format.CSV else None


def render_line(format: Format, row: ExportRow) -> str:
    """Give a finding as one line, without its end.

    Raises:
        ValueError: If the format is none of lines.
    """
    match format:
        case Format.JSONL:
            value = render_json(row)
        case Format.ECS:
            value = render_ecs(row)
        case Format.OCSF:
            value = render_ocsf(row)
        case Format.OSQUERY:
            value = render_osquery(row)
        case Format.CSV:
            return render_csv(row)
        case Format.PARQUET:
            raise ValueError("parquet has no lines")
    return render_json_line(value)


def line_id(format: Format, line: str) -> str | None:
    """Read whose finding a line is; nothing where it is no such line.

    >>> line_id(Format.ECS, '{"event":{"id":"a1"}}'), line_id(Format.ECS, "[]"), line_id(Format.CSV, "a1,web01,/etc/x")
    ('a1', None, 'a1')
    """
    if format is Format.CSV:
        return line.partition(",")[0] or None
    keys = {
        Format.JSONL: ("id",),
        Format.ECS: ("event", "id"),
        Format.OCSF: ("metadata", "uid"),
        Format.OSQUERY: ("columns", "id"),
    }
    try:
        value = json.loads(line)
        for key in keys[format]:
            value = value[key]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return value if isinstance(value, str) else None
