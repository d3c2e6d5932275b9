"""What the state of a kernel's audit means for its user, as advice and in words. Pure."""

from fimkit.audit.kernel import IMMUTABLE, AuditStatus
from fimkit.model.advice import Advice, Level

__all__ = ["LOCKED", "advise", "inspect_status"]

LOCKED = "the audit rules are locked until the next boot (auditctl -e 2 was given)"

_ENOUGH_BACKLOG = 8192
_START = "start auditd (systemctl enable --now auditd)"


def inspect_status(status: AuditStatus, owner: str | None) -> list[Advice]:
    """Say what keeps changes from being recorded, each with its remedy; nothing where all is well.

    Args:
        status: As the kernel gave it.
        owner: The name of the process ``status.pid``, ``None`` if there is no such process.

    >>> inspect_status(AuditStatus(enabled=1, failure=1, pid=7, rate_limit=0, backlog_limit=8192, lost=0, backlog=0), "auditd")
    []
    """
    return [*_switch(status), *_owner(status, owner), *_backlog(status)]


def advise(status: AuditStatus, owner: str | None) -> list[str]:
    """Say the same in words, one line each."""
    return [f"{one.problem.removesuffix('.')}: {one.remedy}" for one in inspect_status(status, owner)]


def _advice(code: str, level: Level, where: str, problem: str, remedy: str) -> Advice:
    return Advice(code=code, level=level, where=where, problem=problem, remedy=remedy)


def _switch(status: AuditStatus) -> list[Advice]:
    if status.enabled == 0:
        remedy = (
            f"{_START}, or turn it on with auditctl -e 1. Processes that run already may stay unrecorded until a reboot with "
            "audit=1 on the kernel's command line"
        )
        return [_advice("audit-off", Level.TRAP, "auditctl -s: enabled 0", "auditing is off, and nothing is recorded.", remedy)]
    if status.enabled == IMMUTABLE:
        return [_advice("audit-locked", Level.NOTE, "auditctl -s: enabled 2", f"{LOCKED}.", "changes to them need a reboot")]
    return []


def _owner(status: AuditStatus, owner: str | None) -> list[Advice]:
    where = f"auditctl -s: pid {status.pid}"
    if status.pid == 0:
        return [_advice("audit-no-owner", Level.TRAP, where, "no process owns the audit socket, so no log is written.", _START)]
    if owner is None:
        problem = f"process {status.pid} owned the audit socket and is gone, so no log is written."
        return [_advice("audit-no-owner", Level.TRAP, where, problem, _START)]
    if owner != "auditd":
        problem = (
            f"process {status.pid} ({owner}) owns the audit socket, and not auditd; two that want it take it from each other, "
            "and the loser writes no log."
        )
        remedy = "stop the other one (osquery: --disable_audit=true), then start auditd"
        return [_advice("audit-other-owner", Level.TRAP, where, problem, remedy)]
    return []


def _backlog(status: AuditStatus) -> list[Advice]:
    found = []
    remedy = f"auditctl -b {_ENOUGH_BACKLOG}, and -b {_ENOUGH_BACKLOG} in /etc/audit/rules.d"
    if status.backlog_limit < _ENOUGH_BACKLOG:
        problem = f"only {status.backlog_limit} records may wait in the kernel; a burst slows the host down or is lost."
        where = f"auditctl -s: backlog_limit {status.backlog_limit}"
        found.append(_advice("audit-backlog", Level.WARNING, where, problem, remedy))
    if status.lost:
        problem = f"records were lost since boot (the kernel counts {status.lost}, which is no count of events)."
        more = f"more room for bursts helps ({remedy}); what was lost stays lost, and findings say so"
        found.append(_advice("audit-lost", Level.WARNING, f"auditctl -s: lost {status.lost}", problem, more))
    return found
