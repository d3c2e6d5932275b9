"""What a command leaves behind that has gone to a session of its own: found by a mark in its environment, or by its parents.

A group is killed by one call, and whoever calls setsid(2) is no part of it. The kernel could say what belongs together by a cgroup,
which takes rights that a panic's runner has not got.
"""

import os
import secrets
import signal
from contextlib import suppress

__all__ = ["MARK", "kill_leftovers", "new_mark"]

MARK = "FIMKIT_COMMAND"
"""The variable of the environment."""
_ROUNDS = 5
"""What is born while others are killed is found by the next look."""


def new_mark() -> str:
    """Give a mark that nobody has."""
    return secrets.token_hex(16)


def kill_leftovers(mark: str, *, first: int | None) -> set[int]:
    """Kill all that has a mark and has left its session, and what such a process or the first one has started.

    Args:
        mark: As it is in the environment of the command.
        first: The process of the command, which leads its session and is left alone; ``None`` when somebody has waited for it.

    Returns:
        Their numbers. One that may not be killed is among them.

    Source: proc_pid_stat(5); proc_pid_environ(5), the environment at the start of a program.
    """
    words, killed = f"{MARK}={mark}".encode(), set[int]()
    for _ in range(_ROUNDS):
        found = _find(words, first) - killed
        for pid in found:
            with suppress(OSError):  # it has ended meanwhile, or may not be killed
                os.kill(pid, signal.SIGKILL)
        killed |= found
        if not found:
            break
    return killed


def _find(words: bytes, first: int | None) -> set[int]:
    parents, sessions, found = dict[int, int](), dict[int, int](), set[int]()
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        with suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
            state, parent, _, session = _read(pid, "stat").rpartition(b") ")[2].split()[:4]
            if state not in b"ZX":
                parents[pid], sessions[pid] = int(parent), int(session)
        with suppress(OSError):  # another user's, without the right to look
            if pid in parents and words in _read(pid, "environ").split(b"\0"):
                found.add(pid)
    roots = found if first is None else found | {first}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in roots} - roots
        found |= more
        roots |= more
        grown = bool(more)
    return {pid for pid in found if sessions[pid] != first}


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read(1 << 18)
