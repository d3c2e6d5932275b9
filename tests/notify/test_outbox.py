"""The general mail: a burst is one mail, nobody gets two, and nothing is lost when the server or this process goes away."""

import asyncio
import os
import signal
import sqlite3
import ssl
import threading
from email import policy
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config import Config, Host, Mail, Watch
from fimkit.model.errors import HostError, StoreError
from fimkit.model.findings import Severity
from fimkit.notify.digest import plan_digests
from fimkit.notify.digest_text import compose_digest
from fimkit.notify.message import build_message, parse_message
from fimkit.notify.outbox import Draft, Outbox
from fimkit.notify.pace import Lane
from fimkit.notify.post import make_alerts, make_digests, send_due
from tests.notify.letters import TIME_NS, finding
from tests.notify.mail_servers import Certificates, RealServer
from tests.notify.test_mail import mailer
from tests.private_net import PeerNet, in_private_net

__all__: list[str] = []

_S = 1_000_000_000
WEB, SITE = b"/var/www", b"/var/www/site"


def config(**mail: object) -> Config:
    usual = {"general_recipients": ("ops@example.org",), "sender": "fim@example.org", "smtp_server": "mail.test:587"}
    settings = Mail(**{**usual, **mail})  # type: ignore[arg-type]
    paths = (Watch(path=WEB, notify=("web@example.org",)), Watch(path=SITE, notify=("customer@example.org",)), Watch(path=b"/sbin"))
    return Config(host=Host(name="web01"), mail=settings, paths=paths)


@pytest.fixture
def state_dir(tmp_path: Path) -> bytes:
    return str(tmp_path / "state").encode()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def test_each_hears_of_their_own_paths_and_nobody_gets_two_mails() -> None:
    program, page, other = finding(1), finding(2, path=SITE + b"/x.php"), finding(3, path=WEB + b"/y.php")
    shares = {digest.recipients: [one.id for one in digest.findings] for digest in plan_digests([program, page, other], config())}
    assert shares == {
        ("ops@example.org",): [program.id, page.id, other.id],
        ("customer@example.org",): [page.id],
        ("web@example.org",): [other.id],
    }
    everybody = config(general_recipients=("ops@example.org", "customer@example.org"))
    (digest,) = plan_digests([program, page], everybody)
    assert digest.recipients == ("ops@example.org", "customer@example.org")
    assert plan_digests([program], config(general_recipients=())) == ()


def test_a_storm_is_groups_with_counts_and_a_few_samples() -> None:
    storm = [finding(number, path=SITE + b"/cache/%d" % number, severity=Severity.MEDIUM) for number in range(5000)]
    letter = compose_digest("web01", ["192.0.2.2"], [*storm, finding(9999)])
    assert letter.subject == "[fimkit] web01 (192.0.2.2) 1 critical change and 5000 more"
    assert "  5000 medium modified in /var/www/site/cache by /bin/cp (uid 0)\n" in letter.text
    assert "         and 4997 more\n" in letter.text and len(letter.text) < 30_000
    assert letter.text.index("/sbin/program-9999") < letter.text.index("/var/www/site/cache")
    assert letter.attachments[0].name == "findings.jsonl.gz"


def test_a_burst_waits_and_is_one_mail_and_the_next_comes_no_sooner_than_digest_s(state_dir: bytes) -> None:
    with Outbox(state_dir) as outbox:
        for number in range(50):
            outbox.add([finding(number)], now_ns=TIME_NS + number * _S)
            assert not make_digests(outbox, config(), addresses=[], now_ns=TIME_NS + number * _S)
        assert make_digests(outbox, config(), addresses=[], now_ns=TIME_NS + 300 * _S) == 1
        letter = outbox.take_letter(now_ns=TIME_NS + 300 * _S)
        assert letter is not None
        assert "50 findings" in str(parse_message(letter.message).get_body(("plain",)))
        assert not outbox.waiting().findings
        outbox.add([finding(77)], now_ns=TIME_NS + 301 * _S)
        assert not make_digests(outbox, config(), addresses=[], now_ns=TIME_NS + 599 * _S, hurry=True)
        assert make_digests(outbox, config(), addresses=[], now_ns=TIME_NS + 600 * _S, hurry=True) == 1


