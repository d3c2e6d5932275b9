"""`fimkit panic` from the command line, without a network to lose: usage, refusals, the status, and the question on a terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.commands.panic_text import render_order, render_report, render_status
from fimkit.model.config import Config, Host, Mail, Panic, Syslog
from fimkit.model.config_text import load_config
from fimkit.panic.helper_client import CutReply, Hello, PlanReply
from fimkit.panic.incident import Status
from fimkit.panic.record import Cause, PanicRecord, Phase
from fimkit.verbs.panic_order import PanicReport, StepTime
from fimkit.verbs.panic_status import PanicStatus, load_panic_status, render_panic_status
from fimkit.verbs.panic_view import PanicView
from tests.verbs.armed_host import put_record

__all__: list[str] = []

NS = 1_000_000_000
NOW_NS = 1_795_343_400 * NS  # 2026-11-22T10:30:00Z, a Sunday
PLAN = PlanReply(action="down", text="down: eth0\nstays: lo (loopback, never leaves this host)", down=("eth0",), kept=("lo",))


def panic(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fimkit", "--config", str(config), "panic", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "fimkit.toml"
    file.write_text(f'[host]\nname = "web01"\nstate_dir = "{tmp_path}/state"\n[[paths]]\npath = "{tmp_path}"\ntier = "critical"\n')
    return file


def test_arming_without_a_terminal_names_yes(config: Path) -> None:
    done = panic(config, "arm")
    assert done.returncode == 2 and "--yes" in done.stderr and done.stdout == ""


def test_trigger_needs_a_reason_and_an_armed_host(config: Path) -> None:
    assert panic(config, "trigger").returncode == 2
    done = panic(config, "trigger", "--reason", "a drill")
    assert done.returncode == 2 and "fimkit panic arm" in done.stderr and "fimkit panic test" in done.stderr
    assert panic(config, "trigger", "--reason", "  ").returncode == 2


def test_an_action_must_be_named(config: Path) -> None:
    assert panic(config).returncode == 2
    assert panic(config, "cut").returncode == 2


def test_on_a_fresh_host_there_is_nothing_to_disarm_or_to_restore(config: Path) -> None:
    for action, words in (("disarm", "not armed"), ("restore", "nothing is cut off")):
        done = panic(config, action)
        assert (done.returncode, done.stderr) == (0, "") and words in done.stdout
    assert not (config.parent / "state").exists()


def test_the_status_of_a_fresh_host_is_clean_and_one_object(config: Path) -> None:
    done = panic(config, "status", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    row = json.loads(done.stdout)
    assert (row["phase"], row["helper"], row["plan"], row["incident"], row["problems"]) == ("disarmed", None, None, None, [])
    text = panic(config, "status")
    assert text.returncode == 0 and text.stdout.startswith("panic     disarmed\n") and "is not armed" in text.stdout


def test_a_damaged_record_is_said_and_is_no_clean_status(config: Path) -> None:
    folder = config.parent / "state/panic"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text('{"fimkit_panic_record": 1, "phase": "cut\\u001b[2J"}')
    done = panic(config, "status")
    assert done.returncode == 3 and "not known" in done.stdout and "damaged" in done.stdout and "\x1b" not in done.stdout
    assert "Whether this host is armed is not known" in done.stdout and "is not armed" not in done.stdout
    assert json.loads(panic(config, "status", "--json").stdout)["phase"] is None


def armed(panic: Panic | None = None, **more: object) -> PanicStatus:
    config = Config(host=Host(name="web01"), panic=panic or Panic(), mail=Mail(smtp_server="mail.example.org:587"))
    record = PanicRecord(phase=Phase.ARMED, changed_ns=NOW_NS, by="eve as root")
    hello = Hello(pid=7, phase=Phase.ARMED, can_cut=True, rights=("NET_ADMIN",), namespace=1, since_ns=NOW_NS)
    view = PanicView(config=config, record=record, hello=hello, plan=PLAN)
    return PanicStatus(view=view, **more)  # type: ignore[arg-type]


def test_the_status_names_what_is_frozen_otherwise_than_in_the_file() -> None:
    status = armed(differs=(("panic.threshold", 1, 2),), watch_pid=9, package_managers=(12,))
    text = "\n".join(render_status(status))
    assert "armed, since 2026-11-22T10:30:00Z by eve as root" in text
    assert "panic.threshold = 1; the file has 2" in text
    assert "process 12" in text and "at most 120 s" in text
    assert "process 7, may cut; rights NET_ADMIN" in text
    row = render_panic_status(status)
    assert row["differs"] == [{"key": "panic.threshold", "frozen": 1, "file": 2}]
    assert row["plan"]["down"] == ("eth0",) and json.dumps(row)


def test_the_threshold_is_measured_while_armed_and_only_told_once_a_panic_has_begun(tmp_path: Path) -> None:
    counted = tuple(map(str, range(204)))
    config = Config(host=Host(name="web01", state_dir=os.fsencode(tmp_path)), panic=Panic(threshold=300))

    def words(phase: Phase) -> str:
        view = PanicView(config=config, record=PanicRecord(phase=phase, counted=counted), helper_problem="none")
        return "\n".join(render_status(PanicStatus(view=view)))

    assert "threshold 204 of 300\n" in words(Phase.ARMED)
    for phase in (Phase.TRIGGERED, Phase.CUT, Phase.RESTORED):
        assert "threshold 300; 204 critical findings since arming\n" in words(phase)
    counted = ()
    assert "threshold 300\n" in words(Phase.DISARMED)


def test_a_missing_helper_is_told_in_words_and_no_error_number(config: Path) -> None:
    put_record(load_config(config))
    done = panic(config, "status")
    assert "no panic helper answers" in done.stdout and "Errno" not in done.stdout + done.stderr


def test_windows_are_looked_up_at_the_time_asked(tmp_path: Path) -> None:
    windows = ("sun 10:00-11:00", "2026-11-23T00:00:00Z/2026-11-23T01:00:00Z")
    config = Config(host=Host(name="web01", state_dir=os.fsencode(tmp_path)), panic=Panic(windows=windows))
    status = load_panic_status(config, now_ns=NOW_NS)
    assert (status.window_until_ns, status.next_window_ns) == (NOW_NS + 1800 * NS, NOW_NS + 13 * 3600 * NS + 1800 * NS)
    assert any("open now, until 2026-11-22T11:00:00Z" in line for line in render_status(status))


def test_a_host_that_is_cut_off_says_since_when_why_and_what_brings_it_back() -> None:
    record = PanicRecord(
        phase=Phase.CUT, changed_ns=NOW_NS, incident="2026-11-22T103000Z", triggered_ns=NOW_NS, cut_ns=NOW_NS + 3 * NS,
        causes=tuple(Cause(NOW_NS, f"cause {number}") for number in range(7)),
    )
    status = PanicStatus(view=PanicView(config=Config(host=Host(name="web01")), record=record, helper_problem="nobody"))
    text = "\n".join(render_status(status))
    assert status.cut_off and "fimkit panic restore" in text and "and 2 more" in text
    assert "/var/lib/fimkit/panic/incidents/2026-11-22T103000Z" in text
    assert "triggered 2026-11-22T10:30:00Z, cut 2026-11-22T10:30:03Z" in text


def test_the_order_of_a_panic_has_its_parts_and_times() -> None:
    config = Config(
        host=Host(name="web01"), syslog=Syslog(server="logs.example.org:6514"),
        mail=Mail(smtp_server="mail.example.org:587", panic_recipients=("ops@example.org",)),
        panic=Panic(threshold=2, recon=(("ps",),), recon_queries=("SELECT 1", "SELECT 2"), killswitch=(("off",),), deadline_s=20),
    )
    text = "\n".join(render_order(config, PLAN))
    for words in ("2 critical findings that are not expected", "1 recon command", "2 recon queries", "10 s, through the cut",
                  "mail to ops@example.org by mail.example.org:587, at most 10 s; beside it syslog logs.example.org:6514",
                  "1 killswitch command beside the cut", "by 20 s", "down: eth0", "only by fimkit panic restore"):  # fmt: skip
        assert words in text, words
    places = [text.index(words) for words in ("the record says so", "evidence:", "packets:", "mail to", "the cut, whatever hangs")]
    assert places == sorted(places)
    assert "nothing would be cut" in "\n".join(render_order(config, None))


def test_what_a_report_says_is_escaped() -> None:
    step = StepTime(name="recon", began_s=0.1, took_s=0.2, status=Status.FAILED, words="\x1b[2J no")
    cut = CutReply(action="down", complete=False, took_down=("eth0",), still_up=("eth1",))
    report = PanicReport(incident="x", folder=b"/var/\x1b", steps=(step,), cut=cut, mail="taken for 1 of 1", complete=False)
    text = "\n".join(render_report(report))
    assert "\x1b" not in text and "STILL UP: eth1" in text and "NOT ALL WAS DONE" in text
