"""Mail goes to a real server in a network of its own, encrypted, by one server alone, and never later than its deadline."""

import socket
import time
from pathlib import Path

import pytest

from fimkit.model.config import Config, Host, Mail
from fimkit.model.errors import HostError
from fimkit.notify.endpoint import Endpoint
from fimkit.notify.mail import Mailer, MailReceipt, load_mailer, probe_servers, render_receipt, send_mail, sender_of
from fimkit.notify.message import Letter, build_message
from fimkit.notify.smtp import SmtpLogin
from fimkit.notify.tls import make_context
from tests.notify.mail_servers import Certificates, RealServer, drip, never_answer, serve_with
from tests.private_net import HERE, PEER, PeerNet, in_private_net

__all__: list[str] = []

WHO = ("ops@example.org", "night@example.org")
LATE_S = 30.0  # far beyond every deadline here: a loaded machine is slow, and slow is not hung


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def mailer(
    certificates: Certificates, *ports: int, deadline_s: float = 20.0, host: str = "mail.test", username: str = "",
    password: str = "", starttls: bool = True,
) -> Mailer:
    context = make_context(str(certificates.ca_file).encode())
    login = SmtpLogin(own_name="web01", context=context, username=username, password=password, starttls=starttls)
    servers = tuple(Endpoint(host=host, port=port, addresses=(PEER,)) for port in ports)
    return Mailer(servers=servers, login=login, deadline_s=deadline_s)


def send(by: Mailer) -> MailReceipt:
    letter = Letter(subject="[fimkit] web01 test", text="öne line\n.\nanother\n")
    message = build_message(letter, sender="fimkit@web01", recipients=WHO, time_ns=1_795_319_341_970_000_000)
    return send_mail(by, message, WHO)


def test_a_mail_is_taken_encrypted_and_the_receipt_has_the_queue_id(certificates: Certificates) -> None:
    def run() -> None:
        peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start)
        receipt = send(mailer(certificates, 587))
        assert receipt.complete and set(receipt.taken) == set(WHO)
        assert "queued as 4XyZ1" in receipt.taken[WHO[0]] and receipt.taken[WHO[0]].startswith("mail.test:587")
        ((recipients, message),) = server.received
        assert (recipients, server.encrypted) == (list(WHO), [True])
        assert message.get_content().replace("\r\n", "\n") == "öne line\n.\nanother\n"
        assert message["Message-ID"] == receipt.message_id and message["Subject"] == "[fimkit] web01 test"
        assert render_receipt(receipt)["servers"][0]["stage"] == "done"

    in_private_net(run)


def test_tls_from_the_first_byte_on_port_465_and_a_login(certificates: Certificates) -> None:
    def run() -> None:
        peer = PeerNet()
        server = RealServer(port=465, context=certificates.context(certificates.right), implicit=True, password="s3cret")
        peer.call(server.start)
        good = send(mailer(certificates, 465, username="fim", password="s3cret"))
        assert good.complete and server.encrypted == [True], good
        (bad,) = send(mailer(certificates, 465, username="fim", password="wrong")).outcomes
        assert bad.error is not None and "refuses the login: 535" in bad.error and "wrong" not in bad.error
        assert len(server.received) == 1

    in_private_net(run)


def test_without_starttls_nothing_is_sent_and_no_password_in_the_clear(certificates: Certificates) -> None:
    def run() -> None:
        peer, server = PeerNet(), RealServer(port=25, context=None)
        peer.call(server.start)
        refused = send(mailer(certificates, 25))
        assert not refused.taken and "offers no STARTTLS" in refused.refused[WHO[0]]
        with_login = send(mailer(certificates, 25, starttls=False, username="fim", password="s3cret"))
        assert "never sent in the clear" in with_login.refused[WHO[0]]
        assert not server.received
        assert send(mailer(certificates, 25, starttls=False)).complete  # the configuration asked for it
        assert server.encrypted == [False]

    in_private_net(run)


def test_a_refused_recipient_is_named_and_the_other_gets_the_mail(certificates: Certificates) -> None:
    def run() -> None:
        peer = PeerNet()
        server = RealServer(port=587, context=certificates.context(certificates.right), refused=(WHO[1],))
        peer.call(server.start)
        receipt = send(mailer(certificates, 587))
        assert list(receipt.taken) == [WHO[0]] and not receipt.complete
        assert "550 5.1.1 no such mailbox here%1B[2J" in receipt.refused[WHO[1]]
        assert server.received[0][0] == [WHO[0]]

    in_private_net(run)


def test_whom_one_server_refuses_another_is_asked_for(certificates: Certificates) -> None:
    def run() -> None:
        peer, context = PeerNet(), certificates.context(certificates.right)
        first = RealServer(port=587, context=context, refused=(WHO[1],))
        second = RealServer(port=588, context=context, refused=(WHO[0],))
        peer.call(first.start)
        peer.call(second.start)
        receipt = send(mailer(certificates, 587, 588))
        assert receipt.complete
        assert sorted(name for server in (first, second) for names, _ in server.received for name in names) == sorted(WHO)

    in_private_net(run)


