"""Work for several servers, side by side, under one real deadline: whoever is not done then is cut off and left behind.

A timeout of a socket is none for the whole: a server that sends a byte now and then never lets it pass. So each task has a daemon
thread, and a connection that can be shut down from outside.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fimkit.model.errors import HostError
from fimkit.notify.endpoint import Endpoint, resolve
from fimkit.notify.own_address import find_own_address

__all__ = ["Line", "Outcome", "Task", "run_side_by_side"]

_SLACK_S = 5.0      # a socket's own timeout comes after the deadline, and only wakes a thread that was left behind
_CONNECT_SHARE = 2  # of the time that is left: an address that does not answer leaves the rest to the next one


class Line:
    """One task's way out: its deadline, what it is doing, and the connection that can be shut down from outside."""

    def __init__(self, end: float) -> None:
        """Begin; ``end`` is on the monotonic clock."""
        self._end = end
        self._lock = threading.Lock()
        self._guards: list[socket.socket] = []
        self._over = False
        self.stage = "starting"

    def left_s(self) -> float:
        """Give the seconds that are left.

        Raises:
            TimeoutError: If none are.
        """
        left = self._end - time.monotonic()
        if left <= 0 or self._over:
            raise TimeoutError("the deadline is over")
        return left

    def guard(self, connection: socket.socket) -> socket.socket:
        """Let the connection be shut down at the deadline, whatever wraps it later."""
        double = connection.dup()  # TLS takes the descriptor away from the socket that it wraps; this one stays
        with self._lock:
            self._guards.append(double)
            if self._over:
                _shut(double)
        return connection

    def connect(self, endpoint: Endpoint) -> socket.socket:
        """Connect to the first address that answers, and never to one of this host.

        Raises:
            OSError: If none can be reached; with why, for each.
        """
        self.stage = "finding the address"
        addresses = endpoint.addresses or resolve(endpoint.host, deadline_s=self.left_s())
        problems = []
        for number, address in enumerate(addresses, 1):
            own = find_own_address(address)
            if own:
                problems.append(f"{own}, where an intruder reads it and holds it up")
                continue
            self.stage = f"connecting to {address}"
            left = self.left_s()
            try:
                return self._open(address, endpoint.port, left + _SLACK_S if number == len(addresses) else left / _CONNECT_SHARE)
            except OSError as error:
                problems.append(f"{address}: {error.strerror or error}")
        raise HostError("; ".join(problems) or "it has no address")

    def _open(self, address: str, port: int, patience_s: float) -> socket.socket:
        connection = socket.create_connection((address, port), timeout=patience_s)
        if connection.getpeername()[0] == connection.getsockname()[0]:
            connection.close()
            raise HostError(f"{address} is an address of this host: both ends of the connection are the same")
        connection.settimeout(max(0.0, self._end - time.monotonic()) + _SLACK_S)
        return self.guard(connection)

    def cut(self) -> None:
        """Shut the connections down: whoever waits on one wakes up with an error."""
        with self._lock:
            self._over = True
            for double in self._guards:
                _shut(double)

    def close(self) -> None:
        """Let go of the doubles."""
        with self._lock:
            for double in self._guards:
                double.close()
            self._guards.clear()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One server's share: ``work`` gives words for the receipt, and raises what went wrong."""

    name: str
    work: Callable[[Line], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one task: ``words`` when it was done, else ``error``; ``stage`` is what it was at in the end."""

    name: str
    words: str | None
    error: str | None
    stage: str
    took_s: float

    @property
    def done(self) -> bool:
        """Whether it did all it had to do."""
        return self.error is None


class _Runner:
    """One task in its thread."""

    def __init__(self, task: Task, end: float, ended: threading.Semaphore) -> None:
        self.task, self.line, self.started = task, Line(end), time.monotonic()
        self._ended = ended
        self.outcome: Outcome | None = None
        self.thread = threading.Thread(target=self._run, name=f"fimkit {task.name}", daemon=True)

    def _run(self) -> None:
        words, error = None, None
        try:
            words = self.task.work(self.line)
        except Exception as problem:  # a panic goes on, whatever a server or a library makes of it
            error = f"{type(problem).__name__}: {problem}"
        self.outcome = self.judge(words, error)
        self.line.close()
        self._ended.release()

    def judge(self, words: str | None, error: str | None) -> Outcome:
        return Outcome(
            name=self.task.name, words=words, error=error, stage=self.line.stage, took_s=time.monotonic() - self.started
        )

    def start(self) -> None:
        try:
            self.thread.start()
        except RuntimeError as error:  # no more threads on this host: the others go on
            self.outcome = self.judge(None, str(error))
            self._ended.release()

    def give_up(self, why: str) -> Outcome:
        outcome = self.outcome or self.judge(None, f"{why} ({self.line.stage})")
        self.line.cut()
        return outcome


def run_side_by_side(tasks: Sequence[Task], *, deadline_s: float, enough: Callable[[], bool] = lambda: False) -> list[Outcome]:
    """Run every task in a thread of its own until all have ended, it is enough, or the deadline is over.

    Args:
        tasks: What to do; each keeps to the methods of the :class:`Line` that it is given.
        deadline_s: For all of them together. This returns no later, whatever they do.
        enough: Asked whenever a task has ended; true leaves the others behind, cut off.

    Returns:
        One outcome for each task, in order.
    """
    end = time.monotonic() + deadline_s
    ended = threading.Semaphore(0)
    runners = [_Runner(task, end, ended) for task in tasks]
    for runner in runners:
        runner.start()
    why = f"not done within {deadline_s:g} s"
    for _ in runners:
        if not ended.acquire(timeout=max(0.0, end - time.monotonic())):
            break
        if enough():
            why = "not needed any more"
            break
    return [runner.give_up(why) for runner in runners]
