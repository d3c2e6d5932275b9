"""Before a host is armed its mail servers are greeted and logged in to: what would fail in a panic fails now, with words."""

import dataclasses
from pathlib import Path

import pytest

from fimkit.model.advice import Level
from fimkit.model.config import Config, Host, Mail, Syslog
from fimkit.verbs.panic_reach import Reach, check_reach, render_endpoints
from tests.notify.mail_servers import Certificates, RealServer, never_answer, serve_with
from tests.private_net import HERE, PEER, PeerNet, in_private_net

__all__: list[str] = []

MAIL = Mail(smtp_server=f"{PEER}:587", panic_recipients=("ops@example.org",), deadline_s=5)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def reach(mail: Mail, **more: object) -> Reach:
    return check_reach(dataclasses.replace(Config(host=Host(name="web01"), mail=mail), **more))  # type: ignore[arg-type]


def codes(found: Reach) -> dict[str, Level]:
    return {one.code: one.level for one in found.advice}


def test_a_server_that_would_take_mail_gives_nothing_and_its_address_is_kept(certificates: Certificates) -> None:
    def run() -> None:
        server = RealServer(port=587, context=certificates.context(certificates.right), password="s3cret")
        PeerNet().call(server.start)
        secret = certificates.ca_file.parent / "password"
        secret.write_text("s3cret\n")
        secret.chmod(0o600)
        mail = dataclasses.replace(
            MAIL, ca_file=str(certificates.ca_file).encode(), username="fim", password_file=str(secret).encode()
        )
        found = reach(mail, syslog=Syslog(server=f"{PEER}:6514"))
        assert found.advice == ()
        assert render_endpoints(found) == [
            {"host": PEER, "port": 587, "addresses": [PEER]}, {"host": PEER, "port": 6514, "addresses": [PEER]}
        ]
        secret.write_text("wrong\n")
        (refused,) = reach(mail).advice
        assert (refused.code, refused.level) == ("panic-mail-unreachable", Level.TRAP)
        assert "refuses the login: 535" in refused.problem and "wrong" not in refused.problem
        assert server.received == []  # nothing was sent

    in_private_net(run)


def test_one_of_two_servers_is_enough_and_the_other_is_named(certificates: Certificates) -> None:
    def run() -> None:
        peer = PeerNet()
        peer.call(RealServer(port=587, context=certificates.context(certificates.right)).start)
        peer.call(serve_with(588, never_answer))
        mail = dataclasses.replace(
            MAIL, smtp_server=f"{PEER}:588, {PEER}:587", ca_file=str(certificates.ca_file).encode(), deadline_s=3
        )
        (hung,) = reach(mail).advice
        assert (hung.code, hung.level, hung.where) == ("panic-mail-unreachable", Level.WARNING, f"{PEER}:588")
        assert "another one would" in hung.problem and "waiting for its greeting" in hung.problem

    in_private_net(run)


def test_a_server_with_another_name_on_its_certificate_is_a_trap(certificates: Certificates) -> None:
    def run() -> None:
        PeerNet().call(RealServer(port=587, context=certificates.context(certificates.other)).start)
        assert codes(reach(dataclasses.replace(MAIL, ca_file=str(certificates.ca_file).encode()))) == {
            "panic-mail-unreachable": Level.TRAP
        }

    in_private_net(run)


def test_an_address_of_this_host_is_refused_as_the_kernel_has_it() -> None:
    def run() -> None:
        PeerNet()
        (own,) = reach(dataclasses.replace(MAIL, smtp_server=f"{HERE}:587")).advice
        assert own.code == "panic-mail-server" and "an address of this host" in own.problem
        (channel,) = [one for one in reach(MAIL, syslog=Syslog(server=f"{HERE}:6514")).advice if one.code == "panic-channel"]
        assert channel.level is Level.TRAP

    in_private_net(run)


def test_without_recipients_or_server_nobody_would_know() -> None:
    assert codes(reach(Mail())) == {"panic-recipients": Level.TRAP, "panic-mail-server": Level.TRAP}


def test_with_nomail_the_same_are_warnings_and_no_server_is_asked_for() -> None:
    assert codes(reach(Mail(nomail=True))) == {"panic-nomail": Level.WARNING, "panic-recipients": Level.WARNING}


def test_a_password_file_open_to_others_is_found_before_the_panic(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    found = reach(dataclasses.replace(MAIL, username="fim", password_file=str(secret).encode()))
    (one,) = found.advice
    assert "open to others" in one.problem and "s3cret" not in one.problem
