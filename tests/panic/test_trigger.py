"""What starts a panic, and what never does."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.config import Config, Host, Panic
from fimkit.model.config_json import freeze
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.time import parse_time
from fimkit.panic.record import PanicRecord, Phase
from fimkit.panic.trigger import Passed, decide, may_panic, why_never

__all__: list[str] = []

NOW_NS = parse_time("2026-11-22T03:00:00Z")  # a Sunday
OPEN = ("sun 02:00-04:00",)


def finding(name: str = "a", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "id": name, "host": "web01", "path": b"/sbin/" + name.encode(), "kind": Kind.MODIFIED, "tier": Tier.CRITICAL,
        "severity": Severity.CRITICAL, "verdict": Verdict.UNEXPLAINED, "changed": ("sha256",), "before": None, "after": None,
        "moved_to": None, "actors": (), "attribution": Attribution.UNATTRIBUTED, "reasons": (), "sources": (),
        "first_seen_ns": 0, "last_seen_ns": 0,
    }
    return Finding(**{**values, **changes})


def armed(phase: Phase = Phase.ARMED, *, seen: Sequence[str] = (), counted: Sequence[str] = (), **panic: Any) -> PanicRecord:
    settings = freeze(Config(host=Host(name="web01"), panic=Panic(**panic)))
    return PanicRecord(phase=phase, settings=settings, seen=tuple(seen), counted=tuple(counted))


def test_an_armed_host_panics_at_one_critical_finding() -> None:
    decision = decide(armed(), [finding()], NOW_NS)
    assert decision.begin
    assert decision.judged == decision.counted == ("a",)
    assert decision.causes == (finding(),)
    assert decision.cause == "1 critical finding: modified /sbin/a (the threshold is 1)"


@pytest.mark.parametrize(
    ("record", "change", "why"),
    [
        (armed(), {"verdict": Verdict.EXPECTED}, Passed.EXPECTED),
        (armed(), {"kind": Kind.ATTEMPTED}, Passed.ATTEMPTED),
        (armed(), {"severity": Severity.HIGH, "kind": Kind.TRANSIENT}, Passed.MINOR),
        (armed(seen=["a"]), {}, Passed.SEEN),
        (armed(windows=OPEN), {}, Passed.WINDOW),
        (armed(threshold=2), {}, Passed.BELOW),
        (PanicRecord(), {}, Passed.UNARMED),
        (armed(Phase.RESTORED), {}, Passed.UNARMED),
        (PanicRecord(phase=Phase.ARMED), {}, Passed.UNREADABLE),
        (PanicRecord(phase=Phase.ARMED, settings={"panic": {"threshold": "x"}}), {}, Passed.UNREADABLE),
        (armed(windows=("sun",)), {}, Passed.UNREADABLE),
    ],
)
def test_each_exclusion_has_its_reason(record: PanicRecord, change: dict[str, Any], why: Passed) -> None:
    one = finding(**change)
    decision = decide(record, [one], NOW_NS)
    assert not decision.begin
    assert decision.passed == ((one, why),)
    silent = why in (Passed.EXPECTED, Passed.ATTEMPTED, Passed.MINOR, Passed.SEEN) or record.phase is Phase.DISARMED
    assert (decision.words == ()) == silent
    assert decision.judged == (("a",) if why in (Passed.WINDOW, Passed.BELOW) else ())
    assert decision.counted == (("a",) if why is Passed.BELOW else ())


def test_a_window_judges_for_good_and_says_until_when() -> None:
    decision = decide(armed(windows=OPEN), [finding()], NOW_NS)
    assert "in the maintenance window sun 02:00-04:00 (until 2026-11-22T04:00:00Z)" in decision.words[0]
    later = armed(windows=OPEN, seen=decision.judged, counted=decision.counted)
    after_ns = parse_time("2026-11-22T04:00:00Z")
    assert not decide(later, [finding()], after_ns).begin
    assert decide(later, [finding("b")], after_ns).begin


def test_distinct_findings_count_to_the_threshold_over_time() -> None:
    record = armed(threshold=3)
    for name, begins in (("a", False), ("a", False), ("b", False), ("c", True)):
        decision = decide(record, [finding(name), finding(name)], NOW_NS)
        assert decision.begin == begins
        seen, counted = (*record.seen, *decision.judged), (*record.counted, *decision.counted)
        record = dataclasses.replace(record, seen=seen, counted=counted)
    assert "3 distinct ones since arming (the threshold is 3)" in decision.cause
    assert record.counted == ("a", "b", "c")


def test_while_a_panic_goes_on_each_new_finding_is_added_to_it() -> None:
    for phase in (Phase.TRIGGERED, Phase.CUT):
        decision = decide(armed(phase, threshold=9, windows=OPEN, seen=["a"]), [finding("a"), finding("b")], NOW_NS)
        assert decision.begin
        assert decision.judged == ("b",)


def test_a_panic_without_a_cut_takes_neither_threshold_nor_window_away_from_the_next_finding() -> None:
    trial = dataclasses.replace(armed(Phase.TRIGGERED, threshold=2, windows=OPEN), nokill=True)
    assert decide(trial, [finding("a"), finding("b")], NOW_NS).passed[0][1] is Passed.WINDOW
    later_ns = NOW_NS + 7200 * 1_000_000_000
    assert decide(trial, [finding("a")], later_ns).passed[0][1] is Passed.BELOW
    assert decide(trial, [finding("a"), finding("b")], later_ns).begin


def test_a_crash_between_begin_and_the_note_begins_again() -> None:
    assert decide(armed(Phase.TRIGGERED), [finding()], NOW_NS).begin


def test_names_of_an_attacker_stay_on_their_line() -> None:
    decision = decide(armed(), [finding(path="/sbin/x\n\x1b[2J\u202e".encode())], NOW_NS)
    assert decision.cause.isprintable()
    assert "%0A%1B[2J%E2%80%AE" in decision.cause


FINDINGS = st.builds(
    finding,
    st.sampled_from("abcdef"),
    kind=st.sampled_from(Kind), verdict=st.sampled_from(Verdict), severity=st.sampled_from(Severity), tier=st.sampled_from(Tier),
)
RECORDS = st.builds(
    armed,
    st.sampled_from(Phase),
    seen=st.lists(st.sampled_from("abcdef")), counted=st.lists(st.sampled_from("abcdef")), threshold=st.integers(1, 8),
    windows=st.lists(st.sampled_from([*OPEN, "mon 00:00-01:00"]), max_size=2).map(tuple),
)  # fmt: skip


@given(RECORDS, st.lists(FINDINGS, max_size=12), st.integers(0, 2 * 10**18))
def test_nothing_that_the_contract_excludes_is_ever_a_cause(record: PanicRecord, findings: list[Finding], now_ns: int) -> None:
    decision = decide(record, findings, now_ns)
    for one in decision.causes:
        assert one.severity is Severity.CRITICAL
        assert one.verdict is not Verdict.EXPECTED
        assert one.kind is not Kind.ATTEMPTED
        assert one.id not in record.seen
    assert decision.begin == bool(decision.causes) == bool(decision.cause)
    if decision.begin:
        assert record.phase in (Phase.ARMED, Phase.TRIGGERED, Phase.CUT)
        assert record.has_begun or len({*record.counted, *decision.counted}) >= max(1, threshold_of(record))
    assert not set(decision.judged) & set(record.seen)
    assert set(decision.counted) <= set(decision.judged)


@given(RECORDS, st.lists(FINDINGS, max_size=12), st.integers(0, 2 * 10**18))
def test_every_finding_is_a_cause_or_has_a_reason_and_is_judged_once(
    record: PanicRecord, findings: list[Finding], now_ns: int
) -> None:
    decision = decide(record, findings, now_ns)
    told = {one.id for one in decision.causes} | {one.id for one, _ in decision.passed}
    assert told == {one.id for one in findings}
    after = dataclasses.replace(record, seen=(*record.seen, *decision.judged), counted=(*record.counted, *decision.counted))
    assert not decide(after, findings, now_ns).begin
    assert not decide(after, findings, now_ns).judged


@given(FINDINGS)
def test_what_may_not_panic_never_does_even_where_a_panic_goes_on(one: Finding) -> None:
    assert may_panic(one) == (why_never(one) is None) == decide(armed(Phase.CUT), [one], NOW_NS).begin


def threshold_of(record: PanicRecord) -> int:
    threshold: int = record.settings["panic"]["threshold"]
    return threshold
