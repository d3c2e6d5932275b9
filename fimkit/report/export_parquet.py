"""Findings as Parquet, with the columns of the Python API's findings: for warehouses, and for frames of many hosts.

Lists (``changed``, ``reasons``, ``sources``, ``evidence``) are lists of text; states, actors and content are JSON text, since a
file's extended attributes may have any names. Numbers and times that a column cannot hold are null.
"""

import json
from collections.abc import Iterable
from typing import IO, Any

from fimkit.model.errors import HostError
from fimkit.model.json_form import render_actor, render_finding, render_state
from fimkit.model.states import FileState
from fimkit.report.export_rows import ExportRow, flat_row, made_ns, safe_text
from fimkit.report.frame_schema import FINDINGS, TIME

__all__ = ["parquet_schema", "write_parquet"]

_MOST = (1 << 63) - 1
_LISTS = frozenset({"changed", "reasons", "sources", "evidence"})
_ROWS_PER_GROUP = 10_000


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise HostError(f"Parquet needs the package pyarrow ({error}): pip install 'fimkit[parquet]'") from error
    return pyarrow


def parquet_schema() -> Any:
    """Give the schema as pyarrow has it.

    Raises:
        HostError: If pyarrow is not here.
    """
    pa = _arrow()
    types = {
        "str": pa.string(), "category": pa.string(), "Int64": pa.int64(), "UInt64": pa.uint64(), "boolean": pa.bool_(),
        TIME: pa.timestamp("ns", tz="UTC"), "object": pa.string(),
    }  # fmt: skip
    return pa.schema([
        pa.field(field.name, pa.list_(pa.string()) if field.name in _LISTS else types[field.dtype], metadata={"words": field.words})
        for field in FINDINGS.fields
    ])  # fmt: skip


def write_parquet(rows: Iterable[ExportRow], stream: IO[bytes]) -> int:
    """Write findings, some thousands at a time; the head of the evidence chain is in the file's own metadata.

    Returns:
        How many there were.

    Raises:
        HostError: If pyarrow is not here.
    """
    pa, schema = _arrow(), parquet_schema()
    count, waiting, head = 0, list[dict[str, Any]](), None
    with pa.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for row in rows:
            waiting.append(_values(row))
            head = row.head or head
            count += 1
            if len(waiting) >= _ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
                waiting.clear()
        writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
        if head is not None:
            writer.add_key_value_metadata({"fimkit.evidence_head": head})
    return count


def _values(row: ExportRow) -> dict[str, Any]:
    finding, before, after = row.finding, row.finding.before, row.finding.after
    known = after if after is not None else before
    values = flat_row(row) | {
        "first_seen": finding.first_seen_ns, "last_seen": finding.last_seen_ns, "closed": row.closed_ns,
        "time": made_ns(finding) if finding.actors else None,
        "sha256": None if known is None else known.sha256, "sha256_before": None if before is None else before.sha256,
        "changed": list(finding.changed), "reasons": [safe_text(text) for text in finding.reasons],
        "sources": [source.value for source in finding.sources], "evidence": [safe_text(event) for event in finding.evidence],
        "before": _state(before), "after": _state(after),
        "content": None if (marks := render_finding(finding).get("content")) is None else _json(marks),
        "actors": _json([render_actor(actor) for actor in finding.actors]),
    }  # fmt: skip
    return {field.name: _fitting(values[field.name]) for field in FINDINGS.fields}


def _state(state: FileState | None) -> str | None:
    return None if state is None else _json(render_state(state))


def _json(value: object) -> str:
    return safe_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _fitting(value: Any) -> Any:
    return None if isinstance(value, int) and not isinstance(value, bool) and not -_MOST <= value <= _MOST else value
