"""Gives up rights (capabilities) that were needed at the start alone.

Source: capset(2), prctl(2), capabilities(7); linux/capability.h. The system calls are used as they are: glibc has no functions of
names, and libcap is not on every host.
"""

import ctypes
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from fimkit.model.errors import HostError, UsageError, clip

__all__ = ["RIGHTS", "drop_rights", "held_rights", "join_group"]

RIGHTS = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
    "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
    "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
    "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip
"""The kernel's rights by number, without ``CAP_``. Source: linux/capability.h of Linux 6.12."""

_VERSION_3 = 0x20080522
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38
_LAST = Path("/proc/sys/kernel/cap_last_cap")


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _call(name: str, *arguments: object) -> int:
    answer: int = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if answer < 0:
        number = ctypes.get_errno()
        raise HostError(number, f"{name}: {os.strerror(number)}")
    return answer


def _prctl(option: int, value: int) -> int:
    return _call("prctl", option, *map(ctypes.c_ulong, (value, 0, 0, 0)))


def _load() -> ctypes.Array[_Half]:
    halves = (_Half * 2)()
    _call("capget", ctypes.byref(_Header(_VERSION_3, 0)), halves)
    return halves


def _bits(names: Iterable[str]) -> int:
    total = 0
    for name in names:
        plain = name.upper().removeprefix("CAP_")
        if plain not in RIGHTS:
            raise UsageError(f"{clip(name)} is no capability, expected one as 'AUDIT_READ'")
        total |= 1 << RIGHTS.index(plain)
    return total


def _names(bits: int) -> frozenset[str]:
    return frozenset(name for number, name in enumerate(RIGHTS) if bits >> number & 1)


def held_rights() -> frozenset[str]:
    """Name the rights that this thread has in effect."""
    low, high = _load()
    return _names(low.effective | high.effective << 32)


def _last_right() -> int:
    try:
        return int(_LAST.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return len(RIGHTS) - 1


def _bar_return(keep: int) -> None:
    """See to it that no program started from here gets a dropped right back: root's programs are given all that is not barred."""
    barred = [number for number in range(_last_right() + 1) if not keep >> number & 1 and _prctl(_PR_CAPBSET_READ, number)]
    try:
        for number in barred:
            _prctl(_PR_CAPBSET_DROP, number)
    except HostError:  # needs SETPCAP; without it the kernel still takes a promise that no exec will give more
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_rights(keep: Collection[str]) -> frozenset[str]:
    """Give up every right but some, for good: of this thread, of the threads that it starts, and of their programs.

    Call it before there are other threads: the kernel keeps rights by thread, and those that run already keep theirs.

    Args:
        keep: Names as ``AUDIT_READ`` or ``cap_audit_read``. What is not held is not gained.

    Returns:
        What is held now.

    Raises:
        UsageError: If a name is unknown; nothing is dropped then.
        HostError: If the kernel refuses.
    """
    wanted = _bits(keep)
    _bar_return(wanted)
    halves = _load()
    for shift, half in enumerate(halves):
        mask = wanted >> 32 * shift & 0xFFFF_FFFF
        half.permitted &= mask
        half.effective = half.permitted
        half.inheritable &= mask  # the ambient set follows by itself
    _call("capset", ctypes.byref(_Header(_VERSION_3, 0)), halves)
    return held_rights()


def join_group(group: int) -> None:
    """Become a member of one more group, before the right to it is given up: a member may give files of its own to the group.

    Args:
        group: The number; -1 is none.

    Raises:
        HostError: If the kernel refuses.
    """
    if group == -1 or group == os.getegid() or group in os.getgroups():
        return
    try:
        os.setgroups([*os.getgroups(), group])
    except OSError as error:
        raise HostError(f"cannot join the group {group}: {error.strerror}") from error
