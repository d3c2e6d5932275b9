"""`fimkit baseline` on the command line: exit statuses, JSON and nothing else, names that cannot deceive."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.baseline.snapshot import read_snapshot
from fimkit.cli import main
from fimkit.evidence.store import open_store
from fimkit.model.json_form import parse_state
from fimkit.report.text import display_width

ODD = os.fsdecode(b"odd\xff\n\xe2\x80\xaegnp.exe")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / ("long-" * 20)).mkdir(parents=True)
    (tree / ("long-" * 20) / "file").write_text("x")
    (tree / "a").write_text("a")
    (tree / ODD).write_text("odd")
    file = tmp_path / "fimkit.toml"
    file.write_text(f'[host]\nname = "x"\nstate_dir = "{tmp_path}/state"\n[[paths]]\npath = "{tree}"\ntier = "critical"\n')
    return file


def run(config: Path, *words: str) -> int:
    return main(["--config", str(config), "baseline", *words])


@pytest.fixture
def created(config: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(config, "create", "--reason", "first") == 0
    capsys.readouterr()
    return config


def tree(config: Path) -> Path:
    return config.parent / "tree"


def test_create_says_how_many_and_refuses_the_second_time(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "create") == 0
    assert capsys.readouterr().out == f"5 paths stored in {config.parent}/state\n"
    assert run(config, "create") == 2
    assert "begin anew with --force" in capsys.readouterr().err
    assert run(config, "create", "--force") == 0


def test_create_with_output_writes_a_snapshot_and_stores_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "create", "--output", str(config.parent / "out.jsonl.gz")) == 0
    assert len(read_snapshot(config.parent / "out.jsonl.gz").states) == 5
    assert not (config.parent / "state").exists()
    assert run(config, "create", "--output", "x", "--force") == 2


def test_show_json_is_the_snapshot_and_nothing_else(created: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(created, "show", "--json") == 0
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    states = [parse_state(row) for row in rows]
    assert captured.err == ""
    assert [state.path for state in states] == sorted(state.path for state in states)
    assert set(rows[0]) == {
        "path", "type", "mode", "uid", "gid", "size", "inode", "dev", "nlink", "mtime_ns", "ctime_ns", "sha256", "target", "xattrs",
    }  # fmt: skip
    with open_store(os.fsencode(created.parent / "state")) as store:
        assert store.baseline() == {state.path: state for state in states}


def test_table_fits_80_columns_and_escapes_what_could_deceive(created: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(created, "show") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(display_width, lines)) <= 80
    assert lines[0].startswith("Baseline of 20")
    assert lines[1] == "Why: first"
    whole = "\n".join(lines)
    assert "odd%FF%0A%E2%80%AEgnp.exe" in whole
    assert "\u202e" not in whole


def test_diff_exits_1_when_something_differs(created: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(created, "diff") == 0
    assert capsys.readouterr().out == "nothing differs\n"
    (tree(created) / "a").write_text("other")
    (tree(created) / ODD).unlink()
    assert run(created, "diff") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 paths differ"
    assert max(map(display_width, lines)) <= 80
    assert run(created, "diff", "--json", "--quick") == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["kind"], row["after"] is None) for row in rows] == [("modified", False), ("deleted", True)]
    assert all(set(row) == {"path", "kind", "changed", "before", "after"} for row in rows)


def test_accept_in_a_pipe_takes_it_and_the_history_says_why(created: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree(created) / "a").write_text("other")
    assert run(created, "accept", str(tree(created) / "a"), "--reason", "upgrade") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 accepted"
    assert run(created, "diff") == 0
    capsys.readouterr()
    assert run(created, "show", "--history") == 0
    assert "  why: upgrade" in capsys.readouterr().out.splitlines()
    assert run(created, "show", "--history", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["why"], row["before"]["size"], row["after"]["size"]) == ("upgrade", 1, 5)


def test_accept_of_nothing_exits_2(created: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(created, "accept") == 2
    assert run(created, "accept", str(tree(created))) == 2
    assert "nothing differs" in capsys.readouterr().err


def test_path_as_fimkit_prints_it_is_understood(created: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree(created) / ODD).unlink()
    assert run(created, "accept", f"{tree(created)}/odd%FF%0A%E2%80%AEgnp.exe") == 0
    assert run(created, "diff") == 0


def test_past_is_shown_and_a_bad_time_is_a_usage_error(created: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store(os.fsencode(created.parent / "state")) as store:
        made = store.baseline_meta().time_ns
    assert run(created, "create", "--force") == 0
    assert run(created, "show", "--at", f"{made // 10**9 + 1}") == 2
    assert "is no time" in capsys.readouterr().err
    assert run(created, "show", "--at", "1999-01-01") == 2
    assert "no baseline yet at 1999" in capsys.readouterr().err
    assert run(created, "show", "--at", "2200-01-01", "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_without_a_baseline_it_exits_2(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["show"], ["diff"], ["accept"], ["show", "--history"]):
        assert run(config, *words) == 2
        assert "run `fimkit baseline create` first" in capsys.readouterr().err
    assert not (config.parent / "state").exists()


def test_damaged_store_exits_3_with_words(created: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (created.parent / "state" / "fimkit.sqlite").write_bytes(b"x" * 10_000)
    assert run(created, "show") == 3
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "status", "left"), [("y\nmy reason\n", 0, 0), ("n\n", 1, 1), ("\n", 1, 1)])
def test_terminal_is_asked_and_no_is_the_default(created: Path, answer: str, status: int, left: int) -> None:
    (tree(created) / "a").write_text("other")
    control, terminal = pty.openpty()
    command = [sys.executable, "-m", "fimkit", "--config", str(created), "baseline", "accept", str(tree(created))]
    process = subprocess.Popen(command, stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, text=True)
    os.close(terminal)
    os.write(control, answer.encode())
    try:
        out = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        os.close(control)
    assert process.returncode == status, out
    assert run(created, "diff") == left
    if status == 0:
        with open_store(os.fsencode(created.parent / "state")) as store:
            assert store.acceptances()[-1].why == "my reason"
