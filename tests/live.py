"""Live tests: this kernel's real audit, a private auditd, and children under login ids of their own. All is put back.

``with live_audit(folder) as live:`` skips with the reason where it cannot run. A lock keeps live tests of several processes apart.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from fimkit.audit.kernel import AuditKernel, AuditStatus
from fimkit.model.errors import HostError

__all__ = ["LiveAudit", "Ran", "audit_lock", "kept_kernel", "live_audit", "why_not_live"]

_BACKLOG = 8192
_OWN_FOLDERS = (b"/pytest-", b"/fimkit-bench-")
"""One is in every rule of these tests and of the benchmarks: in ``tmp_path`` (its base is ``pytest-of-USER``, or what
``--basetemp`` says, by habit ``pytest-`` too), and in the folder of a benchmark that audits."""

_AUDITD_CONF = """\
local_events = yes
write_logs = yes
log_file = {folder}/audit.log
log_group = root
log_format = ENRICHED
flush = INCREMENTAL_ASYNC
freq = 20
priority_boost = 0
name_format = NONE
max_log_file = 200
num_logs = 2
max_log_file_action = IGNORE
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = SYSLOG
q_depth = 2000
overflow_action = IGNORE
plugin_dir = {folder}/plugins.d
end_of_event_timeout = 2
"""

# Runs in a child of its own: the login id can be set once, before the rights are dropped.
_CHILD = """\
import os, sys
auid, uid, gid, cwd, *argv = sys.argv[1:]
if auid != '-':
    with open('/proc/self/loginuid', 'w') as file:
        file.write(auid)
if gid != '-':
    os.setgroups([]); os.setgid(int(gid))
if uid != '-':
    os.setuid(int(uid))
