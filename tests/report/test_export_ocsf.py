"""OCSF events, held against a JSON Schema of the public class 1001; the schema is no output of ours."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from fimkit.model.findings import Attribution, ContentMark, Finding, Kind
from fimkit.report.export_ocsf import OCSF_VERSION, render_ocsf
from fimkit.report.export_rows import ExportRow
from tests.evidence.examples import a_finding, an_actor
from tests.report.export_cases import EVERY_KIND, export_rows, hostile

__all__: list[str] = []

jsonschema = pytest.importorskip("jsonschema", reason="the schema is checked by a library of its own: pip install 'fimkit[test]'")

SCHEMA = json.loads((Path(__file__).parents[1] / "data/export/ocsf-1.1.0-file_activity.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def problems(event: dict[str, object]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(event)]


def test_the_schema_itself_is_one_and_would_refuse_what_is_wrong() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    event = render_ocsf(ExportRow(finding=a_finding()))
    event["file"]["colour"] = "red"
    del event["device"]
    event["activity_id"] = 77
    event["observables"][0]["type_id"] = 12
    event["action_id"] = 1  # of a profile that is not named
    assert len(problems(event)) == 5


@pytest.mark.parametrize("finding", [*EVERY_KIND, hostile()], ids=lambda finding: finding.id)
def test_every_kind_is_valid_by_the_public_class(finding: Finding) -> None:
    event = render_ocsf(ExportRow(finding=finding))
    assert problems(event) == []
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(export_rows)
def test_whatever_is_in_a_finding_the_event_is_valid(row: ExportRow) -> None:
    event = render_ocsf(row)
    assert problems(event) == []
    json.dumps(event, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("name", "activity"),
    [("created", 1), ("modified", 3), ("deleted", 4), ("moved", 5), ("times", 6), ("mode", 7), ("attempted", 4), ("transient", 99)],
)
def test_what_was_done_is_said_in_the_numbers_of_the_class(name: str, activity: int) -> None:
    (finding,) = [finding for finding in EVERY_KIND if finding.id == name]
    assert render_ocsf(ExportRow(finding=finding))["activity_id"] == activity


def test_before_is_the_file_and_after_is_the_result() -> None:
    event = render_ocsf(ExportRow(finding=a_finding("a1")))
    assert event["file"]["hashes"] == [{"algorithm_id": 3, "algorithm": "SHA-256", "value": "ab" * 32}]
    assert event["file_result"]["hashes"][0]["value"] == "cd" * 32
    assert (event["metadata"]["uid"], event["metadata"]["version"]) == ("a1", OCSF_VERSION)
    assert event["actor"]["user"] == {"uid": "1000", "name": "eve"}
    assert event["actor"]["process"]["parent_process"] == {"pid": 1}
    assert event["time"] == 1795319341970


def test_what_content_rules_found_is_an_enrichment_and_names_its_technique() -> None:
    marks = (ContentMark(rule="php_eval", severity="high", line=3, text="eval(", attack="T1505.003"),)
    event = render_ocsf(ExportRow(finding=a_finding(content=marks)))
    assert problems(event) == []
    assert event["enrichments"] == [{
        "name": "file_result.path", "value": "/etc/x", "type": "content rule", "provider": "fimkit",
        "data": {"rule": "php_eval", "severity": "high", "line": 3, "text": "eval(", "attack": "T1505.003"},
    }]  # fmt: skip
    assert event["attacks"] == [{"technique": {"uid": "T1505"}, "sub_technique": {"uid": "T1505.003"}}]
    assert (event["disposition"], event["metadata"]["profiles"]) == ("Detected", ["host", "security_control"])
    assert "attacks" not in render_ocsf(ExportRow(finding=a_finding()))


def test_an_analyst_finds_host_user_program_and_hashes_among_the_observables() -> None:
    found = {one["name"]: one["value"] for one in render_ocsf(ExportRow(finding=a_finding()))["observables"]}
    assert found == {
        "device.hostname": "web01", "actor.user.name": "eve", "actor.process.name": "vi", "file.name": "x",
        "file.hashes.value": "ab" * 32, "file_result.name": "x", "file_result.hashes.value": "cd" * 32,
    }  # fmt: skip


def test_who_wrote_a_file_is_said_of_it_only_where_that_is_sure() -> None:
    event = render_ocsf(ExportRow(finding=a_finding()))
    assert event["file_result"]["modifier"] == {"uid": "1000", "name": "eve"}
    assert event["file_result"]["owner"] == {"uid": "0", "type_id": 2, "type": "Admin"}
    created = a_finding(kind=Kind.CREATED, before=None)
    assert render_ocsf(ExportRow(finding=created))["file"]["creator"] == {"uid": "1000", "name": "eve"}
    unsure = a_finding(attribution=Attribution.AMBIGUOUS)
    assert "modifier" not in render_ocsf(ExportRow(finding=unsure))["file_result"]


def test_a_row_that_was_closed_says_when_and_how() -> None:
    metadata = render_ocsf(ExportRow(finding=a_finding(), status="gone", closed_ns=1_795_319_400_000_000_000))["metadata"]
    assert metadata["modified_time"] == 1_795_319_400_000
    assert metadata["labels"] == ["tier:critical", "verdict:unexplained", "attribution:exact", "status:gone"]


def test_a_move_has_both_paths() -> None:
    event = render_ocsf(ExportRow(finding=a_finding(kind=Kind.MOVED, moved_to=b"/etc/new")))
    assert (event["file"]["path"], event["file_result"]["path"]) == ("/etc/x", "/etc/new")


def test_where_nobody_is_known_it_says_so_and_names_no_user() -> None:
    nobody = a_finding(actors=(), attribution=Attribution.UNATTRIBUTED)
    assert render_ocsf(ExportRow(finding=nobody))["actor"] == {"invoked_by": "unknown"}


def test_a_denied_try_failed() -> None:
    event = render_ocsf(ExportRow(finding=a_finding(kind=Kind.ATTEMPTED, actors=(an_actor(syscall="renameat2"),))))
    assert (event["status_id"], event["activity_id"]) == (2, 5)
    assert (event["action"], event["disposition"]) == ("Denied", "Blocked")
