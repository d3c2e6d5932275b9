"""A letter says what, who, when, what was done and what comes next; nothing that an intruder named breaks out of its line."""

import gzip
import json
import unicodedata
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.findings import Finding, Severity
from fimkit.model.json_form import parse_finding
from fimkit.notify.compose import PanicNews, compose_notice, compose_panic, render_counts, weigh
from fimkit.notify.message import attach_findings, build_message
from tests.notify.letters import NEW, OLD, TIME_NS, finding

__all__: list[str] = []


def news(*findings: Finding, **changes: Any) -> PanicNews:
    values: dict[str, Any] = {
        "host": "web01", "addresses": ("192.0.2.2", "2001:db8::2"), "incident": "20261122T034901Z-1", "cause": "1 critical finding",
        "triggered_ns": TIME_NS, "findings": findings, "done": ("Recon: 14 steps in 2.1 s.",),
        "next_steps": ("Every interface but lo goes down.", "On the console: fimkit panic restore"),
        "folder": b"/var/lib/fimkit/incidents/x",
    }
    return PanicNews(**(values | changes))


def posted(told: PanicNews, recipients: tuple[str, ...] = ("ops@example.org",)) -> EmailMessage:
    built = build_message(compose_panic(told), sender="fimkit@web01", recipients=recipients, time_ns=TIME_NS)
    read = message_from_bytes(built.as_bytes(policy=policy.SMTP), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def body_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def attached_findings(message: EmailMessage) -> list[Finding]:
    (part,) = message.iter_attachments()
    raw = part.get_content()
    raw = gzip.decompress(raw) if part.get_filename() == "findings.jsonl.gz" else raw
    return [parse_finding(json.loads(line)) for line in raw.splitlines()]


def test_the_text_has_what_who_when_both_hashes_what_was_done_and_what_comes() -> None:
    text = body_of(posted(news(finding())))
    for words in (
        "/sbin/program-0", "CRITICAL  modified", OLD, NEW, "0755 -> 4755", "login eve (auid 1000), uid 0", "/bin/cp",
        "command (not verified): cp /tmp/x /sbin/x", "2026-11-22T03:49:01.970Z", "because     no package has it",
        "Recon: 14 steps in 2.1 s.", "Every interface but lo goes down.", "fimkit panic restore", "192.0.2.2, 2001:db8::2",
    ):
        assert words in text, words


def test_the_headers_name_host_address_and_incident() -> None:
    message = posted(news(finding()))
    assert message["Subject"].startswith("[fimkit] web01 (192.0.2.2) PANIC 1 finding: 1 critical (1 modified): /sbin/program-0")
    assert (message["X-Fimkit-Incident"], message["Auto-Submitted"]) == ("20261122T034901Z-1", "auto-generated")
    assert message["To"] == "ops@example.org" and message["From"] == "fimkit@web01"


def test_every_finding_is_attached_and_few_are_shown() -> None:
    many = [finding(number) for number in range(500)]
    message = posted(news(*many))
    assert attached_findings(message) == weigh(many)
    text = body_of(message)
    assert text.count("CRITICAL  modified") == 20
    assert "and 480 more, of which: 480 findings: 480 critical" in text
    assert "all 500 findings attached as findings.jsonl.gz" in text
    assert len(text) < 40_000


def test_too_many_to_attach_keeps_the_weightiest_and_says_so() -> None:
    many = weigh([finding(number, severity=Severity.LOW) for number in range(400)] + [finding(999)])
    part, words = attach_findings(many, most_bytes=3000)
    assert part is not None and len(part.content) <= 3000
    kept = gzip.decompress(part.content).splitlines()
    assert json.loads(kept[0])["path"] == "/sbin/program-999"
    assert 1 < len(kept) < 401 and words == f"the first {len(kept)} of 401 findings attached as findings.jsonl.gz"
    assert attach_findings([finding(cmdline="x" * 9000)], most_bytes=100) == (
        None, "none of the 1 findings is small enough to be attached"
    )


def test_the_same_letter_has_the_same_id_and_another_has_another() -> None:
    assert posted(news(finding()))["Message-ID"] == posted(news(finding()))["Message-ID"]
    assert posted(news(finding()))["Message-ID"] != posted(news(finding(1)))["Message-ID"]


def test_a_panic_by_hand_has_no_findings_and_no_attachment() -> None:
    message = posted(news(cause="by hand: smoke in the rack"))
    assert "by hand: smoke in the rack" in message["Subject"]
    assert not list(message.iter_attachments())
    assert "no findings; no findings are attached" in body_of(message)


def test_an_address_beyond_ascii_is_in_no_header() -> None:
    message = posted(news(finding()), ("ops@example.org", "jürgen@example.org"))
    assert message["To"] == "ops@example.org"
    assert "undisclosed-recipients" in posted(news(finding()), ("jürgen@example.org",))["To"]


@given(st.binary(min_size=1).map(lambda raw: b"/" + raw.replace(b"\0", b"")), st.text(), st.text(), st.text())
def test_no_name_breaks_a_line_or_a_header(path: bytes, cmdline: str, cause: str, host: str) -> None:
    message = posted(news(finding(path=path, cmdline=cmdline, reason=cause), host=host, cause=cause, incident=host))
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Fimkit-Incident", "X-Fimkit-Host", "Importance",
        "MIME-Version", "Content-Type",
    }
    text = body_of(message)
    assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") and char != "\n"]
    plain = body_of(posted(news(finding())))
    assert text.count("\n") - plain.count("\n") <= 0  # an empty command or cause drops its line; none adds one


def test_a_notice_is_a_line_for_each_sentence() -> None:
    letter = compose_notice("web01", "was disarmed", ["by uid 0\nBcc: x", "at noon"])
    assert letter.text == "by uid 0%0ABcc: x\nat noon\n"
    assert letter.subject == "[fimkit] web01 was disarmed"
    assert render_counts([finding(), finding(1, severity=Severity.LOW)]) == "2 findings: 1 critical, 1 low (2 modified)"
