"""ECS documents, held against the field list of the public schema; the list is no output of ours."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fimkit.model.findings import ContentMark, Finding, Kind
from fimkit.report.export_ecs import ECS_VERSION, render_ecs
from fimkit.report.export_rows import ExportRow
from tests.evidence.examples import NOW, a_finding, an_actor
from tests.report.export_cases import EVERY_KIND, export_rows, hostile

__all__: list[str] = []

SCHEMA = json.loads((Path(__file__).parents[1] / "data/export/ecs-8.11.json").read_text())
TYPES = {"keyword": str, "wildcard": str, "match_only_text": str, "date": str, "long": int, "float": float}
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value


def problems(document: dict[str, Any]) -> list[str]:
    """Say what the schema has against a document."""
    found = dict(leaves({name: value for name, value in document.items() if name != "fimkit"}))
    wrong = [f"{name} is missing" for name in SCHEMA["required"] if name not in found]
    for name, value in found.items():
        kind = SCHEMA["fields"].get(name)
        many = value if isinstance(value, list) else [value]
        if kind is None:
            wrong.append(f"{name} is no field of ECS")
            continue
        if isinstance(value, list) is not (name in SCHEMA["lists_always"]):
            wrong.append(f"{name} is a list, or is none, against the reference")
        for one in many:
            if not isinstance(one, TYPES[kind]) or isinstance(one, bool):
                wrong.append(f"{name} is {one!r}, expected {kind}")
            elif kind == "date" and not DATE.fullmatch(one):
                wrong.append(f"{name} is {one!r}, expected a date")
            elif kind == "long" and not -(2**63) <= one < 2**63:
                wrong.append(f"{name} is {one!r}, beyond a long")
            elif one not in SCHEMA["allowed"].get(name, [one]):
                wrong.append(f"{name} is {one!r}, which is not allowed")
    for category in found["event.category"]:
        allowed = SCHEMA["types_of_category"][category]
        wrong += [f"{kind} is no type of {category}" for kind in found["event.type"] if kind not in allowed]
    return wrong


@pytest.mark.parametrize("finding", [*EVERY_KIND, hostile()], ids=lambda finding: finding.id)
def test_every_kind_is_valid_by_the_public_field_list(finding: Finding) -> None:
    assert problems(render_ecs(ExportRow(finding=finding))) == []


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(export_rows)
def test_whatever_is_in_a_finding_the_document_is_valid(row: ExportRow) -> None:
    document = render_ecs(row)
    assert problems(document) == []
    json.dumps(document, ensure_ascii=False).encode()
    for name, value in leaves(document["fimkit"]):
        for one in value if isinstance(value, list) else [value]:
            assert not isinstance(one, int) or -(2**63) <= one < 2**63, name


def test_the_version_is_that_of_the_schema() -> None:
    assert ECS_VERSION.startswith(SCHEMA["version"] + ".")


def test_the_schema_would_refuse_what_is_wrong() -> None:
    document = render_ecs(ExportRow(finding=a_finding()))
    document["file"]["colour"] = "red"
    document["file"]["size"] = "3"
    document["event"]["type"] = ["start"]
    assert len(problems(document)) == 3


def test_a_field_says_what_the_finding_says() -> None:
    document = render_ecs(ExportRow(finding=a_finding("a1", actors=(an_actor(), an_actor(pid=9)))))
    assert document["file"]["hash"] == {"sha256": "cd" * 32}
    assert document["process"]["parent"] == {"pid": 1}
    assert document["user"] == {"id": "1000", "name": "eve", "effective": {"id": "0"}}
    assert document["event"]["type"] == ["change"]
    assert [actor["pid"] for actor in document["fimkit"]["actors"]] == [4711, 9]
    assert document["fimkit"]["before"]["sha256"] == "ab" * 32
    assert document["message"] == "critical: /etc/x was modified by eve (auid 1000) with /usr/bin/vi"


def test_the_process_has_its_effective_and_its_real_user() -> None:
    process = render_ecs(ExportRow(finding=a_finding(actors=(an_actor(uid=33, euid=0),))))["process"]
    assert (process["user"], process["real_user"]) == ({"id": "0"}, {"id": "33"})


def test_a_subtechnique_is_named_as_one_below_its_technique() -> None:
    marks = (
        ContentMark(rule="php_eval", severity="high", line=3, text="eval(", attack="T1505.003"),
        ContentMark(rule="fetch", severity="medium", line=4, text="curl", attack="T1105"),
        ContentMark(rule="odd", severity="low", line=5, text="x", attack="../x"),
    )
    document = render_ecs(ExportRow(finding=a_finding(content=marks)))
    assert problems(document) == []
    assert document["threat"] == {
        "framework": "MITRE ATT&CK",
        "technique": {
            "id": ["T1105", "T1505"],
            "reference": ["https://attack.mitre.org/techniques/T1105/", "https://attack.mitre.org/techniques/T1505/"],
            "subtechnique": {"id": ["T1505.003"], "reference": ["https://attack.mitre.org/techniques/T1505/003/"]},
        },
    }
    assert document["rule"] == {"name": ["php_eval", "fetch", "odd"], "ruleset": "fimkit content rules"}


def test_times_device_and_users_have_their_homes() -> None:
    finding = a_finding(last_seen_ns=NOW + 5, actors=(an_actor(), an_actor(pid=9, auid=None, user=None, uid=33, euid=33)))
    document = render_ecs(ExportRow(finding=finding))
    assert (document["event"]["duration"], document["event"]["sequence"]) == (5, 9)
    assert document["file"]["device"] == "254:0"
    assert document["related"]["user"] == ["0", "1000", "33", "eve"]


def test_a_denied_try_is_an_access_that_failed() -> None:
    event = render_ecs(ExportRow(finding=a_finding(kind=Kind.ATTEMPTED)))["event"]
    assert (event["type"], event["outcome"]) == (["access"], "failure")


def test_attributes_with_any_name_make_no_field_of_an_index() -> None:
    document = render_ecs(ExportRow(finding=hostile()))
    assert document["fimkit"]["after"]["xattrs"] == ["user.b.c=@x", "user.\\udcff%0A=%00=1"]
