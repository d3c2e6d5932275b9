"""The runner as a process: told of findings over its line, it panics, and its own death makes the helper cut."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config import Config
from fimkit.model.config_json import render_config
from fimkit.model.findings import Finding, Verdict
from fimkit.model.json_form import render_finding
from fimkit.notify.outbox import Outbox
from fimkit.panic.helper_client import start_helper
from fimkit.panic.record import Phase, load_record
from fimkit.panic.rights import RIGHTS
from fimkit.verbs.panic_line import LineEnded, RunnerLine
from fimkit.verbs.panic_order import KEPT_RIGHTS
from tests.notify.letters import finding
from tests.notify.mail_servers import Certificates, RealServer, never_answer, serve_with
from tests.private_net import PeerNet, in_private_net
from tests.verbs.panic_place import OPS, armed, is_up, make_config, settings_of, wait_for

__all__: list[str] = []

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
START = "import sys; sys.path.insert(0, sys.argv[1]); from fimkit.verbs.panic_runner import main; main()"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


class Spoken:
    """A runner, and all that it said."""

    def __init__(self, config: Config, **options: bool) -> None:
        self.line = RunnerLine((sys.executable, "-I", "-c", START, str(ROOT)))
        self.rows: list[dict[str, Any]] = []
        self.put({"do": "start", "config": render_config(config), "nomail": False, "nokill": False, "live": True} | options)

    def put(self, row: dict[str, Any]) -> None:
        self.line.put(row)
        self.hear()

    def findings(self, number: int, *found: Finding) -> None:
        self.put({"do": "findings", "n": number, "findings": [render_finding(one) for one in found], "whole": False})

    def hear(self) -> None:
        with contextlib.suppress(LineEnded):
            self.rows += self.line.exchange()

    def until(self, true: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Listen until it has said something; give that."""
        end = time.monotonic() + PATIENCE_S
        while True:
            for row in self.rows:
                if true(row):
                    return row
            assert time.monotonic() < end, self.rows
            select.select([self.line], [], [], 0.1)
            self.hear()

    def done(self, number: int) -> Any:
        return self.until(lambda row: row.get("done") == number)["panic"]

    def phase(self, phase: Phase) -> None:
        self.until(lambda row: row.get("phase") == phase.value)

    def said(self, words: str) -> str:
        return str(self.until(lambda row: words in row.get("say", ""))["say"])


@contextmanager
def runner(config: Config, **options: bool) -> Iterator[Spoken]:
    spoken = Spoken(config, **options)
    try:
        yield spoken
        assert spoken.line.end(PATIENCE_S) == 0, spoken.rows
    finally:
        spoken.line.kill()


def served(certificates: Certificates, talk: Any = None) -> RealServer:
    peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right))
    peer.call(server.start if talk is None else serve_with(587, talk))
    return server


def test_it_has_no_frames_and_a_dead_guard_ends_it(tmp_path: Path, certificates: Certificates) -> None:
    words = "import sys; sys.path.insert(0, sys.argv[1]); import fimkit.verbs.panic_runner; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-I", "-c", words, str(ROOT)], check=False).returncode == 0
    with runner(make_config(tmp_path, certificates)) as spoken:
        spoken.phase(Phase.DISARMED)
        spoken.findings(1, finding())
        assert spoken.done(1) is None


def test_findings_that_are_expected_or_were_judged_start_nothing_and_one_that_is_new_cuts(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates)

    def run() -> None:
        server = served(certificates)
        with armed(config), runner(config) as spoken:
            spoken.phase(Phase.ARMED)
            spoken.findings(1, replace(finding(1), verdict=Verdict.EXPECTED))
            assert spoken.done(1) is None and is_up()
            spoken.findings(2, finding(2))
            incident = spoken.done(2)
            assert incident and not is_up() and len(server.received) == 1
            record = load_record(config.host.state_dir)
            assert (record.phase, record.incident, record.counted) == (Phase.CUT, incident, (f"{2:032x}",))
            spoken.phase(Phase.CUT)
            spoken.findings(3, finding(2))  # again
            assert spoken.done(3) is None
            spoken.findings(4, finding(4))  # after the cut
            assert spoken.done(4) == incident
            assert len(server.received) == 1  # nobody is in reach
        folder = Path(os.fsdecode(config.host.state_dir), "panic", "incidents", incident)
        assert json.loads((folder / "cause-2.json").read_text())["findings"][0]["id"] == f"{4:032x}"
        assert json.loads((folder / "report.json").read_text())["complete"]
        index = {row["file"] for row in json.loads((folder / "index.json").read_text())["entries"]}
        assert {"cause.json", "report.json", "cause-2.json"} <= index
        assert len(load_record(config.host.state_dir).causes) == 2

    in_private_net(run)


