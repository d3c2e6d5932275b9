"""The harness of the live tests: what it promises to those who use it."""

import os
import tempfile
from pathlib import Path

import pytest

from fimkit.audit.kernel import AuditKernel
from fimkit.audit.rule_codec import encode_rule
from fimkit.audit.rule_text import parse_rule
from fimkit.audit.rules import plan_rules
from fimkit.model.config import Watch
from fimkit.verbs.place import look_at
from tests.live import _clear_dead_rules, kept_kernel, live_audit


def rules_for(*paths: Path) -> list[bytes]:
    watches = [Watch(path=os.fsencode(path)) for path in paths]
    plan = plan_rules(watches, look_at, machine=os.uname().machine)
    return [encode_rule(rule) for rule in plan.rules]


def test_child_runs_under_its_login_and_the_log_has_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with live_audit(tmp_path / "log", rules=rules_for(tree)) as live:
        ran = live.run(["sh", "-c", "id -u; cat /proc/self/loginuid; echo x > made"], auid=1234, uid=0, cwd=tree)
        live.sync()
        log = live.log.read_bytes()
    assert ran.returncode == 0 and ran.stdout == b"0\n1234"
    calls = [line for line in log.split(b"\n") if line.startswith(b"type=SYSCALL") and b'key="fimkit"' in line]
    assert any(f"pid={ran.pid} auid=1234 ".encode() in line and b'comm="sh"' in line for line in calls)


def test_kernel_is_as_before_when_the_test_fails(tmp_path: Path) -> None:
    seen = []
    with pytest.raises(ZeroDivisionError), live_audit(tmp_path / "log", rules=rules_for(tmp_path)) as live:
        seen.append(live.auditd_pid)
        raise ZeroDivisionError
    with pytest.raises(ProcessLookupError):
        os.kill(seen[0], 0)


def test_rules_that_a_killed_test_or_benchmark_left_are_cleared_and_those_of_others_are_kept(tmp_path: Path) -> None:
    text = "-a always,exit -F arch=b64 -F dir={} -F perm=wa -F key=fimkit"
    with kept_kernel() as kernel, tempfile.TemporaryDirectory(prefix="fimkit-bench-") as bench:
        before = kernel.rules()
        for folder in (tmp_path, bench, "/mnt"):
            kernel.add(encode_rule(parse_rule(text.format(folder), machine="x86_64")))
        assert len(kernel.rules()) == len(before) + 3
        _clear_dead_rules(kernel)
        (kept,) = [rule for rule in kernel.rules() if rule not in before]
        assert b"/mntfimkit" in kept


def test_rule_on_a_symbolic_link_alone_records_nothing_below_it_and_the_plan_does(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    naive = encode_rule(parse_rule(f"-a always,exit -F arch=b64 -F dir={link} -F perm=wa -F key=naive", machine="x86_64"))
    for number, (rules, key, expected) in enumerate([([naive], b"naive", False), (rules_for(link), b"fimkit", True)]):
        with live_audit(tmp_path / f"log-{number}", rules=rules) as live:
            live.run(["touch", link / f"made-{number}"])
            live.sync()
            lines = live.log.read_bytes().split(b"\n")
        assert any(line.startswith(b"type=SYSCALL") and b'key="%s"' % key in line for line in lines) is expected


def test_sync_says_when_the_daemon_is_gone(tmp_path: Path) -> None:
    with live_audit(tmp_path / "log") as live:
        os.kill(live.auditd_pid, 15)
        with pytest.raises(TimeoutError):
            for _ in range(50):
                live.sync(timeout=0.2)
    with AuditKernel() as kernel:
        assert kernel.status().pid == 0
