"""`fimkit export` and `investigate --format` as their users meet them: in pipes, in files, followed until a signal."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checked_host import CheckedHost, make_checked_host

__all__: list[str] = []

INCIDENT = Path(__file__).parents[1] / "data/incident-01"
FORMATS = ("jsonl", "csv", "ecs", "ocsf", "osquery")


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    host = make_checked_host(tmp_path, "login", "passwd")
    host.put("login", "new\n")
    assert host.check().status == 1
    return host


@pytest.mark.parametrize("format", FORMATS)
def test_standard_output_has_the_findings_and_nothing_else(host: CheckedHost, format: str) -> None:
    done = host.run("export", "--format", format)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == (2 if format == "csv" else 1)
    assert "login" in done.stdout


def test_a_filter_and_a_file(host: CheckedHost, tmp_path: Path) -> None:
    file = tmp_path / "out.ecs"
    done = host.run("export", "--format", "ecs", "--output", file, "--path", host.tree / "login")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"fimkit: 1 finding written to {file}\n")
    assert json.loads(file.read_text())["file"]["name"] == "login"
    assert host.run("export", "--format", "ecs", "--path", "/elsewhere").stdout == ""


def test_an_exported_parquet_file_is_one(host: CheckedHost, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'fimkit[parquet]'")
    assert host.run("export", "--format", "parquet", "--output", tmp_path / "out.parquet").returncode == 0
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 1


def test_parquet_without_its_library_says_what_to_install(host: CheckedHost, tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['pyarrow'] = None\nfrom fimkit.cli import main\nsys.exit(main(sys.argv[1:]))"
    words = ["--config", host.config, "export", "--format", "parquet", "--output", tmp_path / "out"]
    done = subprocess.run([sys.executable, "-c", blocked, *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert "pip install 'fimkit[parquet]'" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["host"]


def test_a_cursor_gives_each_finding_once_to_a_timer(host: CheckedHost, tmp_path: Path) -> None:
    words = ("export", "--format", "jsonl", "--cursor", tmp_path / "place")
    assert len(host.run(*words).stdout.splitlines()) == 1
    assert host.run(*words).stdout == ""
    host.put("passwd", "new\n")
    host.check()
    (line,) = host.run(*words).stdout.splitlines()
    assert json.loads(line)["path"].endswith("passwd")


def wait_for(condition: object, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.05)


def test_it_follows_until_a_signal_and_goes_on_where_it_stopped(host: CheckedHost, tmp_path: Path) -> None:
    file = tmp_path / "out"
    words = [*host.command, "export", "--format", "osquery", "--follow", "--output", file]

    def lines() -> int:
        return file.read_text().count("\n") if file.exists() else 0

    for number, name in enumerate(("passwd", "third"), 2):
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as shipper:
            try:
                wait_for(lambda number=number: lines() >= number - 1)
                host.put(name, "new\n")
                host.check()
                wait_for(lambda number=number: lines() >= number)
            finally:
                shipper.send_signal(signal.SIGTERM)
                _, said = shipper.communicate(timeout=60)
        assert (shipper.returncode, said) == (0, "")
    columns = [json.loads(line)["columns"]["path"].rpartition("/")[2] for line in file.read_text().splitlines()]
    assert columns == ["login", "passwd", "third"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export",), "required: --format"),
        (("export", "--format", "ecs", "--follow", "--all"), "--all has no meaning"),
        (("export", "--format", "parquet", "--cursor", "/nowhere/at/all"), "cannot be appended to"),
        (("export", "--format", "ecs", "--since", "yesterday"), "is no time"),
        (("findings", "--open", "--all"), "not allowed with argument"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(host: CheckedHost, words: tuple[str, ...], said: str) -> None:
    done = host.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize("format", FORMATS)
def test_an_investigation_is_exported_in_the_same_formats(format: str) -> None:
    words = ["--config", INCIDENT / "fimkit.toml", "investigate", "--baseline", INCIDENT / "baseline.jsonl"]
    words += ["--after", INCIDENT / "after.jsonl", "--audit-log", INCIDENT / "audit.log", "--format", format]
    done = subprocess.run([sys.executable, "-m", "fimkit", *words], capture_output=True, check=False, timeout=120)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) > 20
    if format != "csv":
        assert all(isinstance(json.loads(line), dict) for line in lines)
