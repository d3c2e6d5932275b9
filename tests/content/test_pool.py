"""Hostile files through the real processes: each is bounded, each is named, and the others are read all the same."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.content.answers import Scanned
from fimkit.content.keywords import MOST_PER_RULE
from fimkit.content.pool import ContentPool
from fimkit.content.reader import OpenContent, Unread, open_content
from fimkit.content.rule_files import RuleSet
from fimkit.content.walk import open_trees

__all__: list[str] = []

MIB = 1 << 20


def scan(tree: Path, rules: RuleSet, **more: float) -> dict[str, Scanned]:
    with ContentPool(rules, workers=1, **more) as pool:  # type: ignore[arg-type]
        return by_name(tree, pool.scan(open_trees([os.fsencode(tree)])))


def by_name(tree: Path, results: Iterator[Scanned]) -> dict[str, Scanned]:
    found = {os.fsdecode(one.path).removeprefix(f"{tree}/"): one for one in results}
    assert not any(name.startswith("/") for name in found)
    return found


def opened(path: Path) -> OpenContent:
    content = open_content(os.fsencode(path), os.fsencode(path.parent))
    assert isinstance(content, OpenContent)
    return content


def slow_rules(rules: RuleSet) -> RuleSet:
    """A rule that no rule file gets past its reader: it goes back for ever."""
    slow = replace(rules.keywords[0], id="slow", pattern="(a+)+$", compiled=re.compile(b"(a+)+$"), words=(b"aaaa",))
    return replace(rules, keywords=(*rules.keywords, slow))


def wait_until_it_reads(pool: ContentPool) -> None:
    until = time.monotonic() + 120
    while pool.confinement is None:
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def test_files_are_read_and_each_has_its_verdict(tree: Path, marks: RuleSet) -> None:
    (tree / "sub").mkdir()
    for number in range(300):
        (tree / f"sub/{number}").write_text(f"{number}\n" + ("MARK\n" if number % 3 == 0 else ""))
    with ContentPool(marks) as pool:
        found = by_name(tree, pool.scan(open_trees([os.fsencode(tree)])))
    assert len(found) == 300
    assert {name for name, one in found.items() if one.hits} == {f"sub/{number}" for number in range(0, 300, 3)}
    assert all(one.problem is None and hit.line == 2 for one in found.values() for hit in one.hits)


def test_the_processes_stay_for_the_next_scan_and_end_with_the_pool(tree: Path, marks: RuleSet) -> None:
    (tree / "a").write_text("MARK")
    with ContentPool(marks, workers=1) as pool:
        assert pool.process_ids == []
        for _ in range(2):
            (one,) = pool.scan([opened(tree / "a")])
            assert one.hits[0].rule == "mark"
            (first,) = pool.process_ids
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_no_descriptor_is_left(tree: Path, marks: RuleSet) -> None:
    for number in range(50):
        (tree / f"{number}").touch()
    before = sorted(os.listdir("/proc/self/fd"))
    scan(tree, marks)
    with ContentPool(marks, workers=1) as pool:
        next(pool.scan(open_trees([os.fsencode(tree)])))  # and one that is left in the middle
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_scan_that_is_left_in_the_middle_does_not_answer_for_the_next(tree: Path, marks: RuleSet) -> None:
    for number in range(40):
        (tree / f"{number}").write_text("MARK")
    (tree / "clean").touch()
    with ContentPool(marks, workers=1) as pool:
        for one in pool.scan(open_trees([os.fsencode(tree)])):
            assert one.path
            break
        assert [one.hits for one in pool.scan([opened(tree / "clean")])] == [()]


def test_of_a_sparse_file_of_10_gb_head_and_tail_are_read_and_it_says_so(tree: Path, marks: RuleSet) -> None:
    with open(tree / "large", "wb") as file:
        file.write(b"\nMARK head\n")
        file.seek(5 << 30)
        file.write(b"MARK between")
        file.seek((10 << 30) - 10)
        file.write(b"\nMARK tail")
    one = scan(tree, marks)["large"]
    assert one.problem is None
    assert [(hit.line, hit.offset, hit.text) for hit in one.hits] == [(2, 1, "MARK head"), (0, (10 << 30) - 9, "MARK tail")]
    assert one.read_bytes == 8 * MIB
    assert one.notes == (f"large: of {10 << 30} bytes the first and the last {4 * MIB} were read",)


def test_nothing_matches_across_what_was_left_out(tree: Path, marks: RuleSet) -> None:
    (tree / "large").write_bytes(b"x" * (MIB // 2 - 2) + b"MA" + b"y" * MIB + b"RK" + b"z" * (MIB // 2 - 2))
    assert scan(tree, marks, most_bytes=MIB)["large"].hits == ()


def test_only_regular_files_are_read_and_the_others_are_named(tree: Path, marks: RuleSet) -> None:
    os.mkfifo(tree / "fifo")
    (tree / "loop").symlink_to("loop")
    (tree / "up").symlink_to("..")
    (tree / "out").symlink_to("/etc/passwd")
    (tree / "file").write_text("MARK")
    found = scan(tree, marks)
    assert found["file"].hits
    assert {name: one.problem for name, one in found.items() if name != "file"} == {
        "fifo": "a fifo", "loop": "a link, not followed", "up": "a link, not followed", "out": "a link, not followed",
    }  # fmt: skip


def test_a_device_is_not_opened(marks: RuleSet) -> None:
    with ContentPool(marks) as pool:
        assert list(pool.scan([open_content(b"/dev/zero", b"/dev")])) == [Scanned(b"/dev/zero", problem="a device")]
        assert pool.process_ids == []


def test_a_file_that_changes_while_it_is_read_is_said(tree: Path, marks: RuleSet) -> None:
    (tree / "log").write_text("one\n")
    content = opened(tree / "log")
    with open(tree / "log", "a") as file:
        file.write("MARK\n")
    with ContentPool(marks) as pool:
        (one,) = pool.scan([content])
    assert "changed while it was read" in one.notes
    assert one.hits  # what has grown is read too


def test_a_file_cut_short_meanwhile_is_read_to_where_it_ends(tree: Path, marks: RuleSet) -> None:
    (tree / "log").write_text("MARK" * 1000)
    content = opened(tree / "log")
    os.truncate(tree / "log", 4)
    with ContentPool(marks) as pool:
        (one,) = pool.scan([content])
    assert (one.read_bytes, len(one.hits), one.notes) == (4, 1, ("changed while it was read",))


def test_a_hard_link_is_read_and_said(tree: Path, marks: RuleSet) -> None:
    (tree / "a").write_text("MARK")
    os.link(tree / "a", tree / "b")
    assert [one.notes for one in scan(tree, marks).values()] == [("has 2 names (hard links)",)] * 2


@pytest.mark.parametrize("content", [b"\n" * 4 * MIB, b"a\n" * 2_000_000, b"MARK\n" * 1_000_000, b"x" * 7 * MIB, b"\0" * 4 * MIB])
def test_lines_of_any_kind_are_read_and_hits_are_bounded(tree: Path, marks: RuleSet, content: bytes) -> None:
    (tree / "a").write_bytes(content)
    one = scan(tree, marks)["a"]
    assert (one.problem, one.read_bytes) == (None, len(content))
    assert len(one.hits) == min(content.count(b"MARK"), MOST_PER_RULE)


def test_a_name_of_255_control_bytes_is_a_name(tree: Path, marks: RuleSet) -> None:
    name = bytes([*range(1, 32), 127]) * 7 + b"\x1b[2J\r\n\xff\xfe" * 3
    path = os.path.join(os.fsencode(tree), (name * 2)[:255])
    with open(path, "wb") as file:
        file.write(b"MARK")
    with ContentPool(marks) as pool:
        (one,) = pool.scan(open_trees([os.fsencode(tree)]))
    assert (one.path, one.hits[0].path, len(one.hits)) == (path, path, 1)


def test_a_text_is_safe_for_a_terminal(tree: Path, marks: RuleSet) -> None:
    (tree / "a").write_bytes(b"\x1b]0;evil\x07 MARK \xe2\x80\xae\xff\r\n")
    (hit,) = scan(tree, marks)["a"].hits
    assert hit.text == "%1B]0;evil%07 MARK %E2%80%AE%FF"


def test_a_file_that_takes_too_long_is_named_and_the_rest_is_read(tree: Path, marks: RuleSet) -> None:
    (tree / "evil").write_text("a" * 60 + "!")
    for number in range(40):
        (tree / f"{number}").write_text("MARK")
    found = scan(tree, slow_rules(marks), file_s=3)
    assert found.pop("evil").problem == "took longer than 3 s"
    assert len(found) == 40
    assert all(one.hits and one.problem is None for one in found.values())


def test_a_process_that_dies_costs_the_file_that_it_was_at_and_no_other(tree: Path, marks: RuleSet) -> None:
    (tree / "evil").write_text("a" * 60 + "!")
    names = [str(number) for number in range(40)]
    for name in names:
        (tree / name).write_text("MARK")
    with ContentPool(slow_rules(marks), workers=1, file_s=300) as pool:

        def kill() -> None:
            wait_until_it_reads(pool)
            os.kill(pool.process_ids[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        found = by_name(tree, pool.scan([opened(tree / name) for name in ["evil", *names]]))
        killer.join()
    assert found.pop("evil").problem == "the process that read it ended with signal 9"
    assert all(one.hits and one.problem is None for one in found.values())
    assert len(found) == 40


@pytest.mark.parametrize("place", [0, 17, 40])
def test_the_file_that_it_was_at_is_the_one_that_is_named_wherever_it_stood(tree: Path, marks: RuleSet, place: int) -> None:
    names = [f"{number}" for number in range(40)]
    for name in names:
        (tree / name).write_text("MARK")
    (tree / "evil").write_text("a" * 60 + "!")
    names.insert(place, "evil")
    with ContentPool(slow_rules(marks), workers=1, file_s=3) as pool:
        found = by_name(tree, pool.scan([opened(tree / name) for name in names]))
    assert found.pop("evil").problem == "took longer than 3 s"
    assert all(one.hits and one.problem is None for one in found.values())
    assert len(found) == 40


def test_processes_that_were_started_early_wait_for_their_rules(tree: Path, marks: RuleSet) -> None:
    for name in ("a", "b"):
        (tree / name).write_text("MARK")
    with ContentPool(None, workers=2) as pool:
        early = [worker.process.pid for worker in pool._early]
        pool.set_rules(marks)
        assert all(one.hits for one in pool.scan([opened(tree / "a"), opened(tree / "b")]))
        assert len(early) == 2
        assert set(pool.process_ids) <= set(early)
    for process in early:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_one_that_died_before_it_had_its_rules_is_another_ones_affair(tree: Path, marks: RuleSet) -> None:
    (tree / "a").write_text("MARK")
    with ContentPool(None, workers=1) as pool:
        (early,) = pool._early
        early.process.kill()
        early.process.wait()
        pool.set_rules(marks)
        assert [len(one.hits) for one in pool.scan([opened(tree / "a")])] == [1]


def test_one_that_cannot_be_opened_is_passed_through(marks: RuleSet) -> None:
    with ContentPool(marks) as pool:
        assert list(pool.scan([Unread(b"/a", "no")])) == [Scanned(b"/a", problem="no")]


def test_it_says_what_it_runs_with(tree: Path, marks: RuleSet) -> None:
    (tree / "a").touch()
    with ContentPool(marks) as pool:
        list(pool.scan([opened(tree / "a")]))
        made = pool.confinement
    assert made is not None
    assert made.no_network or made.lacks
    if os.geteuid() == 0:
        assert made.user in ("fimkit-scan", "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read what its other user may not")
def test_the_user_that_reads_needs_no_right_to_the_file(tree: Path, marks: RuleSet) -> None:
    (tree / "closed").mkdir(mode=0o700)
    (tree / "closed/a").write_text("MARK")
    (tree / "closed/a").chmod(0o600)
    assert scan(tree, marks)["closed/a"].hits
