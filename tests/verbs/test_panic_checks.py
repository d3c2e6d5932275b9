"""What would keep a panic from working: each thing is found, with its level and remedy, and nothing is said of a sound host."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fimkit.audit.kernel import AuditStatus
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config, Host, Mail, Panic, Watch
from fimkit.model.findings import Tier
from fimkit.panic.helper_client import Hello, PlanReply
from fimkit.panic.namespaces import machine_namespace
from fimkit.panic.record import PanicRecord, Phase
from fimkit.testing.kernel import FakeKernel
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.doctor_panic import check_panic
from fimkit.verbs.panic_checks import check_allow, check_helper, check_programs, check_settings
from fimkit.verbs.panic_host_checks import LookingPlaces, check_auditing, check_managers, check_room, check_watched
from fimkit.verbs.panic_view import PanicView
from fimkit.verbs.ssh_session import SshSession

__all__: list[str] = []

CRITICAL = (Watch(path=b"/sbin", tier=Tier.CRITICAL),)
ME = SshSession(peer="192.0.2.10", peer_port=40000, local="192.0.2.1", local_port=22, interface="eth0", own=True)


def config(panic: Panic | None = None, *, base: Path = Path("/nowhere"), **more: Any) -> Config:
    return Config(host=Host(name="web01", state_dir=os.fsencode(base)), **({"paths": CRITICAL} | more), panic=panic or Panic())


def codes(advice: Iterable[Advice]) -> dict[str, Level]:
    return {one.code: one.level for one in advice}


def view(hello: Hello | None, **more: Any) -> PanicView:
    return PanicView(config=config(), record=PanicRecord(), hello=hello, **more)


def hello(**more: Any) -> Hello:
    values = {"pid": 7, "phase": Phase.DISARMED, "can_cut": True, "rights": ("NET_ADMIN",), "namespace": machine_namespace().inode,
              "since_ns": 1} | more  # fmt: skip
    return Hello(**values)


def test_a_helper_that_may_cut_here_gives_nothing() -> None:
    assert codes(check_helper(view(hello()))) == {}


def test_each_fault_of_a_helper_is_told_from_the_others() -> None:
    assert codes(check_helper(view(None, helper_problem="nobody answers"))) == {"panic-helper": Level.TRAP}
    (lame,) = check_helper(view(hello(can_cut=False, rights=())))
    assert (lame.code, lame.level) == ("panic-helper-rights", Level.TRAP)
    assert "it has: none" in lame.problem
    assert codes(check_helper(view(hello(namespace=1)))) == {"panic-helper-namespace": Level.WARNING}
    assert codes(check_helper(view(hello(problem="the disk is full")))) == {"panic-helper-problem": Level.WARNING}
    assert codes(check_helper(view(hello(), record_problem="it is damaged"))) == {"panic-record": Level.TRAP}


def test_a_cut_that_would_keep_every_link_is_no_cut() -> None:
    def keeping(panic: Panic, down: tuple[str, ...] = ()) -> dict[str, Level]:
        plan = PlanReply(action=panic.action, text="", down=down, kept=("lo", "eth0"))
        return codes(check_helper(PanicView(config=config(panic), record=PanicRecord(), hello=hello(), plan=plan)))

    assert keeping(Panic(keep_interfaces=("*",))) == {"panic-keep": Level.TRAP}
    assert keeping(Panic(keep_interfaces=("*",), nokill=True)) == {"panic-keep": Level.WARNING}
    assert keeping(Panic(keep_interfaces=("eth*",)), ("wg0",)) == keeping(Panic()) == {}


def test_switches_left_on_and_times_that_leave_no_room_are_named() -> None:
    assert codes(check_settings(config())) == {}
    assert codes(check_settings(config(Panic(nokill=True)))) == {"panic-nokill": Level.WARNING}
    assert codes(check_settings(config(Panic(deadline_s=14)))) == {"panic-deadline": Level.WARNING}
    assert codes(check_settings(config(Panic(deadline_s=15)))) == {}
    assert codes(check_settings(config(Panic(deadline_s=5), mail=Mail(nomail=True)))) == {}
    assert codes(check_settings(config(paths=()))) == {"panic-no-critical": Level.WARNING}


def test_a_missing_program_is_named_with_its_key_and_one_that_is_there_is_not() -> None:
    recon = (("sh",), ("no-such-program\x1b[2J", "-x"))
    panic = Panic(recon=recon, packetgrab=(("/no/such",),), killswitch=(("/bin/sh", "-c", ":"),))
    found = list(check_programs(config(panic)))
    assert [one.where for one in found] == ["[panic] recon", "[panic] packetgrab"]
    assert "\x1b" not in found[0].problem and "no-such-program" in found[0].problem


def test_who_isolates_should_not_lock_himself_out() -> None:
    assert list(check_allow(config(), [ME])) == []  # every link goes down anyway
    (empty,) = check_allow(config(Panic(action="isolate")), [])
    assert "console alone" in empty.problem
    (mine,) = check_allow(config(Panic(action="isolate", allow=("192.0.2.11:22", "192.0.2.10:23"))), [ME])
    assert mine.level is Level.WARNING and '"192.0.2.10:22"' in mine.remedy
    assert list(check_allow(config(Panic(action="isolate", allow=("[::ffff:192.0.2.10]:22",))), [ME])) == []


@pytest.mark.parametrize(
    ("file", "text", "systemd", "found"),
    [
        ("etc/cron.d/fimkit", "37 2 * * * root /opt/fimkit/bin/fimkit check\n", True, True),
        ("etc/crontab", "37 2 * * * root fimkit --config /etc/x check --quick\n", False, True),
        ("var/spool/cron/crontabs/root", "@daily fimkit check\n", True, True),
        ("etc/cron.d/fimkit", "# 37 2 * * * root fimkit check\n", False, False),
        ("etc/cron.d/fimkit", "37 2 * * * root fimkit export\n", False, False),
        ("etc/cron.d/fimkit", "37 2 * * *  root  [ -d /run/systemd/system ] || fimkit check\n", True, False),
        ("etc/cron.d/fimkit", "37 2 * * *  root  [ -d /run/systemd/system ] || fimkit check\n", False, True),
        ("etc/systemd/system/timers.target.wants/fimkit-check.timer", "", True, True),
    ],
)
def test_a_job_or_a_timer_that_runs_a_check_is_found(tmp_path: Path, file: str, text: str, systemd: bool, found: bool) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    if systemd:
        (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert bool(LookingPlaces(tmp_path).find_job()) is found
    assert (codes(check_watched(config(base=tmp_path), LookingPlaces(tmp_path))) == {}) is found


def test_a_kernel_that_records_nothing_is_a_warning() -> None:
    off = AuditStatus(enabled=0, failure=1, pid=0, rate_limit=0, backlog_limit=64, lost=0, backlog=0)
    on = AuditStatus(enabled=1, failure=1, pid=0, rate_limit=0, backlog_limit=64, lost=0, backlog=0)
    assert codes(check_auditing(DoctorHost(open_kernel=lambda: FakeKernel(status=off)))) == {"panic-auditing": Level.WARNING}
    assert codes(check_auditing(DoctorHost(open_kernel=lambda: FakeKernel(status=on)))) == {}


def test_network_managers_are_named(tmp_path: Path) -> None:
    for pid, name in (("1", "systemd"), ("20", "NetworkManager"), ("21", "dhcpcd")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(name + "\n")
    (one,) = check_managers(tmp_path)
    assert (one.where, one.level) == ("NetworkManager, dhcpcd", Level.NOTE)
    assert list(check_managers(tmp_path / "none")) == []


def test_a_disk_with_room_is_no_problem(tmp_path: Path) -> None:
    found = codes(check_room(config(base=tmp_path)))
    free_mb = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize >> 20
    assert found == ({} if free_mb >= 256 else {"panic-room": Level.WARNING})
    assert list(check_room(config(base=Path("/proc/self/no/such")))) == []


def test_the_doctor_says_nothing_where_no_panic_is_configured_and_notes_critical_paths(tmp_path: Path) -> None:
    host = DoctorHost(proc=tmp_path)
    assert list(check_panic(config(base=tmp_path, paths=()), host)) == []
    assert codes(check_panic(config(base=tmp_path), host)) == {"panic-disarmed": Level.NOTE}


def test_what_would_be_a_trap_is_a_warning_as_long_as_nothing_is_armed(tmp_path: Path) -> None:
    mail = Mail(panic_recipients=("a@example.org",))
    found = codes(check_panic(config(base=tmp_path, mail=mail), DoctorHost(proc=tmp_path), places=LookingPlaces(tmp_path)))
    assert found == {"panic-disarmed": Level.NOTE, "panic-mail-server": Level.WARNING}


def test_a_damaged_record_is_found(tmp_path: Path) -> None:
    (tmp_path / "panic").mkdir()
    (tmp_path / "panic/record.json").write_text("{")
    found = codes(check_panic(config(base=tmp_path), DoctorHost(proc=tmp_path), places=LookingPlaces(tmp_path)))
    assert found["panic-record"] is Level.WARNING and found["panic-helper"] is Level.WARNING
    assert "panic-disarmed" not in found
