"""Files changed through io_uring are recorded for real, by the rules of a plan, and by no rule on system calls."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from fimkit.audit.rule_codec import FilterList, Rule, encode_rule
from fimkit.audit.rules import plan_rules
from fimkit.model.config import Watch
from fimkit.verbs.place import look_at
from tests.live import live_audit

SOURCE = Path(__file__).parents[1] / "data" / "uring.c"
OPERATIONS = {"create": 18, "rename": 35, "unlink": 36, "mkdir": 37}


def compile_uring(folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: io_uring has no door from Python")
    program = folder / "uring"
    done = subprocess.run([compiler, "-O1", "-o", program, SOURCE], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"does not compile here: {done.stderr[:200]}")
    return program


def record(tmp_path: Path, watched: Path, rules: Sequence[Rule], steps: Sequence[tuple[str, ...]]) -> list[str]:
    program = compile_uring(tmp_path)
    with live_audit(tmp_path / "log", rules=[encode_rule(rule) for rule in rules]) as live:
        for step in steps:
            ran = live.run([program, *step], auid=1000)
            if ran.stdout.strip() in (b"-1", b"-38"):
                pytest.skip("io_uring is switched off here (kernel.io_uring_disabled)")
            assert ran.returncode == 0, (step, ran)
        live.sync()
        return live.log.read_bytes().decode("utf-8", "surrogateescape").split("\n")


def rules_for(path: Path) -> tuple[Rule, ...]:
    return plan_rules([Watch(path=os.fsencode(path))], look_at, machine=os.uname().machine).rules


def steps_in(tree: Path, mode: str) -> list[tuple[str, ...]]:
    return [
        (mode, "create", f"{tree}/new"),
        (mode, "rename", f"{tree}/new", f"{tree}/moved"),
        (mode, "unlink", f"{tree}/moved"),
        (mode, "mkdir", f"{tree}/folder"),
    ]


@pytest.mark.parametrize("mode", ["inline", "async", "poll"])
def test_file_made_renamed_and_removed_by_io_uring_is_recorded(tmp_path: Path, mode: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    lines = record(tmp_path, tree, rules_for(tree), steps_in(tree, mode))
    uring = [line for line in lines if line.startswith("type=URINGOP ") and 'key="fimkit"' in line]
    assert [int(match[1]) for line in uring if (match := re.search(r"uring_op=(\d+)", line))] == list(OPERATIONS.values())
    stamps = [line[line.index("audit(") : line.index(")")] for line in uring]
    for stamp, kind in zip(stamps, ("CREATE", "CREATE", "DELETE", "CREATE"), strict=True):
        paths = [line for line in lines if line.startswith("type=PATH ") and stamp in line]
        assert any(f"inode={tree.stat().st_ino} " in line and "nametype=PARENT" in line for line in paths)
        assert any(f"nametype={kind}" in line and "inode=" in line for line in paths)


def test_rules_on_system_calls_alone_see_nothing_of_io_uring(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    calls = [rule for rule in rules_for(tree) if rule.filter_list is FilterList.EXIT]
    lines = record(tmp_path, tree, calls, steps_in(tree, "inline"))
    assert not [line for line in lines if 'key="fimkit"' in line and "op=add_rule" not in line]


def test_single_file_made_and_removed_by_io_uring_is_recorded(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    file = tree / "one.conf"
    steps = [("async", "create", str(file)), ("async", "unlink", str(file)), ("async", "create", f"{tree}/other.conf")]
    lines = record(tmp_path, file, rules_for(file), steps)
    uring = [line for line in lines if line.startswith("type=URINGOP ")]
    assert [re.search(r"uring_op=(\d+)", line)[1] for line in uring] == ["18", "36"]  # type: ignore[index]


def test_reading_a_single_watched_file_by_system_calls_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "one.conf"
    file.write_text("x")
    with live_audit(tmp_path / "log", rules=[encode_rule(rule) for rule in rules_for(file)]) as live:
        live.run(["cat", str(file)], auid=1000)
        live.run(["sh", "-c", f"echo y >> {file}"], auid=1000)
        live.sync()
        calls = [line for line in live.log.read_text().split("\n") if line.startswith("type=SYSCALL") and 'key="fimkit"' in line]
    assert ['comm="sh"' in line for line in calls] == [True]
