"""The same difference found again is the same finding."""

from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.finding_life import merge_finding
from fimkit.model.changes import Source
from fimkit.model.findings import Attribution, Kind, Severity, Tier, Verdict
from tests.evidence.examples import DAY_NS, NOW, a_finding, an_actor

LATER = NOW + DAY_NS
UNKNOWN = a_finding(actors=(), attribution=Attribution.UNATTRIBUTED, reasons=("no record",), evidence=(), sources=(Source.SCAN,),
                    first_seen_ns=LATER, last_seen_ns=LATER)


def test_tuesdays_look_without_records_keeps_mondays_actors() -> None:
    monday = a_finding()
    tuesday = merge_finding(monday, UNKNOWN, LATER)
    assert tuesday == a_finding(last_seen_ns=LATER)


def test_surer_attribution_takes_over_with_the_evidence_of_both() -> None:
    vague = a_finding(attribution=Attribution.AMBIGUOUS, evidence=("1.000:1",), reasons=("two could have",))
    surer = a_finding(actors=(an_actor(5),), evidence=("1.000:1", "2.000:2"), reasons=("its bytes",), first_seen_ns=NOW - 7)
    merged = merge_finding(vague, surer, LATER)
    assert (merged.attribution, merged.actors, merged.reasons) == (Attribution.EXACT, (an_actor(5),), ("its bytes",))
    assert merged.evidence == ("1.000:1", "2.000:2")
    assert merged.first_seen_ns == NOW - 7


def test_sources_are_the_union_in_one_order() -> None:
    merged = merge_finding(UNKNOWN, a_finding(sources=(Source.OSQUERY, Source.AUDIT)), LATER)
    assert merged.sources == (Source.SCAN, Source.AUDIT, Source.OSQUERY)


def test_tier_of_a_changed_configuration_counts() -> None:
    was = a_finding(tier=Tier.WATCH, severity=Severity.MEDIUM)
    assert merge_finding(was, a_finding(), LATER).severity is Severity.CRITICAL
    assert merge_finding(a_finding(), was, LATER).severity is Severity.MEDIUM


def test_new_suspicion_raises_and_a_missing_one_does_not_lower() -> None:
    plain = a_finding(tier=Tier.WATCH, severity=Severity.MEDIUM)
    suspect = a_finding(tier=Tier.WATCH, severity=Severity.HIGH, verdict=Verdict.SUSPECT, reasons=("a web shell",))
    raised = merge_finding(plain, suspect, LATER)
    assert (raised.severity, raised.verdict, raised.reasons) == (Severity.HIGH, Verdict.SUSPECT, ("its bytes", "a web shell"))
    assert merge_finding(raised, plain, LATER).severity is Severity.HIGH


def test_what_was_proved_to_be_expected_stays_so() -> None:
    proved = a_finding(verdict=Verdict.EXPECTED, severity=Severity.INFO)
    assert merge_finding(proved, a_finding(), LATER).verdict is Verdict.EXPECTED
    assert merge_finding(a_finding(), proved, LATER).severity is Severity.INFO


def test_repeated_try_counts_and_stays_the_same_finding() -> None:
    once = a_finding(kind=Kind.ATTEMPTED, evidence=("1",), reasons=("1 denied try",))
    twice = a_finding(kind=Kind.ATTEMPTED, evidence=("1", "2"), reasons=("2 denied tries",), last_seen_ns=NOW + 5)
    merged = merge_finding(once, twice, LATER)
    assert (merged.id, merged.evidence, merged.reasons, merged.last_seen_ns) == ("a1", ("1", "2"), ("2 denied tries",), NOW + 5)
    assert merge_finding(merged, once, LATER) == merged


def test_last_time_of_a_try_is_its_own_and_not_the_looks() -> None:
    tried = a_finding(kind=Kind.ATTEMPTED)
    assert merge_finding(tried, tried, LATER).last_seen_ns == NOW


@given(
    st.sampled_from(Attribution), st.sampled_from(Attribution), st.sampled_from(Kind), st.integers(0, 2**60), st.integers(0, 2**60),
)  # fmt: skip
def test_merging_again_changes_nothing_more(one: Attribution, two: Attribution, kind: Kind, seen: int, now: int) -> None:
    stored, again = a_finding(attribution=one, kind=kind), a_finding(attribution=two, kind=kind, last_seen_ns=seen)
    merged = merge_finding(stored, again, now)
    assert merge_finding(merged, again, now) == merged
    assert list(Attribution).index(merged.attribution) >= list(Attribution).index(one)
    assert merged.last_seen_ns >= stored.last_seen_ns


def test_reasons_that_say_all_that_was_said_and_more_take_its_place() -> None:
    was = a_finding(reasons=("replaced",))
    more = a_finding(reasons=("replaced", "no package ships this path"))
    assert merge_finding(was, more, LATER).reasons == more.reasons
    assert merge_finding(more, was, LATER).reasons == more.reasons
    assert merge_finding(was, a_finding(reasons=("other", "words")), LATER).reasons == was.reasons


def test_reasons_for_a_doubt_are_not_said_of_what_was_known_for_sure() -> None:
    sure = a_finding(reasons=())
    doubt = a_finding(attribution=Attribution.AMBIGUOUS, actors=(an_actor(5), an_actor(6)), reasons=("2 could have made it",))
    merged = merge_finding(sure, doubt, LATER)
    assert (merged.attribution, merged.actors, merged.reasons) == (Attribution.EXACT, sure.actors, ())
