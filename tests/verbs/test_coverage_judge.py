"""What of a host's state is a gap: judged from one moment and what was known before, with nothing asked."""

from dataclasses import replace

from fimkit.audit.kernel import AuditStatus
from fimkit.audit.serials import MissingSerials
from fimkit.model.changes import Note, NoteKind, Source
from fimkit.model.coverage import Cause, Gap, Sense
from fimkit.model.records import BadLine
from fimkit.verbs.coverage import unread_gaps
from fimkit.verbs.coverage_host import HostSight
from fimkit.verbs.coverage_judge import LONG_NS, GapsNow, first_enabling, gaps_of_gathered, gaps_of_watch, judge_host
from fimkit.verbs.gather import Gathered
from fimkit.verbs.watch_status import WatchStatus

S = 1_000_000_000
WELL = AuditStatus(enabled=1, failure=1, pid=7, rate_limit=0, backlog_limit=8192, lost=0, backlog=0)


def sight(seconds: int, **more: object) -> HostSight:
    plain = HostSight(now_ns=seconds * S, boot_id="b1", boot_clock_ns=(seconds - 5) * S, status=WELL, deaf={})
    return replace(plain, **more)  # type: ignore[arg-type]


def state(seconds: int = 100, **more: object) -> dict[str, object]:
    return {**(judge_host(sight(seconds), {}, []).state or {}), **more}


