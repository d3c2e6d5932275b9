"""Findings as a table: within the width, and the verdict where there is room."""

import pytest

from fimkit.report.color import Palette
from fimkit.report.export_rows import ExportRow
from fimkit.report.findings_table import render_table
from fimkit.report.text import display_width
from tests.report.report_place import investigation

PLAIN = Palette(colored=False)
ROWS = [ExportRow(finding=finding) for finding in investigation().findings]


@pytest.mark.parametrize("width", [80, 119, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(display_width(line) for line in render_table(ROWS, width=width, palette=PLAIN, with_status=True)) <= width


@pytest.mark.parametrize(("width", "shown"), [(80, False), (119, False), (120, True), (200, True), (None, True)])
def test_the_verdict_is_shown_where_there_is_room(width: int | None, shown: bool) -> None:
    heading, *lines = render_table(ROWS, width=width, palette=PLAIN)
    assert ("VERDICT" in heading) is shown
    assert [" suspect " in line for line in lines] == [shown and row.finding.verdict.value == "suspect" for row in ROWS]


def test_only_severities_and_headings_are_painted() -> None:
    plain = list(render_table(ROWS, width=200, palette=PLAIN))
    painted = list(render_table(ROWS, width=200, palette=Palette(colored=True)))
    assert painted[1].startswith(plain[1][:9] + "\x1b[")
    assert painted[1].endswith(plain[1].split("critical", 1)[1])
