"""Runs a site's handler commands for new files: as a user with no rights, without a shell, bounded in time, output and number."""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple

from fimkit.content.confine import find_user
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.time import render_time
from fimkit.verbs.outside_file import open_appended

__all__ = ["HANDLER_LOG", "Handlers", "fill_command"]

HANDLER_LOG = b"handler.log"
"""In the state folder: each run with its output; one older part beside it, as ``.1``."""

HANDLER_S = 30.0
_AT_ONCE = 2
_MOST_WAITING = 1000
_MOST_OUTPUT = 16 << 10
_MOST_LOG = 4 << 20
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Job(NamedTuple):
    command: tuple[str, ...]
    path: bytes


def fill_command(command: Sequence[str], path: bytes) -> list[bytes]:
    """Put a path in the place of each ``%%``, inside a word too. No shell reads it: it is one word whatever is in it.

    >>> fill_command(["/bin/cp", "%%", "/srv/in/"], b"/www/a b;c")
    [b'/bin/cp', b'/www/a b;c', b'/srv/in/']
    """
    return [os.fsencode(word).replace(b"%%", path) for word in command]


class Handlers:
    """The commands that wait and those that run. It takes at most a thousand; what is beyond is counted and said."""

    def __init__(self, state_dir: bytes, say: Callable[[str], None], *, user: str, seconds: float = HANDLER_S) -> None:
        """Begin with none.

        Args:
            state_dir: Where the log is.
            say: Told of what fails, once for each command and way.
            user: Whom the commands run as; nobody where there is none of that name. Without root's rights, the caller.
            seconds: What one may take.
        """
        self._log, self._say, self.user, self._seconds = os.path.join(state_dir, HANDLER_LOG), say, user, seconds
        self._jobs: queue.Queue[_Job] = queue.Queue(_MOST_WAITING)
        self._lock = threading.Lock()
        self._said: set[tuple[str, str]] = set()
        self._waiting: set[_Job] = set()
        self._threads: list[threading.Thread] = []
        self._dropped = 0

    def put(self, command: Sequence[str], path: bytes) -> None:
        """Have a command run for a file; returns at once. One that waits already finds the file as it is by then."""
        job = _Job(tuple(command), path)
        with self._lock:
            if job in self._waiting:
                return
            self._waiting.add(job)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._forget(job)
            self._dropped += 1
            if self._dropped == 1:
                self._say(f"more than {_MOST_WAITING} files wait for their handler: it is not run for what comes meanwhile")
            return
        if len(self._threads) < _AT_ONCE:
            self._threads.append(threading.Thread(target=self._work, name="fimkit-handler", daemon=True))
            self._threads[-1].start()

    def _forget(self, job: _Job) -> None:
        with self._lock:
            self._waiting.discard(job)

    def finish(self, patience_s: float) -> bool:
        """Wait until all have run, for a time; tell whether they have."""
        until = time.monotonic() + patience_s
        while self._jobs.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.01)
        return not self._jobs.unfinished_tasks

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            self._forget(job)
            if self._dropped and self._jobs.empty():
                dropped, self._dropped = self._dropped, 0
                self._say(f"handlers were not run for {dropped} files, for too many came at once")
            try:
                self._run(job)
            except Exception as error:  # a thread's end is silent, and the next file has its handler all the same
                self._fail(job, type(error).__name__, f"{type(error).__name__}: {error}")
            finally:
                self._jobs.task_done()

    def _run(self, job: _Job) -> None:
        began_s, began_ns = time.monotonic(), time.time_ns()
        user = find_user(self.user)
        who = {} if user is None else {"user": user[1], "group": user[2], "extra_groups": ()}
        try:
            process = subprocess.Popen(
                fill_command(job.command, job.path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True, cwd="/", env={"PATH": _PATH, "LC_ALL": "C.UTF-8"}, **who,  # type: ignore[call-overload]
            )  # fmt: skip
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            words = f"cannot be started: {getattr(error, 'strerror', None) or error}"
            self._write(job, began_ns, words, b"")
            self._fail(job, "start", words)
            return
        output = bytearray()
        reader = threading.Thread(target=_read, args=(process.stdout, output), daemon=True)
        reader.start()
        status = self._wait(process)
        reader.join(1.0)  # a grandchild in a session of its own may hold the pipe: it is not waited for
        words = f"took longer than {self._seconds:g} s, and was ended" if status is None else f"status {status}"
        self._write(job, began_ns, f"{words}, {time.monotonic() - began_s:.1f} s", bytes(output))
        if status != 0:
            self._fail(job, words, words)

    def _wait(self, process: "subprocess.Popen[bytes]") -> int | None:
        status: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(self._seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it left behind
        if status is None:
            process.wait()
        return status

    def _fail(self, job: _Job, kind: str, words: str) -> None:
        if (job.command[0], kind) in self._said:
            return
        self._said.add((job.command[0], kind))
        name, path = (render_terminal(render_path(one)) for one in (os.fsencode(job.command[0]), job.path))
        self._say(f"handler {name}: {words} (for {path}); this is said once, {render_path(self._log)} has each run")

    def _write(self, job: _Job, began_ns: int, words: str, output: bytes) -> None:
        shown = " ".join(render_path(word) for word in fill_command(job.command, job.path))
        lines = [f"{render_time(began_ns)} {render_terminal(shown)}: {render_terminal(words)}"]
        lines += [f"    {render_terminal(render_path(line))}" for line in output.splitlines()]
        text = "\n".join(lines) + "\n"
        with self._lock, contextlib.suppress(OSError):  # a full disk: the command has run, and its failure is said
            descriptor = open_appended(self._log)
            with open(descriptor, "ab") as file:
                if file.tell() > _MOST_LOG:
                    os.replace(self._log, self._log + b".1")
                file.write(text.encode())


def _read(stream: IO[bytes] | None, output: bytearray) -> None:
    """Keep the beginning of what it prints, and read on: it is not to be held up by a full pipe."""
    assert stream is not None
    with stream, contextlib.suppress(OSError, ValueError):
        while part := stream.read1(1 << 16):  # type: ignore[attr-defined]
            output += part[: max(0, _MOST_OUTPUT - len(output))]
