"""The report's file: nothing of the host is markup, all that it needs is in it, and it is there as a whole or not at all."""

import io
import json
import os
import re
import stat
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.errors import HostError
from fimkit.report.html import ReportData, render_report, write_report
from tests.report.report_place import HOSTILE, MADE_NS, hostile_report, incident_report, investigation

EMPTY = ReportData(host="web01", made_ns=MADE_NS)


class Markup(HTMLParser):
    """What a parser makes of the page: its elements and attributes, and the texts of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def parse(report: ReportData) -> Markup:
    markup = Markup()
    markup.feed("".join(render_report(report)))
    markup.close()
    return markup


def data_of(report: ReportData) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(parse(report).scripts[0])
    return page


def shape(report: ReportData) -> list[str]:
    """Give the elements without those that there is one of for each row."""
    return [tag for tag, _ in parse(report).elements if tag not in ("li", "tr", "td", "time", "ul", "p", "button")]


def test_hostile_names_add_no_element_and_no_attribute() -> None:
    hostile = hostile_report()
    calm = replace(hostile, host="h", watched=("a",), coverage=("a",))
    assert shape(hostile) == shape(calm)
    names = {name for _, attributes in parse(hostile).elements for name, _ in attributes}
    assert names == {name for _, attributes in parse(calm).elements for name, _ in attributes}
    assert not any(name.startswith("on") or name in ("src", "style") for name in names)


def test_there_are_two_scripts_the_data_and_our_own() -> None:
    elements = parse(hostile_report()).elements
    assert [dict(attributes).get("type") for tag, attributes in elements if tag == "script"] == ["application/json", None]


def test_every_hostile_name_is_in_the_data_as_text() -> None:
    found = data_of(hostile_report())["findings"]
    assert "/srv/</script><script>window.owned='end'</script>" in found["path"]
    assert "/srv/a%E2%80%AEgnp.exe" in found["path"]
    assert "/srv/%FF%FE%0A%0D%1B[2J%00" in found["path"]
    assert len(found["path"]) == len(HOSTILE)


def test_the_policy_names_the_script_and_the_style_and_allows_nothing_else() -> None:
    page = "".join(render_report(incident_report()))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", rules["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", rules["style-src"])
    assert "unsafe" not in policy[1]


def test_nothing_in_the_page_points_elsewhere() -> None:
    page = "".join(render_report(incident_report()))
    assert re.findall(r"""(?:src|href|action|data|poster)\s*=\s*["']?(?!#)(\w+:[^"'\s>]*)""", page) == []
    assert set(re.findall(r"https?://[^\s\"'<)]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_without_scripts_verdict_counts_and_findings_are_there() -> None:
    page = "".join(render_report(incident_report()))
    plain = page[page.index("<noscript>") : page.index("</noscript>")]
    assert plain.count("<tr>") == 1 + len(investigation().findings)
    assert "/srv/fim/tree/sbin/tool2" in plain
    assert "4 critical changes of 34 findings on web01" in page
    assert '<b>4</b> <span>critical</span>' in page


def test_settled_findings_are_counted_apart() -> None:
    report = incident_report()
    settled = replace(report, statuses={finding.id: "accepted by alice" for finding in report.findings})
    page = "".join(render_report(settled))
    assert "Nothing is open on web01" in page
    assert '<b>0</b> <span>critical</span>' in page
    assert set(data_of(settled)["findings"]["status"]) == {1}
    assert data_of(settled)["statuses"] == ["open", "accepted by alice"]


def test_an_empty_report_says_so() -> None:
    page = "".join(render_report(EMPTY))
    assert "Nothing is open on web01" in page
    assert data_of(EMPTY)["findings"] == {"id": []}


@given(st.binary(min_size=1, max_size=60), st.text(max_size=60))
def test_any_name_and_any_command_comes_back_as_text_and_never_as_markup(name: bytes, text: str) -> None:
    one = investigation().findings[0]
    actor = next(finding.actors[0] for finding in investigation().findings if finding.actors)
    odd = replace(one, path=b"/" + name, actors=(replace(actor, cmdline=text, user=text, exe=name),), reasons=(text,))
    report = ReportData(host=text, made_ns=MADE_NS, findings=(odd,), coverage=(text,))
    plain = replace(report, host="h", coverage=("c",), findings=(one,))
    assert shape(report) == shape(plain)
    json.loads(parse(report).scripts[0])


def test_the_file_is_its_owners_alone_and_replaces_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")
    file.chmod(0o644)
    write_report(file, EMPTY)
    assert file.read_bytes().startswith(b"<!DOCTYPE html>")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_stream_is_written_to_as_it_is() -> None:
    stream = io.BytesIO()
    write_report(stream, EMPTY)
    assert stream.getvalue().endswith(b"</html>\n")


def test_a_folder_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written: No such file"):
        write_report(tmp_path / "none/report.html", EMPTY)


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HostError, match="is no file"):
        write_report(tmp_path / "pipe", EMPTY)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "aim").write_text("kept")
    (tmp_path / "report.html").symlink_to("aim")
    write_report(tmp_path / "report.html", EMPTY)
    assert (tmp_path / "aim").read_text() == "kept"
    assert not (tmp_path / "report.html").is_symlink()
