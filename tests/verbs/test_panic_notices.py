"""Who takes an armed host's defence down is told elsewhere, and no server holds that up for long."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.model.config import Config, Host, Mail, Syslog, Webhook
from fimkit.notify.endpoint import Endpoint, render_endpoint
from fimkit.notify.outbox import Outbox
from fimkit.panic.record import PanicRecord, Phase
from fimkit.verbs.accept_notice import notify_accepted, notify_pinned
from fimkit.verbs.panic_notices import is_armed, notify_if_armed, send_notice, send_waiting
from tests.notify.mail_servers import Certificates, RealServer, never_answer, serve_with
from tests.notify.test_channels import keep
from tests.private_net import PEER, PeerNet, in_private_net
from tests.verbs.armed_host import put_record

__all__: list[str] = []

KNOWN = [render_endpoint(Endpoint(host="mail.test", port=port, addresses=(PEER,))) for port in (587, 6514, 443)]
WHO = ("ops@example.org", "night@example.org")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def config_of(folder: Path, certificates: Certificates, *, deadline_s: int = 20) -> Config:
    ca_file = str(certificates.ca_file).encode()
    mail = Mail(smtp_server="mail.test:587", ca_file=ca_file, panic_recipients=WHO, sender="fim@example.org", deadline_s=deadline_s)
    return Config(host=Host(name="web01", state_dir=str(folder / "state").encode()), mail=mail)


def waiting(config: Config) -> list[tuple[str, ...]]:
    with Outbox(config.host.state_dir) as outbox:
        return [letter.recipients for letter in outbox.letters()]


def test_a_notice_goes_by_mail_and_channel_with_the_addresses_of_arming(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        peer, told, arrived = PeerNet(), [], threading.Event()
        server = RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start)
        peer.call(serve_with(6514, keep(told, arrived, certificates.context(certificates.right))))
        config = config_of(tmp_path, certificates)
        config = replace(config, syslog=Syslog(server="mail.test:6514", ca_file=config.mail.ca_file))
        put_record(config, endpoints=KNOWN)
        changed = replace(config, mail=replace(config.mail, panic_recipients=("eve@example.org",)))
        words = notify_accepted(changed, [b"/sbin/a\nBcc: eve@example.org"], who="alice", why="patch day")
        assert words is not None and "told by mail: ops@example.org, night@example.org" in words
        ((recipients, message),) = server.received
        assert recipients == list(WHO)
        assert message["Subject"] == "[fimkit] web01 baseline accepted"
        text = message.get_content().replace("\r\n", "\n")
        assert "1 path was taken into the baseline" in text and "By alice, with the reason: patch day." in text
        assert "/sbin/a%0ABcc: eve" in text
        assert arrived.wait(20) and b"baseline accepted: 1 path was" in told[0]
        assert waiting(config) == []

    in_private_net(run)


def test_a_refused_recipient_and_a_webhook_that_hangs_hold_up_nobody(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        peer = PeerNet()
        server = RealServer(port=587, context=certificates.context(certificates.right), refused=WHO[1:])
        peer.call(server.start)
        peer.call(serve_with(443, never_answer))
        config = config_of(tmp_path, certificates, deadline_s=4)
        config = replace(config, webhook=Webhook(url="https://mail.test/hook", ca_file=config.mail.ca_file))
        words = send_notice(config, put_record(config, endpoints=KNOWN), "disarmed", ["by root"])
        assert words.startswith("told by mail: ops@example.org")
        assert "no mail yet for night@example.org" in words and "it is in the queue" in words
        assert "webhook mail.test:443: not done within" in words
        assert len(server.received) == 1
        assert waiting(config) == [WHO[1:]]

    in_private_net(run)


def test_a_server_that_never_answers_leaves_the_letter_in_the_queue(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        peer = PeerNet()
        peer.call(serve_with(587, never_answer))
        config = config_of(tmp_path, certificates, deadline_s=1)
        words = send_notice(config, put_record(config, endpoints=KNOWN), "watch stopped", [])
        assert "no mail yet for ops@example.org, night@example.org" in words and "tried again" in words
        assert waiting(config) == [WHO]
        with Outbox(config.host.state_dir) as outbox:
            letter = outbox.take_letter(now_ns=2 * 10**18)
            assert letter is not None and b"Subject: [fimkit] web01 watch stopped" in letter.message

    in_private_net(run)


def test_a_notice_that_waits_holds_up_no_digest(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        PeerNet()  # nothing listens there
        config = config_of(tmp_path, certificates, deadline_s=1)
        with Outbox(config.host.state_dir) as outbox:
            before = outbox.waiting().last_ns
        assert "it is in the queue" in send_notice(config, put_record(config, endpoints=KNOWN), "watch stopped", [])
        with Outbox(config.host.state_dir) as outbox:
            assert outbox.waiting().last_ns == before and len(outbox.letters()) == 1

    in_private_net(run)


def test_what_no_server_took_goes_out_with_the_next_look(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        config = config_of(tmp_path, certificates, deadline_s=10)
        assert send_waiting(config) == ()
        mail = replace(config.mail, smtp_server=f"{PEER}:587")
        config = replace(config, mail=mail)
        peer = PeerNet()  # nothing listens there yet
        assert "it is in the queue" in send_notice(config, put_record(config), "watch stopped", [])
        server = RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start)
        assert send_waiting(config, nomail=True) == ()
        assert send_waiting(config) == ("mails that waited: 1 sent",)
        assert [recipients for recipients, _ in server.received] == [list(WHO)]
        assert waiting(config) == [] and send_waiting(config) == ()

    in_private_net(run)


def test_nobody_is_told_of_a_host_that_is_not_armed_or_with_nomail(tmp_path: Path, certificates: Certificates) -> None:
    config = config_of(tmp_path, certificates)
    assert notify_if_armed(config, "watch stopped", []) is None
    assert notify_accepted(config, [b"/a"], who="eve", why="") is None
    put_record(config, Phase.RESTORED)
    assert notify_if_armed(config, "watch stopped", []) is None
    put_record(config)
    assert notify_pinned(config, [], [], who="eve") is None
    assert notify_accepted(config, [], who="eve", why="") is None
    assert notify_if_armed(config, "watch stopped", [], nomail=True) == "nobody was told: nomail"
    assert [is_armed(PanicRecord(phase=phase)) for phase in Phase] == [False, True, True, True, False]


def test_a_damaged_record_is_said(tmp_path: Path, certificates: Certificates) -> None:
    config = config_of(tmp_path, certificates)
    put_record(config)
    (tmp_path / "state/panic/record.json").write_text("{")
    words = notify_if_armed(config, "watch stopped", [])
    assert words is not None and words.startswith("nobody was told: ") and "damaged" in words


def test_settings_that_cannot_be_read_and_no_recipients_are_said(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01", state_dir=str(tmp_path / "state").encode()))
    record = PanicRecord(phase=Phase.ARMED, settings=json.loads('{"mail": 3, "endpoints": [1, {}]}'))
    words = send_notice(config, record, "disarmed", [])
    assert "the settings of the time of arming cannot be read" in words
    assert words.endswith("nobody was told: no recipients")
