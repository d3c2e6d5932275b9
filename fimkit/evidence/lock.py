"""One writer at a time for a state folder: a lock that the kernel lets go of when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fimkit.evidence.folder import check_private_file, make_state_dir
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path, render_terminal

__all__ = ["lock_state"]

_POLL_S = 0.05


def _open(path: bytes) -> int:
    check_private_file(path)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(f"cannot open the lock {render_path(path)}: {error.strerror}") from error


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    pid, _, verb = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip().partition(" ")
    if not pid:  # between its flock and its first write
        return "another process"
    return f"pid {render_terminal(pid)} ({render_terminal(verb or 'fimkit')})"


@contextmanager
def lock_state(state_dir: bytes, wait_s: float = 0.0, *, verb: str = "fimkit", name: bytes = b"lock") -> Iterator[None]:
    """Hold the one writer's lock of a state folder, which is made if it is missing. Readers need none.

    Args:
        state_dir: The folder; the lock is its file ``name``, which stays there, empty, afterwards.
        wait_s: How long to wait for another holder.
        verb: What holds it, for the words that another one gets to see.
        name: The file; another one than ``lock`` is a lock of its own, which keeps no writer away.

    Raises:
        HostError: If another process still holds it (named with pid and verb), or the folder is refused.
    """
    make_state_dir(state_dir)
    descriptor = _open(os.path.join(state_dir, name))
    try:
        until = time.monotonic() + wait_s
        while not _taken(descriptor):
            if time.monotonic() >= until:
                raise HostError(f"{_holder(descriptor)} is at work on {render_path(state_dir)}; try again when it is done")
            time.sleep(_POLL_S)
        with suppress(OSError):  # a full disk: the lock holds without its holder's name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {verb}\n".encode("utf-8", "replace"), 0)
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
