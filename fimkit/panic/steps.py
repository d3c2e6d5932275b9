"""Runs the steps of a panic that gather: each bounded in time and output, and none able to stop the next one."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fimkit.panic.incident import Entry, Incident, OutputFull, OutputOver, Sink, Status

__all__ = ["Background", "Step", "StepAbsent", "run_step", "run_steps", "start_steps"]

_MOST_BYTES = 8 << 20
_FINISH_S = 2.0  # a disk that does not answer is not waited for


class StepAbsent(Exception):
    """What the step is about is not on this host; its words say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to gather into one file.

    ``write`` gives its output to the sink and may return words for the index. ``share`` of the time that is left is the most that
    it gets, so that one that hangs leaves the rest to the others; ``most_s`` bounds that.
    """

    name: str
    write: Callable[[Sink], str | None]
    file: str
    subject: str = ""
    most_bytes: int = _MOST_BYTES
    most_s: float = 5.0
    share: float = 0.25


class _Running:
    """One step in its thread."""

    def __init__(self, step: Step, sink: Sink) -> None:
        self._step, self.sink = step, sink
        self.status, self.note = Status.OK, ""
        self.ended = threading.Event()
        threading.Thread(target=self._run, name=f"fimkit {step.name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self.note = self._step.write(self.sink) or ""
        except OutputFull:
            self.status, self.note = Status.TRUNCATED, f"cut at {self._step.most_bytes} bytes"
        except OutputOver as error:
            self.status, self.note = Status.TIMEOUT, str(error)
        except StepAbsent as error:
            self.status, self.note = Status.ABSENT, str(error)
        except Exception as error:  # nothing that a step meets may stop a panic
            self.status, self.note = Status.FAILED, f"{type(error).__name__}: {error}"
        self.ended.set()


def run_step(incident: Incident, step: Step, *, patience_s: float) -> Entry:
    """Run one step, wait for it no longer than ``patience_s`` and a moment for the disk, and note it in the index.

    Args:
        incident: Where its file goes.
        step: What to do.
        patience_s: A step that takes longer is left behind; what it has written by then is kept, and nothing after.

    Returns:
        Its line of the index.
    """
    started_ns, started = time.time_ns(), time.monotonic()
    status, note, sink = Status.SKIPPED, "the time for all steps was over", None
    if patience_s > 0:
        try:
            sink = incident.create(step.file, most_bytes=step.most_bytes)
            status, note = _watch(_Running(step, sink), patience_s)
        except (OSError, RuntimeError) as error:  # a full disk; no more threads
            status, note = Status.FAILED, f"{type(error).__name__}: {error}"
    trouble = _finish(sink) if sink else None
    entry = Entry(
        step=step.name,
        subject=step.subject,
        started_ns=started_ns,
        took_s=time.monotonic() - started,
        status=Status.FAILED if trouble and status is Status.OK else status,
        note="; ".join(filter(None, (note, trouble))),
        file=step.file if sink else None,
        size_bytes=sink.size_bytes if sink else 0,
        sha256=sink.digest() if sink else None,
    )
    incident.note(entry)
    return entry


def _watch(running: _Running, patience_s: float) -> tuple[Status, str]:
    if running.ended.wait(patience_s):
        return running.status, running.note
    running.sink.stop()
    return Status.TIMEOUT, f"not done within {patience_s:g} s"


def _finish(sink: Sink) -> str | None:
    """Bring a file to the disk in a thread: a disk that hangs holds that one alone."""
    trouble: list[str] = ["not on the disk yet: it does not answer"]

    def finish() -> None:
        try:
            sink.finish()
            trouble.clear()
        except OSError as error:
            trouble[0] = f"not on the disk: {error.strerror}"

    thread = threading.Thread(target=finish, name="fimkit finish", daemon=True)
    with contextlib.suppress(RuntimeError):
        thread.start()
        thread.join(_FINISH_S)
    return trouble[0] if trouble else None


def run_steps(incident: Incident, steps: Sequence[Step], *, deadline_s: float, side_by_side: int = 1) -> list[Entry]:
    """Run steps in order, some at a time.

    Args:
        incident: Where their files go.
        steps: What to do, the most volatile first.
        deadline_s: For all of them; those that it does not reach are noted as skipped.
        side_by_side: How many run at a time.

    Returns:
        Their lines of the index, in the order of the steps. None of them raises.
    """
    return start_steps(incident, steps, deadline_s=deadline_s, side_by_side=side_by_side).wait()


class Background:
    """Steps that run while something else is done. From :func:`start_steps`."""

    def __init__(self, incident: Incident, steps: Sequence[Step], *, deadline_s: float, side_by_side: int) -> None:
        """Begin."""
        self._incident, self._steps = incident, tuple(steps)
        self._end = time.monotonic() + deadline_s
        self._next, self._lock = 0, threading.Lock()
        self._entries: dict[int, Entry] = {}
        count = max(1, min(side_by_side, len(self._steps)))
        self._threads = [threading.Thread(target=self._work, name="fimkit steps", daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (number := self._take()) is not None:
            step = self._steps[number]
            left = self._end - time.monotonic()
            share = step.share if number + 1 < len(self._steps) else 1.0
            entry = run_step(self._incident, step, patience_s=min(step.most_s, left * share))
            with self._lock:
                self._entries[number] = entry

    def _take(self) -> int | None:
        with self._lock:
            number = self._next
            self._next += 1
        return number if number < len(self._steps) else None

    def wait(self) -> list[Entry]:
        """Wait for the end, at most until the deadline and a moment for the disk.

        Returns:
            The lines of those that have ended, in the order of the steps.
        """
        for thread in self._threads:
            thread.join(max(0.0, self._end + _FINISH_S * 2 - time.monotonic()))
        with self._lock:
            return [self._entries[number] for number in sorted(self._entries)]


def start_steps(incident: Incident, steps: Sequence[Step], *, deadline_s: float, side_by_side: int = 1) -> Background:
    """Begin steps, as :func:`run_steps` does, and return at once.

    Args:
        incident: Where their files go.
        steps: What to do.
        deadline_s: For all of them.
        side_by_side: How many run at a time.
    """
    return Background(incident, steps, deadline_s=deadline_s, side_by_side=side_by_side)
