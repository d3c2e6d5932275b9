"""Shows what a watch tells, in a thread of its own: whoever does not read the output holds up neither the watching nor a stop."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Self, TypeVar

__all__ = ["Outlet"]

_MOST = 20_000

Told = TypeVar("Told")


class Outlet(Generic[Told]):
    """A bounded line of what is to be shown.

    What is put in is shown in its order, by one thread; :meth:`shown` gives the ids of what was. What does not fit any more is not
    shown, and counted in ``unshown``: its ids never come back. A failure of the output is raised by the next call.
    """

    def __init__(self, show: Callable[[Told], None], *, most: int = _MOST) -> None:
        """Start the thread.

        Args:
            show: Shows one of them; may take as long as it likes.
            most: How much may wait, in the measure of :meth:`put`'s ``size``.
        """
        self.unshown = 0
        self._show, self._most = show, most
        self._line: deque[tuple[Told, tuple[str, ...], int]] = deque()
        self._waiting = 0
        self._done: list[str] = []
        self._failure: BaseException | None = None
        self._since = time.monotonic()
        self._busy = self._ending = False
        self._changed = threading.Condition()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        threading.Thread(target=self._run, name="fimkit-outlet", daemon=True).start()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the thread, without waiting for it."""
        with self._changed:
            self._ending = True
            self._line.clear()
            self._changed.notify_all()

    def fileno(self) -> int:
        """The descriptor that can be read when something was shown."""
        return self._event

    def put(self, told: Told, ids: Sequence[str] = (), *, size: int = 1) -> bool:
        """Put something into the line, to be shown soon.

        Args:
            told: What is to be shown.
            ids: What counts as shown then.
            size: How much room it takes.

        Returns:
            Whether there was room.

        Raises:
            OSError: If the output failed before.
        """
        with self._changed:
            self._raise()
            if self._line and self._waiting + size > self._most:
                self.unshown += len(ids)
                return False
            self._line.append((told, tuple(ids), size))
            self._waiting += size
            self._changed.notify_all()
            return True

    def shown(self) -> list[str]:
        """Take the ids of what was shown since the last call.

        Raises:
            OSError: If the output failed.
        """
        with self._changed:
            self._raise()
            if self._done:
                os.eventfd_read(self._event)
            done, self._done = self._done, []
            return done

    def held_up_s(self) -> float:
        """Give for how many seconds the output has taken nothing of what waits; 0 where nothing does."""
        with self._changed:
            return time.monotonic() - self._since if self._busy else 0.0

    def end(self, wait_s: float) -> bool:
        """Wait until all is shown, for a time at most.

        Returns:
            Whether it was.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._line and not self._busy, wait_s) and self._failure is None

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _next(self) -> tuple[Told, tuple[str, ...], int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._ending)
            if not self._line:
                return None
            self._busy, self._since = True, time.monotonic()
            return self._line.popleft()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            failure: BaseException | None = None
            try:
                self._show(item[0])
            except BaseException as error:
                failure = error
            with self._changed:
                self._busy = False
                self._waiting -= item[2]
                if failure is not None:
                    self._failure = failure
                    self._line.clear()
                elif item[1]:
                    self._done += item[1]
                    os.eventfd_write(self._event, 1)
                self._changed.notify_all()
