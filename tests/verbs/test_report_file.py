"""The plain text log of findings: one line each, whatever a name holds, and never through a link."""

import os
from pathlib import Path

import pytest

from fimkit.model.errors import HostError
from fimkit.model.findings import Attribution, ContentMark, Kind, judge_content
from fimkit.verbs.report_file import append_report, render_report_line
from tests.evidence.examples import NOW, a_finding, an_actor


def test_line_says_when_how_severe_what_where_and_who() -> None:
    assert render_report_line(a_finding(), now_ns=NOW) == (
        "2026-11-22T03:49:01.970Z web01 critical modified /etc/x by auid=1000 uid=0 pid=4711 exe=/usr/bin/vi (exact) id=a1"
    )


def test_name_cannot_make_a_second_line_or_turn_the_text_around() -> None:
    odd = a_finding(
        path="/a\nb \u202ec\u2028".encode(), moved_to=b"/d\x1b[2J", kind=Kind.MOVED, actors=(an_actor(exe=b"/x\r"),)
    )
    line = render_report_line(odd, now_ns=NOW)
    assert 'moved "/a%0Ab %E2%80%AEc%E2%80%A8" to /d%1B[2J by' in line and "exe=/x%0D" in line
    assert len(line.splitlines()) == 1 and line.isprintable()


def test_finding_without_an_actor_is_unattributed() -> None:
    line = render_report_line(a_finding(actors=(), attribution=Attribution.UNATTRIBUTED), now_ns=NOW)
    assert " unattributed id=" in line


def test_a_name_with_spaces_adds_no_fields_to_its_line() -> None:
    line = render_report_line(a_finding(path=b'/w/x" by auid=0 exe=/usr/bin/dpkg (exact) id=0'), now_ns=NOW)
    assert ' modified "/w/x\\" by auid=0 exe=/usr/bin/dpkg (exact) id=0" by auid=1000 ' in line


def test_lines_are_appended_to_a_private_file(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    append_report(os.fsencode(report), [a_finding()], now_ns=NOW)
    append_report(os.fsencode(report), [a_finding("b2"), a_finding("c3")], now_ns=NOW)
    assert [line.rpartition("=")[2] for line in report.read_text().splitlines()] == ["a1", "b2", "c3"]
    assert report.stat().st_mode & 0o777 == 0o600


def test_a_searched_file_has_its_owner_and_what_was_found_in_it_in_its_line() -> None:
    mark = ContentMark(rule="shell", severity="suspect", line=3, text="system($_GET['c']);", attack="")
    found = judge_content(a_finding(), (mark,), ["rule shell: line 3: system($_GET['c']); \u202e", "story: it came by POST /x"])
    line = render_report_line(found, now_ns=NOW)
    assert " owner=0:0 mode=0644 size=3 written=2026-11-22T03:49:01.970Z hits=1 | rule shell: line 3: system(" in line
    assert line.endswith(" | story: it came by POST /x") and line.isprintable()
    assert " hits=0" in render_report_line(judge_content(a_finding(), (), []), now_ns=NOW)


def test_nothing_new_and_no_file_configured_write_nothing(tmp_path: Path) -> None:
    append_report(os.fsencode(tmp_path / "none"), [], now_ns=NOW)
    append_report(b"", [a_finding()], now_ns=NOW)
    assert os.listdir(tmp_path) == []


def test_link_pipe_and_device_in_its_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "link", tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(HostError, match="the report file "):
            append_report(os.fsencode(path), [a_finding()], now_ns=NOW)
    assert not (tmp_path / "target").exists()
