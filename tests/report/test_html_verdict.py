"""The report's first sentence: how bad, when, who, and where to begin."""

from dataclasses import replace

from fimkit.model.findings import Attribution, Severity, Verdict
from fimkit.report.html import Blind, ReportData
from fimkit.report.html_verdict import blind_seconds, open_findings, render_verdict
from tests.report.report_place import MADE_NS, SECOND_NS, incident_report, investigation

FOUND = investigation().findings
ONE = next(finding for finding in FOUND if finding.severity is Severity.CRITICAL and finding.attribution is Attribution.EXACT)


def verdict(*findings: object, **more: object) -> str:
    return render_verdict(replace(ReportData(host="web01", made_ns=MADE_NS), findings=findings, **more))  # type: ignore[arg-type]


def test_the_recorded_incident_in_words() -> None:
    assert render_verdict(incident_report()) == (
        "4 critical changes of 34 findings on web01, from 2026-11-22 03:49:03 to 03:49:08 UTC; by auid 1002 and alice (auid 1000);"
        " for 1 it is not known for sure who. Begin with /srv/fim/tree/sbin/tool3, whose attributes changed and which is suspect."
        " There is a gap in the records, 2 s in all."
    )


def test_one_finding_has_one_who_and_one_time() -> None:
    words = verdict(ONE)
    assert words.startswith("1 critical change on web01, at 2026-11-22 03:49:0")
    assert f"by auid {ONE.actors[0].auid}. Begin with" in words


def test_more_logins_than_a_sentence_holds_are_counted() -> None:
    many = [replace(ONE, id=str(number), actors=(replace(ONE.actors[0], auid=number),)) for number in range(5)]
    assert "; by 5 logins. Begin with" in verdict(*many)


def test_in_a_report_of_many_hosts_the_place_to_begin_has_its_host() -> None:
    assert "Begin with db02: /srv" in verdict(replace(ONE, host="db02"), ONE)


def test_expected_changes_alone_are_no_alarm() -> None:
    expected = replace(ONE, verdict=Verdict.EXPECTED, severity=Severity.INFO)
    assert verdict(expected) == "1 change on web01, none that is unexplained and matters."


def test_suspicion_is_said() -> None:
    assert verdict(replace(ONE, verdict=Verdict.SUSPECT)).endswith("and which is suspect.")


def test_settled_findings_do_not_count() -> None:
    report = ReportData(host="web01", made_ns=MADE_NS, findings=FOUND, statuses={finding.id: "undone" for finding in FOUND})
    assert open_findings(report) == []
    assert "34 closed ones are listed" in render_verdict(report)


def test_gaps_that_overlap_are_added_up_once() -> None:
    gaps = [Blind(from_ns=start * SECOND_NS, to_ns=end * SECOND_NS, why="") for start, end in ((5, 15), (0, 10), (7, 8), (20, 21))]
    assert blind_seconds(gaps) == 16


def test_a_very_long_path_is_shortened_in_the_sentence() -> None:
    assert len(verdict(replace(ONE, path=b"/" + b"x" * 4000))) < 500
