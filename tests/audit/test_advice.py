"""Words on the state of the kernel's audit."""

from fimkit.audit.advice import advise
from fimkit.audit.kernel import AuditStatus

GOOD = AuditStatus(enabled=1, failure=1, pid=7, rate_limit=0, backlog_limit=8192, lost=0, backlog=0)


def words(owner: str | None = "auditd", **changes: int) -> str:
    return "\n".join(advise(GOOD._replace(**changes), owner))


def test_auditing_off_says_how_to_turn_it_on() -> None:
    assert "auditctl -e 1" in words(enabled=0)


def test_locked_rules_say_reboot() -> None:
    assert "reboot" in words(enabled=2)


def test_another_owner_is_named() -> None:
    assert "process 7 (osqueryd)" in words("osqueryd")


def test_no_owner_says_start_auditd() -> None:
    assert "start auditd" in words(None, pid=0)


def test_owner_that_is_gone_is_said() -> None:
    assert "process 7 owned the audit socket and is gone" in words(None)


def test_small_backlog_and_loss_are_said() -> None:
    assert "64 records" in words(backlog_limit=64) and "lost" in words(lost=3)
