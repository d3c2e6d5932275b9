"""The recorded incident with its osquery log alone, and beside the audit log: what osquery could see, and that it names nobody.

``FIMKIT_REWRITE_GOLDEN=1`` writes the golden findings anew.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.truth import hold_against, render_rows

DATA = Path(__file__).parent.parent / "data"
INCIDENT = DATA / "incident-01"
GOLDEN = Path(__file__).parent / "golden"
TREE = "/srv/fim/tree/"
AUDIT, OSQUERY = ("--audit-log", str(INCIDENT / "audit.log")), ("--osquery-log", str(INCIDENT / "osqueryd.results.log"))
ON_THE_WAY = [f"{TREE}etc/{name}" for name in ("deep", "deep/a", "deep/a/b")]
UNSEEN = {
    "sbin/tool1": "changed through a hard link outside of the tree",
    "etc/deep/a": "made with its parent in one go, before the parent was watched",
    "etc/deep/a/b": "the same",
    "etc/deep/a/b/f": "the same",
}


def judged(*logs: str) -> dict[str, dict[str, Any]]:
    files = ["--baseline", str(INCIDENT / "baseline.jsonl"), "--after", str(INCIDENT / "after.jsonl")]
    command = [sys.executable, "-m", "fimkit", "--config", str(INCIDENT / "fimkit.toml"), "investigate", *files, *logs, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return {finding["path"].removeprefix(TREE): finding for finding in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, Any]]:
    return judged(*OSQUERY)


@pytest.fixture(scope="module")
def both() -> dict[str, dict[str, Any]]:
    return judged(*AUDIT, *OSQUERY)


def test_every_change_is_found_as_it_was_but_for_the_denied_try_and_nobody_is_named(alone: dict[str, dict[str, Any]]) -> None:
    truths = [json.loads(line) for line in (INCIDENT / "truth.jsonl").read_text().splitlines()]
    seen = [{**truth, "attribution": "unattributed"} for truth in truths if truth["kind"] != "attempted"]
    rows = hold_against(seen, list(alone.values()), ON_THE_WAY)
    print(render_rows(rows))
    assert [row for row in rows if row.wrong] == []
    assert {finding["attribution"] for finding in alone.values()} == {"unattributed"}


def test_osquery_is_a_source_of_every_change_that_it_could_see(alone: dict[str, dict[str, Any]]) -> None:
    assert {path for path, finding in alone.items() if "osquery" not in finding["sources"]} == set(UNSEEN)
    for path, finding in alone.items():
        said = "osquery saw it, and says what changed and not who" in finding["reasons"]
        assert said == (path not in UNSEEN), path
        assert "no audit record of the watched paths was read: what changed is known, who did it is not" in finding["reasons"]


def test_with_both_logs_both_are_sources_and_osquery_takes_nothing_away(
    alone: dict[str, dict[str, Any]], both: dict[str, dict[str, Any]]
) -> None:
    audit = judged(*AUDIT)
    for path, finding in both.items():
        assert ("osquery" in finding["sources"]) == ("osquery" in alone.get(path, {"sources": ()})["sources"]), path
        assert ("audit" in finding["sources"]) == ("audit" in audit[path]["sources"]), path
        assert {name: finding[name] for name in ("kind", "attribution", "actors", "id")} == {
            name: audit[path][name] for name in ("kind", "attribution", "actors", "id")
        }
    assert sum({"audit", "osquery"} <= set(finding["sources"]) for finding in both.values()) > 25


@pytest.mark.parametrize("logs", ["alone", "both"])
def test_findings_are_as_they_were(logs: str, request: pytest.FixtureRequest) -> None:
    findings = request.getfixturevalue(logs)
    names = ("kind", "severity", "verdict", "moved_to", "attribution", "sources", "reasons")
    rows = [json.dumps({"path": path, **{name: findings[path][name] for name in names}}) for path in sorted(findings)]
    file = GOLDEN / f"incident-01-osquery-{logs}.jsonl"
    if os.environ.get("FIMKIT_REWRITE_GOLDEN"):
        file.write_text("".join(row + "\n" for row in rows))
    assert rows == file.read_text().splitlines()
