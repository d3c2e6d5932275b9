"""Findings for letters: a trojan over a program, as many as wanted, with names that an intruder would choose."""

from fimkit.model.changes import Actor, Source
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState, FileType

__all__ = ["TIME_NS", "finding"]

TIME_NS = 1_795_319_341_970_000_000
OLD, NEW = "a" * 64, "b" * 64


def finding(number: int = 0, *, path: bytes | None = None, cmdline: str = "cp /tmp/x /sbin/x", reason: str = "no package has it",
            severity: Severity = Severity.CRITICAL) -> Finding:
    """Make one: the content of ``path`` was replaced by cp, from a login."""
    path = path or b"/sbin/program-%d" % number
    actor = Actor(
        auid=1000, uid=0, euid=0, user="eve", pid=4711, ppid=4710, exe=b"/bin/cp", comm=b"cp", cmdline=cmdline,
        cmdline_verified=False, tty="pts/3", ses=7, syscall="openat", time_ns=TIME_NS, event="1795319341.970:42",
    )
    before = FileState(path, FileType.FILE, mode=0o755, uid=0, gid=0, size=10, sha256=OLD)
    return Finding(
        id=f"{number:032x}", host="web01", path=path, kind=Kind.MODIFIED, tier=Tier.CRITICAL, severity=severity,
        verdict=Verdict.UNEXPLAINED, changed=("sha256", "mode"), before=before, after=before._replace(sha256=NEW, mode=0o4755),
        moved_to=None, actors=(actor,), attribution=Attribution.EXACT, reasons=(reason,),
        sources=(Source.SCAN, Source.AUDIT), first_seen_ns=TIME_NS, last_seen_ns=TIME_NS,
    )