def test_the_first_mail_of_a_nightly_check_goes_at_once(state_dir: bytes) -> None:
    with Outbox(state_dir) as outbox:
        assert not make_digests(outbox, config(), addresses=[], now_ns=TIME_NS, hurry=True)
        outbox.add([finding(1)], now_ns=TIME_NS)
        assert make_digests(outbox, config(), addresses=[], now_ns=TIME_NS, hurry=True) == 1


def test_what_a_killed_process_had_added_is_still_there(state_dir: bytes) -> None:
    child = os.fork()
    if child == 0:
        outbox = Outbox(state_dir)
        outbox.add([finding(1), finding(2)], now_ns=TIME_NS)
        outbox.seal([Draft(message=b"Subject: x\r\n\r\n", recipients=("ops@example.org",))], outbox.waiting(), now_ns=TIME_NS)
        outbox.add([finding(3)], now_ns=TIME_NS)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with Outbox(state_dir) as outbox:
        assert outbox.waiting().findings == (finding(3),)
        letter = outbox.take_letter(now_ns=TIME_NS)
        assert letter is not None and letter.recipients == ("ops@example.org",)


def test_a_server_that_is_down_gets_it_later_and_nobody_twice(certificates: Certificates, state_dir: bytes) -> None:
    def run() -> None:
        peer = PeerNet()
        server = RealServer(port=587, context=certificates.context(certificates.right), refused=("web@example.org",))
        by, now_ns = mailer(certificates, 587), TIME_NS
        with Outbox(state_dir) as outbox:
            message = build_message(
                compose_digest("web01", [], [finding(1)]), sender="fim@example.org", recipients=["ops@example.org"], time_ns=TIME_NS
            )
            raw = message.as_bytes(policy=policy.SMTP)
            outbox.seal([Draft(message=raw, recipients=("ops@example.org", "web@example.org"))], outbox.waiting(), now_ns=now_ns)
            (down,) = send_due(outbox, lambda: by, now_ns=now_ns)
            assert not down.taken
            assert not send_due(outbox, lambda: by, now_ns=now_ns + 59 * _S)  # not yet
            peer.call(server.start)
            (partly,) = send_due(outbox, lambda: by, now_ns=now_ns + 60 * _S)
            assert list(partly.taken) == ["ops@example.org"] and list(partly.refused) == ["web@example.org"]
            (again,) = send_due(outbox, lambda: by, now_ns=now_ns + 3600 * _S)
            assert not again.taken
            assert [recipients for recipients, _ in server.received] == [["ops@example.org"]]
            assert server.received[0][1]["Message-ID"] == message["Message-ID"]

    in_private_net(run)


class PausingServer(RealServer):
    """It takes the first letter's words in and never says that it has it; each later one is taken as usual."""

    def __init__(self, *, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port=port, context=context)
        self.holds = threading.Event()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if not self.holds.is_set():
            self.holds.set()
            await asyncio.sleep(600)
        return await super().handle_DATA(server, session, envelope)


def test_a_process_killed_while_it_sends_loses_nothing_and_what_it_had_is_sent_once(
    certificates: Certificates, state_dir: bytes
) -> None:
    def run() -> None:
        server = PausingServer(port=587, context=certificates.context(certificates.right))
        PeerNet().call(server.start)
        by = mailer(certificates, 587)
        with Outbox(state_dir) as outbox:
            outbox.add([finding(1)], now_ns=TIME_NS)
            assert make_alerts(outbox, config(), addresses=[], now_ns=TIME_NS) + make_digests(
                outbox, config(), addresses=[], now_ns=TIME_NS, hurry=True
            )
        child = os.fork()
        if child == 0:
            with Outbox(state_dir) as outbox:
                send_due(outbox, lambda: by, now_ns=TIME_NS)
            os._exit(1)
        assert server.holds.wait(60)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with Outbox(state_dir) as outbox:
            assert send_due(outbox, lambda: by, now_ns=TIME_NS + 60 * _S) == []  # it may still be at it
            (receipt,) = send_due(outbox, lambda: by, now_ns=TIME_NS + 601 * _S)
            assert list(receipt.taken) == ["ops@example.org"]
            assert send_due(outbox, lambda: by, now_ns=TIME_NS + 9999 * _S) == []
        assert [recipients for recipients, _ in server.received] == [["ops@example.org"]]

    in_private_net(run)


