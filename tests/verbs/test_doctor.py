"""The doctor on hosts that are made for it: each trap of the audit side, the store and the paths."""

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fimkit.audit.kernel import AuditKernel, AuditStatus
from fimkit.audit.rule_codec import Field, FilterList, Rule, RuleAction, encode_rule
from fimkit.audit.rules import plan_rules, render_rule_file
from fimkit.baseline.compiled import REVISION
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config, Host, Sources, Watch
from fimkit.model.errors import HostError
from fimkit.testing.kernel import FakeKernel
from fimkit.verbs.baseline import create_baseline
from fimkit.verbs.doctor import DoctorHost, doctor, is_healthy
from fimkit.verbs.doctor_audit import check_audit_log
from fimkit.verbs.doctor_host import Mount, load_mounts
from fimkit.verbs.old_processes import find_first_enabling, list_older_processes, load_boot_time
from fimkit.verbs.place import look_at
from tests.live import kept_kernel

__all__: list[str] = []

BOOT_S = 1_795_000_000
# Of the host that runs this test; of the seal and of what fimkit stands on: test_doctor_seal, test_doctor_trust.
UNSTEADY = ("audit-no-owner", "audit-other-owner", "audit-reader", "scan-compare", "scan-reader", "seal-no-key", "self-watch")
STATUS = AuditStatus(enabled=1, failure=1, pid=50, rate_limit=0, backlog_limit=8192, lost=0, backlog=0)
AUDITD = """
log_file = {log}
num_logs = 2
max_log_file_action = ROTATE
space_left = 1
admin_space_left_action = HALT
disk_full_action = halt
disk_error_action = HALT
"""


