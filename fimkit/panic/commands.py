"""Runs configured commands into an incident: no shell, a session of their own, killed at their bound with all they have started."""

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from fimkit.model.paths import render_terminal
from fimkit.panic.incident import OutputOver, Sink
from fimkit.panic.leftovers import MARK, kill_leftovers, new_mark
from fimkit.panic.steps import Step, StepAbsent

__all__ = ["PROGRAM_PATH", "plan_commands"]

PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a command's program is looked for, when its whole path is not written."""
_ENVIRONMENT = {"PATH": PROGRAM_PATH, "LC_ALL": "C", "HOME": "/"}
_READ_BYTES = 1 << 16
_POLL_S = 0.1
_REAP_S = 1.0


def plan_commands(
    name: str, commands: Sequence[Sequence[str]], *, most_s: float = 5.0, most_bytes: int = 4 << 20, share: float = 0.5,
    folder: bytes = b"/", stop: threading.Event | None = None, may_leave: bool = False,
) -> tuple[Step, ...]:
    """Make a step of each command.

    Args:
        name: Of the steps, with a number; ``recon``, ``packetgrab``.
        commands: A program and its words, each.
        most_s: A command that runs longer is killed, with all that it started.
        most_bytes: Of its output, both streams; at more it is killed too.
        share: Of the time left that one may take.
        folder: Where they run: what a command writes by a relative name is there.
        stop: For commands that are meant to run until their time is over: when that is, or this is set, they are asked to end
            (SIGTERM) before they are killed, so that they write what they have.
        may_leave: What they put into a session of its own goes on, as a service does that they start.
    """
    return tuple(
        Step(
            name=f"{name}_{number}",
            subject=render_terminal(" ".join(command)),
            file=f"{name}-{number:02d}.txt",
            write=_writer(tuple(command), most_s, folder, stop, may_leave),
            most_bytes=most_bytes,
            most_s=most_s + _REAP_S * (2 if stop else 1),
            share=share,
        )
        for number, command in enumerate(commands, 1)
    )


def _writer(
    command: tuple[str, ...], most_s: float, folder: bytes, stop: threading.Event | None, may_leave: bool
) -> Callable[[Sink], str | None]:
    def write(sink: Sink) -> str | None:
        return _run(command, sink, end=time.monotonic() + most_s, folder=folder, stop=stop, may_leave=may_leave)

    return write


def _run(
    command: tuple[str, ...], sink: Sink, *, end: float, folder: bytes, stop: threading.Event | None, may_leave: bool
) -> str:
    mark = "" if may_leave else new_mark()
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
            env=_ENVIRONMENT | ({MARK: mark} if mark else {}), start_new_session=True, close_fds=True,
        )
    except FileNotFoundError as error:
        if error.filename == folder:
            raise
        raise StepAbsent(f"there is no program {render_terminal(command[0])}") from None
    assert process.stdout is not None
    with process.stdout:
        try:
            finished, asked = _follow(process, sink, end, stop), False
            if not finished and stop is not None and not sink.over:
                asked = True
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                finished = _follow(process, sink, time.monotonic() + _REAP_S, None)
        finally:
            left = _kill(process, mark)
    if not finished:
        raise OutputOver("killed, with all it had started: it ran too long")
    words = ("asked to end, its time was over: " if asked else "") + _describe(process.returncode)
    return words + f"; {left} that had left its session killed" * bool(left)


def _follow(process: subprocess.Popen[bytes], sink: Sink, end: float, stop: threading.Event | None) -> bool:
    """Copy output until the process has ended; false when the time is over before."""
    assert process.stdout is not None
    return _copy(process.stdout.fileno(), sink, end, stop) and _ended(process, end, sink, stop)


def _copy(reader: int, sink: Sink, end: float, stop: threading.Event | None) -> bool:
    """Copy output until nobody writes any more, and tell so; false when the time is over."""
    os.set_blocking(reader, False)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while not _over(sink, stop) and (left := end - time.monotonic()) > 0:
        if not poll.poll(min(left, _POLL_S) * 1000):
            continue
        chunk = os.read(reader, _READ_BYTES)
        if not chunk:
            return True
        sink.write(chunk)
    return False


def _over(sink: Sink, stop: threading.Event | None) -> bool:
    return sink.over or (stop is not None and stop.is_set())


def _ended(process: subprocess.Popen[bytes], end: float, sink: Sink, stop: threading.Event | None) -> bool:
    """Wait for one that has closed its output, and may go on."""
    while not _over(sink, stop) and time.monotonic() < end:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return True
    return False


def _kill(process: subprocess.Popen[bytes], mark: str) -> int:
    """Kill the group, also what a program that has ended left in it, and what has left it; give how many have.

    One that hangs in the kernel is left there.
    """
    left = kill_leftovers(mark, first=process.pid if process.returncode is None else None) if mark else set()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_REAP_S)
    return len(left | kill_leftovers(mark, first=None) if mark else left)


def _describe(code: int | None) -> str:
    if code is None:
        return "it does not end, not even killed"
    return f"exit status {code}" if code >= 0 else f"ended by signal {-code}"
