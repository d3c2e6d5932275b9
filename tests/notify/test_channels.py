"""Syslog, webhook and the host's own log: what arrives is whole, encrypted where it must be, and nobody is waited for too long."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.config import Config, Host, Syslog, Transport, Webhook
from fimkit.model.errors import HostError
from fimkit.notify.channels import Channels, load_channels, plan_news, render_news, tell
from fimkit.notify.endpoint import Endpoint
from fimkit.notify.journal import log_locally
from fimkit.notify.syslog import SyslogTarget, plan_syslog
from fimkit.notify.syslog_text import SyslogSeverity, frame_octets, render_syslog
from fimkit.notify.tls import make_context
from fimkit.notify.webhook import WebhookTarget, plan_webhook
from tests.notify.letters import TIME_NS, finding
from tests.notify.mail_servers import Certificates, drip, serve_with
from tests.notify.test_compose import news
from tests.private_net import HERE, PEER, PeerNet, in_private_net

__all__: list[str] = []

# RFC 5424, section 6, in short: one line of a header, then structured data, then the text.
_GRAMMAR = re.compile(
    rb'<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ([!-~]{1,255}) fimkit - ([!-~]{1,32}) '
    rb'(-|\[fimkit@32473(?: [!#-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")+\]) \xef\xbb\xbf(.*)', re.DOTALL,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def trusting(certificates: Certificates) -> ssl.SSLContext:
    return make_context(str(certificates.ca_file).encode())


def syslog_at(certificates: Certificates, port: int, transport: Transport, *, host: str = "mail.test") -> SyslogTarget:
    endpoint = Endpoint(host=host, port=port, addresses=(PEER,))
    return SyslogTarget(endpoint=endpoint, transport=transport, context=trusting(certificates))


def webhook_at(certificates: Certificates, port: int, *, host: str = "mail.test", token: str = "") -> WebhookTarget:
    endpoint = Endpoint(host=host, port=port, addresses=(PEER,))
    return WebhookTarget(endpoint=endpoint, path="/hook?key=1", context=trusting(certificates), token=token)


def keep(told: list[bytes], arrived: threading.Event, context: ssl.SSLContext | None, answer: bytes = b"",
         enough: Callable[[bytes], bool] = lambda _: False) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        plain = context.wrap_socket(connection, server_side=True) if context else connection
        raw = b""
        while not enough(raw) and (chunk := plain.recv(65536)):
            raw += chunk
        told.append(raw)
        if answer:
            plain.sendall(answer)
        plain.close()
        arrived.set()

    return talk


def whole_request(raw: bytes) -> bool:
    head, _, body = raw.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(length) and len(body) >= int(length[1])  # type: ignore[index]


@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(min_size=1), st.text(), max_size=6))
def test_a_message_keeps_to_the_grammar_whatever_is_in_it(words: str, host: str, kind: str, fields: dict[str, str]) -> None:
    message = render_syslog(
        words, severity=SyslogSeverity.ALERT, host=host, kind=kind, time_ns=TIME_NS, fields=fields
    )
    found = _GRAMMAR.fullmatch(message)
    assert found is not None and found[1] == b"81" and len(message) <= 8192
    found[5].decode("utf-8")
    assert not re.search(rb"[\x00-\x1f\x7f]", message)


def test_a_long_text_is_cut_and_stays_whole_utf8() -> None:
    message = render_syslog("ü" * 9000, severity=SyslogSeverity.INFO, host="h", kind="k", time_ns=TIME_NS, fields={"a": "é" * 900})
    assert 8190 <= len(message) <= 8192 and message.decode("utf-8").endswith("ü")
    assert frame_octets(message).startswith(f"{len(message)} <".encode())


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.TCP])
def test_a_stream_server_gets_the_message_framed_by_its_length(certificates: Certificates, transport: Transport) -> None:
    def run() -> None:
        peer, told, arrived = PeerNet(), [], threading.Event()
        context = certificates.context(certificates.right) if transport is Transport.TLS else None
        peer.call(serve_with(6514, keep(told, arrived, context)))
        (task,) = plan_news(Channels(syslog=syslog_at(certificates, 6514, transport)), news(finding()))
        (outcome,) = tell([task], deadline_s=20.0)
        assert outcome.done and outcome.words == f"received by its host, by {transport.value.upper()}", outcome
        assert arrived.wait(20)
        length, _, message = told[0].partition(b" ")
        assert int(length) == len(message)
        found = _GRAMMAR.fullmatch(message)
        assert found is not None and (found[2], found[3]) == (b"web01", b"panic")
        assert b'path="/sbin/program-0"' in found[4] and b'incident="20261122T034901Z-1"' in found[4]
        assert found[5].decode() == "PANIC 1 finding: 1 critical (1 modified): 1 critical finding"

    in_private_net(run)


def test_a_datagram_server_gets_it_as_it_is(certificates: Certificates) -> None:
    def run() -> None:
        peer = PeerNet()
        receiver = peer.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        receiver.bind((PEER, 514))
        receiver.settimeout(20)
        (outcome,) = tell([plan_syslog(syslog_at(certificates, 514, Transport.UDP), b"<81>1 x")], deadline_s=20.0)
        assert outcome.words == "sent by UDP: nobody says whether it came there"
        assert receiver.recv(100) == b"<81>1 x"

    in_private_net(run)


def test_a_webhook_gets_one_json_object_with_the_token(certificates: Certificates) -> None:
    def run() -> None:
        peer, told, arrived = PeerNet(), [], threading.Event()
        answer = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
        context = certificates.context(certificates.right)
        peer.call(serve_with(443, keep(told, arrived, context, answer, whole_request)))
        (task,) = plan_news(Channels(webhook=webhook_at(certificates, 443, token="t0ken")), news(finding()))
        (outcome,) = tell([task], deadline_s=20.0)
        assert (outcome.words, outcome.error) == ("taken: 204", None)
        head, _, body = told[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hook?key=1 HTTP/1.1\r\nHost: mail.test\r\n") and b"Authorization: Bearer t0ken" in head
        row = json.loads(body)
        assert (row["kind"], row["host"], row["count"], row["findings"][0]["path"]) == ("panic", "web01", 1, "/sbin/program-0")
        assert row["text"].startswith("[fimkit] web01 PANIC 1 finding")

    in_private_net(run)


def test_a_refusal_and_a_redirection_are_errors_and_the_path_is_not_told(certificates: Certificates) -> None:
    def run() -> None:
        peer, told, arrived = PeerNet(), [], threading.Event()
        context = certificates.context(certificates.right)
        for port, answer in (
            (443, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\x1b"),
            (444, b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n"),
        ):
            peer.call(serve_with(port, keep(told, arrived, context, answer, whole_request)))
        tasks = [plan_webhook(webhook_at(certificates, port), b"{}") for port in (443, 444)]
        refused, moved = tell(tasks, deadline_s=20.0)
        assert refused.error == "HostError: it answers 403 Forbidden: no%1B"
        assert moved.error is not None and "302" in moved.error and "elsewhere" not in moved.error
        assert "key=1" not in f"{refused}{moved}"

    in_private_net(run)


def test_hanging_absent_and_wrongly_named_servers_hold_nobody_up(certificates: Certificates) -> None:
    def run() -> None:
        peer, told, arrived = PeerNet(), [], threading.Event()
        peer.call(serve_with(1001, drip))
        peer.call(serve_with(1002, keep(told, arrived, certificates.context(certificates.other))))
        tasks = [
            plan_webhook(webhook_at(certificates, 1001), b"{}"),
            plan_syslog(syslog_at(certificates, 1001, Transport.TLS), b"x"),
            plan_syslog(syslog_at(certificates, 1002, Transport.TLS), b"x"),
            plan_webhook(webhook_at(certificates, 1003), b"{}"),
        ]
        outcomes = tell(tasks, deadline_s=1.5)
        assert not any(outcome.done for outcome in outcomes)
        assert "CERTIFICATE_VERIFY_FAILED" in str(outcomes[2].error) and "refused" in str(outcomes[3].error)
        assert not any(told)

    in_private_net(run)


def test_what_is_configured_is_loaded_and_this_host_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    token.chmod(0o600)

    def run() -> None:
        PeerNet()
        hook = Webhook(url=f"https://{PEER}:8443/a?b=c", token_file=str(token).encode())
        loaded = load_channels(config(Syslog(server=f"{PEER}:514", transport="udp"), hook), deadline_s=20.0)
        assert loaded.syslog is not None and loaded.webhook is not None
        assert (loaded.syslog.transport, loaded.syslog.endpoint.addresses) == (Transport.UDP, (PEER,))
        assert (loaded.webhook.endpoint.port, loaded.webhook.path, loaded.webhook.token) == (8443, "/a?b=c", "t0ken")
        for own in (config(Syslog(server=f"{HERE}:514"), Webhook()), config(Syslog(), Webhook(url=f"https://{HERE}/"))):
            with pytest.raises(HostError, match="address of this host"):
                load_channels(own, deadline_s=20.0)
        assert load_channels(config(Syslog(), Webhook()), deadline_s=20.0) == Channels()

    def config(syslog: Syslog, webhook: Webhook) -> Config:
        return Config(host=Host(name="web01"), syslog=syslog, webhook=webhook)

    in_private_net(run)


def test_many_findings_are_counted_and_some_are_in_the_object() -> None:
    row: dict[str, Any] = json.loads(render_news(news(*(finding(number) for number in range(200)))))
    assert (row["count"], len(row["findings"])) == (200, 50)


def test_the_cause_goes_to_the_journal_or_else_to_syslog_or_nobody(tmp_path: Path) -> None:
    journal, syslog = str(tmp_path / "journal"), str(tmp_path / "log")

    def log() -> str | None:
        return log_locally("panic:\na cause", priority=1, fields={"FIMKIT_INCIDENT": "x"}, places=(journal, syslog))

    assert log() is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as old, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as new:
        old.bind(syslog)
        assert log() == syslog
        assert old.recv(1000) == b"<81>fimkit: panic: a cause"
        new.bind(journal)
        assert log() == journal
        assert new.recv(1000) == (
            b"MESSAGE\n\x0e\x00\x00\x00\x00\x00\x00\x00panic:\na cause\nPRIORITY=1\nSYSLOG_IDENTIFIER=fimkit\nSYSLOG_FACILITY=10\n"
            b"FIMKIT_INCIDENT=x\n"
        )
