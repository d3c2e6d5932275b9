"""From a finding to a mail on a real server: at once or in a digest, folded when too many, kept while the server is down, once."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import pytest

from fimkit.model.config import Config
from fimkit.model.findings import Finding, Kind, Severity, Verdict
from fimkit.notify.mute_book import MuteBook
from fimkit.notify.mutes import MuteBy
from fimkit.notify.notifier import Notifier
from fimkit.notify.outbox import Outbox
from fimkit.notify.pace import Lane
from fimkit.notify.post import make_alerts, make_digests, send_due
from tests.notify.letters import TIME_NS, finding
from tests.notify.mail_servers import Certificates, RealServer, never_answer, serve_with
from tests.notify.notify_config import CUSTOMER, NEIGHBOUR, OPS, notify_config
from tests.notify.test_mail import mailer
from tests.private_net import PeerNet, in_private_net

__all__: list[str] = []

_S = 1_000_000_000
_HOUR = 3600 * _S


@pytest.fixture
def state_dir(tmp_path: Path) -> bytes:
    return str(tmp_path / "state").encode()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def config(state_dir: bytes, certificates: Certificates) -> Config:
    return notify_config(state_dir, ca_file=str(certificates.ca_file).encode())


def page(number: int, folder: bytes = b"/srv/www/anna") -> Finding:
    """Make a suspicious page."""
    one = finding(number, path=folder + b"/%d.php" % number, severity=Severity.HIGH, reason="rule php_eval: line 3: eval(")
    return replace(one, verdict=Verdict.SUSPECT, kind=Kind.CREATED)


def cached(number: int) -> Finding:
    return finding(number, path=b"/srv/www/cache/%d/%d" % (number % 16, number), severity=Severity.MEDIUM)


def smtp(certificates: Certificates, **more: object) -> RealServer:
    return RealServer(port=587, context=certificates.context(certificates.right), **more)  # type: ignore[arg-type]


def settled(notifier: Notifier, now_ns: int) -> list[str]:
    """Step, and wait until what it began is done."""
    words = notifier.step(now_ns)
    end = time.monotonic() + 120
    while any(one.name in ("fimkit notify", "fimkit channels") for one in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return words + notifier._take_words()


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_a_storm_of_five_thousand_is_one_mail_and_something_critical_does_not_wait_for_it(
    certificates: Certificates, config: Config
) -> None:
    def run() -> None:
        peer, server = PeerNet(), smtp(certificates)
        peer.call(server.start)
        notifier = Notifier(config, addresses=["192.0.2.1"])
        for second in range(10):
            notifier.take([cached(second * 500 + number) for number in range(500)], now_ns=TIME_NS + second * _S)
            settled(notifier, TIME_NS + second * _S)
        assert not server.received and 0 < notifier.next_s <= 60
        notifier.take([finding(9999)], now_ns=TIME_NS + 10 * _S)
        settled(notifier, TIME_NS + 10 * _S)
        assert [message["Subject"] for _, message in server.received] == ["[fimkit] web01 (192.0.2.1) 1 critical change"]
        settled(notifier, TIME_NS + 300 * _S)
        (_, digest) = server.received[1]
        assert digest["Subject"] == "[fimkit] web01 (192.0.2.1) 5000 unexplained changes" and len(server.received) == 2
        assert "  5000 medium modified below /srv/www/cache by /bin/cp (uid 0)" in text_of(digest)
        assert len(text_of(digest).splitlines()) < 40
        settled(notifier, TIME_NS + 9000 * _S)
        assert len(server.received) == 2 and notifier.problem is None

    in_private_net(run)


def test_alerts_beyond_the_hours_number_are_folded_at_its_end_and_the_fold_says_so(
    certificates: Certificates, state_dir: bytes
) -> None:
    config = notify_config(state_dir, ca_file=str(certificates.ca_file).encode(), alerts_per_h=3)

    def run() -> None:
        peer, server = PeerNet(), smtp(certificates)
        peer.call(server.start)
        notifier = Notifier(config, addresses=["192.0.2.1"])
        for number in range(20):
            now_ns = TIME_NS + number * 60 * _S
            notifier.take([page(number, b"/srv/www")], now_ns=now_ns)
            settled(notifier, now_ns)
        assert len(server.received) == 3
        notifier.take([finding(100)], now_ns=TIME_NS + 1900 * _S)  # critical: no flood of suspects holds it up
        settled(notifier, TIME_NS + 1900 * _S)
        assert server.received[3][1]["Subject"] == "[fimkit] web01 (192.0.2.1) 1 critical change and 17 more"
        for number in range(200, 210):
            notifier.take([page(number, b"/srv/www")], now_ns=TIME_NS + 2000 * _S)
        settled(notifier, TIME_NS + 3599 * _S)
        assert len(server.received) == 4
        settled(notifier, TIME_NS + _HOUR)
        (_, fold) = server.received[4]
        assert fold["Subject"] == "[fimkit] web01 (192.0.2.1) 10 suspicious files"
        assert "folded: 10 findings waited since 2026-11-22T04:22:21.970Z, for 4 alerts went out in the hour from" in text_of(fold)

    in_private_net(run)


def test_each_customer_hears_of_their_folder_alone_and_not_of_the_rest_of_the_host(
    certificates: Certificates, config: Config, state_dir: bytes
) -> None:
    def run() -> None:
        peer, server = PeerNet(), smtp(certificates)
        peer.call(server.start)
        with MuteBook(state_dir) as book:
            book.add(MuteBy.PATH, "/srv/www/cache", until_ns=TIME_NS + _HOUR, reason="busy", who="ops", now_ns=TIME_NS)
        notifier = Notifier(config, addresses=["192.0.2.1"])
        medium = [replace(page(number, folder), severity=Severity.MEDIUM, verdict=Verdict.UNEXPLAINED)
                  for number, folder in enumerate([b"/srv/www/anna", b"/srv/www/anna", b"/srv/www/berta", b"/srv/www/carl"])]
        notifier.take([*medium, cached(50), cached(51)], now_ns=TIME_NS)
        settled(notifier, TIME_NS + 300 * _S)
        mails = {tuple(recipients): message for recipients, message in server.received}
        assert mails.keys() == {(OPS,), (CUSTOMER,), (NEIGHBOUR,)}
        texts = {who: text_of(message) for (who,), message in mails.items()}
        assert "4 findings" in texts[OPS] and "2 findings muted by mute 1, path /srv/www/cache (busy)" in texts[OPS]
        assert "2 findings" in texts[CUSTOMER] and "1 finding:" in texts[NEIGHBOUR]
        for who, strange in ((CUSTOMER, "berta"), (NEIGHBOUR, "anna")):
            whole = mails[(who,)].as_string()
            assert strange not in whole and "carl" not in whole and "muted" not in whole and OPS not in whole
        assert mails[(CUSTOMER,)]["Subject"] == "[fimkit] web01 (192.0.2.1) 2 unexplained changes"

    in_private_net(run)


def test_while_the_server_is_down_all_is_kept_and_one_mail_tells_it_when_it_is_back(
    certificates: Certificates, config: Config
) -> None:
    def run() -> None:
        peer, server = PeerNet(), smtp(certificates)
        notifier = Notifier(config, addresses=["192.0.2.1"])
        notifier.take([finding(0)], now_ns=TIME_NS)
        assert "is not delivered since 2026-11-22T03:49:01.970Z" in "".join(settled(notifier, TIME_NS))
        for number in range(1, 30):
            notifier.take([finding(number), cached(1000 + number)], now_ns=TIME_NS + number * 400 * _S)
            assert not settled(notifier, TIME_NS + number * 400 * _S)  # said once
        assert notifier.problem is not None and "it waits in the queue" in notifier.problem
        peer.call(server.start)
        back_ns = TIME_NS + 5 * _HOUR
        assert any("mail goes out again" in word for word in settled(notifier, back_ns)) and notifier.problem is None
        subjects = [message["Subject"].partition(") ")[2] for _, message in server.received]
        assert subjects == ["1 critical change", "29 critical changes", "29 unexplained changes"]
        settled(notifier, back_ns + _HOUR)
        assert len(server.received) == 3

    in_private_net(run)


def test_a_server_that_hangs_holds_up_neither_a_step_nor_the_end(certificates: Certificates, state_dir: bytes) -> None:
    config = notify_config(state_dir, ca_file=str(certificates.ca_file).encode(), deadline_s=3600)

    def run() -> None:
        peer = PeerNet()
        peer.call(serve_with(587, never_answer))
        notifier = Notifier(config, addresses=[])
        notifier.take([finding(0)], now_ns=TIME_NS)
        started = time.monotonic()
        for _ in range(5):
            notifier.step(TIME_NS)
            notifier.take([cached(1)], now_ns=TIME_NS)
        notifier.finish(patience_s=0.2)
        assert time.monotonic() - started < 60  # an hour is the deadline

    in_private_net(run)


def test_a_refused_recipient_is_tried_later_and_holds_up_no_other(certificates: Certificates, config: Config) -> None:
    def run() -> None:
        peer, server = PeerNet(), smtp(certificates, refused=(CUSTOMER,))
        peer.call(server.start)
        notifier = Notifier(config, addresses=["192.0.2.1"])
        for number in range(30):
            notifier.take([page(number)], now_ns=TIME_NS + number * _HOUR)
            settled(notifier, TIME_NS + number * _HOUR)
        assert [recipients for recipients, _ in server.received] == [[OPS]] * 30
        assert notifier.problem is not None and CUSTOMER in notifier.problem and "no such mailbox here%1B" in notifier.problem
        with Outbox(config.host.state_dir) as outbox:
            queued = outbox.letters()
            assert len(queued) == 20 and all(one.recipients == (CUSTOMER,) for one in queued)
            assert outbox.mail_down_ns() is None
            assert {one.reason for one in outbox.failures()} == {"dropped: more than 20 letters wait for it"}
        assert any("given up for customer@example.org: dropped" in text_of(message) for _, message in server.received)

    in_private_net(run)


def test_what_is_muted_is_counted_by_its_mute_and_told_within_a_day(certificates: Certificates, config: Config) -> None:
    def run() -> None:
        peer, server = PeerNet(), smtp(certificates)
        peer.call(server.start)
        notifier = Notifier(config, addresses=["192.0.2.1"])
        notifier.take([cached(0)], now_ns=TIME_NS)  # waits already, when the mute comes
        with MuteBook(config.host.state_dir) as book:
            cache = book.add(MuteBy.PATH, "/srv/www/cache", until_ns=TIME_NS + 90 * _HOUR, reason="busy", who="o", now_ns=TIME_NS)
            book.add(MuteBy.PATH, "/sbin", until_ns=TIME_NS + 90 * _HOUR, reason="move", who="o", now_ns=TIME_NS)
        notifier.take([finding(7), *map(cached, range(1, 40))], now_ns=TIME_NS + _S)
        settled(notifier, TIME_NS + 20 * _HOUR)
        assert not server.received
        settled(notifier, TIME_NS + 25 * _HOUR)
        ((recipients, message),) = server.received
        assert recipients == [OPS] and message["Subject"] == "[fimkit] web01 (192.0.2.1) muted findings"
        assert f"40 findings muted by mute {cache.number}, path /srv/www/cache (busy)" in text_of(message)
        assert "1 finding muted by mute 2, path /sbin (move)" in text_of(message)
        settled(notifier, TIME_NS + 60 * _HOUR)
        assert len(server.received) == 1
        with MuteBook(config.host.state_dir) as book:
            assert book.remove(cache.number) == cache and book.remove(cache.number) is None
        notifier.take([cached(100)], now_ns=TIME_NS + 61 * _HOUR)
        settled(notifier, TIME_NS + 62 * _HOUR)
        assert len(server.received) == 2

    in_private_net(run)


def test_the_same_finding_twice_within_an_hour_is_told_once(certificates: Certificates, config: Config) -> None:
    def run() -> None:
        peer, server = PeerNet(), smtp(certificates)
        peer.call(server.start)
        for minutes in (0, 30, 70):  # a process that was killed before it noted that it told takes it again
            notifier = Notifier(config, addresses=[])
            notifier.take([finding(1)], now_ns=TIME_NS + minutes * 60 * _S)
            settled(notifier, TIME_NS + minutes * 60 * _S)
        assert len(server.received) == 2

    in_private_net(run)


def test_a_check_sends_at_once_and_what_is_expected_is_for_nobody(certificates: Certificates, config: Config) -> None:
    def run() -> None:
        peer, server = PeerNet(), smtp(certificates)
        peer.call(server.start)
        notifier = Notifier(config, addresses=["192.0.2.1"])
        notifier.take([finding(1), cached(2), replace(cached(3), verdict=Verdict.EXPECTED, severity=Severity.INFO)], now_ns=TIME_NS)
        assert notifier.finish(now_ns=TIME_NS, patience_s=60) == []
        subjects = sorted(message["Subject"].partition(") ")[2] for _, message in server.received)
        assert subjects == ["1 critical change", "1 unexplained change"]

    in_private_net(run)


def test_with_nomail_or_without_anybody_to_hear_nothing_is_made(state_dir: bytes) -> None:
    for config, nomail in (
        (notify_config(state_dir), True), (notify_config(state_dir, nomail=True), False),
        (notify_config(state_dir, smtp_server=""), False),
    ):
        notifier = Notifier(config, addresses=[], nomail=nomail)
        notifier.take([finding(1)], now_ns=TIME_NS)
        assert notifier.step(TIME_NS) == [] == notifier.finish(now_ns=TIME_NS)
        assert not Path(os.fsdecode(state_dir)).exists()
        assert (notifier.problem is not None) is (config.mail.smtp_server == "")


def test_a_queue_that_cannot_be_written_is_said_and_nothing_is_lost(state_dir: bytes) -> None:
    folder = Path(os.fsdecode(state_dir))
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    notifier = Notifier(notify_config(state_dir), addresses=[])
    notifier.take([cached(1)], now_ns=TIME_NS)
    assert notifier.problem is not None and "1 finding waits in memory" in notifier.problem
    assert "written by others" in "".join(notifier.step(TIME_NS))
    folder.chmod(0o700)
    notifier.step(TIME_NS + 61 * _S)
    assert notifier.problem is None
    with Outbox(state_dir) as outbox:
        assert outbox.waiting().findings == (cached(1),)


class _Kill(Outbox):
    """A queue whose process is killed right before its n-th statement."""

    left = 0

    def count(self) -> None:
        def traced(_: str) -> None:
            _Kill.left -= 1
            if _Kill.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        self._database.set_trace_callback(traced)


def _killed_at(step: int, config: Config, certificates: Certificates, work: Callable[[Outbox], None]) -> bool:
    """Run ``work`` in a child that dies at a step; tell whether it did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: the child uses none of them
        child = os.fork()
    if child == 0:
        with suppress(BaseException):
            _Kill.left = step
            with _Kill(config.host.state_dir) as outbox:
                outbox.count()
                work(outbox)
            os._exit(0)
        os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def test_killed_at_any_step_nothing_is_lost_and_only_a_letter_just_taken_comes_again_with_the_same_id(
    certificates: Certificates, state_dir: bytes
) -> None:
    def run() -> None:
        peer, server = PeerNet(), smtp(certificates)
        peer.call(server.start)
        by, again, steps = mailer(certificates, 587), 0, 0
        for step in range(200):
            config = notify_config(state_dir + b"-%d" % step)
            server.received.clear()

            def work(outbox: Outbox, config: Config = config) -> None:
                outbox.add_all({Lane.ALERTS: [finding(1), page(2)], Lane.GENERAL: [cached(3)]}, now_ns=TIME_NS)
                make_alerts(outbox, config, addresses=[], now_ns=TIME_NS)
                make_digests(outbox, config, addresses=[], now_ns=TIME_NS, hurry=True)
                send_due(outbox, lambda: by, now_ns=TIME_NS)

            killed = _killed_at(step, config, certificates, work)
            with Outbox(config.host.state_dir) as outbox:
                work(outbox)  # what its successor does: the finding is found again, as nobody noted that it was told
                send_due(outbox, lambda: by, now_ns=TIME_NS + 601 * _S)
                assert not outbox.letters() and not any(outbox.glance(lane)[0] for lane in Lane) and not outbox.failures()
            told: dict[tuple[str, str], set[str]] = {}
            for recipients, message in server.received:
                for who in recipients:
                    told.setdefault((who, message["Subject"].partition("web01 ")[2]), set()).add(message["Message-ID"])
            assert told.keys() == {
                (OPS, "1 critical change and 1 more"), (OPS, "1 unexplained change"), (CUSTOMER, "1 suspicious file"),
            }
            assert all(len(ids) == 1 for ids in told.values())
            again += len(server.received) - 3
            if not killed:
                break
            steps = step + 1
        assert steps > 30 and 1 <= again <= steps  # it was killed everywhere, also between a server's word and ours
        assert not killed

    in_private_net(partial(run))
