"""The recorded incident, judged from its files alone: every step as its truth says."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

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


def test_another_hosts_configuration_is_not_taken_for_a_clean_host(tmp_path: Path) -> None:
    other = tmp_path / "fimkit.toml"
    other.write_text('[[paths]]\npath = "/srv/other"\ntier = "watch"\n')
    files = ["--baseline", str(INCIDENT / "baseline.jsonl"), "--after", str(INCIDENT / "after.jsonl")]
    command = [sys.executable, "-m", "fimkit", "--config", str(other), "investigate", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no path of the snapshots is watched by the configuration ('/srv/other')" in done.stderr
    assert "is watched by" not in investigate(*LOGS).stderr


def test_very_many_problems_do_not_cut_off_what_was_found(tmp_path: Path) -> None:
    garbage = tmp_path / "audit.log"
    garbage.write_text("no record\n" * 50)
    said = investigate("--audit-log", str(garbage)).stderr.splitlines()
    assert said[-2] == "fimkit: and 30 more like these" and " findings: " in said[-1]


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


def reshaped(lines: list[bytes], form: str) -> bytes:
    """Write the same records as other hosts' logs have them."""
    raw = [line.partition(b"\x1d")[0] for line in lines]
    shapes = {
        "raw": raw,
        "node": [b"node=web01 " + line for line in lines],
        "mixed": lines[::-1],
        "broken": [piece for line in lines for piece in (line, b"\xff\xfe no record \x1b[2J")],
    }
    return b"\n".join(shapes[form]) + b"\n"


@pytest.mark.parametrize("form", ["raw", "node", "mixed", "broken"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_the_form_of_the_log_changes_nothing_but_the_users_names(form: str, packed: str, tmp_path: Path) -> None:
    lines = (INCIDENT / "audit.log").read_bytes().rstrip(b"\n").split(b"\n")
    content = reshaped(lines, form)
    log = tmp_path / f"audit.log.1{packed}"
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[packed]
    log.write_bytes(pack(content))
    plain, other = investigate(*LOGS[:2], "--json"), investigate("--audit-log", str(log), "--json")
    assert without_names(other.stdout) == without_names(plain.stdout)
    if form == "broken":
        assert f"{log}:2: " in other.stderr
        assert "\x1b" not in other.stderr


def without_names(text: str) -> list[dict[str, Any]]:
    findings = [json.loads(line) for line in text.splitlines()]
    for finding in findings:
        finding["last_seen"] = None
        for actor in finding["actors"]:
            actor["user"] = None
    return findings