def test_it_is_killed_in_the_middle_of_a_panic_and_the_helper_cuts(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates, deadline_s=300, mail_s=200)

    def run() -> None:
        served(certificates, never_answer)
        with armed(config):
            spoken = Spoken(config)
            spoken.findings(1, finding(1))
            wait_for(lambda: load_record(config.host.state_dir).phase is Phase.TRIGGERED)
            os.kill(spoken.line.pid, signal.SIGKILL)
            began = time.monotonic()
            wait_for(lambda: not is_up())
            print(f"killed in mid-panic: the links were down {time.monotonic() - began:.3f} s later")
            assert spoken.line.end(PATIENCE_S) == -signal.SIGKILL

    in_private_net(run)


def test_neither_signals_nor_a_dead_guard_end_a_panic_and_what_comes_meanwhile_is_added(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates, deadline_s=14, mail_s=6)

    def run() -> None:
        served(certificates, never_answer)
        with armed(config):
            spoken = Spoken(config)
            spoken.findings(1, finding(1))
            wait_for(lambda: load_record(config.host.state_dir).phase is Phase.TRIGGERED)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(spoken.line.pid, number)
            spoken.said("SIGTERM does not end a panic")
            spoken.findings(2, finding(2))
            incident = spoken.done(2)
            assert incident and is_up()
            assert spoken.line.end(PATIENCE_S) == 0  # its guard is gone: it ends when the panic has
            assert not is_up() and load_record(config.host.state_dir).phase is Phase.CUT
        folder = Path(os.fsdecode(config.host.state_dir), "panic", "incidents", incident)
        report = json.loads((folder / "report.json").read_text())
        assert report["added"][0]["findings"] == [f"{2:032x}"] and "cause-2.json" in {one["file"] for one in report["files"]}

    in_private_net(run)


def test_while_armed_another_configuration_changes_neither_panic_nor_mail(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates)

    def run() -> None:
        server = served(certificates)
        with armed(config), runner(config) as spoken:
            spoken.phase(Phase.ARMED)
            changed = replace(
                config, mail=replace(config.mail, panic_recipients=("eve@example.org",)), panic=replace(config.panic, nokill=True)
            )
            spoken.put({"do": "config", "config": render_config(changed)})
            spoken.findings(1, finding(1))
            assert spoken.done(1) and not is_up()
        assert server.received[0][0] == list(OPS)

    in_private_net(run)


def test_a_helper_that_dies_is_missed_once_and_a_panic_without_it_says_so(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates, deadline_s=12, mail_s=4)

    def run() -> None:
        server = served(certificates)
        with armed(config) as helper, runner(config) as spoken:
            spoken.phase(Phase.ARMED)
            spoken.put({"do": "notice", "n": 1, "subject": "the watch begins", "lines": ["one"]})
            assert spoken.done(1) is None and server.received[0][1]["Subject"] == "[fimkit] web01 the watch begins"
            os.kill(helper.hello().pid, signal.SIGKILL)
            spoken.said("no helper would cut it")
            wait_for(lambda: len(server.received) == 2)
            assert server.received[1][1]["Subject"] == "[fimkit] web01 the panic's helper is gone"
            spoken.findings(2, finding(2))
            incident = spoken.done(2)
            assert incident and is_up()
            text = server.received[2][1].get_body(("plain",))
            assert text is not None and "THE NETWORK MAY NOT BE CUT" in text.get_content().replace("=\n", "")
            with helper_again(config):  # as a service manager does
                spoken.said("a helper is back, and has cut")
                assert not is_up()

    in_private_net(run)


