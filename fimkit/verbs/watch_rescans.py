"""The whole looks of a watch, one at a time: at their time, at the start of a blindness, and when somebody asks."""

import selectors
import time
from collections.abc import Callable, Iterable, Sequence

from fimkit.model.config import Config, Watch
from fimkit.verbs.watch_rescan import Rescan, RescanResult
from fimkit.verbs.watch_status import WatchStatus

__all__ = ["Rescans"]

_AGAIN_S = 60
"""After one that could not be started: the host has no process or no memory to give."""


class Rescans:
    """What is under way, what is due, and what was said already.

    Args:
        config: Says how often; a later one may be put in its place by :meth:`reconfigure`.
        status: Is told of them.
        watches: Gives what is scanned.
        say: Shows words.
    """

    def __init__(
        self,
        config: Config,
        status: WatchStatus,
        watches: Callable[[], Sequence[Watch]],
        say: Callable[[Iterable[str]], None],
    ) -> None:
        """Begin with none under way; the first is due after the configured time."""
        self._config, self._status, self._watches, self._say = config, status, watches, say
        self._running: Rescan | None = None
        self._again = False
        self._said: frozenset[str] = frozenset()
        self._due_s = self._next_due()

    def _next_due(self) -> float:
        seconds = self._config.watch.rescan_s
        return time.monotonic() + seconds if seconds else float("inf")

    def reconfigure(self, config: Config) -> None:
        """Take another configuration: what is due stays so, or comes sooner."""
        self._config = config
        self._due_s = min(self._due_s, self._next_due())

    def listen(self, selector: selectors.BaseSelector) -> None:
        """Have the end of the one under way heard."""
        if self._running is not None and self._running.fileno() not in selector.get_map():
            selector.register(self._running.fileno(), selectors.EVENT_READ)

    def start_due(self, now_s: float) -> None:
        """Start one where it is time."""
        if now_s >= self._due_s:
            self.start(quick=False)

    def start(self, *, quick: bool) -> None:
        """Start one; where one is under way, another follows it.

        Args:
            quick: By metadata; the hash of a file whose times did not move is the baseline's.
        """
        if self._running is not None:
            self._again = True
            return
        self._due_s = self._next_due()
        state_dir, limits = self._config.host.state_dir, self._config.scan
        try:
            self._running = Rescan(state_dir, self._watches(), quick=quick, limits=limits)
        except OSError as error:
            words = frozenset({f"a rescan cannot be started: {error.strerror}; it is tried again in {_AGAIN_S} s"})
            self._say(words - self._said)
            self._said |= words
            self._due_s = min(self._due_s, time.monotonic() + _AGAIN_S)
            return
        self._status.rescanning = True

    def read(self, selector: selectors.BaseSelector) -> RescanResult | None:
        """Take what one that has ended found; ``None`` while it goes on, and of one that failed."""
        if self._running is None or (result := self._running.read()) is None:
            return None
        if self._running.fileno() in selector.get_map():
            selector.unregister(self._running.fileno())
        self.end()
        self._status.rescanning = False
        self._say(words for words in result.words if words not in self._said)
        self._said = frozenset(result.words)
        if self._again:
            self._again = False
            self.start(quick=True)
        if not result.is_whole:
            return None
        self._status.rescans += 1
        self._status.last_rescan_ns = time.time_ns()
        return result

    def end(self) -> None:
        """Stop the one under way, if there is one."""
        if self._running is not None:
            self._running.end()
            self._running = None
