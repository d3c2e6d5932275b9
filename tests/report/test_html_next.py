"""What the report tells its reader to do: who is asked, where to look, and how it ends."""

from dataclasses import replace

from fimkit.model.findings import Attribution, Finding, Severity, Verdict
from fimkit.report.html import ReportData
from fimkit.report.html_next import render_next
from tests.report.report_place import HOSTILE, MADE_NS, hostile_report, incident_report, investigation

FOUND = investigation().findings
ONE = next(finding for finding in FOUND if finding.severity is Severity.CRITICAL and finding.attribution is Attribution.EXACT)


def steps(*findings: Finding, has_store: bool = True, **more: object) -> tuple[str, ...]:
    return render_next(replace(ReportData(host="web01", made_ns=MADE_NS), findings=findings, has_store=has_store, **more))  # type: ignore[arg-type]


def test_the_recorded_incident_in_steps() -> None:
    told = render_next(replace(incident_report(), has_store=True))
    assert told[0].startswith("Look at what is suspect before you ask anybody: /srv/fim/tree/sbin/tool3, ")
    assert told[1] == (
        "Ask auid 1002, and not by way of the host itself, whether 2 changes were meant; all that this login did:"
        " fimkit notebook 03_session -p auid=1002."
    )
    assert told[2].startswith("Ask alice (auid 1000), and not by way of the host itself, whether 6 changes were meant")
    assert told[3].startswith("Look at the service behind /usr/bin/dash (no login, uid 0), which made 17 changes")
    assert any(step.startswith("For 1 change nobody is named: see who was logged in at 2026-11-22 03:49:03 UTC") for step in told)
    assert told[-1].endswith("fimkit show 9932460a.")
    assert any(finding.id.startswith("9932460a") and finding.path == b"/srv/fim/tree/sbin/tool1" for finding in FOUND)


def test_without_a_store_no_command_is_named_that_needs_one() -> None:
    assert not any("fimkit" in step for step in render_next(incident_report()))


def test_one_change_is_named_and_not_counted() -> None:
    words = steps(ONE)[0]
    assert words.startswith(f"Ask auid {ONE.actors[0].auid}, and not by way of the host itself, whether /srv/fim/tree/")
    assert " was meant; " in words


def test_who_did_the_worst_is_asked_first_and_the_last_are_pointed_to() -> None:
    lesser = replace(ONE, severity=Severity.MEDIUM)
    many = [replace(lesser, id=f"m{number}", actors=(replace(ONE.actors[0], auid=9),), first_seen_ns=1) for number in range(5)]
    few = [replace(ONE, id=f"c{auid}", actors=(replace(ONE.actors[0], auid=auid),)) for auid in (1, 2, 3)]
    words = steps(*many, *few)
    assert [step.split(",")[0] for step in words[:3]] == ["Ask auid 1", "Ask auid 2", "Ask auid 3"]
    assert words[3] == "Then 1 more login: see Who."


def test_what_is_proved_asks_for_nobody() -> None:
    proved = replace(ONE, verdict=Verdict.EXPECTED, severity=Severity.INFO)
    assert steps(proved) == ("What is proved (1 change), take in at once: fimkit baseline accept --expected.",)


def test_what_is_settled_asks_for_nothing() -> None:
    assert steps(ONE, statuses={ONE.id: "accepted"}) == ()


def test_a_login_of_many_hosts_is_asked_once() -> None:
    words = steps(*(replace(ONE, host=f"web{number:02}", id=str(number)) for number in range(5)), has_store=False)
    assert [step for step in words if step.startswith("Ask")] == [
        f"Ask auid {ONE.actors[0].auid} on 5 hosts, and not by way of the host itself, whether 5 changes were meant."
    ]


def test_every_name_is_printable_and_bounded() -> None:
    for step in render_next(replace(hostile_report(), has_store=True)):
        assert step.isprintable()
        assert len(step) < 8 * max(len(name) for name in HOSTILE if len(name) < 1000) + 500
