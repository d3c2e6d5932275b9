"""Runs of the command line as forks of this process: quick enough for hundreds, each killed at a moment of choice, and looked over.

A moment is a time, or the number of a system call that alters something on the disk: a tracer beside the run counts them.
"""

import ctypes
import gc
import importlib
import io
import os
import platform
import random
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fimkit.cli import VERBS, main

__all__ = ["CAN_COUNT", "Moment", "Ran", "Running", "choose_moment", "preload", "run", "start"]

_PATIENCE_S = 120.0
_CRASHED = 99

# What alters a file, a name or a lock. Source: arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h.
_CALLS = {
    "x86_64": {
        1: "write", 18: "pwrite64", 20: "writev", 73: "flock", 74: "fsync", 75: "fdatasync", 76: "truncate",
        77: "ftruncate", 82: "rename", 83: "mkdir", 86: "link", 87: "unlink", 90: "chmod", 91: "fchmod", 263: "unlinkat",
        264: "renameat", 265: "linkat", 316: "renameat2",
    },
    "aarch64": {
        32: "flock", 34: "mkdirat", 35: "unlinkat", 37: "linkat", 38: "renameat", 45: "truncate", 46: "ftruncate",
        52: "fchmod", 64: "write", 66: "writev", 68: "pwrite64", 82: "fsync", 83: "fdatasync", 276: "renameat2",
    },
}.get(platform.machine(), {})  # fmt: skip
_SEIZE, _INTERRUPT, _SYSCALL, _GET_SYSCALL_INFO = 0x4206, 0x4207, 24, 0x420E  # Source: linux/ptrace.h
_OPTIONS = 0x1 | 0x8 | 0x100000  # TRACESYSGOOD, TRACECLONE, EXITKILL
_WALL, _ENTRY = 0x40000000, 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

CAN_COUNT = bool(_CALLS)


@dataclass(frozen=True)
class Moment:
    """When a run is killed: after some seconds, or as it begins a system call, by its number among those that alter something."""

    after_s: float | None = None
    call: int | None = None


NEVER = Moment()


@dataclass(frozen=True)
class Ran:
    """What a run left. ``calls`` were counted where a call was asked for; ``at`` is the one that it was killed at, and its file."""

    status: int
    stdout: bytes
    stderr: str
    took_s: float
    calls: int = 0
    at: str = ""
    left: tuple[int, ...] = ()

    @property
    def was_killed(self) -> bool:
        return self.status == -signal.SIGKILL

    @property
    def lines(self) -> list[bytes]:
        """The whole lines that it printed: the last one may be half of one."""
        return self.stdout.split(b"\n")[:-1]


def choose_moment(dice: random.Random, calm: Ran) -> Moment:
    """Choose a moment within, or just behind, what an undisturbed run took: most by its calls, where they are counted."""
    if calm.calls and dice.random() < 0.6:
        return Moment(call=dice.randint(1, calm.calls + 1))
    return Moment(after_s=dice.uniform(0.0, 1.1) * calm.took_s)


def preload() -> None:
    """Load what a verb would load: a fork begins at its work."""
    for verb in VERBS:
        importlib.import_module(f"fimkit.commands.{verb}")
    for name in ("verbs.check", "verbs.watch", "verbs.export", "verbs.evidence_bundle", "correlate.large", "report.text"):
        importlib.import_module(f"fimkit.{name}")
    gc.freeze()


class Running:
    """A run that goes on; :meth:`end` waits for it, or kills it."""

    def __init__(self, pid: int, folder: Path, report: int | None) -> None:
        self.pid, self._folder, self._report = pid, folder, report
        self._began = time.monotonic()
        self._status: int | None = None

    @property
    def stdout(self) -> bytes:
        return (self._folder / "stdout").read_bytes()

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text("utf-8", "replace")

    def poll(self) -> bool:
        """Tell whether it has ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status is not None

    @property
    def lines(self) -> list[bytes]:
        """What it has printed in whole lines."""
        return [line for line in self.stdout.splitlines(keepends=True) if line.endswith(b"\n")]

    def wait(self, is_there: Callable[[], object]) -> None:
        """Wait for something to be so while it runs."""
        until = time.monotonic() + _PATIENCE_S
        while not is_there():
            assert not self.poll() and time.monotonic() < until, self.stderr
            time.sleep(0.02)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.poll():
            return
        with suppress(OSError):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children") if self._report is not None else None
            for pid in [self.pid] if children is None else map(int, children.read_text().split()):  # the tracer tells of its end
                os.kill(pid, number)

    def end(self, after_s: float | None = None) -> Ran:
        """Wait for its end, and kill it after a time from its beginning."""
        until = self._began + (_PATIENCE_S if after_s is None else after_s)
        while not self.poll() and time.monotonic() < until:
            time.sleep(max(0.0, min(0.002, until - time.monotonic())))
        is_late = not self.poll() and after_s is None
        while not self.poll():
            self.kill()
            time.sleep(0.001)
        assert not is_late, f"not done after {_PATIENCE_S:g} s: {self.stderr}"
        session, calls, status, at = self.pid, 0, self._status, ""
        if self._report is not None:
            with os.fdopen(self._report) as pipe:
                fields = pipe.read().split(" ", 3)
            session, calls, status = (int(one) for one in fields[:3])
            at = fields[3]
        assert status is not None
        took_s = time.monotonic() - self._began
        return Ran(status, self.stdout, self.stderr, took_s, calls, at, _left(session))


def _left(session: int, patience_s: float = 5.0) -> tuple[int, ...]:
    """Find who is left of a run's session after a while; it is ended."""
    until = time.monotonic() + patience_s
    while left := _session(session):
        if time.monotonic() > until:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return tuple(left)
        time.sleep(0.01)
    return ()


