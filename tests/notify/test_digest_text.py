"""What mails and chats say: counts first, a storm in a few lines, subjects as people know them, and nothing from a name alive."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.findings import Kind, Severity, Verdict
from fimkit.notify.chat import compose_chat, compose_chat_panic, parse_chat, render_chat
from fimkit.notify.digest_text import Beside, compose_digest
from fimkit.notify.groups import group_findings
from fimkit.notify.message import build_message
from fimkit.notify.mutes import MutedCount
from fimkit.notify.pace import Fold
from tests.notify.letters import TIME_NS, finding
from tests.notify.test_compose import news

__all__: list[str] = []

PAGE = replace(finding(severity=Severity.HIGH), verdict=Verdict.SUSPECT, kind=Kind.CREATED, reasons=("rule php_eval: line 1: x",))


@pytest.mark.parametrize(("findings", "subject"), [
    ([PAGE], "1 suspicious file"),
    ([PAGE] * 3, "3 suspicious files"),
    ([finding()], "1 critical change"),
    ([finding(1), finding(2)], "2 critical changes"),
    ([finding(1), PAGE, PAGE], "1 critical change and 2 more"),
    ([finding(severity=Severity.MEDIUM)], "1 unexplained change"),
    ([replace(PAGE, kind=Kind.ATTEMPTED, severity=Severity.LOW)] * 2, "2 denied tries"),
])
def test_the_subject_counts_the_weightiest(findings: list[object], subject: str) -> None:
    letter = compose_digest("web01", ["192.0.2.2"], findings)  # type: ignore[arg-type]
    assert letter.subject == f"[fimkit] web01 (192.0.2.2) {subject}"


@given(st.binary(min_size=1, max_size=200))
def test_nothing_of_a_name_gets_into_a_header_or_breaks_a_line(name: bytes) -> None:
    one = replace(PAGE, path=b"/srv/" + name)
    plain = compose_digest("web01", ["192.0.2.2"], [PAGE])
    letter = compose_digest("web01", ["192.0.2.2"], [one])
    message = build_message(letter, sender="f@example.org", recipients=["ops@example.org"], time_ns=TIME_NS)
    assert letter.subject == plain.subject and letter.text.count("\n") == plain.text.count("\n")
    assert set(message.keys()) == set(build_message(plain, sender="f@example.org", recipients=["o@e.org"], time_ns=TIME_NS).keys())


def test_a_storm_over_many_folders_is_a_few_groups_that_count_all_of_it() -> None:
    storm = [replace(PAGE, id=str(number), path=b"/srv/cache/%d/%d/x" % (number % 70, number % 7)) for number in range(5000)]
    groups = group_findings([*storm, finding()])
    assert len(groups) <= 40 and sum(len(group.findings) for group in groups) == 5001
    assert any(group.folder == b"/srv/cache" and group.deep and len(group.findings) == 5000 for group in groups)
    text = compose_digest("web01", [], [*storm, finding()]).text
    assert "  5000 high created below /srv/cache by /bin/cp (uid 0), rule php_eval\n" in text
    assert "in /sbin by /bin/cp" in text
    assert text.count("    because ") == 2  # one of each group in full


def test_different_writers_and_rules_are_different_groups() -> None:
    other = replace(PAGE, reasons=("rule php_upload: line 2: y",))
    nobody = replace(PAGE, actors=())
    assert len(group_findings([PAGE, other, nobody])) == 3


def test_what_is_not_in_a_mail_is_said() -> None:
    beside = Beside(
        overflow=50, fold=Fold(count=240, since_ns=TIME_NS, alerts=12, hour_ns=TIME_NS - 10**12),
        muted=(MutedCount(number=3, words="path *.log (rotating)", count=1, first_ns=TIME_NS),),
        undelivered=(("gone@example.org", "550 no\r\nBcc: x"),),
    )
    text = compose_digest("web01", [], [PAGE], beside).text
    assert "folded: 240 findings waited since 2026-11-22T03:49:01.970Z, for 12 alerts went out in the hour from" in text
    assert "50 more came than are kept for a mail" in text
    assert "1 finding muted by mute 3, path *.log (rotating), the first 2026-11-22T03:49:01.970Z\n" in text
    assert "an earlier letter was given up for gone@example.org: 550 no%0D%0ABcc: x\n" in text
    assert "240 findings waited" in compose_chat("web01", [], [PAGE], beside).body


def test_a_chat_gets_nothing_that_calls_or_links() -> None:
    nasty = replace(PAGE, path=b"/srv/@everyone <!channel> [x](http://e.example) `a` *b* \xe2\x80\xae")
    for text in (compose_chat("web01", ["192.0.2.2"], [nasty]), compose_chat_panic(news(nasty))):
        assert not set("@<>[]`*|") & set(text.body) and "://" not in text.body and "\u202e" not in text.body
        assert "/srv/%40everyone %3C!channel%3E %5Bx%5D(http%3A//e.example)" in text.body
        assert parse_chat(render_chat(text)) == text


def test_a_chat_is_short_whatever_happened() -> None:
    storm = [replace(PAGE, id=str(number), path=b"/srv/%d/" % number + b"n" * 4000) for number in range(500)]
    text = compose_chat("web01", ["192.0.2.2"], storm)
    assert len(text.body) <= 1800 and text.title == "[fimkit] web01 (192.0.2.2) 500 suspicious files"
