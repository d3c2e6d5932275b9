"""A unified diff is right, ends in time whatever the texts are, and nothing in it can deceive a reader."""

import difflib

from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.masking import Masker
from fimkit.evidence.text_diff import MOST_CHARS, MOST_LINES, diff_lines, render_diff

LINES = st.lists(st.sampled_from("abcd"), max_size=30)


@given(LINES, LINES)
def test_blocks_turn_the_old_lines_into_the_new_ones(old: list[str], new: list[str]) -> None:
    made: list[str] = []
    at = 0
    for block in diff_lines(old, new):
        made += old[at : block.old_from]
        assert len(made) == block.new_from
        made += new[block.new_from : block.new_to]
        at = block.old_to
    assert made + old[at:] == new


@given(LINES, LINES)
def test_no_diff_is_longer_than_what_difflib_finds(old: list[str], new: list[str]) -> None:
    ours = sum(one.old_to - one.old_from + one.new_to - one.new_from for one in diff_lines(old, new))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    theirs = len(old) + len(new) - 2 * sum(match.size for match in matcher.get_matching_blocks())
    assert ours <= theirs


def test_the_form_is_that_of_diff_u() -> None:
    old = "".join(f"line {number}\n" for number in range(40))
    new = old.replace("line 5\n", "").replace("line 30\n", "line thirty\nand more\n")
    expected = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True))
    assert render_diff(old, new) == "".join(list(expected)[2:])


def test_an_empty_side_is_all_lines_of_the_other() -> None:
    assert render_diff("", "a\nb\n") == "@@ -0,0 +1,2 @@\n+a\n+b\n"
    assert render_diff("a\n", "") == "@@ -1 +0,0 @@\n-a\n"
    assert render_diff("a\n", "a\n") == ""


def test_a_missing_line_feed_is_a_difference() -> None:
    assert render_diff("a\n", "a") == "@@ -1 +1 @@\n-a\n+a  [no line feed at the end]\n"


def test_control_and_format_characters_and_foreign_bytes_are_escaped() -> None:
    shown = render_diff("", "a\x1b[2J\r\u202eb\u2028c\udcff\ud800\x01\n")
    assert shown == "@@ -0,0 +1 @@\n+a%1B[2J%0D%E2%80%AEb%E2%80%A8c%FF?%01\n"


def test_a_changed_secret_is_said_to_be_another_and_not_shown() -> None:
    masker = Masker(b"k")
    old, new = masker.mask("password = one\nuser = x\n"), masker.mask("password = two\nuser = x\n")
    assert render_diff(old, new) == "@@ -1,2 +1,2 @@\n-password = [masked]\n+password = [masked, another value]\n user = x\n"


def test_a_long_line_is_shown_around_its_first_difference() -> None:
    old = "x" * 1_000_000
    shown = render_diff(old + "\n", old[:700_000] + "evil" + old[700_000:] + "\n").splitlines()
    assert len(shown) == 3
    assert "evil" in shown[2]
    assert all(len(line) < MOST_CHARS + 80 for line in shown)
    assert "[1000004 characters, cut to those from " in shown[2]


def test_a_token_that_a_cut_goes_through_leaves_nothing_behind() -> None:
    masker = Masker(b"k")
    for length in range(MOST_CHARS - 20, MOST_CHARS + 5):
        shown = render_diff("", masker.mask("x" * length + " token=abcdef " + "y" * 600 + "\n"))
        assert "\0" not in shown and "%00" not in shown


def test_many_lines_are_cut_and_counted() -> None:
    shown = render_diff("", "".join(f"{number}\n" for number in range(100_000))).splitlines()
    assert len(shown) == MOST_LINES + 1
    assert shown[-1] == "… cut here; in all 0 lines were taken out, and 100000 put in"


def test_texts_made_to_take_long_are_one_block() -> None:
    old = [str(number * 7919 % 5003) for number in range(50_000)]
    new = [str(number * 104729 % 5003) for number in range(50_000)]
    assert len(diff_lines(["same", *old], ["same", *new])) == 1