def test_a_panic_that_lacked_its_helper_cuts_nothing_once_the_host_is_armed_anew(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates, deadline_s=6, mail_s=2)

    def run() -> None:
        served(certificates)
        with armed(config) as helper, runner(config) as spoken:
            spoken.phase(Phase.ARMED)
            os.kill(helper.hello().pid, signal.SIGKILL)
            spoken.said("no helper would cut it")
            spoken.findings(1, finding(1))
            assert spoken.done(1) and is_up()
            with armed(config) as other:  # whoever arms has seen what is open
                spoken.said("the cut that it lacked failed: the panic helper refuses (begin): this host was disarmed or armed anew")
                assert is_up() and other.hello().phase is Phase.ARMED
                spoken.findings(2, finding(2))
                assert spoken.done(2) and not is_up()

    in_private_net(run)


def test_what_was_judged_before_the_host_was_armed_anew_is_new_when_it_comes_again(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates)

    def run() -> None:
        served(certificates)
        with armed(config) as helper, runner(config) as spoken:
            spoken.phase(Phase.ARMED)
            spoken.findings(1, finding(1))
            assert spoken.done(1) and not is_up()
            assert helper.restore(by="the test").complete
            wait_for(is_up)  # its carrier is told a moment later
            spoken.rows.clear()
            helper.arm(settings_of(config), by="the test", seen=())  # the file was put right before
            spoken.phase(Phase.ARMED)
            spoken.findings(2, finding(1))  # the same trojan, in the same place
            assert spoken.done(2) and not is_up()

    in_private_net(run)


def test_what_comes_after_the_host_was_armed_anew_is_no_part_of_the_panic_that_still_comes_to_its_end(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates, capture_s=60)

    def run() -> None:
        served(certificates)
        with armed(config) as helper:
            spoken = Spoken(config)
            spoken.findings(1, finding(1))
            spoken.phase(Phase.CUT)
            assert helper.restore(by="the test").complete
            wait_for(is_up)
            helper.arm(settings_of(config), by="the test", seen=[f"{1:032x}"])
            spoken.findings(2, finding(2))
            wait_for(lambda: not is_up())
            assert load_record(config.host.state_dir).seen[0] == f"{1:032x}"
            assert not any("done" in row for row in spoken.rows)  # both gather packets still
            spoken.line.kill()
            spoken.line.end(PATIENCE_S)

    in_private_net(run)


def test_a_service_that_is_stopped_has_its_watch_hand_on_its_last_words(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates)

    def run() -> None:
        server = served(certificates)
        with armed(config), runner(config) as spoken:
            spoken.phase(Phase.ARMED)
            os.kill(spoken.line.pid, signal.SIGTERM)  # a service manager sends it to all processes at once
            wait_for(lambda: not pending(spoken.line.pid, signal.SIGTERM))
            spoken.put({"do": "notice", "n": 1, "subject": "the last one", "lines": ["one"]})
            assert spoken.done(1) is None and server.received[0][1]["Subject"] == "[fimkit] web01 the last one"
            spoken.put({"do": "end"})

    in_private_net(run)


def pending(pid: int, number: int) -> bool:
    [row] = [row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("ShdPnd:")]
    return bool(int(row.split()[1], 16) >> (number - 1) & 1)


@contextmanager
def helper_again(config: Config) -> Iterator[None]:
    with start_helper(config.host.state_dir, confined=True, timeout_s=60.0) as helper:
        pid = helper.hello().pid
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_watch_that_is_killed_while_armed_is_told_of_and_one_that_says_its_end_is_not(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates)

    def run() -> None:
        server = served(certificates)
        with armed(config):
            with runner(config) as spoken:
                spoken.phase(Phase.ARMED)
                spoken.put({"do": "end"})
            with runner(config, live=False) as spoken:
                spoken.phase(Phase.ARMED)  # a check ends by itself
            assert server.received == []
            with runner(config) as spoken:
                spoken.phase(Phase.ARMED)
                os.kill(spoken.line.pid, signal.SIGTERM)  # as a service manager does with what a killed service leaves
                spoken.findings(1, replace(finding(1), verdict=Verdict.EXPECTED))
                assert spoken.done(1) is None  # it goes on as long as its guard does
            ((recipients, message),) = server.received
        assert recipients == list(OPS) and message["Subject"] == "[fimkit] web01 watch killed"
        assert "ended without a word" in message.get_content().replace("=\n", "")

    in_private_net(run)


