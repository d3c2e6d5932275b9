"""Every rule file of the collection: its header, its lines, and this kernel's word on it, by our encoder and by auditctl."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from fimkit.audit.kernel import AuditKernel, KernelRefusal
from fimkit.audit.rule_codec import FilterList, Rule, decode_rule, encode_rule
from fimkit.audit.rule_text import parse_rules, render_rule
from tests.live import kept_kernel

FOLDER = Path(__file__).parents[1] / "audit_rules"
FILES = sorted(FOLDER.glob("*.rules"))
MACHINE = os.uname().machine

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def rules_of(file: Path) -> tuple[Rule, ...]:
    return parse_rules(file.read_text(), machine="x86_64")


def missing_folder(rule: Rule) -> bool:
    folder = rule.text_of("dir") or os.path.dirname(rule.text_of("path") or b"/")
    return not os.path.isdir(folder)


def listed_of(kernel: AuditKernel, rules: list[Rule]) -> list[Rule]:
    return [rule for rule in map(decode_rule, kernel.rules()) if rule in rules]


def test_the_collection_covers_what_a_team_starts_from() -> None:
    words = " ".join(file.name for file in FILES)
    assert all(part in words for part in ("system-binaries", "boot", "authentication", "cron-systemd", "ssh", "web-root", "fimkit"))


@each_file
def test_header_says_what_why_cost_source_and_key(file: Path) -> None:
    head = [line for line in file.read_text().split("\n") if line.startswith("##")]
    for word in ("What:", "Why:", "Cost:", "Source:", "Key:"):
        assert any(line.startswith(f"## {word}") for line in head), word
    (key,) = {rule.keys for rule in rules_of(file)}
    assert any(key[0].decode() in line for line in head if "Key:" in line)


@each_file
def test_file_is_numbered_and_has_rules_alone(file: Path) -> None:
    assert file.name[:2].isdecimal() and 40 < int(file.name[:2]) < 50
    lines = [line for line in file.read_text().split("\n") if line and not line.startswith("#")]
    assert lines and all(line.startswith("-a always,exit -F arch=b") and " -F perm=wa -F key=" in line for line in lines)


@each_file
def test_file_has_each_place_once_for_both_arches(file: Path) -> None:
    rules = rules_of(file)
    assert len(set(rules)) == len(rules)
    places = [rule.text_of("dir") or rule.text_of("path") for rule in rules]
    assert places[::2] == places[1::2] and len(set(places)) * 2 == len(places)
    assert all(rule.filter_list is FilterList.EXIT and len(rule.keys[0]) <= 31 for rule in rules)


@each_file
def test_kernel_takes_every_rule_whose_folder_is_here(file: Path) -> None:
    if MACHINE != "x86_64":
        pytest.skip("the rule files name arches of x86_64")
    with kept_kernel() as kernel:
        loaded = []
        for rule in rules_of(file):
            try:
                kernel.add(encode_rule(rule))
                loaded.append(rule)
            except KernelRefusal as error:
                assert error.errno == errno.ENOENT and missing_folder(rule), render_rule(rule, machine=MACHINE)
        assert listed_of(kernel, loaded) == loaded
        assert len(loaded) == sum(not missing_folder(rule) for rule in rules_of(file))


@each_file
def test_auditctl_loads_the_lines_whose_folders_are_here(file: Path, tmp_path: Path) -> None:
    if MACHINE != "x86_64":
        pytest.skip("the rule files name arches of x86_64")
    expected = [rule for rule in rules_of(file) if not missing_folder(rule)]
    copy = tmp_path / file.name
    copy.write_text("".join(f"{render_rule(rule, machine=MACHINE)}\n" for rule in expected))
    copy.chmod(0o640)
    with kept_kernel() as kernel:
        done = subprocess.run(["auditctl", "-R", copy], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert listed_of(kernel, expected) == expected
