"""`fimkit report` and `fimkit investigate --html`, as a user runs them."""

import subprocess
import sys
from pathlib import Path

from tests.checked_host import make_checked_host

INCIDENT = Path(__file__).parent.parent / "data/incident-01"


def investigate(*arguments: str) -> subprocess.CompletedProcess[str]:
    files = ["--baseline", str(INCIDENT / "baseline.jsonl"), "--after", str(INCIDENT / "after.jsonl")]
    command = [sys.executable, "-m", "fimkit", "--config", str(INCIDENT / "fimkit.toml"), "investigate", *files, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_host_with_a_change_is_reported_and_the_status_says_so(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a")
    (host.tree / "a").write_text("changed")
    assert host.check().status == 1
    done = host.run("report", "--html", tmp_path / "r.html")
    assert (done.returncode, done.stdout) == (1, f"written: {tmp_path / 'r.html'}\n")
    assert "1 critical change on web01" in done.stderr
    assert f"{host.tree}/a" in (tmp_path / "r.html").read_text()
    host.accept(host.tree / "a")
    done = host.run("report", "--html", tmp_path / "r.html", "--since", "24h")
    assert done.returncode == 0, done.stderr
    assert "Nothing is open on web01" in done.stderr
    assert "it was planned" in (tmp_path / "r.html").read_text()


def test_a_time_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a")
    done = host.run("report", "--html", tmp_path / "r.html", "--since", "yesterday")
    assert done.returncode == 2
    assert "'yesterday' is no time" in done.stderr


def test_a_file_that_cannot_be_written_is_the_hosts_refusal(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a")
    done = host.run("report", "--html", tmp_path / "none/r.html")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_an_investigation_is_written_as_a_page(tmp_path: Path) -> None:
    done = investigate("--html", str(tmp_path / "r.html"), "--audit-log", str(INCIDENT / "audit.log"))
    assert (done.returncode, done.stdout) == (1, f"written: {tmp_path / 'r.html'}\n")
    page = (tmp_path / "r.html").read_text()
    assert "/srv/fim/tree/sbin/tool1" in page
    assert "baseline.jsonl, 143 paths" in page


def test_an_investigation_is_shown_in_one_form(tmp_path: Path) -> None:
    done = investigate("--html", str(tmp_path / "r.html"), "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert not (tmp_path / "r.html").exists()
