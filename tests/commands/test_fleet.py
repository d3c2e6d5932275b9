"""`fimkit fleet`: each change once, with how many hosts have it; exports, a report, and exit statuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INCIDENT = Path(__file__).parents[1] / "data" / "incident-01"
NAMES = ("web01", "web02", "web03")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet")
    for name in NAMES:
        shutil.copytree(INCIDENT, folder / name)
        config = folder / name / "fimkit.toml"
        config.write_text(config.read_text().replace('"web01"', f'"{name}"'))
    with (folder / "web02" / "after.jsonl").open("a") as after:
        after.write('{"path":"/srv/fim/tree/etc/a%1B[2J<script>","type":"file","mode":"0644","sha256":"' + "ee" * 32 + '"}\n')
    return folder


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fimkit", "fleet", *map(str, words)], capture_output=True, text=True, check=False, timeout=120
    )


def test_each_change_is_there_once_with_its_hosts(hosts: Path) -> None:
    done = run(hosts)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["SEVERITY", "KIND", "PATH", "HOSTS"]
    (tool,) = [number for number, line in enumerate(lines) if "/sbin/tool1" in line]
    assert lines[tool].split() == ["critical", "modified", "/srv/fim/tree/sbin/tool1", "3", "of", "3"]
    assert lines[tool + 1] == "  where  web01, web02, web03"
    (lead,) = [number for number, line in enumerate(lines) if "a%1B[2J<script>" in line]
    assert lines[lead].endswith("1 of 3") and lines[lead + 1] == "  where  web02"
    assert "- fleet: seen on 1 of 3 hosts: a lead" in lines[lead + 2]
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, lines)) <= 80
    assert "fimkit: 3 hosts judged; " in done.stderr


def test_json_and_formats_have_every_finding_of_every_host(hosts: Path) -> None:
    rows = [json.loads(line) for line in run("--json", hosts).stdout.splitlines()]
    assert {row["host"] for row in rows} == set(NAMES)
    assert all(any(reason.startswith("fleet: seen on ") for reason in row["reasons"]) for row in rows)
    again = [json.loads(line) for line in run("--format", "jsonl", hosts).stdout.splitlines()]
    assert [row["id"] for row in again] == [row["id"] for row in rows]
    assert run("--format", "csv", hosts).stdout.count("\n") == len(rows) + 1
    assert run("--json", "--format", "csv", hosts).returncode == 2


def test_the_report_is_one_page_of_all_hosts(hosts: Path, tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    for name in NAMES:
        (tmp_path / "fleet" / name).symlink_to(hosts / name)  # given by name each, for links are not followed
    page = tmp_path / "fleet.html"
    done = run("--html", page, *(tmp_path / "fleet" / name for name in NAMES))
    assert done.returncode == 1, done.stderr
    text = page.read_text()
    assert "3 hosts" in text and "2J<script>" not in text
    assert done.stdout.startswith("written: ")


def test_a_fleet_in_which_a_host_could_not_be_judged_is_not_clean(hosts: Path, tmp_path: Path) -> None:
    good = shutil.copytree(hosts / "web01", tmp_path / "quiet")
    shutil.copy(good / "baseline.jsonl", good / "after.jsonl")
    for log in ("audit.log", "osqueryd.results.log"):
        (good / log).write_text("")
    assert run(good).returncode == 0
    (tmp_path / "broken").mkdir()
    done = run(good, tmp_path / "broken")
    assert done.returncode == 2 and "1 host judged, 1 place could not be; no findings" in done.stderr
    assert run(tmp_path / "none").returncode == 2
