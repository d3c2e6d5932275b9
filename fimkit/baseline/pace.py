"""How fast a scan may go: so many bytes and paths a second, at the lowest priority, on a host that has other work."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from fimkit.model.config import Scanning

__all__ = ["Pace", "low_priority"]

_LONGEST_S = 0.5
_MB = 1_000_000

_IOPRIO_CALLS = {"x86_64": (251, 252), "aarch64": (30, 31)}
"""ioprio_set(2) and ioprio_get(2) by number: the C library has none. Source: linux, asm/unistd_64.h, asm-generic/unistd.h."""
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_IDLE = 3 << 13


class Pace:
    """Holds a reader up until what it has read is within its rates.

    Time that was not used is not saved up: after a pause the rate is the same, not a burst.
    """

    def __init__(
        self, limits: Scanning, *, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Take the limits; 0 is none."""
        self._per_byte_s = 1 / (limits.mb_per_s * _MB) if limits.mb_per_s else 0.0
        self._per_file_s = 1 / limits.files_per_s if limits.files_per_s else 0.0
        self._now, self._sleep = now, sleep
        self._bytes_due = self._files_due = 0.0

    @property
    def limits(self) -> bool:
        """True where there is a rate to be held."""
        return bool(self._per_byte_s or self._per_file_s)

    def take_bytes(self, count: int) -> None:
        """Tell that so many bytes were read; returns when the next may be."""
        if self._per_byte_s:
            self._bytes_due = max(self._bytes_due, self._now()) + count * self._per_byte_s
            self._wait(self._bytes_due)

    def take_files(self, count: int = 1) -> None:
        """Tell that so many paths were looked at; returns when the next may be."""
        if self._per_file_s:
            self._files_due = max(self._files_due, self._now()) + count * self._per_file_s
            self._wait(self._files_due)

    def _wait(self, due: float) -> None:
        while (left := due - self._now()) > 0:
            self._sleep(min(left, _LONGEST_S))


@contextlib.contextmanager
def low_priority(wanted: bool) -> Iterator[None]:
    """Give way to all others meanwhile: the last priority for this thread's processor time, and the idle class for its disk.

    Source: setpriority(2) (on Linux, of one thread), ioprio_set(2). What the kernel refuses is left as it is: who may lower a
    priority may not always raise it again.
    """
    if not wanted:
        yield
        return
    was, io_was = os.getpriority(os.PRIO_PROCESS, 0), _swap_io_priority(_IOPRIO_IDLE)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 19)
    try:
        yield
    finally:
        _swap_io_priority(io_was)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, was)


def _swap_io_priority(value: int) -> int:
    """Set this thread's, and give what it was."""
    calls = _IOPRIO_CALLS.get(os.uname().machine)
    if calls is None or value < 0:
        return -1
    import ctypes  # only who is to give way pays for it

    syscall = ctypes.CDLL(None, use_errno=True).syscall
    was = int(syscall(calls[1], _IOPRIO_WHO_PROCESS, 0))
    syscall(calls[0], _IOPRIO_WHO_PROCESS, 0, value)
    return was
