"""Kernel audit records as the parser gives them. Pure.

Named tuples and not dataclasses: a busy server writes millions, and a named tuple is made several times faster.
"""

from enum import StrEnum
from typing import NamedTuple

__all__ = ["AuditEvent", "AuditProcess", "BadLine", "EventId", "NameType", "PathItem"]


class EventId(NamedTuple):
    """What the kernel stamps on every record of one event: milliseconds since the epoch (UTC) and its serial."""

    time_ms: int
    serial: int


class NameType(StrEnum):
    """``nametype=`` of a PATH record. Source: kernel, kernel/auditsc.c, audit_log_name()."""

    PARENT = "PARENT"
    NORMAL = "NORMAL"
    CREATE = "CREATE"
    DELETE = "DELETE"
    UNKNOWN = "UNKNOWN"


class PathItem(NamedTuple):
    """One PATH record. ``dev`` is as ``st_dev`` has it; ``mode`` has the type bits; ``name`` is as logged, maybe relative."""

    item: int
    name: bytes | None
    inode: int | None
    dev: int | None
    mode: int | None
    ouid: int | None
    ogid: int | None
    nametype: NameType


class AuditProcess(NamedTuple):
    """Who made a system call, from SYSCALL or URINGOP. ``auid`` and ``ses`` are ``None`` where nobody logged in (4294967295).

    ``argv`` comes from the EXECVE record of this very event; ``proctitle`` is raw (NUL between arguments, cut at 128 bytes,
    kept over exec: not to be trusted). ``auid_name`` and ``uid_name`` are an ENRICHED log's ``AUID=`` and ``UID=``, except "unset".
    """

    pid: int | None
    ppid: int | None
    auid: int | None
    uid: int | None
    gid: int | None
    euid: int | None
    ses: int | None
    tty: bytes | None
    comm: bytes | None
    exe: bytes | None
    proctitle: bytes | None
    argv: tuple[bytes, ...] | None
    auid_name: bytes | None
    uid_name: bytes | None


class AuditEvent(NamedTuple):
    """All records of one event that findings need, joined.

    ``syscall`` is the call's name (``openat``), ``io_uring:openat`` for a URINGOP record, ``None`` where there is neither; an
    unknown number is its decimal text. ``args`` are a0 to a3, unsigned (empty if absent). ``success`` is ``None`` where not said.
    ``items_expected`` is SYSCALL's ``items=``; fewer ``items`` than that means lost PATH records. ``openat2_flags`` is the
    OPENAT2 record's ``oflag``. ``types`` are the record types in the order seen; ``extra`` has the raw bodies (after the
    stamp, before the enrichment) of the types that are none of SYSCALL, CWD, PATH, PROCTITLE, EXECVE, OPENAT2, URINGOP, EOE.
    ``file`` and ``line`` say where its first record stands.
    """

    event_id: EventId
    node: bytes | None
    types: tuple[str, ...]
    syscall: str | None
    arch: int | None
    success: bool | None
    exit: int | None
    args: tuple[int, ...]
    key: bytes | None
    process: AuditProcess | None
    cwd: bytes | None
    items: tuple[PathItem, ...]
    items_expected: int | None
    openat2_flags: int | None
    extra: tuple[tuple[str, bytes], ...]
    file: str
    line: int


class BadLine(NamedTuple):
    """A line that could not be read: counted, kept, reported. ``text`` is cut at 4096 bytes."""

    file: str
    line: int
    text: bytes
    error: str
