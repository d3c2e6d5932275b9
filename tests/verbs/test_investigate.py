"""The recorded incident, judged from its files alone: every step as its truth says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.truth import hold_against, render_rows

INCIDENT = Path(__file__).parent.parent / "data/incident-01"
LOGS = ("--audit-log", str(INCIDENT / "audit.log"), "--osquery-log", str(INCIDENT / "osqueryd.results.log"))
ON_THE_WAY = [f"/srv/fim/tree/etc/{name}" for name in ("deep", "deep/a", "deep/a/b")]


def investigate(*arguments: str, baseline: str = "baseline.jsonl", after: str = "after.jsonl") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fimkit", "--config", str(INCIDENT / "fimkit.toml"), "investigate"]
    files = ["--baseline", str(INCIDENT / baseline), "--after", str(INCIDENT / after)]
    return subprocess.run([*command, *files, *arguments], capture_output=True, text=True, check=False)


def test_every_step_of_the_recorded_incident_is_found_with_its_who() -> None:
    done = investigate(*LOGS, "--json")
    truths = [json.loads(line) for line in (INCIDENT / "truth.jsonl").read_text().splitlines()]
    rows = hold_against(truths, [json.loads(line) for line in done.stdout.splitlines()], ON_THE_WAY)
    print(render_rows(rows))
    assert done.returncode == 1, done.stderr
    assert [row for row in rows if row.wrong] == []


def test_without_logs_the_differences_are_there_and_nobody_is_named() -> None:
    done = investigate("--json")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(findings) > 25
    assert {finding["attribution"] for finding in findings} == {"unattributed"}
    assert not any(finding["actors"] for finding in findings)
    assert all(finding["reasons"] for finding in findings)


def test_osquery_alone_finds_the_passing_file_and_names_nobody() -> None:
    done = investigate(*LOGS[2:], "--json")
    found = {finding["path"]: finding for finding in map(json.loads, done.stdout.splitlines())}
    assert found["/srv/fim/tree/etc/blink"]["kind"] == "transient"
    assert found["/srv/fim/tree/etc/conf.d"]["moved_to"] == "/srv/fim/tree/etc/conf.old"
    assert {finding["attribution"] for finding in found.values()} == {"unattributed"}


def test_a_snapshot_against_itself_is_clean() -> None:
    done = investigate("--json", after="baseline.jsonl")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("wrong", ["truth.jsonl", "absent.jsonl"])
def test_a_file_that_is_no_snapshot_is_a_usage_error_in_words(wrong: str) -> None:
    done = investigate(after=wrong)
    assert done.returncode == 2
    assert wrong in done.stderr
    assert "Traceback" not in done.stderr


def test_the_table_stays_within_80_columns() -> None:
    done = investigate(*LOGS)
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert done.stdout.splitlines()[1].startswith("critical")