os.chdir(cwd)
os.execvp(argv[0], argv)
"""


class Ran(NamedTuple):
    """A child that has ended. ``pid`` is that of the program itself: it was executed in place."""

    pid: int
    returncode: int
    stdout: bytes
    stderr: bytes


def why_not_live() -> str | None:
    """Say why real auditing cannot be had here, or None."""
    if os.geteuid() != 0:
        return "needs root for the kernel's audit"
    if shutil.which("auditd") is None:
        return "needs auditd"
    try:
        with AuditKernel() as kernel:
            status = kernel.status()
    except HostError as error:
        return f"no audit here: {error}"
    if status.enabled == 2:
        return "the audit rules of this kernel are locked (-e 2)"
    return None


@contextlib.contextmanager
def audit_lock() -> Iterator[None]:
    """Be alone with the kernel's audit, among all processes that ask for the same lock."""
    with (Path(tempfile.gettempdir()) / "fimkit-audit.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def kept_kernel() -> Iterator[AuditKernel]:
    """Take the lock, and leave the kernel's rules and switches exactly as they were; skip where that cannot be."""
    if reason := why_not_live():
        pytest.skip(reason)
    with audit_lock(), AuditKernel() as kernel:
        _clear_dead_owner(kernel)
        _clear_dead_rules(kernel)
        before, rules = kernel.status(), kernel.rules()
        if before.pid:
            pytest.skip(f"process {before.pid} owns the audit socket of this host")
        try:
            yield kernel
        finally:
            with AuditKernel() as fresh:
                _put_back(fresh, before, rules)


def _clear_dead_owner(kernel: AuditKernel) -> None:
    """The kernel notices that the owner of the socket is gone when it has a record for it, and not before."""
    status = kernel.status()
    if status.pid == 0 or Path(f"/proc/{status.pid}").exists():
        return
    kernel.enable()
    until = time.monotonic() + 5
    while kernel.status().pid == status.pid and time.monotonic() < until:
        kernel.say("is anybody there")
        time.sleep(0.02)
    if not status.enabled:
        kernel.disable()


def _clear_dead_rules(kernel: AuditKernel) -> None:
    """Delete what a killed run of these tests or of a benchmark left: no other holds the lock, so nobody who lives needs them."""
    for rule in kernel.rules():
        if any(folder in rule for folder in _OWN_FOLDERS):
            kernel.delete(rule)


def _put_back(kernel: AuditKernel, before: AuditStatus, rules: Sequence[bytes]) -> None:
    for rule in kernel.rules():
        if rule not in rules:
            kernel.delete(rule)
    present = kernel.rules()
    for rule in rules:
        if rule not in present:
            kernel.add(rule)
    _clear_dead_owner(kernel)
    (kernel.enable if before.enabled else kernel.disable)()
    kernel.set_backlog_limit(before.backlog_limit)
    after = kernel.status()
    assert sorted(kernel.rules()) == sorted(rules), "a live test left audit rules behind"
    assert (after.enabled, after.backlog_limit, after.pid) == (before.enabled, before.backlog_limit, before.pid)


class LiveAudit:
    """A running private auditd: ``log`` is its file, ``kernel`` an open audit socket, ``auditd_pid`` the daemon."""

    def __init__(self, folder: Path, kernel: AuditKernel, auditd_pid: int) -> None:
        self.log = folder / "audit.log"
        self.kernel = kernel
        self.auditd_pid = auditd_pid

    def sync(self, timeout: float = 10.0) -> None:
        """Wait until all that was recorded so far is in the log: a marker sent now is read there."""
        marker = f"fimkit-marker-{uuid.uuid4().hex}"
        self.kernel.say(marker)
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.log.exists() and marker.encode() in _tail(self.log):
                return
            time.sleep(0.01)
        raise TimeoutError(f"no marker in {self.log} after {timeout} s")

    def run(
        self,
        argv: Sequence[str | bytes],
        *,
        auid: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        cwd: str | bytes | Path = "/",
    ) -> Ran:
        """Run a program under a login id and a user id, as a login would: the ids first, then exec in place."""
        ids = ["-" if number is None else str(number) for number in (auid, uid, gid if gid is not None else uid)]
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CHILD, *ids, cwd, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        stdout, stderr = child.communicate(timeout=60)
        return Ran(child.pid, child.returncode, stdout, stderr)


def _tail(path: Path, size: int = 1 << 20) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read()


@contextlib.contextmanager
def live_audit(folder: Path, *, rules: Sequence[bytes] = ()) -> Iterator[LiveAudit]:
    """Run a private auditd that logs into ``folder``, with auditing on; put everything back at the end, whatever happens.

    Args:
        folder: For the log and the daemon's configuration; made if it is not there.
        rules: Rules to add once the daemon runs, as :func:`fimkit.audit.rule_codec.encode_rule` gives them.
    """
    with kept_kernel() as kernel:
        # auditd refuses a configuration or a log folder that others may write to.
        (folder / "plugins.d").mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        (folder / "auditd.conf").write_text(_AUDITD_CONF.format(folder=folder))
        (folder / "auditd.conf").chmod(0o640)
        kernel.set_backlog_limit(_BACKLOG)
        daemon = _start_auditd(folder)
        try:
            _wait_for_owner(kernel, daemon)
            kernel.enable()
            for rule in rules:
                kernel.add(rule)
            live = LiveAudit(folder, kernel, daemon.pid)
            live.sync()
            yield live
        finally:
            _stop(daemon)


def _start_auditd(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "auditd.err").open("wb") as errors:
        return subprocess.Popen(
            ["auditd", "-n", "-c", str(folder)],
            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True,
        )


def _wait_for_owner(kernel: AuditKernel, daemon: subprocess.Popen[bytes], timeout: float = 10.0) -> None:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if daemon.poll() is not None:
            pytest.skip(f"auditd does not start here (exit {daemon.returncode}): is another one running?")
        if kernel.status().pid == daemon.pid:
            return
        time.sleep(0.02)
    raise TimeoutError("auditd did not take the audit socket")


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
