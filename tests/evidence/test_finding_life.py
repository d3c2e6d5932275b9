"""The same difference found again is the same finding."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.finding_life import is_doubt, is_suspicion, merge_finding
from fimkit.model.changes import Source
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from tests.evidence.examples import DAY_NS, NOW, a_finding, an_actor

LATER = NOW + DAY_NS
UNKNOWN = a_finding(actors=(), attribution=Attribution.UNATTRIBUTED, reasons=("no record",), evidence=(), sources=(Source.SCAN,),
                    first_seen_ns=LATER, last_seen_ns=LATER)
TWO_COULD = "2 processes could have made the bytes: pid 5, 4711"
GAP = "no audit record of the watched paths was read: what changed is known, who did it is not"
SET_ID = "it gained the set-user-id bit"
TRIED, TRIES = "a denied try", "3 denied tries: EACCES"


def test_tuesdays_look_without_records_keeps_mondays_actors() -> None:
    monday = a_finding()
    tuesday = merge_finding(monday, UNKNOWN, LATER)
    assert tuesday == a_finding(last_seen_ns=LATER)


def test_surer_attribution_takes_over_with_the_evidence_of_both() -> None:
    vague = a_finding(attribution=Attribution.AMBIGUOUS, evidence=("1.000:1",), reasons=(TWO_COULD,))
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
    doubt = a_finding(attribution=Attribution.AMBIGUOUS, actors=(an_actor(5), an_actor(6)), reasons=(TWO_COULD,))
    merged = merge_finding(sure, doubt, LATER)
    assert (merged.attribution, merged.actors, merged.reasons) == (Attribution.EXACT, sure.actors, ())


def test_what_weighs_more_now_is_taken_over_without_the_doubt_about_who() -> None:
    sure = a_finding(tier=Tier.WATCH, severity=Severity.MEDIUM)
    doubt = a_finding(
        tier=Tier.WATCH, severity=Severity.HIGH, verdict=Verdict.SUSPECT, attribution=Attribution.AMBIGUOUS,
        actors=(an_actor(), an_actor(5)), reasons=(SET_ID, "its bytes", TWO_COULD),
    )  # fmt: skip
    merged = merge_finding(sure, doubt, LATER)
    assert (merged.severity, merged.verdict, merged.attribution, merged.actors) == (
        Severity.HIGH, Verdict.SUSPECT, Attribution.EXACT, sure.actors,
    )  # fmt: skip
    assert merged.reasons == ("its bytes", SET_ID)


@pytest.mark.parametrize("attribution", [Attribution.UNATTRIBUTED, Attribution.AMBIGUOUS])
def test_a_denied_try_is_told_though_it_is_less_sure_who_did_the_rest(attribution: Attribution) -> None:
    again = replace(UNKNOWN, attribution=attribution, verdict=Verdict.SUSPECT, reasons=(TRIED, "its bytes", TRIES, GAP))
    merged = merge_finding(a_finding(), again, LATER)
    assert (merged.attribution, merged.verdict) == (Attribution.EXACT, Verdict.SUSPECT)
    assert merged.reasons == ("its bytes", TRIED, TRIES)


def test_a_suspicion_is_told_beside_reasons_that_are_not_all_said_again() -> None:
    again = a_finding(verdict=Verdict.SUSPECT, severity=Severity.MEDIUM, reasons=(TRIED, "other words"))
    merged = merge_finding(a_finding(), again, LATER)
    assert (merged.verdict, merged.severity) == (Verdict.SUSPECT, Severity.CRITICAL)
    assert merged.reasons == ("its bytes", TRIED, "other words")
    tried = replace(merged, reasons=("its bytes", TRIED))
    assert merge_finding(tried, replace(again, reasons=(SET_ID, "more words")), LATER).reasons == ("its bytes", TRIED, SET_ID)


def test_a_surer_attribution_takes_the_doubt_away_and_nothing_else() -> None:
    vague = a_finding(
        attribution=Attribution.AMBIGUOUS, reasons=(TRIED, "1 denied try: EPERM", "no package ships this path", TWO_COULD),
        verdict=Verdict.SUSPECT,
    )  # fmt: skip
    assert merge_finding(vague, a_finding(), LATER).reasons == (
        "its bytes", TRIED, "1 denied try: EPERM", "no package ships this path",
    )  # fmt: skip
    counted = a_finding(reasons=(TRIED, "its bytes", TRIES))
    assert merge_finding(vague, counted, LATER).reasons == (TRIED, "its bytes", TRIES, "no package ships this path")


def test_more_evidence_takes_no_suspicion_away() -> None:
    was = a_finding(verdict=Verdict.SUSPECT, reasons=(SET_ID, "its bytes"))
    more = a_finding(reasons=("its bytes", "replaced"), evidence=(an_actor().event, "2.000:2"))
    assert merge_finding(was, more, LATER).reasons == ("its bytes", "replaced", SET_ID)


def test_a_doubt_about_others_is_not_said_of_one_as_doubtful() -> None:
    stored = a_finding(attribution=Attribution.AMBIGUOUS, actors=(an_actor(5), an_actor(4711)), reasons=(TWO_COULD,))
    others = "2 processes could have made the bytes: pid 8, 9"
    again = replace(stored, actors=(an_actor(8), an_actor(9)), evidence=("8.000:8",), reasons=(others, "replaced"))
    assert merge_finding(stored, again, LATER).reasons == ("replaced", TWO_COULD)
    graver = replace(again, severity=Severity.HIGH)
    assert merge_finding(replace(stored, severity=Severity.LOW), graver, LATER).reasons == (TWO_COULD, "replaced")


def test_a_doubt_more_about_the_same_is_said() -> None:
    stored = replace(UNKNOWN, reasons=("records were lost: 7 of them",))
    again = replace(UNKNOWN, reasons=("records were lost: 7 of them", "setting times alone is not recorded"))
    assert merge_finding(stored, again, LATER).reasons == again.reasons


WORDS = (TWO_COULD, "2 processes could have made the bytes: pid 8, 9", GAP, SET_ID, TRIED, TRIES, "1 denied try: EPERM", "replaced")
findings = st.builds(
    a_finding, attribution=st.sampled_from(Attribution), severity=st.sampled_from(Severity), tier=st.sampled_from(Tier),
    verdict=st.sampled_from(Verdict), actors=st.sampled_from([(), (an_actor(5),), (an_actor(8), an_actor(9))]),
    reasons=st.lists(st.sampled_from(WORDS), unique=True).map(tuple),
    evidence=st.lists(st.sampled_from(["1.000:1", "2.000:2", "3.000:3"]), unique=True).map(tuple),
)  # fmt: skip


@given(findings, findings)
def test_doubts_are_of_those_who_are_named_and_every_suspicion_stays(stored: Finding, again: Finding) -> None:
    merged = merge_finding(stored, again, LATER)
    sides = [one for one in (stored, again) if (one.attribution, one.actors) == (merged.attribution, merged.actors)]
    assert sides
    assert set(filter(is_doubt, merged.reasons)) <= {text for one in sides for text in one.reasons}
    assert set(filter(is_suspicion, (*stored.reasons, *again.reasons))) <= set(merged.reasons)
    assert set(merged.reasons) <= {*stored.reasons, *again.reasons}
    if again.tier is stored.tier and again.severity is stored.severity and Verdict.EXPECTED not in (stored.verdict, again.verdict):
        assert (merged.verdict is Verdict.SUSPECT) == (Verdict.SUSPECT in (stored.verdict, again.verdict))
    assert merge_finding(merged, again, LATER) == merged
