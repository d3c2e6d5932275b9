"""Which package manager is at work: who holds a lock of dpkg, apt or rpm. It decides nothing: anybody can hold a lock."""

import fcntl
import os
import struct

from fimkit.packages.sources import PackageSources

__all__ = ["MANAGERS", "find_package_managers"]

MANAGERS = ("apt", "dnf")
"""Those whose hooks fimkit has."""

_FLOCK = "@hhqqi"  # struct flock, as fcntl(2) has it on 64-bit Linux: the fill bytes are native ones
_DPKG = (b"/lock", b"/lock-frontend")
_RPM = (b"/.rpm.lock",)


def find_package_managers(sources: PackageSources) -> tuple[int, ...]:
    """Name the processes that hold a package database's lock; what cannot be asked counts as free.

    What they have not finished cannot be proved yet: new files are in no list of dpkg's before all are unpacked.

    Source: dpkg, lib/dpkg/dbmodify.c; apt, apt-pkg/deb/debsystem.cc; rpm, lib/rpmlock.c; fcntl(2), F_GETLK.
    """
    files = [sources.dpkg + name for name in _DPKG] if sources.dpkg is not None else []
    files += [sources.rpm + name for name in _RPM] if sources.rpm is not None else []
    return tuple(sorted({pid for file in files if (pid := _holder(file)) is not None}))


def _holder(file: bytes) -> int | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else int(pid)
