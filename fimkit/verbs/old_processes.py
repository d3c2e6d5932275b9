"""Processes that started before auditing was first switched on: the kernel never records them. Reads /proc and the log."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from fimkit.audit.logpart import READ_ERRORS, LogPart

__all__ = ["find_first_enabling", "list_older_processes", "load_boot_time"]

_ENABLED = re.compile(rb"msg=audit\((?P<s>[0-9]+)\.[0-9]+:[0-9]+\).*\bop=set\b.*\baudit_enabled=1 old=0\b")
_STAMP = re.compile(rb"msg=audit\(([0-9]+)\.")
_HINT = b"audit_enabled=1 old=0"
_CHUNK_BYTES = 1 << 20
_LONGEST_LINE = 1 << 16
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, linux/sched.h
_TICKS = 100  # USER_HZ: what /proc counts in, on every Linux


def load_boot_time(proc: Path = Path("/proc")) -> float | None:
    """Give when the kernel booted, in seconds since the epoch."""
    try:
        match = re.search(r"^btime ([0-9]+)$", (proc / "stat").read_text(), re.MULTILINE)
    except OSError:
        return None
    return float(match[1]) if match else None


def find_first_enabling(logs: Sequence[Path], *, boot_s: float | None) -> float | None:
    """Find when auditing was first switched on since the boot; ``None`` where the logs do not tell.

    They may not reach back so far, or not be readable.

    Args:
        logs: A log and its rotations, the oldest first.
        boot_s: When the kernel booted.
    """
    if not logs or not _reaches_back(logs[0], boot_s):
        return None
    for path in logs:
        for found_s in _enablings(path):
            if boot_s is None or found_s >= boot_s:
                return found_s
    return None


def _reaches_back(oldest: Path, boot_s: float | None) -> bool:
    """Tell whether the logs begin before the boot, or with auditd's first start.

    Where they do not, a later switching on would be taken for the first.
    """
    try:
        with closing(LogPart(oldest)) as part:
            first = _STAMP.search(part.head)
            older = first is not None and boot_s is not None and int(first[1]) < boot_s
            return older or part.head.startswith(b"type=DAEMON_START")
    except READ_ERRORS:
        return False


def _enablings(path: Path) -> Iterator[float]:
    """Give the times at which one file says that auditing was switched on; a damaged file gives those before the damage."""
    try:
        with closing(LogPart(path)) as part:
            rest = b""
            while chunk := part.read(_CHUNK_BYTES):
                whole, newline, rest = (rest + chunk).rpartition(b"\n")
                if not newline:
                    rest = rest[-_LONGEST_LINE:]
                    continue
                if _HINT in whole:
                    yield from (float(match["s"]) for match in _ENABLED.finditer(whole))
    except READ_ERRORS:
        return


def list_older_processes(first_s: float, *, proc: Path = Path("/proc"), boot_s: float | None) -> list[tuple[int, str]]:
    """Name the processes that are older than that, by number; the kernel's own threads are left out.

    Source: proc(5), /proc/PID/stat, fields 9 (flags) and 22 (starttime).
    """
    if boot_s is None:
        return []
    found = []
    for folder in proc.glob("[0-9]*"):
        try:
            head, _, rest = (folder / "stat").read_text(errors="replace").rpartition(")")
            fields = rest.split()
            flags, start_s = int(fields[6]), boot_s + int(fields[19]) / _TICKS
        except (OSError, ValueError, IndexError):
            continue
        if not flags & _KERNEL_THREAD and start_s < first_s:
            found.append((int(folder.name), head.partition("(")[2]))
    return sorted(found)