def causes(judged: GapsNow) -> list[tuple[Cause, int]]:
    return [(gap.cause, gap.from_ns // S) for gap in judged.open]


def test_host_that_records_has_no_gap() -> None:
    judged = judge_host(sight(200), state(), [])
    assert (judged.open, judged.over) == ((), ())
    assert (Sense.AUDIT, Cause.AUDIT_OFF) in judged.judged


def test_what_the_kernel_dropped_since_the_last_look_is_a_gap_with_its_count() -> None:
    judged = judge_host(sight(200, status=WELL._replace(lost=42)), state(lost=40), [])
    assert [(gap.cause, gap.from_ns // S, gap.lost) for gap in judged.over] == [(Cause.LOST, 100, 2)]
    assert judged.state is not None and judged.state["lost"] == 42


def test_a_boot_begins_the_count_anew() -> None:
    judged = judge_host(sight(200, boot_id="b2", status=WELL._replace(lost=3)), state(lost=40), [])
    assert [(gap.lost, gap.from_ns) for gap in judged.over] == [(3, 200 * S)]


def test_each_deafness_is_open_since_it_was_last_well() -> None:
    deaf = sight(200, deaf={"audit-off": "auditing is off", "audit-no-owner": "nobody writes"}, rules="2 of 4 are gone",
                 is_never_task=True, older=((1, "init"), (7, "evil\x1b[2J")))  # fmt: skip
    judged = judge_host(deaf, state(), [])
    assert sorted(causes(judged)) == sorted(
        (one, 100) for one in (Cause.AUDIT_OFF, Cause.AUDITD, Cause.RULES, Cause.NEVER_TASK, Cause.NO_CONTEXT)
    )
    assert "\x1b" not in "".join(gap.words for gap in judged.open)


def test_a_log_that_nobody_writes_hides_nothing_from_a_watch_that_hears_the_kernel() -> None:
    deaf = sight(200, deaf={"audit-no-owner": "nobody writes"})
    assert judge_host(deaf, state(), [], reads_kernel=True).open == ()


def test_the_records_know_better_when_it_began_and_who_did_it() -> None:
    text = "auditing was switched off by auid 1000 (event 1.0:3)"
    off = Note(source=Source.AUDIT, kind=NoteKind.AUDIT_DISABLED, time_ns=150 * S, text=text)
    judged = judge_host(sight(200, deaf={"audit-off": "auditing is off"}), state(), [off])
    assert causes(judged) == [(Cause.AUDIT_OFF, 150)]
    assert judged.open[0].words == "auditing is off; auditing was switched off, by auid 1000"


def test_what_the_records_do_not_end_ends_when_the_kernel_is_seen_to_be_well_and_only_once() -> None:
    off = Note(source=Source.AUDIT, kind=NoteKind.AUDIT_DISABLED, time_ns=150 * S, text="auditing was switched off")
    judged = judge_host(sight(200), state(), [off])
    assert [(gap.from_ns // S, (gap.to_ns or 0) // S) for gap in judged.over] == [(150, 200)]
    again = judge_host(sight(300), state(), [off], known=judged.over)
    assert again.over == ()


def test_a_clock_that_was_set_is_a_gap_and_drift_is_none() -> None:
    assert judge_host(sight(200, boot_clock_ns=194 * S), state(), []).over == ()
    for day in (86_400, -86_400):
        judged = judge_host(sight(200_000 + day, boot_clock_ns=199_995 * S), state(199_990), [])
        (gap,) = judged.over
        assert (gap.cause, gap.from_ns <= (gap.to_ns or 0)) == (Cause.CLOCK, True)
        assert f"{'forward' if day > 0 else 'back'} by 86400 s" in gap.words


def test_osqueryd_that_went_is_open_one_that_was_started_anew_is_over_and_one_never_seen_is_nothing() -> None:
    was = state(osqueryd=[40, 10 * S])
    assert causes(judge_host(sight(200), was, [])) == [(Cause.OSQUERYD, 100)]
    anew = judge_host(sight(200, osqueryd=(77, 160 * S)), was, [])
    assert [(gap.cause, gap.from_ns // S, (gap.to_ns or 0) // S) for gap in anew.over] == [(Cause.OSQUERYD, 100, 160)]
    assert judge_host(sight(200, osqueryd=(40, 10 * S)), was, []).over == ()
    assert judge_host(sight(200), state(), []).open == ()


def test_a_kernel_that_was_asked_before_and_refuses_now_is_a_gap_and_closes_nothing() -> None:
    judged = judge_host(sight(200, status=None, refusal="no right"), state(), [])
    assert causes(judged) == [(Cause.UNASKED, 100)]
    assert (Sense.AUDIT, Cause.AUDIT_OFF) not in judged.judged


def test_what_a_log_lacked_is_told_with_its_times() -> None:
    gathered = Gathered(lost=["cut"], missing=[MissingSerials(5, 9, 1000, 2000)], restarts=[(3000, 4000), (6000, 7000)])
    gathered.bad_lines.append(BadLine(file="audit.log", line=3, text=b"?", error="no stamp"))
    gathered.uncounted["audit.log"] = 4
    ended = Note(source=Source.AUDIT, kind=NoteKind.LOG_ENDED, time_ns=6500 * 1_000_000, text="auditd stopped")
    found = {gap.cause: gap for gap in gaps_of_gathered(Sense.AUDIT, gathered, last_ns=S, now_ns=9 * S, notes=[ended])}
    assert set(found) == {Cause.LOG_GONE, Cause.SERIALS, Cause.AUDITD, Cause.BAD_LINES}
    assert (found[Cause.SERIALS].from_ns, found[Cause.SERIALS].to_ns, found[Cause.SERIALS].lost) == (S, 2 * S, 5)
    assert (found[Cause.AUDITD].from_ns, found[Cause.BAD_LINES].lost) == (3 * S, 5)


def test_a_watch_that_was_killed_is_told_apart_from_one_that_was_stopped() -> None:
    killed, stopped = WatchStatus(written_ns=5 * S), WatchStatus(written_ns=5 * S, stopped_ns=6 * S)
    (down,), (still,) = gaps_of_watch(killed, now_ns=9 * S), gaps_of_watch(stopped, now_ns=9 * S)
    assert (down.from_ns, still.from_ns) == (5 * S, 6 * S)
    assert "killed" in down.words and "killed" not in still.words
    assert gaps_of_watch(None, now_ns=9) == gaps_of_watch(WatchStatus(running=True, written_ns=3), now_ns=9) == ()


def test_first_enabling_is_of_this_boot() -> None:
    on = [Note(source=Source.AUDIT, kind=NoteKind.AUDIT_ENABLED, time_ns=second * S, text="") for second in (5, 50, 90)]
    assert first_enabling(on, 20.0) == 50.0
    assert first_enabling([], 20.0) is None


def test_mounts_and_unread_paths_last_with_their_path_and_a_long_pause_is_told() -> None:
    found = unread_gaps([b"/srv/m"], {b"/srv/x": "cannot be opened"}, since_ns=S, now_ns=LONG_NS + 3 * S, last_ns=S)
    assert [(gap.cause, gap.path, gap.to_ns) for gap in found.open] == [
        (Cause.MOUNT, b"/srv/m", None), (Cause.UNREAD, b"/srv/x", None)
    ]  # fmt: skip
    assert [gap.cause for gap in found.over] == [Cause.NO_CHECK]


def test_thousands_of_unread_paths_are_some_and_a_count() -> None:
    many = {b"/srv/%d" % number: "cannot be opened" for number in range(3000)}
    found: tuple[Gap, ...] = unread_gaps([], many, since_ns=S, now_ns=2 * S, last_ns=S).open
    assert len(found) < 100
    assert found[-1].words == "2950 more paths could not be read"
