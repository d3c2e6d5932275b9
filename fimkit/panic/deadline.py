"""A clock that runs whatever hangs: a thread, started while all is well, that does one thing when the time is over."""

import threading
import time
from collections.abc import Callable

__all__ = ["Deadline"]


class Deadline:
    """One deadline at a time."""

    def __init__(self, act: Callable[[], object]) -> None:
        """Take what is to be done at the deadline; it must not raise."""
        self._act = act
        self._changed = threading.Condition()
        self._end_s: float | None = None
        threading.Thread(target=self._run, name="fimkit deadline", daemon=True).start()

    def start(self, seconds: float) -> None:
        """Set it; an earlier one that runs stays as it is."""
        with self._changed:
            if self._end_s is None:
                self._end_s = time.monotonic() + seconds
                self._changed.notify_all()

    def call_off(self) -> None:
        """End it; where it has been reached, nothing is undone."""
        with self._changed:
            self._end_s = None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(None if self._end_s is None else max(0.0, self._end_s - time.monotonic()))
                if self._end_s is None or time.monotonic() < self._end_s:
                    continue
                self._end_s = None
            self._act()
