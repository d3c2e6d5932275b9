"""What the state of a kernel's audit means for its user, in words. Pure."""

from fimkit.audit.kernel import IMMUTABLE, AuditStatus

__all__ = ["LOCKED", "advise"]

LOCKED = "the audit rules are locked until the next boot (auditctl -e 2 was given)"

_ENOUGH_BACKLOG = 8192


def advise(status: AuditStatus, owner: str | None) -> list[str]:
    """Say what keeps changes from being recorded, each with its remedy; nothing where all is well.

    Args:
        status: As the kernel gave it.
        owner: The name of the process ``status.pid``, ``None`` if there is no such process.

    >>> advise(AuditStatus(enabled=1, failure=1, pid=7, rate_limit=0, backlog_limit=8192, lost=0, backlog=0), "auditd")
    []
    """
    words = []
    if status.enabled == 0:
        words.append(
            "auditing is off, and nothing is recorded: start auditd (systemctl enable --now auditd), or turn it on with "
            "auditctl -e 1. Processes that run already may stay unrecorded until a reboot with audit=1 on the kernel's command line"
        )
    if status.enabled == IMMUTABLE:
        words.append(f"{LOCKED}: changes to them need a reboot")
    if status.pid == 0:
        words.append("no process owns the audit socket, so no log is written: start auditd (systemctl enable --now auditd)")
    elif owner is None:
        words.append(f"process {status.pid} owned the audit socket and is gone, so no log is written: start auditd")
    elif owner != "auditd":
        words.append(
            f"process {status.pid} ({owner}) owns the audit socket, and not auditd: two that want it take it from each other, "
            "and the loser writes no log; stop the other one (osquery: --disable_audit=true), then start auditd"
        )
    if status.backlog_limit < _ENOUGH_BACKLOG:
        words.append(
            f"only {status.backlog_limit} records may wait in the kernel: a burst slows the host down or is lost; "
            f"auditctl -b {_ENOUGH_BACKLOG}, and -b {_ENOUGH_BACKLOG} in /etc/audit/rules.d"
        )
    if status.lost:
        words.append(f"records were lost since boot (the kernel counts {status.lost}, which is no count of events)")
    return words
