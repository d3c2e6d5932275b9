"""What is in a file, as a part of its finding: through JSON and back, and what it makes of the verdict."""

import json
from dataclasses import replace

import pytest

from fimkit.model.findings import ContentMark, Kind, Severity, Tier, Verdict, judge_content
from fimkit.model.json_form import parse_finding, render_finding
from tests.evidence.examples import a_finding

__all__: list[str] = []

MARK = ContentMark(rule="shell", severity="suspect", line=3, text="system($_GET['c']);", attack="T1505.003")
MILD = replace(MARK, severity="info")


@pytest.mark.parametrize("content", [None, (), (MARK,), (MARK, MILD)])
def test_content_goes_through_json_and_is_absent_where_nothing_was_searched(content: tuple[ContentMark, ...] | None) -> None:
    finding = replace(a_finding(), content=content)
    row = json.loads(json.dumps(render_finding(finding)))
    assert ("content" in row) is (content is not None)
    assert parse_finding(row) == finding


def test_a_mark_has_the_contracts_fields() -> None:
    (row,) = render_finding(replace(a_finding(), content=(MARK,)))["content"]
    assert row == {"rule": "shell", "severity": "suspect", "line": 3, "text": "system($_GET['c']);", "attack": "T1505.003"}


@pytest.mark.parametrize(("content", "verdict", "severity"), [
    ((MARK,), Verdict.SUSPECT, Severity.HIGH), ((MILD,), Verdict.UNEXPLAINED, Severity.MEDIUM),
    ((), Verdict.UNEXPLAINED, Severity.MEDIUM), (None, Verdict.UNEXPLAINED, Severity.MEDIUM),
    ((MILD, MARK), Verdict.SUSPECT, Severity.HIGH),
])  # fmt: skip
def test_a_hit_that_is_more_than_information_makes_a_finding_suspect(
    content: tuple[ContentMark, ...] | None, verdict: Verdict, severity: Severity
) -> None:
    plain = a_finding(tier=Tier.WATCH, severity=Severity.MEDIUM, kind=Kind.CREATED)
    judged = judge_content(plain, content, ["rule shell: line 3"])
    assert (judged.verdict, judged.severity, judged.id) == (verdict, severity, plain.id)
    assert judged.reasons == ("rule shell: line 3", "its bytes")


def test_what_a_package_is_proved_to_have_brought_stays_expected() -> None:
    proved = a_finding(verdict=Verdict.EXPECTED, severity=Severity.INFO)
    judged = judge_content(proved, (MARK,), [])
    assert (judged.verdict, judged.severity, judged.content) == (Verdict.EXPECTED, Severity.INFO, (MARK,))


def test_what_an_earlier_search_said_is_replaced_and_all_else_stays() -> None:
    first = judge_content(a_finding(), None, ["content: not searched: it was not done in time"])
    assert judge_content(first, (), ["story: a"]).reasons == ("story: a", "its bytes")
