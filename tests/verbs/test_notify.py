"""`fimkit notify` and what the doctor says of it: every way tried for itself, what waits shown, mutes with an end and a reason."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.cli import main
from fimkit.model.advice import Level
from fimkit.model.channels import Channel, Gets
from fimkit.model.config import Config
from fimkit.model.errors import UsageError
from fimkit.model.time import render_time
from fimkit.notify.mutes import MuteBy
from fimkit.notify.outbox import Draft, Outbox
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.doctor_notify import check_notify
from fimkit.verbs.notify import add_mute, load_queue, remove_mute, render_queue, try_everybody
from tests.notify.letters import TIME_NS, finding
from tests.notify.mail_servers import Certificates, RealServer
from tests.notify.notify_config import OPS, notify_config
from tests.private_net import PEER, PeerNet, in_private_net

__all__: list[str] = []

_S = 1_000_000_000
_DAY = 86_400 * _S


@pytest.fixture
def state_dir(tmp_path: Path) -> bytes:
    return os.fsencode(tmp_path / "state")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def advice(config: Config, now_ns: int = TIME_NS) -> dict[str, tuple[Level, str]]:
    found = list(check_notify(config, DoctorHost(now_s=lambda: now_ns / _S)))
    return {one.code: (one.level, one.problem) for one in found}


def test_every_server_is_tried_for_itself(certificates: Certificates, state_dir: bytes) -> None:
    config = notify_config(
        state_dir, ca_file=str(certificates.ca_file).encode(), smtp_server=f"{PEER}:587, {PEER}:588, {PEER}:589",
        general_recipients=(OPS, "gone@example.org"), panic_recipients=("duty@example.org",),
    )

    def run() -> None:
        peer, context = PeerNet(), certificates.context(certificates.right)
        good, partly = RealServer(port=587, context=context), RealServer(port=588, context=context, refused=("gone@example.org",))
        peer.call(good.start)
        peer.call(partly.start)
        tried = try_everybody(config, Gets.GENERAL, addresses=["192.0.2.1"])
        assert [(one.name, one.taken) for one in tried] == [
            (f"mail by {PEER}:587", True), (f"mail by {PEER}:588", False), (f"mail by {PEER}:589", False),
        ]
        assert "queued as 4XyZ1" in tried[0].words and "gone@example.org: " in tried[1].words
        assert "refused" in tried[2].words.lower()
        ((recipients, message),) = good.received
        assert recipients == [OPS, "gone@example.org"] and message["Subject"] == "[fimkit] web01 test"
        assert "Nothing has happened" in str(message.get_body(("plain",)))
        try_everybody(config, Gets.PANIC)
        assert good.received[1][0] == ["duty@example.org"]

    in_private_net(run)


def test_a_trial_for_nobody_is_usage(state_dir: bytes) -> None:
    with pytest.raises(UsageError, match=r"nobody is to hear of panic; expected .* panic_recipients"):
        try_everybody(notify_config(state_dir), Gets.PANIC)
    (without,) = try_everybody(notify_config(state_dir, smtp_server=""), Gets.GENERAL)
    assert not without.taken and "no server" in without.words


def test_a_broken_channel_is_one_line_and_keeps_no_other_from_its_trial(state_dir: bytes, tmp_path: Path) -> None:
    broken = Channel(name="pager", url_file=os.fsencode(tmp_path / "absent"), gets=(Gets.GENERAL,))
    config = notify_config(state_dir, channels=(broken,), smtp_server="")
    tried = {one.name: one for one in try_everybody(config, Gets.GENERAL)}
    assert not tried["channel pager"].taken and not tried["mail"].taken


def test_the_queue_shows_what_waits_the_next_try_and_the_last_error(state_dir: bytes) -> None:
    config = notify_config(state_dir)
    assert load_queue(config).letters == () and not Path(os.fsdecode(state_dir)).exists()
    with Outbox(state_dir) as outbox:
        outbox.add([finding(1), finding(2)], now_ns=TIME_NS)
        outbox.post([Draft(message=b"Subject: x\r\n\r\n", recipients=(OPS,))], now_ns=TIME_NS)
        letter = outbox.take_letter(now_ns=TIME_NS)
        assert letter is not None
        outbox.settle(letter, taken=(), refused={OPS: "connection refused"}, now_ns=TIME_NS, down=True)
    general, alerts, queued = render_queue(load_queue(config))
    assert (general["findings"], general["oldest"], alerts["findings"]) == (2, "2026-11-22T03:49:01.970Z", 0)
    assert (queued["tries"], queued["next_try"], queued["last_error"]) == (1, "2026-11-22T03:50:01.970Z", "connection refused")


def test_the_doctor_names_what_would_keep_somebody_from_hearing(state_dir: bytes) -> None:
    assert advice(Config(host=notify_config(state_dir).host)) == {}
    assert advice(notify_config(state_dir, smtp_server=""))["notify-no-server"][0] is Level.WARNING
    assert "notify-nomail" in advice(notify_config(state_dir, nomail=True))
    deaf = replace(notify_config(state_dir, general_recipients=(), smtp_server="127.0.0.1:25"), paths=())
    found = advice(deaf)
    assert found["notify-nobody"][0] is Level.WARNING and "a loopback address" in found["notify-server"][1]
    absent = Channel(name="chat", url_file=b"/nonexistent/url", gets=(Gets.ALERTS,))
    found = advice(notify_config(state_dir, smtp_server="", channels=(absent,)))
    assert found.keys() & {"notify-channel", "notify-no-apprise"}


def test_the_doctor_sees_a_server_that_is_down_a_queue_that_grows_and_mutes_that_end(
    certificates: Certificates, state_dir: bytes
) -> None:
    config = notify_config(state_dir, ca_file=str(certificates.ca_file).encode())

    def run() -> None:
        PeerNet()
        with Outbox(state_dir) as outbox:
            outbox.post([Draft(message=b"Subject: x\r\n\r\n", recipients=(OPS,))], now_ns=TIME_NS)
            letter = outbox.take_letter(now_ns=TIME_NS)
            assert letter is not None
            outbox.settle(letter, taken=(), refused={OPS: "connection refused"}, now_ns=TIME_NS, down=True)
        for days, what in ((2, "/srv/a"), (8, "/srv/b"), (40, "/srv/c")):
            add_mute(config, MuteBy.PATH, what, until_ns=TIME_NS + days * _DAY, reason="move", who="ops", now_ns=TIME_NS)
        found = advice(config, TIME_NS + 3 * _DAY)
        assert found["notify-server-down"][0] is Level.WARNING
        assert "after 1 try: connection refused" in found["notify-queue-grows"][1]
        assert "mute 1 on path /srv/a (move) has ended" in found["notify-mute-ended"][1]
        assert "mute 2 on path /srv/b (move) ends at" in found["notify-mute-ends"][1]
        assert not any("/srv/c" in words for _, words in found.values())

    in_private_net(run)


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    path = tmp_path / "fimkit.toml"
    path.write_text(f'[host]\nname = "web01"\nstate_dir = "{tmp_path}/state"\n[[paths]]\npath = "/sbin"\n')
    return str(path)


def test_mutes_are_added_listed_and_removed_at_the_command_line(config_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    def notify(*words: str) -> tuple[int, str, str]:
        status = main(["--config", config_file, "notify", *words])
        done = capsys.readouterr()
        return status, done.out, done.err

    assert notify("mute", "list") == (0, "nothing is muted\n", "") and notify("queue") == (0, "nothing waits\n", "")
    assert notify("mute", "add", "--path", "*.log\u202e", "--until", "2000-01-01", "--reason", "x")[0] == 2
    status, _, said = notify("mute", "add", "--path", "*.log", "--until", "next week", "--reason", "x")
    assert status == 2 and "'next week' is no time" in said
    until = "2999-01-01"
    assert "more than a year" in notify("mute", "add", "--path", "*.log", "--until", until, "--reason", "x")[2]
    until = render_time((time.time_ns() // _DAY + 30) * _DAY)
    status, said, _ = notify("mute", "add", "--path", "/srv/\u202e/cache", "--until", until, "--reason", "busy cache")
    assert status == 0 and said == f"mute 1 on path /srv/%E2%80%AE/cache until {until}: busy cache\n"
    (row,) = map(json.loads, notify("mute", "list", "--json")[1].splitlines())
    assert (row["id"], row["by"], row["until"], row["ended"], row["reason"]) == (1, "path", until, False, "busy cache")
    assert f"   1  until {until}  path /srv/%E2%80%AE/cache  by " in notify("mute", "list")[1]
    assert notify("mute", "remove", "1")[0] == 0 and notify("mute", "remove", "1")[0] == 2
    assert notify("test")[0] == 2


def test_a_number_is_never_given_again(state_dir: bytes) -> None:
    config = notify_config(state_dir)
    for number in (1, 2):
        mute = add_mute(config, MuteBy.SHA256, "a" * 64, until_ns=TIME_NS + _DAY, reason="x", who="ops", now_ns=TIME_NS)
        assert mute.number == number
        remove_mute(config, number)
