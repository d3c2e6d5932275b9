"""Tells systemd how a service is doing: started, alive, at what, reloading, stopping. Without systemd nothing happens.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
import time

__all__ = ["alive", "ready", "reloading", "status", "stopping", "watchdog_s"]


def _address() -> bytes | None:
    """Give the socket to write to; ``@`` stands for the NUL of the abstract name space."""
    name = os.environb.get(b"NOTIFY_SOCKET", b"")
    if name.startswith(b"@"):
        return b"\0" + name[1:]
    return name if name.startswith(b"/") else None


def _one_line(words: str) -> str:
    """A newline would begin another assignment, and a file's name may be part of the words."""
    return " ".join(words.split())


def _send(*assignments: str) -> bool:
    address = _address()
    if address is None:
        return False
    text = "\n".join(assignments).encode("utf-8", "replace")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as to_systemd:
            to_systemd.sendto(text, address)
    except OSError:  # a systemd that does not listen is no reason to stop watching
        return False
    return True


def ready(words: str) -> bool:
    """Say that the start, or a reload, is done.

    Args:
        words: The status line from now on.

    Returns:
        Whether anybody was told; false without systemd. So with all others here.
    """
    return _send("READY=1", f"STATUS={_one_line(words)}")


def alive() -> bool:
    """Feed the watchdog; due at least once in :func:`watchdog_s` seconds, better twice."""
    return _send("WATCHDOG=1")


def status(words: str) -> bool:
    """Set the line that ``systemctl status`` shows."""
    return _send(f"STATUS={_one_line(words)}")


def stopping() -> bool:
    """Say that the end has begun."""
    return _send("STOPPING=1")


def reloading() -> bool:
    """Say that a reload has begun; :func:`ready` ends it."""
    return _send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_s() -> float | None:
    """Tell within how many seconds systemd wants a sign of life; ``None`` if it wants none of this process."""
    interval, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (interval.isascii() and interval.isdigit()) or int(interval) == 0:
        return None
    if pid and pid != str(os.getpid()):  # meant for the process that started this one
        return None
    return int(interval) / 1_000_000
