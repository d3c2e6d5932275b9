"""`fimkit doctor` from the command line: what it prints, and its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.commands.advice_text import render_advice_lines
from fimkit.model.advice import Advice, Level

__all__: list[str] = []

CONFIG = """\
[host]
state_dir = "{base}/state"
[[paths]]
path = "{base}/no\\u202ene"
[sources]
osquery_config = "{base}/osquery.conf"
osquery_socket = "{base}/osquery.em"
"""


def doctor(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fimkit", "--config", str(config), "doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "fimkit.toml"
    file.write_text(CONFIG.format(base=tmp_path))
    (tmp_path / "osquery.conf").write_text('{"file_paths": {"home": ["/home/%%/.ssh"]}}')
    return file


def snapshot(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((os.fspath(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*"))


def test_json_is_one_object_a_line_with_its_keys_and_nothing_else(config: Path) -> None:
    before = snapshot(config.parent)
    done = doctor(config, "--json")
    assert done.returncode == 1, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(list(row) == ["code", "level", "where", "path", "problem", "meaning", "remedy"] for row in rows)
    assert {"no-baseline", "path-absent", "osquery-inner-wildcard", "osquery-not-running"} <= {row["code"] for row in rows}
    assert all(row["problem"] and row["meaning"] and row["remedy"] and row["where"] for row in rows)
    order = [row["level"] for row in rows]
    assert order == sorted(order, key=["trap", "warning", "note"].index)
    assert snapshot(config.parent) == before  # it changes nothing


def test_text_is_grouped_narrow_and_escaped(config: Path) -> None:
    done = doctor(config)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("TRAPS")
    assert any(line.startswith("WARNINGS") for line in lines)
    assert max(map(len, lines)) <= 100
    assert "\u202e" not in done.stdout
    assert "found: " in done.stderr


def test_a_bad_configuration_is_usage(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[[paths]]\npath = "relative"\n')
    assert doctor(file).returncode == 2
    assert doctor(tmp_path / "none.toml").returncode == 2
    assert not doctor(file).stdout


TEXTS = {name: st.text() for name in ("where", "problem", "remedy")}


@given(st.lists(st.builds(Advice, code=st.just("a-b"), level=st.sampled_from(Level), **TEXTS)), st.integers(60, 120))
def test_no_line_is_wider_than_asked_whatever_the_text(advice: list[Advice], width: int) -> None:
    lines = list(render_advice_lines(advice, width=width))
    assert all(len(line) <= width for line in lines)
    assert all("\n" not in line for line in lines)
