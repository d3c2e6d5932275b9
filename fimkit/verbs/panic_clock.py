"""Runs the parts of a panic, each in a thread that is left behind when its time is over, and writes down how each went."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fimkit.panic.incident import Status
from fimkit.panic.steps import StepAbsent
from fimkit.verbs.panic_order import StepTime

__all__ = ["Done", "PanicClock", "Pending"]

T = TypeVar("T")
_MARGIN_S = 2.0      # before the deadline: what is under way is left behind then, and the cut itself takes its time too
_MARGIN_SHARE = 5
_PART_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[T]):
    """What a part gives back: ``words`` for the report."""

    value: T
    words: str = ""
    status: Status = Status.OK


class Pending(Generic[T]):
    """A part under way."""

    def __init__(self, name: str, work: Callable[[], Done[T]], began_s: float) -> None:
        """Take note; :meth:`start` begins."""
        self.name, self.began_s = name, began_s
        self.value: T | None = None
        self._work, self._began, self._took_s = work, time.monotonic(), 0.0
        self._ended = threading.Event()
        self._status, self._words = Status.SKIPPED, "not begun"

    def start(self) -> None:
        """Begin, in a thread.

        Raises:
            RuntimeError: If the host gives no more threads.
        """
        self._status, self._words = Status.TIMEOUT, "under way"
        threading.Thread(target=self.work, name=f"fimkit {self.name}", daemon=True).start()

    def work(self) -> None:
        """Do it; nothing that it meets comes out but as a status and words."""
        try:
            done = self._work()
            self.value, status, words = done.value, done.status, done.words
        except StepAbsent as error:
            status, words = Status.ABSENT, str(error)
        except Exception as error:  # nothing that a part meets may stop a panic
            status, words = Status.FAILED, f"{type(error).__name__}: {error}"
        self._took_s = time.monotonic() - self._began
        self._status, self._words = status, words
        self._ended.set()

    def fail(self, words: str) -> None:
        """Say that it could not be begun."""
        self._status, self._words = Status.FAILED, words
        self._ended.set()

    def wait(self, patience_s: float) -> T | None:
        """Wait so long at most, and give what it gave."""
        if not self._ended.wait(max(0.0, patience_s)) and self._status is Status.TIMEOUT:
            self._words = f"left behind after {time.monotonic() - self._began:.1f} s"
        return self.value if self._ended.is_set() else None

    @property
    def status(self) -> Status:
        """How it stands now."""
        return self._status

    def time(self) -> StepTime:
        """Give its line of the report, as it stands now: one that was left behind may have ended since."""
        took_s = self._took_s if self._ended.is_set() else time.monotonic() - self._began
        return StepTime(name=self.name, began_s=self.began_s, took_s=took_s, status=self._status, words=self._words)


class PanicClock:
    """The one clock of a panic, and what was done on it. It begins when it is made."""

    def __init__(self, deadline_s: float) -> None:
        """Begin: the cut is due a moment before ``deadline_s``."""
        self._start = time.monotonic()
        self.cut_s = deadline_s - min(_MARGIN_S, deadline_s / _MARGIN_SHARE)
        self._parts: list[Pending[object]] = []

    def now_s(self) -> float:
        """Give the seconds since the trigger."""
        return time.monotonic() - self._start

    def left_s(self, most_s: float, *, spare_s: float = 0.0) -> float:
        """Give how long something may take: ``most_s``, but never so long that ``spare_s`` would not be left before the cut."""
        return max(0.0, min(most_s, self.cut_s - spare_s - self.now_s()))

    def part_s(self, most_s: float) -> float:
        """Give how long a small part may take: never more than a quarter of the time that is left before the cut."""
        return min(most_s, self.left_s(self.cut_s) * _PART_SHARE)

    def begin(self, name: str, work: Callable[[], Done[T]]) -> Pending[T]:
        """Begin a part, and wait for it later or never."""
        part = Pending(name, work, self.now_s())
        self._parts.append(part)  # type: ignore[arg-type]  # only read from
        try:
            part.start()
        except RuntimeError as error:
            part.fail(f"not begun: {error}")
        return part

    def run(self, name: str, work: Callable[[], Done[T]], *, patience_s: float) -> T | None:
        """Run a part for so long at most; without any time it is noted as skipped."""
        if patience_s <= 0:
            self._parts.append(Pending(name, work, self.now_s()))  # type: ignore[arg-type]
            return None
        return self.begin(name, work).wait(patience_s)

    def insist(self, name: str, work: Callable[[], Done[T]], *, patience_s: float) -> T | None:
        """Run a part that must be done: where the host gives no thread, in this one."""
        part = Pending(name, work, self.now_s())
        self._parts.append(part)  # type: ignore[arg-type]
        try:
            part.start()
        except RuntimeError:
            part.work()
        return part.wait(patience_s)

    def note(self, name: str, status: Status, words: str) -> None:
        """Note something that took no time."""

        def nothing() -> Done[None]:
            return Done(value=None, words=words, status=status)

        part = Pending(name, nothing, self.now_s())
        part.work()
        self._parts.append(part)  # type: ignore[arg-type]

    def times(self) -> tuple[StepTime, ...]:
        """Give all parts, in the order in which they were begun, as they stand now."""
        return tuple(part.time() for part in list(self._parts))
