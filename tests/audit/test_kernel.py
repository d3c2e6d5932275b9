"""The kernel's audit for real: the switches, the rules, the stream. And auditctl on the same rules."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fimkit.audit.kernel import AuditKernel, KernelRefusal
from fimkit.audit.multicast import TYPE_NAMES, MulticastReader
from fimkit.audit.rule_codec import decode_rule, encode_rule
from fimkit.audit.rule_text import parse_rule, render_rule
from fimkit.audit.rules import plan_rules, render_rule_file
from fimkit.model.config import Watch
from fimkit.testing.kernel import FakeKernel
from fimkit.verbs.place import look_at
from tests.live import kept_kernel, why_not_live

MACHINE = os.uname().machine


def rule_on(folder: Path, key: str = "fimkit_test") -> bytes:
    return encode_rule(parse_rule(f"-a always,exit -F arch=b64 -F dir={folder} -F perm=wa -F key={key}", machine=MACHINE))


def refusal_of(kernel: AuditKernel, rule: bytes) -> KernelRefusal:
    with pytest.raises(KernelRefusal) as caught:
        kernel.add(rule)
    return caught.value


@contextmanager
def real_or_double(which: str) -> Iterator[AuditKernel]:
    if which == "double":
        yield FakeKernel()
    else:
        with kept_kernel() as kernel:
            yield kernel


@pytest.mark.parametrize("which", ["real", "double"])
def test_kernel_lists_the_rule_that_was_added_and_deletes_it_by_those_bytes(tmp_path: Path, which: str) -> None:
    with real_or_double(which) as kernel:
        before = kernel.rules()
        kernel.add(rule_on(tmp_path))
        (listed,) = [raw for raw in kernel.rules() if raw not in before]
        assert decode_rule(listed) == decode_rule(rule_on(tmp_path))
        assert listed != rule_on(tmp_path)  # the mask: this is why the listed bytes delete
        kernel.delete(listed)
        assert kernel.rules() == before


@pytest.mark.parametrize("which", ["real", "double"])
def test_kernel_names_what_it_does_not_take(tmp_path: Path, which: str) -> None:
    with real_or_double(which) as kernel:
        kernel.add(rule_on(tmp_path))
        assert refusal_of(kernel, rule_on(tmp_path)).errno == errno.EEXIST
        refusal = refusal_of(kernel, rule_on(tmp_path / "none"))
        assert refusal.errno == errno.ENOENT and "No such file" in str(refusal)
        for line in (f"-a always,exit -F dir={tmp_path} -F dir=/etc", f"-a always,io_uring -F dir={tmp_path} -F perm=wa"):
            assert refusal_of(kernel, encode_rule(parse_rule(line, machine=MACHINE))).errno == errno.EINVAL
        with pytest.raises(KernelRefusal) as caught:
            kernel.delete(rule_on(tmp_path, key="fimkit_none"))
        assert caught.value.errno == errno.ENOENT


def test_kernel_takes_every_rule_of_a_plan_and_lists_it_in_order(tmp_path: Path) -> None:
    for name in ("plain", "with space", "new\nline", "ünï", "a!=b"):
        (tmp_path / name).mkdir()
    os.mkdir(os.fsencode(tmp_path) + b"/bad\xff")
    (tmp_path / "file").write_text("")
    watches = [Watch(path=os.fsencode(path)) for path in tmp_path.iterdir()]
    plan = plan_rules(watches, look_at, machine=MACHINE)
    with kept_kernel() as kernel:
        count = len(kernel.rules())
        for rule in plan.rules:
            kernel.add(encode_rule(rule))
        listed = [decode_rule(raw) for raw in kernel.rules()]
        assert len(listed) == count + len(plan.rules) and [rule for rule in listed if rule in plan.rules] == list(plan.rules)


def test_auditctl_loads_the_written_file_to_the_same_rules(tmp_path: Path) -> None:
    for name in ("plain", "with space", "new\nline", "ünï"):
        (tmp_path / name).mkdir()
    watches = [Watch(path=os.fsencode(path)) for path in tmp_path.iterdir()]
    watches.append(Watch(path=b"/no/such/folder"))
    plan = plan_rules(watches, look_at, machine=MACHINE)
    file = tmp_path / "40-fimkit.rules"
    file.write_bytes(render_rule_file(plan))
    file.chmod(0o640)
    with kept_kernel() as kernel:
        before = kernel.rules()
        done = subprocess.run(["auditctl", "-R", file], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        loaded = {decode_rule(raw) for raw in kernel.rules() if raw not in before}
    by_name = {rule.text_of("dir") for rule in loaded}
    assert by_name == {os.fsencode(tmp_path / name) for name in ("plain", "with space", "ünï")}
    assert loaded == {rule for rule in plan.rules if rule in loaded} and len(loaded) == 6


def test_listing_reads_as_auditctl_prints_it(tmp_path: Path) -> None:
    line = f"-a always,exit -F arch=b64 -F dir={tmp_path} -F perm=wa -F key=fimkit_test"
    with kept_kernel() as kernel:
        kernel.add(encode_rule(parse_rule(line, machine=MACHINE)))
        printed = subprocess.run(["auditctl", "-l"], capture_output=True, text=True, check=True).stdout
        ours = [render_rule(decode_rule(raw), machine=MACHINE) for raw in kernel.rules()]
    assert line in ours
    assert line in [one.replace("-S all ", "") for one in printed.split("\n")]


def test_auditctl_of_this_host_takes_no_tree_on_the_io_uring_list(tmp_path: Path) -> None:
    # If this fails, auditctl has learned it, and the file can hold those rules.
    with kept_kernel():
        words = ["auditctl", "-d", "always,io_uring", "-S", "openat", "-F", f"dir={tmp_path}", "-F", "key=fimkit_test"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "bad keyword" in done.stderr or "exit filter" in done.stderr


@pytest.mark.parametrize("which", ["real", "double"])
def test_switches_are_read_back(which: str) -> None:
    with real_or_double(which) as kernel:
        kernel.set_backlog_limit(4321)
        kernel.enable()
        assert (kernel.status().backlog_limit, kernel.status().enabled) == (4321, 1)
        kernel.disable()
        assert kernel.status().enabled == 0


@pytest.mark.parametrize(
    ("wrap", "words"), [(["unshare", "-Ur"], "user namespace"), (["setpriv", "--reuid=65534", "--clear-groups"], "needs root")]
)
def test_kernel_without_the_right_says_what_is_missing(wrap: list[str], words: str) -> None:
    if reason := why_not_live():
        pytest.skip(reason)
    code = "from fimkit.audit.kernel import AuditKernel\nwith AuditKernel() as kernel: kernel.status()"
    done = subprocess.run([*wrap, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if "unshare:" in done.stderr:
        pytest.skip(done.stderr)
    assert words in done.stderr.strip().split("\n")[-1]


def test_multicast_gives_every_record_with_its_name_and_end(tmp_path: Path) -> None:
    with kept_kernel() as kernel, MulticastReader() as reader:
        kernel.set_backlog_limit(8192)
        kernel.enable()
        kernel.add(rule_on(tmp_path))
        subprocess.run(["touch", tmp_path / "made"], check=True)
        lines = list(reader.lines(0.5))
        assert reader.lost == 0
    made = next(line for line in lines if line.startswith(b"type=PATH ") and b"made" in line)
    stamp = made[made.index(b"audit(") : made.index(b")")]
    types = [line.split(b" ")[0] for line in lines if stamp in line]
    assert types[0] == b"type=SYSCALL" and types[-1] == b"type=EOE"
    assert all(line.startswith(b"type=") and b" msg=audit(" in line and b"\n" not in line for line in lines)


def test_multicast_counts_what_it_lost(tmp_path: Path) -> None:
    with kept_kernel() as kernel, MulticastReader(buffer_bytes=4096) as reader:
        kernel.set_backlog_limit(8192)
        kernel.enable()
        kernel.add(rule_on(tmp_path))
        script = "for i in $(seq 300); do : > $0/$i; done"
        subprocess.run(["sh", "-c", script, tmp_path], check=True)
        list(reader.lines(0.2))
        assert reader.lost > 0


def test_names_of_record_types_are_those_of_libaudit() -> None:
    audit = pytest.importorskip("audit", reason="the audit binding is not installed")
    known = {number: audit.audit_msg_type_to_name(number) for number in TYPE_NAMES}
    assert {number: name for number, name in known.items() if name and name != TYPE_NAMES[number]} == {}
