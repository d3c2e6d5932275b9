"""Channels by apprise: told by a process of its own that keeps a deadline, with a URL that no output ever shows."""

import json
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fimkit.model.channels import Channel, Gets
from fimkit.model.errors import HostError
from fimkit.model.findings import Severity
from fimkit.notify.apprise_channel import AppriseTarget, has_apprise, load_targets, plan_apprise, plan_probe
from fimkit.notify.channels import Channels, load_channels, plan_news, plan_test, tell
from fimkit.notify.chat import ChatText
from fimkit.notify.notifier import Notifier
from fimkit.notify.outbox import Outbox
from fimkit.notify.pace import Lane
from tests.notify.letters import TIME_NS, finding
from tests.notify.notify_config import notify_config
from tests.notify.test_compose import news
from tests.notify.test_notifier import cached, page, settled

__all__: list[str] = []

pytestmark = pytest.mark.skipif(not has_apprise(), reason="the package apprise is not installed (the extra [notify])")

_S = 1_000_000_000
TEXT = ChatText(title="[fimkit] web01 1 suspicious file", body="high created /srv/x.php", kind="warning")


class _Hook(BaseHTTPRequestHandler):
    """A webhook that keeps what it is told."""

    told: list[dict[str, object]]
    status = 200

    def do_POST(self) -> None:
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[str, type[_Hook]]]:
    kind = type("Hook", (_Hook,), {"told": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_address[1]}/s3cr3t-token-of-this-hook", kind
    server.shutdown()
    server.server_close()


def target(url: str, name: str = "chat") -> AppriseTarget:
    return AppriseTarget(name=name, gets=frozenset(Gets), url=url)


def channel(tmp_path: Path, url: str, *gets: Gets, name: str = "chat") -> Channel:
    path = tmp_path / f"{name}.url"
    path.write_text(url + "\n")
    path.chmod(0o600)
    return Channel(name=name, url_file=os.fsencode(path), gets=gets)


def test_a_channel_is_told_title_and_text(hook: tuple[str, type[_Hook]]) -> None:
    url, kind = hook
    (outcome,) = tell([plan_apprise(target(url), TEXT)], deadline_s=60)
    assert outcome.done and outcome.words == "taken", outcome
    assert (kind.told[0]["title"], kind.told[0]["message"], kind.told[0]["type"]) == (TEXT.title, TEXT.body, "warning")


def test_a_refusal_is_words_without_the_url(hook: tuple[str, type[_Hook]]) -> None:
    url, kind = hook
    kind.status = 500
    (outcome,) = tell([plan_apprise(target(url), TEXT)], deadline_s=60)
    assert not outcome.done and "500" in str(outcome.error) and "s3cr3t" not in repr(outcome) and url not in repr(target(url))


@pytest.mark.parametrize("url", ["nonsense-s3cr3t://a/b", "json://", "s3cr3t with spaces"])
def test_a_url_that_is_none_is_said_and_not_shown(url: str) -> None:
    (outcome,) = tell([plan_probe(target(url))], deadline_s=60)
    assert "none that apprise knows" in str(outcome.error) and "s3cr3t" not in repr(outcome)


def test_a_service_that_never_answers_is_left_at_the_deadline_and_its_process_ends() -> None:
    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            reached.set()
            while self.request.recv(4096):
                pass
            gone.set()

    reached, gone = threading.Event(), threading.Event()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # apprise's own timeouts would end it after an hour
    url = f"json://127.0.0.1:{server.server_address[1]}/x?rto=3600&cto=3600"
    started = time.monotonic()
    (outcome,) = tell([plan_apprise(target(url), TEXT)], deadline_s=15)
    assert time.monotonic() - started < 60 and not outcome.done
    assert reached.wait(0) and gone.wait(60)
    server.shutdown()
    server.server_close()


def test_a_panic_is_told_to_the_channels_that_are_to_hear_of_it(hook: tuple[str, type[_Hook]]) -> None:
    url, kind = hook
    channels = Channels(others=(target(url),))
    trial = plan_test(channels, host="web01", words="x", time_ns=0)
    outcomes = tell([*plan_news(channels, news(finding())), *trial], deadline_s=60)
    assert all(one.done for one in outcomes)
    titles = sorted(str(one["title"]) for one in kind.told)
    assert titles[1] == "[fimkit] web01 test" and "PANIC 1 finding" in titles[0]


def test_alerts_go_to_a_channel_that_gets_them_and_are_tried_again(hook: tuple[str, type[_Hook]], tmp_path: Path) -> None:
    url, kind = hook
    pager = channel(tmp_path, url, Gets.ALERTS)
    config = notify_config(os.fsencode(tmp_path / "state"), channels=(pager,), smtp_server="", deadline_s=60)
    kind.status = 503
    notifier = Notifier(config, addresses=["192.0.2.1"])
    notifier.take([page(1), cached(2)], now_ns=TIME_NS)
    assert "channel chat was not told" in "".join(settled(notifier, TIME_NS)) and notifier.problem is not None
    kind.status = 200
    settled(notifier, TIME_NS + 59 * _S)
    assert len(kind.told) == 1
    settled(notifier, TIME_NS + 60 * _S)
    assert len(kind.told) == 2 and notifier.problem is None
    assert kind.told[1]["title"] == "[fimkit] web01 (192.0.2.1) 1 suspicious file"
    settled(notifier, TIME_NS + 3600 * _S)
    assert len(kind.told) == 2


def test_while_mail_is_down_the_channels_hear_all_and_a_mail_still_waits(hook: tuple[str, type[_Hook]], tmp_path: Path) -> None:
    url, kind = hook
    pager = channel(tmp_path, url, Gets.ALERTS, Gets.GENERAL)
    state_dir = os.fsencode(tmp_path / "state")
    config = notify_config(state_dir, channels=(pager,), smtp_server="127.0.0.1:9", deadline_s=60)  # refused: this host
    notifier = Notifier(config, addresses=[])
    for number in range(5):
        notifier.take([finding(number)], now_ns=TIME_NS + number * 10 * _S)
        settled(notifier, TIME_NS + number * 10 * _S)
    assert len(kind.told) == 5
    with Outbox(state_dir) as outbox:
        assert [one.channel for one in outbox.letters()] == [None]
        assert outbox.glance(Lane.ALERTS)[0] == 4 and outbox.glance(Lane.ALERTS, unknown=True)[0] == 0
    assert notifier.step(TIME_NS + 41 * _S) == [] and notifier.next_s > 5  # nothing but the letter is due


def test_a_channel_that_is_not_configured_any_more_leaves_nothing_that_waits_for_ever(tmp_path: Path) -> None:
    gone = channel(tmp_path, "json://192.0.2.1/x", Gets.ALERTS)
    state_dir = os.fsencode(tmp_path / "state")
    Path(os.fsdecode(gone.url_file)).unlink()
    notifier = Notifier(notify_config(state_dir, channels=(gone,), smtp_server=""), addresses=[])
    notifier.take([finding(1)], now_ns=TIME_NS)
    assert "cannot be read" in "".join(settled(notifier, TIME_NS))
    other = replace(gone, name="other", gets=(Gets.GENERAL,))
    later = Notifier(notify_config(state_dir, channels=(other,), smtp_server=""), addresses=[])
    later.take([replace(cached(3), severity=Severity.MEDIUM)], now_ns=TIME_NS + 400 * _S)
    settled(later, TIME_NS + 800 * _S)
    with Outbox(state_dir) as outbox:
        assert {one.channel for one in outbox.letters()} == {"other"}
        assert [one.reason for one in outbox.failures()] == ["the channel is not configured any more"]


def test_a_broken_channel_says_so_in_a_panic_and_keeps_no_other_from_it(hook: tuple[str, type[_Hook]], tmp_path: Path) -> None:
    url, kind = hook
    broken = Channel(name="broken", url_file=os.fsencode(tmp_path / "absent"), gets=(Gets.PANIC,))
    config = notify_config(os.fsencode(tmp_path), channels=(broken, channel(tmp_path, url, Gets.PANIC)))
    first, second = tell(plan_news(load_channels(config, deadline_s=60), news(finding())), deadline_s=60)
    assert not first.done and "absent cannot be read" in str(first.error)
    assert second.done and len(kind.told) == 1


def test_a_url_file_that_others_read_is_refused(tmp_path: Path) -> None:
    one = channel(tmp_path, "json://192.0.2.1/x", Gets.PANIC)
    assert load_targets((one,))[0].url == "json://192.0.2.1/x"
    Path(os.fsdecode(one.url_file)).chmod(0o644)
    with pytest.raises(HostError, match="is open to others"):
        load_targets((one,))