def test_two_processes_neither_tell_nor_send_the_same_twice(state_dir: bytes) -> None:
    with Outbox(state_dir) as one, Outbox(state_dir) as other:
        one.add([finding(1)], now_ns=TIME_NS)
        seen_by_both = one.waiting(), other.waiting()
        raw = b"Subject: x\r\n\r\n"
        assert one.seal([Draft(message=raw, recipients=("ops@example.org",))], seen_by_both[0], now_ns=TIME_NS)
        assert not other.seal([Draft(message=raw, recipients=("ops@example.org",))], seen_by_both[1], now_ns=TIME_NS)
        assert one.take_letter(now_ns=TIME_NS) is not None
        assert other.take_letter(now_ns=TIME_NS) is None
        assert other.take_letter(now_ns=TIME_NS + 600 * _S) is not None  # whoever took it was killed


def test_whoever_is_refused_for_days_is_given_up_and_named(state_dir: bytes) -> None:
    with Outbox(state_dir) as outbox:
        outbox.seal([Draft(message=b"Subject: x\r\n\r\n", recipients=("gone@example.org",))], outbox.waiting(), now_ns=TIME_NS)
        now_ns, tries = TIME_NS, 0
        while letter := outbox.take_letter(now_ns=now_ns):
            tries += 1
            outbox.settle(letter, taken=(), refused={"gone@example.org": "550 no"}, now_ns=now_ns)
            now_ns += 3600 * _S
        (failure,) = outbox.failures()
        assert (failure.address, failure.reason, tries) == ("gone@example.org", "550 no", 60)


def test_more_than_is_kept_is_counted_and_told(state_dir: bytes) -> None:
    with Outbox(state_dir) as outbox:
        outbox.add([finding(number) for number in range(10_050)], now_ns=TIME_NS)
        waiting = outbox.waiting()
        assert (len(waiting.findings), waiting.folded) == (10_000, 50)
        make_digests(outbox, config(), addresses=[], now_ns=TIME_NS + 300 * _S)
        letter = outbox.take_letter(now_ns=TIME_NS + 300 * _S)
        assert letter is not None
        assert "50 more came than are kept for a mail" in str(parse_message(letter.message).get_body(("plain",)))
        assert outbox.waiting().folded == 0


def test_a_later_version_a_damaged_file_and_an_open_folder_are_refused(state_dir: bytes) -> None:
    with Outbox(state_dir):
        pass
    path = Path(os.fsdecode(state_dir)) / "outbox.sqlite3"
    assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(StoreError, match="version 99"):
        Outbox(state_dir)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="is damaged"):
        Outbox(state_dir)
    path.parent.chmod(0o777)
    with pytest.raises(HostError, match="written by others"):
        Outbox(state_dir)


def test_what_was_in_a_digest_is_told_again_as_an_alert_where_it_turns_out_to_be_suspect_and_once(state_dir: bytes) -> None:
    settings, plain = config(digest_s=0), finding(1, severity=Severity.MEDIUM)
    with Outbox(state_dir) as outbox:
        outbox.add([plain], now_ns=TIME_NS)
        assert make_digests(outbox, settings, addresses=(), now_ns=TIME_NS + _S) > 0
        for later in (2, 20):
            outbox.add([plain], now_ns=TIME_NS + later * _S)
            assert outbox.glance(Lane.GENERAL)[0] == 0
        outbox.add([plain], now_ns=TIME_NS + 3 * _S, lane=Lane.ALERTS)
        assert outbox.glance(Lane.ALERTS)[0] == 1
        assert make_alerts(outbox, settings, addresses=(), now_ns=TIME_NS + 4 * _S) > 0
        for lane in Lane:
            outbox.add([plain], now_ns=TIME_NS + 30 * _S, lane=lane)
            assert outbox.glance(lane)[0] == 0