def test_of_two_good_servers_one_alone_delivers(certificates: Certificates) -> None:
    def run() -> None:
        peer, context = PeerNet(), certificates.context(certificates.right)
        servers = [RealServer(port=port, context=context) for port in (587, 588)]
        for server in servers:
            peer.call(server.start)
        for _ in range(5):
            assert send(mailer(certificates, 587, 588)).complete
        assert sum(len(server.received) for server in servers) == 5

    in_private_net(run)


@pytest.mark.parametrize("host", ["mail.test", PEER])
def test_a_certificate_of_another_name_or_authority_is_refused(certificates: Certificates, host: str, tmp_path: Path) -> None:
    stranger = Certificates(tmp_path)

    def run() -> None:
        peer = PeerNet()
        wrong_name = RealServer(port=587, context=certificates.context(certificates.other))
        wrong_authority = RealServer(port=588, context=stranger.context(stranger.right))
        peer.call(wrong_name.start)
        peer.call(wrong_authority.start)
        receipt = send(mailer(certificates, 587, 588, host=host))
        assert not receipt.taken and not wrong_name.received and not wrong_authority.received
        assert all(one.error and "CERTIFICATE_VERIFY_FAILED" in one.error for one in receipt.outcomes)

    in_private_net(run)


@pytest.mark.parametrize("talk", [never_answer, drip])
def test_a_server_that_hangs_or_drips_holds_nobody_beyond_the_deadline(certificates: Certificates, talk: object) -> None:
    def run() -> None:
        peer = PeerNet()
        peer.call(serve_with(587, talk))  # type: ignore[arg-type]
        started = time.monotonic()
        receipt = send(mailer(certificates, 587, deadline_s=1.0))
        assert time.monotonic() - started < LATE_S
        (outcome,) = receipt.outcomes
        assert outcome.error == "not done within 1 s (waiting for its greeting)"
        assert "not done within 1 s" in receipt.refused[WHO[0]]

    in_private_net(run)


def test_a_reply_without_an_end_is_no_reply(certificates: Certificates) -> None:
    def talk(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"220-" + b"x" * 1000 + b"\r\n")

    def run() -> None:
        peer = PeerNet()
        peer.call(serve_with(587, talk))
        (outcome,) = send(mailer(certificates, 587, deadline_s=LATE_S)).outcomes
        assert outcome.error is not None and "its reply has more than 200 lines" in outcome.error, outcome

    in_private_net(run)


def test_a_tarpit_does_not_hold_up_the_server_beside_it(certificates: Certificates) -> None:
    def run() -> None:
        peer, server = PeerNet(), RealServer(port=588, context=certificates.context(certificates.right))
        peer.call(serve_with(587, drip))
        peer.call(server.start)
        receipt = send(mailer(certificates, 587, 588, 589, deadline_s=LATE_S))  # nobody listens on 589
        assert receipt.complete and receipt.took_s < LATE_S / 2
        dripping, good, absent = receipt.outcomes
        assert dripping.error == "not needed any more (waiting for its greeting)"
        assert good.done and absent.error is not None

    in_private_net(run)


def test_this_host_is_refused_when_loading_and_when_sending(certificates: Certificates) -> None:
    def run() -> None:
        PeerNet()
        for own in (HERE, "2001:db8::1", "192.0.2.255"):
            with pytest.raises(HostError, match="address of this host"):
                load_mailer(config(own))
            by = Mailer(
                servers=(Endpoint(host="mail.test", port=587, addresses=(own,)),), login=mailer(certificates).login, deadline_s=20.0
            )
            assert "address of this host" in send(by).refused[WHO[0]]
        assert load_mailer(config(PEER)).servers[0].addresses == (PEER,)

    def config(address: str) -> Config:
        server = f"[{address}]:587" if ":" in address else f"{address}:587"
        return Config(host=Host(name="web01"), mail=Mail(smtp_server=server))

    in_private_net(run)


def test_probing_says_for_each_server_whether_a_mail_would_go_out(certificates: Certificates) -> None:
    def run() -> None:
        peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start)
        good, absent = probe_servers(mailer(certificates, 587, 588))
        assert (good.words, good.error) == ("greeted", None)
        assert absent.error is not None and "refused" in absent.error.lower()
        assert not server.received

    in_private_net(run)


def test_no_server_is_said_and_the_sender_has_a_default() -> None:
    with pytest.raises(HostError, match="no mail server is configured"):
        load_mailer(Config(host=Host(name="web01")))
    assert sender_of(Config(host=Host(name="web01"))) == "fimkit@web01"
    assert sender_of(Config(host=Host(name="web01"), mail=Mail(sender="fim@example.org"))) == "fim@example.org"


@pytest.mark.parametrize(("mode", "content", "words"), [
    (0o644, "s3cret\n", "is open to others"), (0o600, "", "has no secret"), (0o600, "two\nlines\n", "has no secret"),
])
def test_a_password_file_that_is_open_or_odd_is_refused(tmp_path: Path, mode: int, content: str, words: str) -> None:
    path = tmp_path / "password"
    path.write_text(content)
    path.chmod(mode)
    mail = Mail(smtp_server="192.0.2.25:587", username="fim", password_file=str(path).encode())
    with pytest.raises(HostError, match=words):
        load_mailer(Config(host=Host(name="web01"), mail=mail))
