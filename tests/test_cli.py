"""The command line's door: exit statuses, where words go, and what it must not import."""

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from fimkit.cli import VERBS, main

__all__: list[str] = []

WATCHED = '[[paths]]\npath = "/sbin"\n'


def fimkit(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "FIMKIT_CONFIG"} | more
    return subprocess.run(
        [sys.executable, "-m", "fimkit", *words], capture_output=True, text=True, env=environment, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected a verb"),
        (["chekc"], "invalid choice: 'chekc'"),
        (["--conf=x", "init"], "unrecognized arguments: --conf=x"),
        (["--config"], "expected one argument"),
        (["--config", "check"], "required: VERB"),
        (["init", "--outpu", "x"], "unrecognized arguments"),
        (["init", "extra"], "unrecognized arguments: extra"),
        (["init", "--config", "x"], "unrecognized arguments: --config"),
    ],
)
def test_a_line_that_makes_no_sense_is_usage(words: list[str], said: str) -> None:
    done = fimkit(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_and_needs_no_frames_for_it(verb: str) -> None:
    code = (
        f"import sys\nfrom fimkit.cli import main\n"
        f"try:\n main(['{verb}', '--help'])\nexcept SystemExit as end:\n assert not end.code\n"
        "sys.exit(' '.join({'pandas', 'numpy', 'pyroute2', 'osquery'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: fimkit {verb} ")


def test_every_action_of_a_verb_says_in_its_help_what_it_does() -> None:
    for verb in ("baseline", "evidence", "expect", "notify", "panic"):
        parser = ArgumentParser(prog=verb)
        import_module(f"fimkit.commands.{verb}").add_arguments(parser)
        waiting = [parser]
        while waiting:
            lists = [action for action in waiting.pop()._actions if isinstance(action, _SubParsersAction)]
            inner = {one.prog: one for listed in lists for one in listed.choices.values()}
            assert [name for name, one in inner.items() if not one.description] == []
            waiting += inner.values()


def test_every_problem_of_a_configuration_is_a_line_and_usage(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[host]\nnaem = "x"\n[[paths]]\npath = "/sbin"\nrecursive = "no"\n')
    done = fimkit("--config", str(file), "baseline", "create")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"fimkit: {file}: host.naem: unknown key; did you mean 'name'? (line 2)",
        f"fimkit: {file}: paths[0].recursive: 'no' is text, expected true or false (line 5)",
    ]


def test_a_missing_configuration_is_usage_and_the_environment_names_one(tmp_path: Path) -> None:
    done = fimkit("baseline", "create", FIMKIT_CONFIG=str(tmp_path / "absent.toml"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"fimkit: {tmp_path}/absent.toml: no such file; `fimkit init` writes one")


def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    done = fimkit("--config", str(tmp_path / "a"), "baseline", "create", FIMKIT_CONFIG=str(tmp_path / "b"))
    assert f"{tmp_path}/a: no such file" in done.stderr


def test_init_writes_once_and_then_is_usage(tmp_path: Path) -> None:
    file = tmp_path / "etc/fimkit.toml"
    first = fimkit("--config", str(file), "init")
    assert (first.returncode, first.stdout) == (0, "")
    assert first.stderr.endswith(f"then: fimkit --config {file} baseline create\n")
    written = file.read_bytes()
    again = fimkit("init", "--output", str(file))
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert file.read_bytes() == written


def test_init_names_no_configuration_where_the_next_command_finds_it_by_itself(tmp_path: Path) -> None:
    done = fimkit("init", FIMKIT_CONFIG=str(tmp_path / "fimkit.toml"))
    assert done.stderr.endswith("then: fimkit baseline create\n")


def test_init_to_standard_output_is_the_text_alone() -> None:
    done = fimkit("init", "--output", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert "[[paths]]" in done.stdout


def test_a_place_that_the_host_refuses_is_3(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = fimkit("init", "--output", str(tmp_path / "file/x"))
    assert done.returncode == 3
    assert "cannot be written" in done.stderr


def test_a_fault_of_its_own_is_3_and_its_words_cannot_steer_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = ModuleType("fimkit.commands.man")

    def run(arguments: Namespace) -> int:
        raise LookupError("/srv/\x1b[2J\nx")

    vars(verb).update(add_arguments=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, "fimkit.commands.man", verb)
    assert main(["man"]) == 3
    said = capsys.readouterr().err
    assert "LookupError: /srv/%1B[2J" in said and "\x1b" not in said
    assert said.splitlines()[-1].startswith("fimkit: a fault of fimkit's own")


def test_a_reader_that_went_away_ends_it_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "fimkit", "init", "--output", "-"], stdout=write, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_version_is_the_packages() -> None:
    from fimkit import __version__

    assert fimkit("--version").stdout == f"fimkit {__version__}\n"
