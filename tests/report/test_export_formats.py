"""Exports as lines and as Parquet: one line a finding, read back by others, and nothing of an intruder's at work in them."""

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings

from fimkit.model.findings import Finding
from fimkit.model.json_form import parse_finding
from fimkit.osquery.columns import FINDINGS
from fimkit.report.export_csv import CSV_COLUMNS, render_csv_heading
from fimkit.report.export_formats import LINE_FORMATS, Format, line_id, render_line
from fimkit.report.export_osquery import render_osquery
from fimkit.report.export_rows import ExportRow, flat_row
from tests.evidence.examples import a_finding
from tests.report.export_cases import EVERY_KIND, export_rows, hostile

__all__: list[str] = []


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(export_rows)
def test_a_finding_is_one_line_of_utf_8_that_says_whose_it_is(row: ExportRow) -> None:
    for format in LINE_FORMATS:
        line = render_line(format, row)
        assert len(line.encode().split(b"\n")) == 1 and "\r" not in line
        assert line_id(format, line) == row.finding.id


@pytest.mark.parametrize("format", LINE_FORMATS)
def test_what_is_no_line_of_the_format_is_nobodys(format: Format) -> None:
    for line in ("", "{", "null", '{"id":7}', "[" * 3000) if format is not Format.CSV else ("",):
        assert line_id(format, line) is None


@pytest.mark.parametrize("finding", EVERY_KIND, ids=lambda finding: finding.id)
def test_json_lines_are_the_contracts_objects_and_their_life(finding: Finding) -> None:
    row = json.loads(render_line(Format.JSONL, ExportRow(finding=finding, status="gone", closed_ns=0, replaces=("a1",))))
    assert parse_finding(row) == finding
    assert (row["status"], row["closed"], row["replaces"]) == ("gone", "1970-01-01T00:00:00Z", ["a1"])


def test_no_cell_is_a_formula_for_a_spreadsheet() -> None:
    text = render_csv_heading() + "\r\n" + render_line(Format.CSV, ExportRow(finding=hostile())) + "\r\n"
    (cells,) = csv.DictReader(io.StringIO(text, newline=""))
    assert tuple(cells) == CSV_COLUMNS
    assert not [cell for cell in cells.values() if cell[:1] in tuple("=+-@\t\r")]
    assert cells["user"] == '%3DHYPERLINK("http://192.0.2.1")'
    assert cells["cmdline"] == '%40SUM(1+1)%0A%00\\udcff,"'
    assert cells["path"].startswith('/srv/=cmd|"%0A,%1B[2J')


def test_osquery_lines_have_the_columns_of_the_table_and_only_texts() -> None:
    assert render_osquery(ExportRow(finding=a_finding("a1"), head="7:ab"))["decorations"] == {"evidence_head": "7:ab"}
    line = render_osquery(ExportRow(finding=a_finding("a1")))
    assert list(line["columns"]) == [column.name for column in FINDINGS.columns]
    assert all(isinstance(value, str) for value in line["columns"].values())
    assert (line["hostIdentifier"], line["action"], line["unixTime"]) == ("web01", "added", 1795319341)
    assert (line["columns"]["cmdline_verified"], line["columns"]["moved_to"]) == ("1", "")


def test_a_time_that_no_calendar_has_is_left_out_and_its_number_stays() -> None:
    row = flat_row(ExportRow(finding=hostile(), closed_ns=2**80))
    assert row["closed"] is None and row["closed_time"] == 2**80 // 10**9


def test_parquet_is_read_back_by_another_with_the_columns_of_the_frames() -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'fimkit[parquet]'")
    from fimkit.report.export_parquet import write_parquet
    from fimkit.report.frame_schema import FINDINGS as FRAME

    stream = io.BytesIO()
    rows = [ExportRow(finding=finding) for finding in (*EVERY_KIND, hostile())]
    assert write_parquet(iter(rows), stream) == len(rows)
    table = parquet.read_table(io.BytesIO(stream.getvalue()))
    assert tuple(table.column_names) == FRAME.names
    assert str(table.schema.field("first_seen").type) == "timestamp[ns, tz=UTC]"
    first, last = table.to_pylist()[0], table.to_pylist()[-1]
    assert first["changed"] == ["sha256"] and json.loads(first["actors"])[0]["pid"] == 4711
    assert last["pid"] is None and json.loads(last["actors"])[0]["pid"] == 2**70


def test_no_findings_are_a_parquet_file_without_rows() -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'fimkit[parquet]'")
    from fimkit.report.export_parquet import write_parquet

    stream = io.BytesIO()
    assert write_parquet([], stream) == 0
    assert parquet.read_table(io.BytesIO(stream.getvalue())).num_rows == 0
