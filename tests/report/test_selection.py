"""Which findings are meant, whatever the words are."""

import re

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.findings import Kind, Severity
from fimkit.model.paths import render_path
from fimkit.report.color import Palette
from fimkit.report.export_rows import ExportRow
from fimkit.report.finding_text import render_whole
from fimkit.report.findings_table import render_table, short_ids
from fimkit.report.selection import NO_LOGIN, PathPattern, Selection
from fimkit.report.text import display_width
from tests.evidence.examples import a_change, a_finding, an_actor
from tests.report.export_cases import export_rows

__all__: list[str] = []

_SGR = re.compile(r"\x1b\[[0-9;]*m")


@given(st.binary(min_size=1).map(lambda name: b"/" + name.replace(b"\0", b"")))
def test_a_path_is_found_by_what_fimkit_prints_of_it(path: bytes) -> None:
    assert PathPattern(render_path(path)).takes(path)
    assert not PathPattern("/elsewhere-that-is-none").takes(path)


@given(st.text(), st.text())
def test_any_words_select_without_an_error(path: str, who: str) -> None:
    Selection(paths=(PathPattern(path),), who=(who,)).takes(a_finding())


def test_a_move_is_found_by_either_path() -> None:
    finding = a_finding(kind=Kind.MOVED, moved_to=b"/srv/new")
    assert Selection(paths=(PathPattern("/srv"),)).takes(finding) and Selection(paths=(PathPattern("/etc"),)).takes(finding)


def test_any_of_the_actors_may_be_who_is_meant() -> None:
    finding = a_finding(actors=(an_actor(), an_actor(user=None, auid=None, uid=33, exe=b"/usr/sbin/nginx")))
    for who in ("eve", "1000", "vi", "/usr/bin/vi", "33", "nginx", NO_LOGIN):
        assert Selection(who=(who,)).takes(finding), who
    for who in ("ev", "100", "None", "9" * 5000):
        assert not Selection(who=(who,)).takes(finding), who


def test_a_severity_takes_those_above() -> None:
    assert Selection(severity=Severity.HIGH).takes(a_finding())
    assert not Selection(severity=Severity.HIGH).takes(a_finding(severity=Severity.MEDIUM))


@given(st.lists(export_rows, max_size=4), st.integers(80, 132), st.booleans(), st.booleans())
def test_no_line_of_the_table_is_wider_than_the_terminal_or_moves_it(
    rows: list[ExportRow], width: int, colored: bool, with_status: bool
) -> None:
    lines = list(render_table(rows, width=width, palette=Palette(colored=colored), with_status=with_status))
    assert len(lines) == (len(rows) + 1 if rows else 0)
    wide = short_ids([row.finding.id for row in rows]) + 80
    for line in lines:
        plain = _SGR.sub("", line) if colored else line
        assert plain.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", plain)
        assert display_width(plain) <= max(width, wide)


@given(export_rows)
def test_one_finding_whole_moves_no_terminal(row: ExportRow) -> None:
    records = [("/var/log/audit/\x1b.log", b"type=PATH name=\x1b]0;x\x07\x1dA=\xff\n")]
    for line in render_whole(row, [a_change(b"/etc/\x1b[2J")], records, palette=Palette(colored=False)):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", line)
