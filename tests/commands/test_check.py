"""The door of `check`: its options, what it prints where, and what it does not load."""

import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.cli import main
from tests.auditlog import ALICE
from tests.checked_host import CheckedHost, make_checked_host

_LOADED = """
import sys
from fimkit.cli import main
status = main(sys.argv[1:])
print(status, sorted({name.partition(".")[0] for name in sys.modules} & {"pandas", "numpy", "osquery", "pyroute2"}))
"""


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    return make_checked_host(tmp_path, "a", "b")


def _loaded(host: CheckedHost, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, "--config", str(host.config), *words], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_check_loads_nothing_that_is_slow_to_load_with_findings_or_without(host: CheckedHost) -> None:
    assert _loaded(host, "check") == "0 []"
    host.log.write(host.tree / "a", "new\n")
    assert _loaded(host, "check") == "1 []"


def test_help_names_every_option_and_loads_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["check", "--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert all(option in shown for option in ("--json", "--audit-log", "--osquery-log", "--since", "--quick", "--all"))


@pytest.mark.parametrize("words", [["--since", "soon"], ["--audit-log", "/none/audit.log"], ["--osquery-log", "/none/results.log"]])
def test_arguments_without_sense_are_refused_before_anything_is_read(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "/none/fimkit.toml", "check", *words]) == 2
    output = capsys.readouterr()
    assert output.out == "" and words[1] in output.err


def test_every_missing_log_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--audit-log", "/none/1", "--osquery-log", "/none/2"]) == 2
    assert "/none/1: no such file; /none/2: no such file" in capsys.readouterr().err


def test_reader_that_goes_away_keeps_its_findings_for_the_next_one(host: CheckedHost) -> None:
    for number in range(400):
        host.log.write(host.tree / f"made{number}", "x\n", ALICE)
    running = subprocess.Popen([*host.command, "check", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()
    words = running.stderr.read().decode()
    running.stderr.close()
    assert (running.wait(60), words) == (141, "")
    assert len(host.check().findings) == 400
