"""Frames as HTML: a name is the attacker's, and never becomes markup."""

import re
from html.parser import HTMLParser

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

import fimkit.report.accessor  # noqa: F401  # frame.fim
from fimkit.report.frame_html import escape
from fimkit.report.frames import Frame, findings_frame
from tests.evidence.examples import a_finding, an_actor

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">'
TAGS = {"style", "div", "table", "thead", "tbody", "tr", "th", "td", "code", "b", "p", "br", "svg", "text", "tspan", "line", "rect",
        "title"}  # fmt: skip


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def _harmless(page: str) -> None:
    tags = _Tags()
    tags.feed(page)
    assert tags.seen <= TAGS
    assert not any(name.startswith("on") or name in ("src", "href") for name in tags.attributes)


def _hostile() -> Frame:
    actor = an_actor(exe=EVIL.encode(), cmdline=EVIL, user=EVIL, comm=EVIL.encode(), tty=EVIL)
    return findings_frame([(a_finding("a1", EVIL.encode(), host=EVIL, actors=(actor,), reasons=(EVIL,)), "open", None)])


def test_nothing_in_a_finding_becomes_markup() -> None:
    frame = _hostile()
    for shown in (frame, frame[["path", "reasons", "actors", "before"]], frame.fim.timeline(), frame.fim.top("exe"),
                  frame.fim.who(EVIL), frame.fim.history(EVIL), frame.fim.pivot("exe", "user"), frame.fim.timeline("1h"),
                  frame.fim.process_tree(4711), frame.fim.prevalence("path")):  # fmt: skip
        page = shown._repr_html_()
        _harmless(page)
        assert "alert" not in page or "&lt;script&gt;" in page


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_no_text_becomes_markup_or_turns_what_stands_around_it(text: str) -> None:
    shown = escape(text)
    assert not re.search("[<>\"'\u202a-\u202e\u2066-\u2069\u200b-\u200f\x00-\x1f]", shown)
    _harmless(Frame({text or "x": [text]})._repr_html_())


def test_no_text_reaches_a_terminal_as_a_control_sequence() -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2028\x9b"
    actor = an_actor(exe=evil.encode(), cmdline=evil, user=evil)
    frame = findings_frame([(a_finding("a1", evil.encode(), actors=(actor,), reasons=(evil,)), "open", None)])
    for shown in (frame, frame[["path", "cmdline", "exe", "user", "reasons"]], frame.fim.timeline(), frame.fim.top("cmdline")):
        for text in (repr(shown), str(shown)):
            assert all(line.isprintable() for line in text.split("\n"))


def test_a_reason_keeps_its_middle() -> None:
    reason = "no record names it: " + "a process without an audit context, " * 8
    frame = findings_frame([(a_finding("a1", b"/etc/x", reasons=(reason,)), "open", None)])
    assert reason in frame[["path", "reasons"]]._repr_html_()


def test_a_long_frame_is_cut_and_says_so() -> None:
    page = Frame({"n": range(1000)})._repr_html_()
    assert page.count("<tr>") == 51
    assert "1000 rows; the first 50 are shown" in page


def test_whole_numbers_stay_whole_beside_missing_ones() -> None:
    frame = findings_frame([(a_finding("a1"), "open", None), (a_finding("a2", b"/etc/y", actors=()), "open", None)])
    assert "<td>1000</td>" in frame._repr_html_()
    assert "1000.0" not in frame._repr_html_()


def test_columns_that_were_chosen_are_shown() -> None:
    frame = findings_frame([(a_finding("a1"), "open", None)])
    page = frame[["id", "ppid"]]._repr_html_()
    assert re.findall(r'<th scope="col">(\w+)</th>', page) == ["id", "ppid"]


def test_counts_by_time_are_drawn_with_their_numbers() -> None:
    rows = [(a_finding(f"a{n}", b"/etc/%d" % n, first_seen_ns=n * 10**9), "open", None) for n in range(5)]
    page = findings_frame(rows).fim.timeline("1s")._repr_html_()
    assert page.count("<rect") == 5
    assert "1970-01-01 00:00:00+00:00: 1 critical" in page


def test_an_index_is_shown_where_it_says_something() -> None:
    frame = Frame({"n": [1]}, index=pd.Index(["a<b"], name="who"))
    assert "a&lt;b" in frame._repr_html_()
