"""The report's columns: what a finding is to the page, with the parents of its processes."""

from dataclasses import replace

from fimkit.model.changes import Actor
from fimkit.model.findings import ContentMark
from fimkit.report.html import ReportData
from fimkit.report.html_rows import STATE_FIELDS, render_columns
from tests.report.report_place import MADE_NS, SECOND_NS, incident_report, investigation

ONE = next(finding for finding in investigation().findings if finding.actors and finding.before and finding.after)
HEAD = ONE.actors[0]


def process(pid: int, ppid: int, *, seconds: int, ses: int | None = HEAD.ses, cmdline: str = "x") -> Actor:
    return replace(HEAD, pid=pid, ppid=ppid, time_ns=HEAD.time_ns + seconds * SECOND_NS, ses=ses, cmdline=cmdline)


def parents_of(*processes: Actor) -> list[int]:
    finding = replace(ONE, actors=(process(100, 90, seconds=0),))
    columns = render_columns(ReportData(host="h", made_ns=MADE_NS, findings=(finding,), processes=processes))
    return [parent["pid"] for parent in columns["actors"][0].get("parents", [])]


def test_every_column_has_a_value_for_every_finding() -> None:
    columns = render_columns(incident_report())["findings"]
    assert {len(values) for values in columns.values()} == {len(investigation().findings)}


def test_the_most_severe_finding_comes_first() -> None:
    severities = render_columns(incident_report())["findings"]["severity"]
    assert severities == sorted(severities, reverse=True)


def test_states_keep_all_digits_of_a_time() -> None:
    columns = render_columns(ReportData(host="h", made_ns=MADE_NS, findings=(ONE,)))
    assert ONE.before is not None
    assert columns["findings"]["before"][0][STATE_FIELDS.index("mtime_ns")] == str(ONE.before.mtime_ns)
    assert columns["findings"]["before"][0][STATE_FIELDS.index("mode")] == f"{ONE.before.mode:04o}"


def test_one_process_is_written_once_however_many_findings_it_made() -> None:
    findings = tuple(replace(ONE, id=str(number)) for number in range(50))
    columns = render_columns(ReportData(host="h", made_ns=MADE_NS, findings=findings))
    assert len(columns["actors"]) == len(ONE.actors)


def test_parents_are_followed_upwards() -> None:
    assert parents_of(process(90, 80, seconds=-1), process(80, 1, seconds=-2)) == [90, 80]


def test_a_parent_that_came_later_is_another_process() -> None:
    assert parents_of(process(90, 80, seconds=5)) == []


def test_a_number_in_another_session_is_another_process() -> None:
    assert parents_of(process(90, 80, seconds=-1, ses=99_999)) == []


def test_a_circle_of_parents_ends() -> None:
    assert parents_of(process(90, 80, seconds=-1), process(80, 90, seconds=-2)) == [90, 80]


def test_a_long_command_line_is_cut_and_says_so() -> None:
    finding = replace(ONE, actors=(replace(HEAD, cmdline="y" * 40_000),))
    shown = render_columns(ReportData(host="h", made_ns=MADE_NS, findings=(finding,)))["actors"][0]["cmd"]
    assert shown.endswith("(40000 characters, cut here)")
    assert len(shown) < 20_000


def test_content_and_text_differences_are_carried_where_they_are_known() -> None:
    mark = ContentMark(rule="php_eval", severity="high", line=3, text="eval(", attack="T1505.003")
    marked = replace(ONE, content=(mark,))
    columns = render_columns(ReportData(host="h", made_ns=MADE_NS, findings=(marked,), diffs={ONE.id: "-a\n+\tb"}))["findings"]
    assert columns["content"] == [[["php_eval", "high", 3, "eval(", "T1505.003"]]]
    assert columns["diff"] == [["-a", "+   b"]]
    assert render_columns(ReportData(host="h", made_ns=MADE_NS, findings=(ONE,)))["findings"]["diff"] == [None]
