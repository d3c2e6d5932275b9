"""Findings about the means themselves."""

import pytest

from fimkit.evidence.finding_life import PASSING
from fimkit.model.findings import Finding, Kind, Severity, Tier, Verdict
from fimkit.model.json_form import parse_finding, render_finding
from fimkit.panic.trigger import may_panic
from fimkit.verbs.own_findings import find_overdue, find_tampering


def _tampering(**settings: object) -> Finding:
    facts: dict[str, object] = {"key": "seal 7", "tier": Tier.CRITICAL, "reasons": ("a row is another one",), "time_ns": 5}
    return find_tampering("web01", b"/var/lib/fimkit/evidence.sqlite", **(facts | settings))  # type: ignore[arg-type]


def test_the_same_case_is_the_same_finding_whenever_it_is_found() -> None:
    assert _tampering().id == _tampering(time_ns=9, reasons=("others",)).id
    assert len({_tampering().id, _tampering(key="seal 8").id}) == 2


@pytest.mark.parametrize(
    ("tier", "verdict", "severity"),
    [
        (Tier.CRITICAL, Verdict.SUSPECT, Severity.CRITICAL),
        (Tier.WATCH, Verdict.SUSPECT, Severity.HIGH),
        (Tier.WATCH, Verdict.UNEXPLAINED, Severity.MEDIUM),
    ],
)
def test_only_what_nothing_else_explains_can_start_a_panic(tier: Tier, verdict: Verdict, severity: Severity) -> None:
    finding = _tampering(tier=tier, verdict=verdict)
    assert (finding.severity, may_panic(finding)) == (severity, severity is Severity.CRITICAL)


def test_an_announced_change_that_never_came_starts_no_panic() -> None:
    finding = find_overdue("web01", b"/etc/motd", key="7", tier=Tier.CRITICAL, reasons=("announced by ann",), time_ns=5)
    assert (finding.kind, finding.severity, may_panic(finding)) == (Kind.OVERDUE, Severity.LOW, False)


def test_they_stay_open_until_a_person_accepts_them() -> None:
    assert {Kind.TAMPERED, Kind.OVERDUE} <= PASSING


def test_their_json_is_read_back() -> None:
    assert parse_finding(render_finding(_tampering())) == _tampering()