class SmallHost:
    """A host below a folder, where all is well; a test breaks one thing."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tree = base / "tree"
        self.log = base / "log/audit.log"
        for folder in ("tree/inner", "log", "rules.d", "proc/self", "state"):
            (base / folder).mkdir(parents=True)
        (base / "state").chmod(0o700)
        (self.tree / "file").write_text("x")
        self.log.write_text("type=DAEMON_START msg=audit(1795000001.000:1): op=start\n")
        self.put("auditd.conf", AUDITD.format(log=self.log))
        self.put("proc/cmdline", "quiet audit=1\n")
        self.put("proc/stat", f"cpu 1\nbtime {BOOT_S}\n")
        self.put("proc/self/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n")
        self.watches: tuple[Watch, ...] = (Watch(path=os.fsencode(self.tree)),)
        create_baseline(self.config, who="eve", why="first")
        plan = plan_rules(self.watches, look_at, machine=os.uname().machine)
        self.put("rules.d/40-fimkit.rules", render_rule_file(plan).decode())
        self.rules = [encode_rule(rule) for rule in plan.rules]
        self.status = STATUS
        self.now_s: Callable[[], float] = time.time

    @property
    def config(self) -> Config:
        return Config(
            host=Host(name="web01", state_dir=os.fsencode(self.base / "state")),
            paths=self.watches,
            sources=Sources(audit_log=os.fsencode(self.log), osquery_config=b""),
        )

    def put(self, name: str, text: str) -> None:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def process(self, pid: int, name: str, *, started_s: float, flags: int = 0) -> None:
        ticks = int((started_s - BOOT_S) * 100)
        fields = ["S", "1", "1", "1", "0", "-1", str(flags), *["0"] * 12, str(ticks), "0"]
        self.put(f"proc/{pid}/stat", f"{pid} ({name}) {' '.join(fields)}\n")

    def advice(self, **kernel: Any) -> list[Advice]:
        def open_kernel() -> AuditKernel:
            return FakeKernel(**{"status": self.status, "rules": self.rules, **kernel})

        host = DoctorHost(
            open_kernel=open_kernel,
            proc=self.base / "proc",
            auditd_conf=self.base / "auditd.conf",
            rules_file=self.base / "rules.d/40-fimkit.rules",
            now_s=self.now_s,
        )
        return doctor(self.config, host)

    def codes(self, **kernel: Any) -> dict[str, Level]:
        # The fake kernel's owner is no auditd on the host that runs this test; the loop is compiled where there is a compiler.
        return {one.code: one.level for one in self.advice(**kernel) if one.code not in UNSTEADY}


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    return SmallHost(Path(os.path.realpath(tmp_path)) / "host")


def test_a_host_where_all_is_well_gives_nothing(host: SmallHost) -> None:
    assert host.codes() == {}


def test_the_worst_comes_first_and_a_note_is_healthy(host: SmallHost) -> None:
    host.rules = []
    (host.base / "tree/link").symlink_to("inner")
    host.watches = (*host.watches, Watch(path=os.fsencode(host.tree / "link")))
    found = host.advice()
    levels = [one.level for one in found]
    assert levels == sorted(levels, key=list(Level).index)
    assert levels[0] is Level.TRAP and levels[-1] is Level.NOTE
    assert not is_healthy(found)
    assert is_healthy([one for one in found if one.level is Level.NOTE])


# The kernel.


def test_the_kernels_state_is_told(host: SmallHost) -> None:
    host.status = STATUS._replace(enabled=0, backlog_limit=64, rate_limit=100, lost=5)
    assert host.codes() == {
        "audit-off": Level.TRAP,
        "audit-backlog": Level.WARNING,
        "audit-lost": Level.WARNING,
        "audit-rate-limit": Level.WARNING,
    }


def test_another_owner_of_the_audit_socket_is_a_trap(host: SmallHost) -> None:
    host.status = STATUS._replace(pid=os.getpid())
    (one,) = [one for one in host.advice() if one.code == "audit-other-owner"]
    assert one.level is Level.TRAP
    assert "--disable_audit=true" in one.remedy


def test_what_could_not_be_seen_is_said(host: SmallHost) -> None:
    codes = host.codes(deny=HostError("no right"))
    assert codes == {"audit-unseen": Level.NOTE if os.geteuid() else Level.TRAP}


# Rules.


def test_rules_that_are_not_in_the_kernel_are_a_trap(host: SmallHost) -> None:
    host.rules = host.rules[1:]
    (one,) = [one for one in host.advice() if one.code == "audit-rules-missing"]
    assert (one.level, one.remedy, one.path) == (Level.TRAP, "fimkit install", os.fsencode(host.tree))
    assert one.problem.startswith("1 of fimkit's")


def test_a_rule_of_others_that_silences_ours_is_a_trap(host: SmallHost) -> None:
    never = Rule(filter_list=FilterList.TASK, action=RuleAction.NEVER, fields=(Field("auid", "=", 4294967295),))
    host.rules = [encode_rule(never), *host.rules]
    assert host.codes() == {"audit-obstacle": Level.TRAP}


def test_a_rule_file_that_is_missing_or_other_is_told(host: SmallHost) -> None:
    host.put("rules.d/40-fimkit.rules", "# other\n")
    assert host.codes() == {"audit-rule-file": Level.WARNING}
    (host.base / "rules.d/40-fimkit.rules").unlink()
    assert host.codes() == {"audit-rule-file": Level.TRAP}


def test_a_file_of_rules_that_silences_every_process_is_a_trap(host: SmallHost) -> None:
    host.put("rules.d/10-quiet.rules", "## no audit\n-D\n-a task,never\n")
    host.put("rules.d/11-comment.rules", "# -a never,task\n")
    (one,) = [one for one in host.advice() if one.code == "audit-never-task"]
    assert (one.level, one.where) == (Level.TRAP, str(host.base / "rules.d/10-quiet.rules"))


def test_rules_in_this_kernel_are_found_there_and_missed_when_they_are_gone(host: SmallHost) -> None:
    with kept_kernel() as kernel:
        for rule in host.rules:
            kernel.add(rule)
        seen = doctor(host.config, DoctorHost(rules_file=host.base / "rules.d/40-fimkit.rules"))
        assert "audit-rules-missing" not in {one.code for one in seen}
        kernel.delete(kernel.rules()[-1])
        seen = doctor(host.config, DoctorHost(rules_file=host.base / "rules.d/40-fimkit.rules"))
        assert "audit-rules-missing" in {one.code for one in seen}


# Processes without an audit context.

ENABLED = "type=CONFIG_CHANGE msg=audit({}.100:3): op=set audit_enabled=1 old=0 auid=4294967295 ses=4294967295 res=1\n"


def test_processes_older_than_the_first_enabling_are_named(host: SmallHost) -> None:
    host.put("proc/cmdline", "quiet\n")
    host.log.write_text(host.log.read_text() + ENABLED.format(BOOT_S + 100) + ENABLED.format(BOOT_S + 900))
    host.process(1, "systemd", started_s=BOOT_S + 1)
    host.process(2, "kthreadd", started_s=BOOT_S, flags=0x208040)
    host.process(70, "a) b (c", started_s=BOOT_S + 99)
    host.process(80, "sshd", started_s=BOOT_S + 500)
    (one,) = [one for one in host.advice() if one.code == "audit-context"]
    assert one.level is Level.TRAP
    assert "2 processes" in one.problem and "1 systemd, 70 a) b (c." in one.problem
    assert "audit=1" in one.remedy


def test_with_audit_1_on_the_command_line_all_are_recorded(host: SmallHost) -> None:
    host.log.write_text(host.log.read_text() + ENABLED.format(BOOT_S + 100))
    host.process(1, "systemd", started_s=BOOT_S + 1)
    assert host.codes() == {}


def test_where_the_logs_do_not_reach_back_it_is_not_known(host: SmallHost) -> None:
    host.put("proc/cmdline", "quiet\n")
    host.log.write_text(ENABLED.format(BOOT_S + 900))
    assert host.codes() == {"audit-context-unknown": Level.NOTE}


def test_an_enabling_before_this_boot_is_not_this_boots(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(ENABLED.format(BOOT_S - 50) + ENABLED.format(BOOT_S + 50) + ENABLED.format(BOOT_S + 70))
    assert find_first_enabling([log], boot_s=BOOT_S) == BOOT_S + 50
    assert find_first_enabling([tmp_path / "none"], boot_s=BOOT_S) is None
    assert find_first_enabling([], boot_s=BOOT_S) is None


def test_this_hosts_processes_can_be_listed() -> None:
    boot_s = load_boot_time()
    assert boot_s is not None and boot_s < time.time()
    assert os.getpid() in {pid for pid, _ in list_older_processes(time.time() + 10, boot_s=boot_s)}
    assert not list_older_processes(boot_s - 10, boot_s=boot_s)


# auditd and its log.


def test_an_auditd_that_writes_no_log_or_another_is_told(host: SmallHost) -> None:
    host.put("auditd.conf", AUDITD.format(log="/var/log/audit/other.log") + "write_logs = no\n")
    assert host.codes() == {"auditd-no-log": Level.TRAP, "auditd-log-file": Level.TRAP}
    (host.base / "auditd.conf").unlink()
    assert host.codes() == {"auditd-absent": Level.TRAP}


def test_a_policy_that_stops_the_log_when_the_disk_is_full_is_a_note_and_a_full_disk_a_trap(host: SmallHost) -> None:
    host.put("auditd.conf", AUDITD.format(log=host.log) + "disk_full_action = SUSPEND\n")
    assert host.codes() == {"auditd-disk-policy": Level.NOTE}
    host.put("auditd.conf", AUDITD.format(log=host.log) + "disk_full_action = SUSPEND\nspace_left = 99999999999\n")
    assert host.codes() == {"auditd-disk": Level.TRAP}


def test_a_log_that_is_missing_or_does_not_grow_is_told(host: SmallHost) -> None:
    host.now_s = lambda: time.time() + 50 * 3600
    assert host.codes() == {"audit-log-idle": Level.WARNING}
    host.log.unlink()
    assert host.codes()["audit-log-absent"] is Level.TRAP


def test_rotations_that_reach_back_less_than_a_day_are_told(host: SmallHost) -> None:
    older = host.log.with_name("audit.log.1")
    older.write_text(host.log.read_text())
    assert host.codes() == {"audit-log-rotation": Level.WARNING}
    os.utime(older, (time.time() - 100_000,) * 2)
    assert host.codes() == {}


# The store.


def test_no_baseline_is_a_trap(host: SmallHost) -> None:
    (host.base / "state/fimkit.sqlite").unlink()
    assert host.codes() == {"no-baseline": Level.TRAP}
    for file in (host.base / "state").iterdir():
        file.unlink()
    (host.base / "state").rmdir()
    assert host.codes() == {"no-baseline": Level.TRAP}


def test_a_state_folder_that_others_can_enter_is_told(host: SmallHost) -> None:
    (host.base / "state").chmod(0o755)
    assert host.codes() == {"store-mode": Level.WARNING}
    (host.base / "state").chmod(0o777)
    assert host.codes() == {"store-unsafe": Level.TRAP}


def test_an_old_baseline_is_a_note_and_a_clock_before_it_a_warning(host: SmallHost) -> None:
    host.now_s = lambda: time.time() + 100 * 86_400
    os.utime(host.log, (host.now_s(),) * 2)
    assert host.codes() == {"baseline-age": Level.NOTE}
    host.now_s = lambda: time.time() - 86_400
    assert host.codes()["clock"] is Level.WARNING


# The paths.


def test_a_path_that_is_not_there_or_a_link_is_told(host: SmallHost) -> None:
    (host.tree / "link").symlink_to("inner")
    host.watches = (*host.watches, Watch(path=os.fsencode(host.tree / "none")), Watch(path=os.fsencode(host.tree / "link")))
    codes = host.codes()
    assert (codes["path-absent"], codes["path-link"]) == (Level.WARNING, Level.NOTE)


@pytest.mark.parametrize(
    ("kind", "level"), [("nfs4", Level.WARNING), ("fuse.sshfs", Level.WARNING), ("overlay", Level.NOTE), ("xfs", None)]
)
def test_a_file_system_without_lasting_inodes_is_told(host: SmallHost, kind: str, level: Level | None) -> None:
    root = "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
    host.put("proc/self/mountinfo", f"{root}28 27 0:5 / {host.base} rw shared:1 - {kind} source rw\n")
    assert host.codes().get("path-file-system") == level


def test_what_is_mounted_below_a_watch_is_told_unless_it_is_crossed_or_excluded(host: SmallHost) -> None:
    inner = host.tree / "in ner"
    line = f"28 27 0:5 / {os.fspath(inner).replace(' ', chr(92) + '040')} rw - xfs source rw\n"
    host.put("proc/self/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n" + line)
    (one,) = [one for one in host.advice() if one.code == "path-mount"]
    assert (one.level, one.path) == (Level.WARNING, os.fsencode(inner))
    for change in ({"cross_mounts": True}, {"exclude": (os.fspath(inner),)}, {"recursive": False}):
        host.watches = (dataclasses.replace(host.watches[0], **change),)
        assert "path-mount" not in host.codes()


def test_mounts_are_read_with_their_types(tmp_path: Path) -> None:
    file = tmp_path / "mountinfo"
    file.write_bytes(b"24 27 0:6 / /de\\040v rw,nosuid shared:2 master:1 - tmpfs - rw\nbad\n")
    assert load_mounts(file) == [Mount(point=b"/de v", type=b"tmpfs")]
    assert not load_mounts(tmp_path / "none")


@pytest.mark.parametrize("code, module", [("scan-reader", "fimkit.baseline._plain"), ("scan-compare", "fimkit.evidence._rows")])
def test_scanning_without_a_compiled_part_is_said(host: SmallHost, monkeypatch: pytest.MonkeyPatch, code: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as where it was not built
    advice = [one for one in host.advice() if one.code == code]
    assert [one.level for one in advice] == [Level.NOTE]
    assert is_healthy(advice)


def test_hashing_one_file_at_a_time_is_said(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    older = ModuleType("fimkit.baseline._plain")  # as without libipsec-mb
    vars(older).update(REVISION=REVISION, LANES=1, WHY_ONE="the library cannot be opened")
    monkeypatch.setitem(sys.modules, "fimkit.baseline._plain", older)
    advice = [one for one in host.advice() if one.code == "scan-reader"]
    assert [(one.level, "one file at a time" in one.problem) for one in advice] == [(Level.NOTE, True)]
    assert "the library cannot be opened" in advice[0].problem
    assert is_healthy(advice)


def test_reading_without_the_compiled_loop_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "fimkit.audit._blocks", None)  # as where it was not built
    config = Config(host=Host(name="h", state_dir=tmp_path), sources=Sources(audit_log=os.fsencode(tmp_path / "no")), paths=())
    advice = [one for one in check_audit_log(config, DoctorHost()) if one.code == "audit-reader"]
    assert [one.level for one in advice] == [Level.NOTE]
    assert is_healthy(advice)
