"""Which system calls change files, and where their arguments say what. Pure.

Source: the calls' section 2 manual pages; kernel include/asm-generic/audit_change_attr.h and audit_dir_write.h for the families.
"""

from enum import StrEnum
from typing import NamedTuple

__all__ = ["CALLS", "Call", "Family", "opens_for_writing", "opens_tmpfile"]


class Family(StrEnum):
    """What a call does to names and inodes."""

    OPEN = "open"
    TRUNCATE = "truncate"
    MAKE = "make"
    LINK = "link"
    UNLINK = "unlink"
    RENAME = "rename"
    MODE = "mode"
    OWNER = "owner"
    XATTRS = "xattrs"
    TIMES = "times"
    EXEC = "exec"


class Call(NamedTuple):
    """``dirfds``, ``flags``, ``mode``, ``owner``: positions of these among the arguments a0 to a3 (owner: uid's, gid follows)."""

    family: Family
    dirfds: tuple[int, ...] = ()
    flags: int | None = None
    mode: int | None = None
    owner: int | None = None


CALLS: dict[str, Call] = {
    "open": Call(Family.OPEN, flags=1),
    "openat": Call(Family.OPEN, (0,), flags=2),
    "openat2": Call(Family.OPEN, (0,)),
    "open_by_handle_at": Call(Family.OPEN, flags=2),
    "creat": Call(Family.OPEN),
    "truncate": Call(Family.TRUNCATE),
    "truncate64": Call(Family.TRUNCATE),
    "ftruncate": Call(Family.TRUNCATE),
    "ftruncate64": Call(Family.TRUNCATE),
    "mkdir": Call(Family.MAKE),
    "mkdirat": Call(Family.MAKE, (0,)),
    "mknod": Call(Family.MAKE),
    "mknodat": Call(Family.MAKE, (0,)),
    "bind": Call(Family.MAKE),
    "symlink": Call(Family.MAKE),
    "symlinkat": Call(Family.MAKE, (1,)),
    "link": Call(Family.LINK),
    "linkat": Call(Family.LINK, (0, 2)),
    "unlink": Call(Family.UNLINK),
    "unlinkat": Call(Family.UNLINK, (0,)),
    "rmdir": Call(Family.UNLINK),
    "rename": Call(Family.RENAME),
    "renameat": Call(Family.RENAME, (0, 2)),
    "renameat2": Call(Family.RENAME, (0, 2)),
    "chmod": Call(Family.MODE, mode=1),
    "fchmod": Call(Family.MODE, mode=1),
    "fchmodat": Call(Family.MODE, (0,), mode=2),
    "fchmodat2": Call(Family.MODE, (0,), mode=2),
    "setxattr": Call(Family.XATTRS),
    "lsetxattr": Call(Family.XATTRS),
    "fsetxattr": Call(Family.XATTRS),
    "setxattrat": Call(Family.XATTRS, (0,)),
    "removexattr": Call(Family.XATTRS),
    "lremovexattr": Call(Family.XATTRS),
    "fremovexattr": Call(Family.XATTRS),
    "removexattrat": Call(Family.XATTRS, (0,)),
    "utime": Call(Family.TIMES),
    "utimes": Call(Family.TIMES),
    "futimesat": Call(Family.TIMES, (0,)),
    "utimensat": Call(Family.TIMES, (0,)),
    "execve": Call(Family.EXEC),
    "execveat": Call(Family.EXEC),
}
for _name in ("chown", "lchown", "fchown", "chown32", "lchown32", "fchown32"):
    CALLS[_name] = Call(Family.OWNER, owner=1)
CALLS["fchownat"] = Call(Family.OWNER, (0,), owner=2)
# io_uring records carry no arguments: every relative name in them has a folder that is not known
for _name in ("openat", "openat2", "mkdirat", "symlinkat", "linkat", "unlinkat", "renameat", "ftruncate"):
    CALLS[f"io_uring:{_name}"] = Call(CALLS[_name].family, dirfds=(-1,))
for _name in ("setxattr", "fsetxattr"):
    CALLS[f"io_uring:{_name}"] = Call(Family.XATTRS, dirfds=(-1,))

_O_ACCMODE = 0o3
_O_TRUNC = 0o1000
_O_TMPFILE_BIT = 0o20000000  # __O_TMPFILE: the same on x86 and arm64, asm-generic/fcntl.h


def opens_for_writing(flags: int) -> bool:
    """Tell whether open flags let bytes change: write or read-write access, or a truncation.

    >>> opens_for_writing(0o2), opens_for_writing(0o1000), opens_for_writing(0o100)
    (True, True, False)
    """
    return bool(flags & _O_ACCMODE or flags & _O_TRUNC)


def opens_tmpfile(flags: int) -> bool:
    """Tell whether open flags make a file without a name (O_TMPFILE)."""
    return bool(flags & _O_TMPFILE_BIT)
