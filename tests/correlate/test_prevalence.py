"""What a fleet says of a change: on how many hosts it is, and what that does to the severity, and never does."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fimkit.correlate.prevalence import place_changes, weigh_findings
from fimkit.model.findings import Finding, Kind, Severity, Spread, Tier, Verdict, severity_in_fleet
from tests.evidence.examples import a_finding, a_state

SOME = a_state(b"/etc/x", sha256="11" * 32)
OTHER = a_state(b"/etc/x", sha256="22" * 32)


def on(number: int, **attributes: object) -> Finding:
    plain = {"host": f"h{number:03d}", "tier": Tier.WATCH, "severity": Severity.MEDIUM, "after": SOME, "reasons": ("its bytes",)}
    return a_finding(f"id{number}", **(plain | attributes))


def names(count: int) -> list[str]:
    return [f"h{number:03d}" for number in range(count)]


def weighed(findings: list[Finding], of: int) -> list[Finding]:
    return weigh_findings(place_changes(findings, names(of)))


def test_what_is_on_nearly_all_of_ten_hosts_weighs_one_step_less_and_says_so() -> None:
    found = weighed([on(number) for number in range(9)], 10)
    assert {finding.severity for finding in found} == {Severity.LOW}
    assert {finding.reasons for finding in found} == {
        ("fleet: seen on 9 of 10 hosts, the same content on each: a roll-out, or one who reaches them all", "its bytes")
    }
    assert {finding.severity for finding in weighed([on(number) for number in range(8)], 10)} == {Severity.MEDIUM}


def test_with_fewer_than_ten_hosts_a_roll_out_is_said_and_moves_nothing() -> None:
    found = weighed([on(number) for number in range(9)], 9)
    assert {finding.severity for finding in found} == {Severity.MEDIUM}
    assert all("9 of 9 hosts" in finding.reasons[0] for finding in found)
    assert [finding.reasons for finding in weighed([on(0)], 2)] == [("its bytes",)]


def test_what_is_on_one_host_is_a_lead_and_keeps_its_severity() -> None:
    (found,) = weighed([on(3)], 40)
    assert found.severity is Severity.MEDIUM
    assert found.reasons[0] == "fleet: seen on 1 of 40 hosts: a lead"


def test_a_host_that_alone_departs_from_a_roll_out_weighs_one_step_more() -> None:
    found = weighed([*(on(number) for number in range(19)), on(19, after=OTHER)], 20)
    assert (found[0].host, found[0].severity) == ("h019", Severity.HIGH)
    assert "nearly all others changed /etc/x too, to something else" in found[0].reasons[0]
    assert {finding.severity for finding in found[1:]} == {Severity.LOW}


def test_the_same_bytes_with_another_mode_are_another_change() -> None:
    found = weighed([*(on(number) for number in range(19)), on(19, after=SOME._replace(mode=0o666))], 20)
    assert found[0].host == "h019" and found[0].severity is Severity.HIGH


def test_what_is_critical_suspect_expected_or_a_try_weighs_the_same_on_any_number_of_hosts() -> None:
    for attributes in (
        {"tier": Tier.CRITICAL, "severity": Severity.CRITICAL},
        {"verdict": Verdict.SUSPECT, "severity": Severity.HIGH},
        {"verdict": Verdict.SUSPECT, "severity": Severity.MEDIUM},
        {"verdict": Verdict.EXPECTED, "severity": Severity.INFO},
        {"kind": Kind.ATTEMPTED, "verdict": Verdict.SUSPECT, "severity": Severity.LOW},
        {"kind": Kind.TRANSIENT, "severity": Severity.MEDIUM},
        {"severity": Severity.INFO, "changed": ("mtime_ns",), "kind": Kind.ATTRIBUTES},
    ):
        found = weighed([on(number, **attributes) for number in range(30)], 30)
        assert {finding.severity for finding in found} == {attributes["severity"]}, attributes
        assert all("30 of 30 hosts" in finding.reasons[0] for finding in found)


def test_of_a_file_whose_bytes_nobody_could_read_nobody_knows_that_it_is_the_same() -> None:
    found = weighed([on(number, after=SOME._replace(sha256=None)) for number in range(30)], 30)
    assert {finding.severity for finding in found} == {Severity.MEDIUM}


def test_a_deleted_file_can_be_a_roll_out() -> None:
    found = weighed([on(number, kind=Kind.DELETED, after=None) for number in range(30)], 30)
    assert {finding.severity for finding in found} == {Severity.LOW}


def test_one_host_that_says_it_many_times_counts_once() -> None:
    found = weighed([replace(on(1), id=f"x{number}") for number in range(40)], 12)
    assert {finding.severity for finding in found} == {Severity.MEDIUM}
    assert {finding.reasons[0] for finding in found} == {"fleet: seen on 1 of 12 hosts: a lead"}


def test_what_an_earlier_fleet_said_is_found_anew() -> None:
    lowered = weighed([on(number) for number in range(20)], 20)[0]
    assert lowered.severity is Severity.LOW
    (alone,) = weighed([lowered], 20)
    assert alone.severity is Severity.MEDIUM
    assert alone.reasons == ("fleet: seen on 1 of 20 hosts: a lead", "its bytes")


_any_finding = st.builds(
    on, st.integers(0, 14), kind=st.sampled_from(Kind), tier=st.sampled_from(Tier), verdict=st.sampled_from(Verdict),
    severity=st.sampled_from(Severity), after=st.sampled_from([None, SOME, OTHER]),
    path=st.sampled_from([b"/etc/x", b"/etc/\xff"]),
)  # fmt: skip


@given(st.lists(_any_finding, max_size=40))
def test_nothing_is_lost_or_silenced_and_a_second_weighing_changes_nothing(findings: list[Finding]) -> None:
    numbered = [replace(finding, id=str(number)) for number, finding in enumerate(findings)]
    before = {finding.id: finding for finding in numbered}
    once = weighed(numbered, 15)
    assert sorted(finding.id for finding in once) == sorted(before)
    for finding in once:
        was = before[finding.id]
        assert replace(finding, severity=was.severity, reasons=was.reasons) == was
        assert finding.severity.rank >= min(was.severity.rank, Severity.LOW.rank)
        if was.tier is Tier.CRITICAL or was.verdict is not Verdict.UNEXPLAINED:
            assert finding.severity is was.severity


@given(st.sampled_from(Tier), st.sampled_from(Kind), st.sampled_from(Verdict), st.sampled_from(Severity), st.sampled_from(Spread))
def test_the_table_moves_one_step_at_most(tier: Tier, kind: Kind, verdict: Verdict, severity: Severity, spread: Spread) -> None:
    assert abs(severity_in_fleet(tier, kind, verdict, severity, spread).rank - severity.rank) <= 1


def test_no_finding_is_no_change() -> None:
    assert place_changes([], names(5)) == [] and weigh_findings([]) == []
