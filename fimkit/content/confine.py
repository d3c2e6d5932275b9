"""What a process gives up before it reads hostile files: rights, network, new files, new processes, time and memory.

It keeps the descriptors that it has and is handed, memory within a bound, and its clock. Most of it is the system call filter: a
call that is not on the list fails with EPERM, whatever is in the file that made the process make it.
"""

import ctypes
import os
import platform
import pwd
import resource
import struct
import sys
from dataclasses import dataclass

__all__ = ["SCAN_USER", "Confinement", "confine", "find_user"]

SCAN_USER = "fimkit-scan"
"""The user that the installation makes for this alone."""

_NOBODY = "nobody"
_MEMORY_BYTES = 768 << 20
"""Above what the process has when it is ready, rules and all: a large file, what matching it takes, and room to spare."""

_CPU_S = 600
_FILES = 192

# Source: sched(7), linux/sched.h; linux/prctl.h; linux/seccomp.h.
_NEWUSER, _NEWNET, _NEWIPC, _NEWNS, _NEWUTS = 0x10000000, 0x40000000, 0x08000000, 0x00020000, 0x04000000
_SET_DUMPABLE, _SET_NO_NEW_PRIVS = 4, 38
_MODE_FILTER, _THREADS_TOO = 1, 1
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050001, 0x80000000

# The calls that reading, searching and answering need, by architecture: its audit number, and the calls' own.
# Source: linux/audit.h; arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h.
_SYSCALLS = {
    "x86_64": (0xC000003E, 317, (
        0,    # read
        3,    # close
        5,    # fstat
        7,    # poll
        8,    # lseek
        9,    # mmap
        10,   # mprotect
        11,   # munmap
        12,   # brk
        13,   # rt_sigaction
        14,   # rt_sigprocmask
        15,   # rt_sigreturn
        17,   # pread64
        19,   # readv
        24,   # sched_yield
        25,   # mremap
        28,   # madvise
        35,   # nanosleep
        39,   # getpid
        44,   # sendto
        45,   # recvfrom
        46,   # sendmsg
        47,   # recvmsg
        60,   # exit
        98,   # getrusage
        131,  # sigaltstack
        186,  # gettid
        202,  # futex
        204,  # sched_getaffinity
        219,  # restart_syscall
        228,  # clock_gettime
        230,  # clock_nanosleep
        231,  # exit_group
        318,  # getrandom
        324,  # membarrier
        334,  # rseq
    )),
    "aarch64": (0xC00000B7, 277, (
        57,   # close
        62,   # lseek
        63,   # read
        65,   # readv
        67,   # pread64
        73,   # ppoll
        80,   # fstat
        93,   # exit
        94,   # exit_group
        98,   # futex
        101,  # nanosleep
        113,  # clock_gettime
        115,  # clock_nanosleep
        123,  # sched_getaffinity
        124,  # sched_yield
        128,  # restart_syscall
        132,  # sigaltstack
        134,  # rt_sigaction
        135,  # rt_sigprocmask
        139,  # rt_sigreturn
        165,  # getrusage
        172,  # getpid
        178,  # gettid
        206,  # sendto
        207,  # recvfrom
        211,  # sendmsg
        212,  # recvmsg
        214,  # brk
        215,  # munmap
        216,  # mremap
        222,  # mmap
        226,  # mprotect
        233,  # madvise
        278,  # getrandom
        283,  # membarrier
        293,  # rseq
    )),
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a process runs with. ``lacks`` is what this kernel or these rights did not allow, in words."""

    user: str
    filtered: bool
    no_network: bool
    lacks: tuple[str, ...] = ()


def find_user(wanted: str = SCAN_USER) -> tuple[str, int, int] | None:
    """Give name, uid and gid of the user to become: the wanted one, else nobody; ``None`` without the right to become one."""
    if os.geteuid() != 0:
        return None
    for name in (wanted, _NOBODY):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return name, entry.pw_uid, entry.pw_gid
    return _NOBODY, 65534, 65534


def confine(user: tuple[str, int, int] | None) -> Confinement:
    """Give up, for good, what reading does not need. Called when everything is imported and every rule is ready.

    Args:
        user: Whom to become, from :func:`find_user`.

    Returns:
        What came of it.

    Raises:
        OSError: If the user cannot be changed: then nothing may be read.
    """
    lacks: list[str] = []
    apart = _leave_namespaces()
    if user is not None:
        os.setgroups([])
        os.setresgid(user[2], user[2], user[2])
        os.setresuid(user[1], user[1], user[1])
    _limit(lacks)
    _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    filtered = _filter_calls(lacks)
    if not apart and not filtered:
        lacks.append("no namespace without network, and no filter of system calls: the network is within reach")
    name = user[0] if user is not None else _own_name()
    return Confinement(user=name, filtered=filtered, no_network=apart or filtered, lacks=tuple(lacks))


def _own_name() -> str:
    return f"uid {os.geteuid()}"


def _leave_namespaces() -> bool:
    """Go where there is no network. Root needs no user namespace; others cannot have one here, for a thread runs already."""
    return os.geteuid() == 0 and _libc.unshare(_NEWNET | _NEWIPC) == 0


def _limit(lacks: list[str]) -> None:
    with open("/proc/self/statm", "rb") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize()
    for name, most in (
        ("RLIMIT_AS", size + _MEMORY_BYTES),
        ("RLIMIT_CPU", _CPU_S),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NOFILE", _FILES),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_MEMLOCK", 0),
        ("RLIMIT_MSGQUEUE", 0),
    ):
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(which, (most, most))
        except (OSError, ValueError) as error:
            lacks.append(f"{name} could not be set: {error}")


def _filter_calls(lacks: list[str]) -> bool:
    """Have the kernel refuse all other calls, in every thread."""
    known = _SYSCALLS.get(platform.machine()) if sys.maxsize > 1 << 32 else None
    if known is None:
        lacks.append(f"no filter of system calls for {platform.machine()}")
        return False
    architecture, number, calls = known
    program = _program(architecture, calls)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the length, padded, and where the instructions are.
    prog = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    if _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.syscall(number, _MODE_FILTER, _THREADS_TOO, prog):
        lacks.append(f"no filter of system calls: {os.strerror(ctypes.get_errno())}")
        return False
    return True


def _program(architecture: int, calls: tuple[int, ...]) -> bytes:
    """Write the filter: another architecture's calls end the process, those on the list are allowed, the rest is refused.

    Source: linux/filter.h, linux/bpf_common.h: (code, jump if true, jump if false, value).
    """
    load, equal, give = 0x20, 0x15, 0x06
    words = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, _KILL), (load, 0, 0, 0)]
    words += [(equal, len(calls) - position, 0, call) for position, call in enumerate(calls)]
    words += [(give, 0, 0, _DENY), (give, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *word) for word in words)
