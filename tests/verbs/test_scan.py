"""`fimkit scan`, as a user runs it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fimkit.content.rule_files import RuleSet, has_yara, load_rules
from fimkit.model.errors import UsageError
from fimkit.verbs.scan import ScanTotals, ScanWishes, make_pool, prepare_rules, scan_trees

__all__: list[str] = []

ROOT = Path(__file__).parents[2]
RULES = """
[[rule]]
id = "mark"
description = "a mark"
severity = "suspect"
attack = "T1505.003"
pattern = "MARK"

[[rule]]
id = "weak"
severity = "info"
pattern = "weak"
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A tree that everybody can read, and a folder of rules beside it."""
    with tempfile.TemporaryDirectory(prefix="fimkit-scan-") as folder:
        os.chmod(folder, 0o755)
        (Path(folder) / "rules").mkdir()
        (Path(folder) / "rules/mine.toml").write_text(RULES)
        (Path(folder) / "tree/sub").mkdir(parents=True)
        yield Path(folder)


def scan(place: Path, *words: str, only: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
    ours = ["--rules", str(place / "rules"), *(["--only"] if only else [])]
    return subprocess.run(
        [sys.executable, "-m", "fimkit", "scan", *ours, *words, str(place / "tree")], cwd=ROOT, capture_output=True, text=True,
        check=False, **more,
    )  # fmt: skip


def test_a_hit_is_path_line_rule_and_text_and_the_exit_status_is_1(place: Path) -> None:
    (place / "tree/sub/a.php").write_text("<?php\n\n  MARK it;\n")
    done = scan(place)
    assert (done.returncode, done.stdout) == (1, f"{place}/tree/sub/a.php:3: mark: MARK it;\n")
    assert "1 file, 0.0 MB read, 2 rules: 1 hit in 1 file; 0 not scanned" in done.stderr


def test_a_clean_tree_is_0_and_no_line(place: Path) -> None:
    (place / "tree/a").write_text("nothing")
    done = scan(place)
    assert (done.returncode, done.stdout) == (0, "")


def test_hits_below_the_wanted_severity_are_neither_shown_nor_counted_for_the_status(place: Path) -> None:
    (place / "tree/a").write_text("weak")
    assert scan(place).returncode == 1
    done = scan(place, "--severity", "suspect")
    assert (done.returncode, done.stdout) == (0, "")


def test_in_json_each_hit_each_file_not_scanned_and_the_whole_is_an_object(place: Path) -> None:
    (place / "tree/a").write_text("x\nMARK\n")
    (place / "tree/b").write_text("MARK")
    os.link(place / "tree/b", place / "tree/sub/c")
    os.mkfifo(place / "tree/fifo")
    done = scan(place, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert {
        "path": f"{place}/tree/a", "rule": "mark", "severity": "suspect", "description": "a mark", "attack": "T1505.003", "line": 2,
        "offset": 2, "text": "MARK", "kind": "keyword",
    } in rows  # fmt: skip
    assert {"path": f"{place}/tree/fifo", "not_scanned": "a fifo"} in rows
    assert {"path": f"{place}/tree/b", "note": "has 2 names (hard links)"} in rows
    summary = rows[-1]["summary"]
    assert (summary["files"], summary["hits"], summary["files_with_hits"]) == (3, 3, 3)
    assert summary["not_scanned"] == {"a fifo": 1}
    assert summary["read_bytes"] == summary["size_bytes"] == 15
    assert summary["read_as"]["no_network"] or summary["read_as"]["lacks"]


def test_names_and_texts_of_an_attacker_are_shown_safely(place: Path) -> None:
    name = os.fsencode(place / "tree") + b"/\x1b[2J\n\xe2\x80\xaex\xff%"
    with open(name, "wb") as file:
        file.write(b"\x1b[31mMARK\x07")
    for words in ([], ["--json"]):
        done = scan(place, *words)
        assert all(line.isprintable() for line in (done.stdout + done.stderr).splitlines() if words == [])
        assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.count("\n") == 2


def test_large_files_and_limits_are_as_asked(place: Path) -> None:
    (place / "tree/large").write_bytes(b"x" * (3 << 20) + b"MARK")
    done = scan(place, "--size", "1", "--jobs", "1", "--seconds", "60")
    assert done.stdout.startswith(f"{place}/tree/large:+{3 << 20}: mark: ")
    assert f"large: of {(3 << 20) + 4} bytes the first and the last {1 << 19} were read" in done.stderr


def test_a_pages_script_that_is_too_long_to_be_read_whole_is_a_hit(place: Path) -> None:
    for name in ("page.php", "archive.tgz"):
        (place / "tree" / name).write_bytes(b"<?php //" + b"x" * (3 << 20))
    done = scan(place, "--size", "1", "--severity", "suspect")
    assert done.returncode == 1
    assert [line.split(": ")[:2] for line in done.stdout.splitlines()] == [[f"{place}/tree/page.php:+0", "script_beyond_reading"]]


def test_a_pages_script_that_keeps_the_rules_busy_is_a_hit_and_its_reason_is_told(place: Path) -> None:
    slow = "rule slow { condition: for all i in (0..2000000000) : (uint8(i % 64) >= 0) }"
    (place / "rules/slow.yar").write_text(slow)
    for name in ("page.php", "text.css"):
        (place / "tree" / name).write_bytes(b"x" * 64)
    done = scan(place, "--seconds", "1", "--severity", "suspect", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [(row["path"], row["rule"]) for row in rows if "rule" in row] == [(f"{place}/tree/page.php", "script_outlasts_search")]
    assert {row["path"] for row in rows if "not_scanned" in row} == {f"{place}/tree/{name}" for name in ("page.php", "text.css")}


@pytest.mark.parametrize("words", ["--size 0", "--jobs x", "--seconds -1", "--severity all", "--rules /nowhere", "/nowhere"])
def test_what_makes_no_sense_is_usage(place: Path, words: str) -> None:
    done = scan(place, *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_bad_rule_is_named_and_the_others_are_used(place: Path) -> None:
    (place / "rules/bad.toml").write_text("\n[[rule]]\nid = 'bad'\npattern = '('\n")
    (place / "tree/a").write_text("MARK")
    done = scan(place)
    assert done.returncode == 1
    assert f"{place}/rules/bad.toml:2: rule bad: its pattern is none" in done.stderr


def test_no_rule_at_all_is_usage() -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(UsageError, match="there is no rule to search with"):
        prepare_rules([os.fsencode(folder)], built_in=False)


def test_without_the_extra_there_are_keywords_and_it_says_how_to_get_yara(place: Path) -> None:
    (place / "rules/a.yar").write_text("rule a { condition: true }")
    (place / "tree/a").write_text("MARK")
    # Without `site`, and so without any package beside the standard library.
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from fimkit.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, ROOT, "scan", "--only", "--rules", place / "rules", place / "tree"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, f"{place}/tree/a:1: mark: MARK\n")
    assert "pip install 'fimkit[scan]' adds YARA" in done.stderr


@pytest.mark.skipif(not has_yara(), reason="the yara-x package is not here: pip install 'fimkit[scan]'")
def test_the_rules_that_come_along_are_used_beside_a_sites_own(place: Path) -> None:
    (place / "rules/a.yar").write_text('rule mine { strings: $a = "MARK" condition: $a }')
    (place / "tree/a.php").write_text("MARK <?php eval(base64_decode($_POST['x'])); ?>")
    done = scan(place, "--json", only=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"mine", "mark"} < {row.get("rule") for row in rows}
    assert rows[-1]["summary"]["rules"] == load_rules()[0].count + 3


def test_the_progress_is_told(place: Path) -> None:
    for number in range(500):
        (place / f"tree/{number}").write_text("x" * 10)
    told: list[tuple[int, int]] = []
    totals = ScanTotals()
    rules: RuleSet = prepare_rules([os.fsencode(place / "rules")], built_in=False)[0]
    wishes = ScanWishes(paths=(os.fsencode(place / "tree"),))
    with make_pool(wishes, rules) as pool:
        assert list(scan_trees(wishes, pool, totals, on_progress=lambda *seen: told.append(seen))) == []
    assert (totals.files, totals.read_bytes) == (500, 5000)
    assert told == sorted(told)
    assert len(told) == 500 // 64


def test_help_loads_no_frames() -> None:
    program = "import sys; from fimkit.commands import scan; sys.exit('pandas' in sys.modules or 'yara_x' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
