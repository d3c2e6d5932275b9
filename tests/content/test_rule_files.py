"""Rule folders: what is good is taken, what is not is named, and nothing else stops."""

import os
from pathlib import Path

import pytest

from fimkit.content.rule_files import BUILT_IN, RuleSet, load_rules
from fimkit.content.scan import scan_bytes

__all__: list[str] = []

pytest.importorskip("yara_x", reason="the yara-x package is not here: pip install 'fimkit[scan]'")

MIXED = """\
rule good { strings: $a = "one" condition: $a }
rule lacks { condition: $b }
rule asks { condition: lacks }
import "nosuch"
rule module { condition: nosuch.x }
include "other.yar"
rule late { meta: description = "d" severity = "critical" attack = "T1027" strings: $a = "two" nocase condition: $a }
rule broken { strings: $a = condition: true }
rule last { strings: $a = "three" condition: $a }
"""


def load(folder: Path) -> tuple[RuleSet, list[str]]:
    return load_rules([os.fsencode(folder)])


def test_a_bad_rule_is_named_with_its_line_and_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "mixed.yar").write_text(MIXED)
    (tmp_path / "fine.yara").write_text('rule good { strings: $a = "four" condition: $a }')
    rules, problems = load(tmp_path)
    hits = scan_bytes(b"one\nTWO three\nfour", rules)
    assert [(hit.rule, hit.line) for hit in sorted(hits, key=lambda hit: hit.offset)] == [
        ("good", 1), ("late", 2), ("last", 2), ("good", 3),
    ]  # fmt: skip
    assert rules.yara_count == 4
    lines = sorted(int(problem.removeprefix(f"{tmp_path}/mixed.yar:").split(":")[0]) for problem in problems)
    assert lines == [2, 3, 4, 5, 6, 8]


def test_a_rule_says_what_it_means_and_what_it_does_not_say_is_suspect(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(MIXED)
    rules, _ = load(tmp_path)
    said = {hit.rule: (hit.severity, hit.description, hit.attack, hit.kind) for hit in scan_bytes(b"one two", rules)}
    assert said == {"good": ("suspect", "", "", "yara"), "late": ("critical", "d", "T1027", "yara")}


def test_a_condition_may_ask_the_name_whatever_bytes_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(
        'rule ht { condition: filename == ".htaccess" }\n'
        'rule image { strings: $a = "<?" condition: $a and extension icontains ".jp" and filepath contains "/up" }\n'
    )
    rules, problems = load(tmp_path)
    assert problems == []
    assert [hit.rule for hit in scan_bytes(b"", rules, path=b"/w/.htaccess")] == ["ht"]
    assert [hit.rule for hit in scan_bytes(b"\n<?", rules, path=b"/w/up/\xff\n.JPG")] == ["image"]
    assert scan_bytes(b"<?", rules, path=b"/w/up/a.php") == []


def test_of_what_a_rule_matches_the_longest_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text('rule a { strings: $open = "<?php" $call = /eval\\(\\$_\\w+/ condition: all of them }')
    (hit,) = scan_bytes(b"<?php\n\n eval($_POST[1]); eval($_POST[2]);", load(tmp_path)[0])
    assert (hit.line, hit.offset, hit.text) == (3, 8, "eval($_POST[1]); eval($_POST[2]);")


def test_a_match_that_begins_with_the_end_of_a_line_is_shown_where_its_words_are(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(r"rule a { strings: $call = /[^\w]eval\(/ condition: $call }")
    (hit,) = scan_bytes(b"one;\neval($x);", load(tmp_path)[0])
    assert (hit.line, hit.offset, hit.text) == (2, 5, "eval($x);")


def test_a_rule_without_a_place_has_line_0(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text("rule empty { condition: filesize == 0 }")
    (hit,) = scan_bytes(b"", load(tmp_path)[0])
    assert (hit.line, hit.offset, hit.text) == (0, 0, "")


def test_folders_are_read_to_any_depth_and_the_first_of_an_id_counts(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/k.toml").write_text("[[rule]]\nid = 'k'\npattern = 'first'\n")
    (tmp_path / "z.toml").write_text("[[rule]]\nid = 'k'\npattern = 'second'\n")
    (tmp_path / ".hidden.toml").write_text("[[")
    rules, problems = load_rules([os.fsencode(tmp_path / "a"), os.fsencode(tmp_path)])
    assert [rule.pattern for rule in rules.keywords] == ["first"]
    assert len(problems) == 2
    assert all("in an earlier file" in problem for problem in problems)


DOOR = 'rule porch : door { strings: $a = "<?" condition: $a }\nrule plain { strings: $a = "end" condition: $a }'
BEHIND = '// Slow.\n\n// door: porch\nrule inside { strings: $a = "end" condition: $a }'


def test_a_file_behind_a_door_is_tried_where_the_door_matches_and_the_door_is_no_hit(tmp_path: Path) -> None:
    (tmp_path / "z.yar").write_text(DOOR)
    (tmp_path / "a.yar").write_text(BEHIND)
    rules, problems = load(tmp_path)
    assert (problems, rules.yara_count) == ([], 2)
    assert {hit.rule for hit in scan_bytes(b"end", rules)} == {"plain"}
    assert {hit.rule for hit in scan_bytes(b"<? end", rules)} == {"plain", "inside"}


@pytest.mark.parametrize("others", ["", DOOR.replace(" : door", ""), DOOR.replace("porch", "other")])
def test_behind_a_door_that_is_not_there_rules_are_tried_on_every_file_and_that_is_said(tmp_path: Path, others: str) -> None:
    (tmp_path / "z.yar").write_text(others)
    (tmp_path / "a.yar").write_text(BEHIND)
    rules, problems = load(tmp_path)
    assert problems == [f"{tmp_path}/a.yar:1: there is no rule porch with the tag door: its rules are tried on every file"]
    assert "inside" in {hit.rule for hit in scan_bytes(b"end", rules)}


def test_a_door_is_named_in_the_first_lines_alone(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(DOOR + "\n// door: porch\nrule late { condition: true }")
    assert {hit.rule for hit in scan_bytes(b"", load(tmp_path)[0])} == {"late"}


def test_files_that_are_no_rules_are_named_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "latin.yar").write_bytes(b"rule a { condition: true }\n// \xe4")
    os.mkfifo(tmp_path / "fifo.toml")
    (tmp_path / "gone.yar").symlink_to("nowhere")
    rules, problems = load(tmp_path)
    assert rules.count == 0
    assert sorted(problem.rpartition("/")[2] for problem in problems) == [
        "gone.yar: cannot be read: No such file or directory",
        "latin.yar: line 2 is no UTF-8",
    ]


def test_a_folder_that_is_none_is_named() -> None:
    rules, problems = load_rules([b"/nowhere\n"])
    assert (rules.count, problems) == (0, ["/nowhere%0A: cannot be listed: No such file or directory"])


def test_the_rules_that_come_with_fimkit_are_all_good() -> None:
    rules, problems = load_rules([BUILT_IN])
    assert problems == []
    assert rules.count > 0