def test_what_the_runner_itself_has_to_tell_waits_where_no_server_takes_it(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates, mail_s=2)

    def run() -> None:
        PeerNet()  # nothing listens there
        with armed(config) as helper, runner(config) as spoken:
            spoken.phase(Phase.ARMED)
            os.kill(helper.hello().pid, signal.SIGKILL)
            assert "it is in the queue" in spoken.said("the panic's helper is gone")
        with Outbox(config.host.state_dir) as outbox:
            subjects = [outbox.take_letter(now_ns=2 * 10**18) for _ in outbox.letters()]
        assert [b"Subject: [fimkit] web01 " + words in (letter.message if letter else b"")
                for words, letter in zip((b"the panic's helper is gone", b"watch killed"), subjects, strict=True)] == [True] * 2

    in_private_net(run)


def test_after_a_panic_that_did_not_cut_the_next_one_needs_its_whole_threshold(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates, threshold=2, nokill=True)

    def run() -> None:
        served(certificates)
        with armed(config), runner(config) as spoken:
            spoken.phase(Phase.ARMED)
            spoken.findings(1, finding(1), finding(2))
            first = spoken.done(1)
            assert first and is_up()
            wait_for(lambda: load_record(config.host.state_dir).phase is Phase.ARMED)
            spoken.findings(2, finding(3))
            assert spoken.done(2) is None
            spoken.said("1 of the 2 critical findings")
            spoken.findings(3, finding(4))
            assert spoken.done(3) not in (None, first)
            wait_for(lambda: load_record(config.host.state_dir).counted == ())
        assert len(load_record(config.host.state_dir).seen) == 4

    in_private_net(run)


def test_what_was_undone_is_judged_again_and_counts_once_more_when_it_is_done_again(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates, threshold=3)

    def record_is(seen: set[int], counted: int) -> bool:
        record = load_record(config.host.state_dir)
        return {*record.seen} == {f"{number:032x}" for number in seen} and len(record.counted) == counted

    def run() -> None:
        served(certificates)
        with armed(config) as helper, runner(config) as spoken:
            helper.arm(settings_of(config), by="the test", seen=[f"{1:032x}"])
            wait_for(lambda: spoken.hear() or any(row.get("phase") == "armed" for row in spoken.rows))
            spoken.findings(1, finding(1), finding(2))
            assert spoken.done(1) is None and record_is({1, 2}, 1)
            spoken.put({"do": "gone", "n": 2, "ids": [f"{1:032x}", f"{2:032x}", f"{9:032x}"]})
            spoken.findings(3, finding(2))  # at once, whether that is on the disk or not
            assert spoken.done(3) is None and record_is({2}, 2)
            spoken.findings(4, finding(2))  # it stays, and is no news
            assert spoken.done(4) is None and record_is({2}, 2)
            spoken.findings(5, finding(1))
            assert spoken.done(5) and not is_up()

    in_private_net(run)


def test_its_threads_have_no_more_rights_than_it_has(tmp_path: Path, certificates: Certificates) -> None:
    kept = sum(1 << RIGHTS.index(name) for name in KEPT_RIGHTS)

    def rights(pid: int) -> set[int]:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
        return {int(line.split()[1], 16) for text in texts for line in text.splitlines() if line.startswith(("CapPrm", "CapEff"))}

    with runner(make_config(tmp_path, certificates)) as spoken:
        spoken.phase(Phase.DISARMED)
        assert all(found & ~kept == 0 for found in rights(spoken.line.pid)), rights(spoken.line.pid)


def test_what_is_no_message_is_said_and_ends_nothing(tmp_path: Path, certificates: Certificates) -> None:
    with runner(make_config(tmp_path, certificates)) as spoken:
        spoken.put({"do": "dance"})
        spoken.said("told what it does not know: 'dance'")
        spoken.put({"do": "findings", "n": 7, "findings": [{"id": 1}], "whole": False})
        assert spoken.done(7) is None
        spoken.said("told what it cannot read")