def _session(session: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                fields = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[3]) == session and fields[0] != b"Z":
                    found.append(int(name))
    return found


def _be(words: Sequence[str], folder: Path, prepare: Callable[[], object] | None) -> None:
    """Be the run, and never come back."""
    status = _CRASHED
    try:
        os.setsid()
        for number, name in enumerate((os.devnull, folder / "stdout", folder / "stderr")):
            os.dup2(os.open(name, os.O_WRONLY if number else os.O_RDONLY), number)
        os.closerange(3, 4096)  # what it would hold open: another test's pipes
        sys.stdin, sys.stdout = io.open(0, closefd=False), io.open(1, "w", closefd=False)  # noqa: SIM115, UP020
        sys.stderr = io.open(2, "w", buffering=1, closefd=False)  # noqa: SIM115, UP020
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if prepare is not None:
            prepare()
        status = main(list(words))
        sys.stdout.flush()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else _CRASHED
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stderr.flush()
        os._exit(status)


def _trace(pid: int, stop_at: int | None) -> tuple[int, int, str]:
    """Count the calls of a process and its threads, and kill it at one; gives count, exit status and the call."""
    count, at, info = 0, "", ctypes.create_string_buffer(88)
    while True:
        try:
            tid, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            return count, -signal.SIGKILL, at
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if tid == pid:
                return count, os.waitstatus_to_exitcode(status), at
            continue
        number, passed = os.WSTOPSIG(status), 0
        if number == signal.SIGTRAP | 0x80:
            _LIBC.ptrace(_GET_SYSCALL_INFO, tid, len(info), ctypes.addressof(info))
            operation, call, first = info.raw[0], *struct.unpack_from("=QQ", info.raw, 24)
            if operation == _ENTRY and call in _CALLS:
                count += 1
                if count == stop_at:
                    with suppress(OSError):
                        at = Path(os.readlink(f"/proc/{pid}/fd/{first}")).name
                    at = f"{_CALLS[call]} {at}".strip()
                    os.kill(pid, signal.SIGKILL)
        elif not status >> 16 and number != signal.SIGTRAP:
            passed = number
        _LIBC.ptrace(_SYSCALL, tid, None, passed)


def _be_traced(words: Sequence[str], folder: Path, moment: Moment, report: int, prepare: Callable[[], object] | None) -> None:
    """Be the tracer of a run, and never come back."""
    try:
        held, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(held, 1)
            _be(words, folder, prepare)
        os.close(held)
        said = f"{pid} 0 {_CRASHED} "
        if _LIBC.ptrace(_SEIZE, pid, None, _OPTIONS) == 0:
            _LIBC.ptrace(_INTERRUPT, pid, None, None)
            os.close(go)  # it goes on from its stop alone
            count, status, at = _trace(pid, moment.call)
            said = f"{pid} {count} {status} {at}"
        os.write(report, said.encode())
    finally:
        os._exit(0)


def start(
    words: Sequence[str], folder: Path, *, moment: Moment | None = None, prepare: Callable[[], object] | None = None
) -> Running:
    """Start a run of the command line.

    Args:
        words: Its arguments.
        folder: Where its output goes; one run at a time.
        moment: Where a call's number is asked for, the tracer goes with it, and kills by it.
        prepare: Called in the fork first.
    """
    folder.mkdir(exist_ok=True)
    for name in ("stdout", "stderr"):
        (folder / name).write_bytes(b"")
    if moment is None or moment.call is None:
        pid = os.fork()
        if pid == 0:
            _be(words, folder, prepare)
        return Running(pid, folder, None)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _be_traced(words, folder, moment, writer, prepare)
    os.close(writer)
    return Running(pid, folder, reader)


def run(words: Sequence[Any], folder: Path, moment: Moment = NEVER) -> Ran:
    """Run it to its end, or to the moment of its death; what it prints must be no traceback."""
    ran = start([str(word) for word in words], folder, moment=moment).end(moment.after_s)
    assert "Traceback" not in ran.stderr and ran.status != _CRASHED, ran.stderr
    return ran


def count_calls(words: Sequence[Any], folder: Path) -> Ran:
    """Run it undisturbed, and count its calls where that is possible; the time is that of a run that nobody counts."""
    return run(words, folder, Moment(call=0) if CAN_COUNT else NEVER)
