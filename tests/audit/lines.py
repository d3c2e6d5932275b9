"""Makes audit lines for tests, as the kernel and auditd write them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fimkit.audit.parser import EventAssembler
from fimkit.model.records import AuditEvent

__all__ = ["AUDIT", "LOGS", "call_line", "event_lines", "line_by_line", "order", "path_line", "record", "whole"]

DATA = Path(__file__).parents[1] / "data"
AUDIT = DATA / "audit"
LOGS = [AUDIT / "audit-sample.log", AUDIT / "interleaved.log", AUDIT / "lost-partial.log", DATA / "incident-01" / "audit.log"]


def record(kind: str, body: str, *, serial: int = 1, time_ms: int = 1_795_314_095_180, node: str = "") -> bytes:
    seconds, milliseconds = divmod(time_ms, 1000)
    prefix = f"node={node} " if node else ""
    return f"{prefix}type={kind} msg=audit({seconds}.{milliseconds:03d}:{serial}): {body}".encode("latin-1")


def call_line(
    *, items: int = 0, serial: int = 1, time_ms: int = 1_795_314_095_180, node: str = "", outcome: str = " success=yes exit=3"
) -> bytes:
    body = (
        f"arch=c000003e syscall=257{outcome} a0=ffffff9c a1=7f00 a2=241 a3=1b6 items={items} ppid=9 pid=10 auid=1000 uid=0 gid=0 "
        'euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm="cp" exe="/usr/bin/cp" key="fim"'
    )
    return record("SYSCALL", body, serial=serial, time_ms=time_ms, node=node)


def path_line(
    item: int, name: str, inode: int, nametype: str, *, serial: int = 1, time_ms: int = 1_795_314_095_180, node: str = ""
) -> bytes:
    body = f'item={item} name="{name}" inode={inode} dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype={nametype} cap_fp=0'
    return record("PATH", body, serial=serial, time_ms=time_ms, node=node)


def event_lines(*, serial: int = 1, time_ms: int = 1_795_314_095_180, node: str = "") -> list[bytes]:
    return [
        call_line(items=2, serial=serial, time_ms=time_ms, node=node),
        record("CWD", 'cwd="/root"', serial=serial, time_ms=time_ms, node=node),
        path_line(0, "/srv/", 5, "PARENT", serial=serial, time_ms=time_ms, node=node),
        path_line(1, f"/srv/f{serial}", 100 + serial, "CREATE", serial=serial, time_ms=time_ms, node=node),
        record("PROCTITLE", "proctitle=6370002F61002F62", serial=serial, time_ms=time_ms, node=node),
    ]


def whole(lines: Iterable[bytes], assembler: EventAssembler | None = None) -> list[AuditEvent]:
    """Events of lines that are given all at once."""
    assembler = assembler or EventAssembler()
    text = b"".join(line + b"\n" for line in lines)
    return [*assembler.push(text, file="a.log"), *assembler.flush()]


def line_by_line(lines: Sequence[bytes], assembler: EventAssembler | None = None) -> list[AuditEvent]:
    """Events of lines that are given one at a time, which the fast way never takes."""
    assembler = assembler or EventAssembler()
    events = [event for number, line in enumerate(lines, 1) for event in assembler.push(line, file="a.log", line=number)]
    return [*events, *assembler.flush()]


def order(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    return sorted(events, key=lambda event: (event.line, event.event_id, event.types))
