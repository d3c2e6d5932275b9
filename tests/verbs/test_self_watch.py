"""What was done to the means of seeing becomes a finding of its own, once, and what nobody did does not."""

from dataclasses import replace

from fimkit.evidence.full_disk import FullDisk
from fimkit.model.changes import Note, NoteKind, Source
from fimkit.model.coverage import STOPPED, Cause, Gap, Sense
from fimkit.model.findings import Finding, Kind, Severity, Tier
from fimkit.panic.trigger import may_panic
from fimkit.verbs.coverage_judge import gaps_of_full_disk
from fimkit.verbs.self_watch import Meddling, find_meddling, gaps_that_meddle

__all__: list[str] = []

S = 1_000_000_000
NOW = 100_000 * S
LOOK = Meddling(
    host="h", audit_log=b"/var/log/audit/audit.log", state_dir=b"/var/lib/fimkit", was={"is_own": True}, rules=4, missing=0,
    boot_ns=None, since_ns=10 * S,
)  # fmt: skip


def note(kind: NoteKind, text: str, at_s: int) -> Note:
    return Note(source=Source.AUDIT, kind=kind, time_ns=at_s * S, text=text)


def gap(cause: Cause, words: str, from_s: int, to_s: int | None = None, source: Sense = Sense.AUDIT) -> Gap:
    return Gap(from_ns=from_s * S, to_ns=None if to_s is None else to_s * S, source=source, cause=cause, words=words)


def found(*notes: Note, opened: tuple[Gap, ...] = (), over: tuple[Gap, ...] = (), look: Meddling = LOOK) -> list[Finding]:
    return find_meddling(look, gaps_that_meddle(opened, over, notes, lasted=(), until_ns=NOW))


OFF = note(NoteKind.AUDIT_DISABLED, "auditing was switched off by auid 1000 (eve), /usr/sbin/auditctl, pid 7 (event 50.000:9)", 50)


def test_auditing_that_was_switched_off_is_told_with_who_and_starts_no_panic() -> None:
    (one,) = found(OFF)
    assert (one.kind, one.tier, one.severity) == (Kind.TAMPERED, Tier.WATCH, Severity.MEDIUM)
    assert one.path == LOOK.audit_log
    assert one.reasons[0] == "auditing was switched off, by auid 1000 (eve), /usr/sbin/auditctl, pid 7"
    assert one.evidence == ("50.000:9",)
    assert not may_panic(one)


def test_what_the_log_and_the_kernel_both_say_is_one_finding_and_the_same_at_the_next_look() -> None:
    lasting = replace(gap(Cause.AUDIT_OFF, "auditing is off", 50), evidence=("50.000:9",))
    (one,) = found(OFF, opened=(lasting,))
    assert [again.id for again in found(OFF)] == [one.id]
    gaps = gaps_that_meddle([lasting], [], [], lasted={(Sense.AUDIT, Cause.AUDIT_OFF)}, until_ns=NOW)
    assert gaps == []


def test_rules_that_were_taken_out_are_one_finding_unless_they_are_loaded_anew() -> None:
    gone = "an audit rule with key fimkit was removed by auid 0 (event 60.000:{})"
    out = [note(NoteKind.RULES_CHANGED, gone.format(number), 60) for number in range(4)]
    (one,) = found(*out)
    assert one.reasons[0].startswith("audit rules of fimkit's were taken out by auid 0")
    back = [note(NoteKind.RULES_CHANGED, f"an audit rule with key fimkit was added (event 61.000:{n})", 61) for n in range(4)]
    assert found(*out, *back) == []
    assert found(*out, look=replace(LOOK, rules=0)) == []  # after an uninstall they are nobody's


def test_rules_that_are_missing_without_a_record_are_found_by_comparing_and_a_configuration_not_installed_is_none() -> None:
    missing = gap(Cause.RULES, "2 of fimkit's 6 audit rules are not in the kernel", 70)
    assert found(opened=(missing,)) == []
    (one,) = found(opened=(missing,), look=replace(LOOK, missing=2))
    assert one.reasons[0] == "2 of the 4 audit rules that fimkit put into the kernel are there no more"
    assert "who did it is not recorded" in one.reasons


def test_an_auditd_that_was_stopped_is_told_and_one_that_an_upgrade_restarts_is_not() -> None:
    end, start = note(NoteKind.LOG_ENDED, "auditd stopped (event 80.000:1)", 80), note(NoteKind.LOG_STARTED, "auditd started", 83)
    assert found(end, start) == []
    assert len(found(end)) == 1
    assert len(found(end, replace(start, time_ns=200 * S))) == 1
    by_eve = replace(end, text="auditd stopped by auid 1000 (eve) (event 80.000:1)")
    assert len(found(by_eve, start)) == 1
    assert found(end, replace(start, time_ns=200 * S), look=replace(LOOK, boot_ns=150 * S)) == []


def test_a_clock_that_was_set_is_told_with_who_once_and_a_time_service_once_an_hour() -> None:
    step = gap(Cause.CLOCK, "the clock was set back by 86400 s: times before and after do not compare", 20, 90_000)
    (one,) = found(over=(step,))
    assert "86400 s" in one.reasons[0]
    by_eve = note(NoteKind.CLOCK_STEPPED, "the clock was set by auid 1000 (eve), /bin/date, pid 7 (event 90.000:3)", 90)
    (both,) = found(by_eve, over=(step,))
    assert "/bin/date" in both.reasons[0]
    words = "the clock was set by /usr/sbin/chronyd, pid 9 (event {}.000:3)"
    many = [note(NoteKind.CLOCK_STEPPED, words.format(at_s), at_s) for at_s in range(90, 990)]
    assert len(found(*many)) == 1


def test_a_watch_that_was_killed_is_told_and_one_that_was_stopped_or_went_with_the_host_is_not() -> None:
    killed = gap(Cause.WATCH_DOWN, "the watch ended without a word: it was killed, or the host went down", 40, source=Sense.LIVE)
    (one,) = found(opened=(killed,))
    assert one.path == LOOK.state_dir
    assert found(opened=(killed,), look=replace(LOOK, boot_ns=45 * S)) == []
    assert found(opened=(replace(killed, words=STOPPED),)) == []


def test_what_was_before_the_baseline_is_nobodys_finding() -> None:
    assert found(replace(OFF, time_ns=5 * S, text="auditing was switched off"), note(NoteKind.AUDIT_ENABLED, "on", 6)) == []


def test_an_auditing_that_was_never_on_is_no_finding() -> None:
    assert found(opened=(gap(Cause.AUDIT_OFF, "auditing is off", 50),), look=replace(LOOK, was={})) == []


def test_a_disk_that_was_full_is_told_with_from_and_to_and_once() -> None:
    full = FullDisk(from_ns=90 * S, to_ns=95 * S, writes=3)
    (one,) = found(over=gaps_of_full_disk(full, {}))
    assert one.path == LOOK.state_dir and not may_panic(one)
    assert "(writes that failed: 3)" in one.reasons[0] and one.reasons[1] == "from 1970-01-01T00:01:30Z to 1970-01-01T00:01:35Z"
    assert gaps_of_full_disk(full, {"full_ns": 95 * S}) == ()
    (later,) = gaps_of_full_disk(full._replace(to_ns=99 * S), {"full_ns": 95 * S})
    assert (later.from_ns, later.to_ns) == (95 * S, 99 * S)
