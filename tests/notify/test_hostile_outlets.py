"""What a stranger named comes out of every outlet as text: letters, chats, syslog, the journal, the text log's neighbours."""

import email
import json
import re
from dataclasses import replace
from email import policy
from email.message import EmailMessage

import pytest

from fimkit.model.findings import Finding
from fimkit.notify.channels import render_news
from fimkit.notify.chat import compose_chat, compose_chat_panic, with_chat_head
from fimkit.notify.compose import compose_notice
from fimkit.notify.digest_text import Beside, compose_digest
from fimkit.notify.journal import encode_journal
from fimkit.notify.message import Letter, build_message
from fimkit.notify.syslog_text import SyslogSeverity, frame_octets, render_syslog
from tests.commands.test_hostile_bytes import EVIL, NASTY
from tests.notify.letters import TIME_NS, finding
from tests.notify.test_compose import news

__all__: list[str] = []

PAGE = finding()
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffd\ud800-\udfff]")
STRANGERS = [*NASTY, EVIL]
TEXTS = [name.decode("utf-8", "surrogateescape") for name in STRANGERS]

named = pytest.mark.parametrize("name", STRANGERS, ids=range(len(STRANGERS)))


def by_a_stranger(name: bytes) -> Finding:
    """Give a finding in which all that a stranger can name is hostile."""
    text = name.decode("utf-8", "surrogateescape")
    actor = replace(PAGE.actors[0], comm=name, exe=b"/tmp/" + name, user=text, cmdline=text, tty=text)
    reasons = (f"rule x: {text}",)
    return replace(PAGE, path=b"/srv/" + name, moved_to=b"/srv/" + name[::-1], reasons=reasons, actors=(actor,))


def message_of(letter: Letter) -> EmailMessage:
    made = build_message(letter, sender="fim@example.org", recipients=["ops@example.org"], time_ns=TIME_NS)
    read = email.message_from_bytes(made.as_bytes(policy=policy.SMTP), policy=policy.SMTP)
    assert isinstance(read, EmailMessage)
    return read


@named
def test_a_letter_keeps_its_headers_and_its_text_has_no_controls(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    for letter in (
        compose_digest(text, [text], [by_a_stranger(name)], Beside(undelivered=((text, text),), notes=(text,))),
        compose_notice(text, text, [text]),
    ):
        read = message_of(letter)
        assert {key.lower() for key in read} <= {
            "from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
            "content-transfer-encoding", *(key.lower() for key in letter.headers),
        }  # fmt: skip
        assert read["To"] == "ops@example.org" and "evil.example" not in str(read["From"])
        assert RAW.search(str(read["Subject"])) is None and "\n" not in str(read["Subject"])
        body = read.get_body(("plain",))
        assert body is not None
        assert RAW.search(body.get_content().replace("\r\n", "\n")) is None
        assert not re.search(r"(?m)^Bcc:", body.get_content())


@named
def test_a_chat_has_one_line_a_group_and_none_of_its_marks(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    one = by_a_stranger(name)
    grave = replace(news(one), host=text, cause=text, incident=text, done=(text,), heads=("Evidence head 1:ab",))
    for told in (compose_chat(text, [text], [one]), compose_chat_panic(grave)):
        assert RAW.search(told.body + told.title) is None and "\n" not in told.title
        assert not set("@<>[]`*|\\&") & set(told.body) and "://" not in told.body


@named
def test_a_syslog_message_is_one_message_whose_structure_is_its_own(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    raw = render_syslog(
        text, severity=SyslogSeverity.ALERT, host=text, kind="panic", time_ns=TIME_NS, fields={"path": text, "cause": text}
    )
    assert raw.count(b"\n") == 0 and frame_octets(raw).startswith(b"%d " % len(raw))
    head, bom, words = raw.partition(b"\xef\xbb\xbf")
    assert bom and RAW.search(words.decode()) is None and RAW.search(head.decode()) is None
    assert re.fullmatch(
        rb'<\d+>1 \S+ [!-~]+ fimkit - panic \[fimkit@32473 path="(?:[^"\\\]]|\\["\\\]])*" cause="(?:[^"\\\]]|\\["\\\]])*"\] ', head
    )


@named
def test_a_journal_entry_has_the_fields_that_it_was_given_and_no_other(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    raw = encode_journal({"MESSAGE": text, "FIMKIT_PATH": f"{text}\nPRIORITY=0"})
    found, rest = [], raw
    while rest:  # as journald reads it
        line, _, rest = rest.partition(b"\n")
        if b"=" in line:
            found.append(line.partition(b"=")[0])
        else:
            size = int.from_bytes(rest[:8], "little")
            found.append(line)
            assert rest[8 + size : 9 + size] == b"\n"
            rest = rest[9 + size :]
    assert found == [b"MESSAGE", b"FIMKIT_PATH"]


@named
def test_a_webhooks_object_is_ascii_json_of_one_line(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    raw = render_news(replace(news(by_a_stranger(name)), cause=text, incident=text, done=(text,)))
    assert raw.isascii() and b"\n" not in raw
    assert RAW.search(json.loads(raw)["text"]) is None


def test_a_chat_ends_with_the_head_however_long_it_is() -> None:
    head = f"Evidence head 7:{'ab' * 32}"
    storm = [replace(PAGE, id=str(number), path=b"/srv/%d/" % number + b"n" * 4000) for number in range(500)]
    text = with_chat_head(compose_chat("web01", [], storm), (head, "Evidence key x"))
    assert text.body.endswith(f"\n{head}") and len(text.body) <= 1800
    assert with_chat_head(text, ()) == text
    assert compose_chat_panic(replace(news(PAGE), heads=(head,))).body.endswith(f"\n{head}")
