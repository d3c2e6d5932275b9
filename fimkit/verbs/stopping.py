"""A stop from outside ends the work as Ctrl-C does, so that what was put on the host is taken away again."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

__all__ = ["stopped_cleanly"]

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stopped_cleanly() -> Iterator[None]:
    """Turn the first stop from outside into KeyboardInterrupt; a second one does not disturb the putting back."""

    def stop(number: int, frame: FrameType | None) -> None:
        for one in _STOPS:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
