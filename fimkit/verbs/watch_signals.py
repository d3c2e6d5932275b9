"""The signals that a live watch obeys, as something to be read beside its sources."""

import contextlib
import signal
import socket
from collections import deque
from collections.abc import Iterator
from types import FrameType

__all__ = ["Signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Signals(contextlib.AbstractContextManager["Signals"]):
    """Signals as something to be read beside the rest; none of them interrupts a batch."""

    def __init__(self) -> None:
        self.caught: deque[int] = deque()
        self.reader, self._writer = socket.socketpair()
        for end in (self.reader, self._writer):
            end.setblocking(False)
        self._before = {number: signal.signal(number, self._catch) for number in _SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.caught.append(number)

    def take(self) -> Iterator[int]:
        """Give what came since."""
        with contextlib.suppress(BlockingIOError):
            self.reader.recv(4096)
        while self.caught:
            yield self.caught.popleft()

    def __exit__(self, *error: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.reader.close()
        self._writer.close()
