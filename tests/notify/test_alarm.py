"""An alarm goes out by mail and by the other channels at once; whichever hangs, the others arrive."""

import json
import threading
from pathlib import Path

import pytest

from fimkit.model.config import Transport
from fimkit.notify.alarm import plan_alarm, render_alarm, send_alarm
from fimkit.notify.channels import Channels
from tests.notify.letters import TIME_NS, finding
from tests.notify.mail_servers import Certificates, RealServer, drip, never_answer, serve_with
from tests.notify.test_channels import keep, syslog_at, webhook_at
from tests.notify.test_compose import news
from tests.notify.test_mail import mailer
from tests.private_net import PeerNet, in_private_net

__all__: list[str] = []

ALARM = plan_alarm(news(finding()), sender="fim@example.org", recipients=["ops@example.org"], time_ns=TIME_NS)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def test_mail_and_syslog_arrive_while_the_webhook_hangs(certificates: Certificates) -> None:
    def run() -> None:
        peer, told, arrived = PeerNet(), [], threading.Event()
        server = RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start)
        peer.call(serve_with(6514, keep(told, arrived, certificates.context(certificates.right))))
        peer.call(serve_with(443, never_answer))
        channels = Channels(syslog=syslog_at(certificates, 6514, Transport.TLS), webhook=webhook_at(certificates, 443))
        receipt = send_alarm(ALARM, mailer=mailer(certificates, 587), channels=channels, deadline_s=3.0)
        assert receipt.mail is not None and receipt.mail.complete
        syslog, webhook = receipt.others
        assert syslog.done and not webhook.done and "not done within 3 s" in str(webhook.error)
        assert arrived.wait(20) and b"PANIC 1 finding" in told[0]
        assert "PANIC on web01" in str(server.received[0][1].get_body(("plain",)))
        assert json.loads(json.dumps(render_alarm(receipt)))["others"][0]["channel"] == "syslog mail.test:6514"

    in_private_net(run)


def test_syslog_arrives_while_the_mail_server_drips(certificates: Certificates) -> None:
    def run() -> None:
        peer, told, arrived = PeerNet(), [], threading.Event()
        peer.call(serve_with(587, drip))
        peer.call(serve_with(6514, keep(told, arrived, None)))
        channels = Channels(syslog=syslog_at(certificates, 6514, Transport.TCP))
        receipt = send_alarm(ALARM, mailer=mailer(certificates, 587, deadline_s=1.5), channels=channels, deadline_s=1.5)
        assert receipt.mail is not None and not receipt.mail.taken
        assert receipt.others[0].done and arrived.wait(20)

    in_private_net(run)


def test_without_a_server_or_a_recipient_it_says_so() -> None:
    receipt = send_alarm(ALARM, mailer=None, channels=Channels(), deadline_s=1.0)
    assert (receipt.mail, receipt.others, receipt.note) == (None, (), "no mail: no server is ready")
    nobody = plan_alarm(news(), sender="fim@example.org", recipients=[], time_ns=TIME_NS)
    assert send_alarm(nobody, mailer=None, channels=Channels(), deadline_s=1.0).note == "no mail: no recipients"


def test_a_planned_alarm_is_a_whole_message_and_nothing_is_sent(tmp_path: Path) -> None:
    letter = tmp_path / "letter.eml"
    letter.write_bytes(ALARM.message.as_bytes())
    assert b"X-Fimkit-Incident: 20261122T034901Z-1" in letter.read_bytes()
