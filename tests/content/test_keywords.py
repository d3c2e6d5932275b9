"""Keyword rules: words in a context, in time that grows with the file and nothing else."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.content.bounded import MOST_WAYS, count_ways, required_words
from fimkit.content.keywords import MOST_PER_RULE, KeywordRule, find_keywords, parse_keywords

__all__: list[str] = []

TOUCH = r"""
[[rule]]
id = "touch-hidden"
description = "makes a hidden file"
severity = "suspect"
attack = "T1564.001"
pattern = '''["'`;&|]\s{0,9}touch\s{1,9}/\S{0,200}/\.'''
files = ["*.php", "*.phtml"]
positive = ["system('touch /tmp/.x');"]
negative = ["I should touch my machine"]
"""


def rules_of(text: str) -> list[KeywordRule]:
    rules, problems = parse_keywords(text, "k.toml")
    assert problems == []
    return rules


def one(pattern: str) -> list[KeywordRule]:
    return rules_of(f"[[rule]]\nid = 'a'\npattern = '''{pattern}'''\n")


def test_a_word_in_a_context_is_a_hit_and_the_word_alone_is_none() -> None:
    rules = rules_of(TOUCH)
    content = b"<?php\n// I should touch my machine\nSYSTEM('Touch /tmp/.x');\n"
    (hit,) = find_keywords(content, rules, path=b"/w/a.PHP")
    assert (hit.rule, hit.line, hit.offset, hit.kind) == ("touch-hidden", 3, content.index(b"'Touch"), "keyword")
    assert (hit.severity, hit.attack, hit.text) == ("suspect", "T1564.001", "SYSTEM('Touch /tmp/.x');")


def test_a_rule_for_some_names_leaves_others_alone() -> None:
    assert find_keywords(b"system('touch /tmp/.x');", rules_of(TOUCH), path=b"/w/notes.txt") == []


def test_a_line_gives_one_hit_and_a_file_ten() -> None:
    hits = find_keywords(b"wget wget wget\n" * 1_000_000, one("wget"))
    assert [hit.line for hit in hits] == list(range(1, MOST_PER_RULE + 1))


def test_no_match_goes_over_the_end_of_a_line() -> None:
    assert find_keywords(b"curl\nhttp", one(r"curl\s{1,5}http")) == []


def test_begin_and_end_are_those_of_a_line() -> None:
    assert [hit.line for hit in find_keywords(b"xwget\nwget\nwgetx\n", one("^wget$"))] == [2]


@pytest.mark.parametrize("before", [0, 1, 900, 4000, 4090, 4096, 5000, 8190, 100_000])
def test_in_a_line_of_any_length_a_match_is_found(before: int) -> None:
    content = b"x" * before + b" wget http://192.0.2.1/a " + b"y" * 10_000
    (hit,) = find_keywords(content, one(r"\bwget\s{1,9}http"))
    assert (hit.line, hit.offset) == (1, before + 1)


@given(st.lists(st.sampled_from([b"wget", b"curl", b" ", b"\n", b"http", b"x" * 700, b"\0"]), max_size=60))
def test_what_is_found_is_what_a_search_line_by_line_finds(parts: list[bytes]) -> None:
    content = b"".join(parts)
    pattern = r"(?:wget|curl) {1,3}http"
    lines = content.split(b"\n")
    expected = [number for number, line in enumerate(lines, 1) if re.search(pattern.encode(), line)]
    assert [hit.line for hit in find_keywords(content, one(pattern))] == expected[:MOST_PER_RULE]


@given(st.from_regex(rb"(?:wget|curl)\s{1,3}-[oO]|base64_(?:de|en)code|[Ss]h -c|x{2}perl", fullmatch=True))
def test_every_match_has_one_of_the_words_that_were_derived(text: bytes) -> None:
    words = required_words(rb"(?:wget|curl)\s{1,3}-[oO]|base64_(?:de|en)code|[Ss]h -c|x{2}perl")
    assert words
    assert any(word in text.lower() for word in words)


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(a|aa)+$", r"(\w+\s?)*x", r"(.*)(.*)(.*)x", r"([a-z]{1,50}){1,50}!", r"(?:a?){40}a{40}", r"(a*)*?b"]
)
def test_a_pattern_that_goes_back_for_ever_is_refused_with_its_line(pattern: str) -> None:
    assert count_ways(pattern.encode()) > MOST_WAYS
    rules, problems = parse_keywords(f"# mine\n\n[[rule]]\nid = 'slow'\npattern = '''{pattern}'''\n", "k.toml")
    assert rules == []
    assert problems[0].startswith("k.toml:3: rule slow: its pattern can be tried in too many ways")


@pytest.mark.parametrize("pattern", [r"touch\s{1,9}[^\n]{0,200}/tmp", r"x(?>a+)b", r"x[^;]*+;", r"'\w{1,60}'\s{0,9}\.\s{0,9}sh"])
def test_a_bounded_pattern_is_taken(pattern: str) -> None:
    assert len(one(pattern)) == 1


def test_the_worst_that_a_file_can_do_to_a_taken_pattern_grows_with_the_file_alone() -> None:
    rules = one(r"touch\s{1,40}[^\n]{0,200}/tmp/x")
    seconds = []
    for size in (1 << 16, 1 << 19):
        content = (b"touch" + b" " * 60) * (size // 65)
        start = time.process_time()
        assert find_keywords(content, rules) == []
        seconds.append(time.process_time() - start)
    # Eight times the file. Linear would be 8, with room for a busy machine; going back over it would be 64 and more.
    assert seconds[1] < 30 * max(seconds[0], 0.005)


def test_a_word_that_is_missing_is_not_searched_for_again_at_each_of_the_other() -> None:
    rules = one("(?:touch|wget)!")
    content = b"touch\n" * 500_000
    start = time.process_time()
    assert find_keywords(content, rules) == []
    assert time.process_time() - start < 30  # half a second; were it searched for each time: an hour


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[rule]]\nid = 'a'\n", "k.toml:1: rule a: its pattern matches where there is nothing"),
        ("[[rule]]\nid = 'a'\npattern = '('\n", "k.toml:1: rule a: its pattern is none: missing )"),
        ("[[rule]]\nid = 'a b'\npattern = 'x'\n", "k.toml:1: id is 'a b', expected up to 64 letters, digits, '.', '_', '-'"),
        ("\n[[rule]]\nid = 'a'\npattern = 3\n", "k.toml:2: rule 'a': pattern is 3, expected text"),
        ("[[rule]]\nid = 'a'\npatern = 'x'\n", "k.toml:1: rule 'a': unknown key 'patern'"),
        ("[[rule]]\nid = 'a'\npattern = 'x'\nseverity = 'bad'\n", "k.toml:1: rule a: severity is 'bad', expected one of info"),
        ("[[rule]]\nid = 'a'\npattern = 'x'\npositive = ['y']\n", "k.toml:1: rule a: its positive example 'y' does not match"),
        ("[[rule]]\nid = 'a'\npattern = 'x'\nnegative = ['x']\n", "k.toml:1: rule a: its negative example 'x' matches"),
        ("x = 1\n", "k.toml:1: unknown: 'x'; expected [[rule]]"),
        ("rule = 1\n", "k.toml:1: expected [[rule]], seen: 1"),
        ("\n\n[[rule\n", "k.toml:3: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rule_is_said_with_its_line(text: str, problem: str) -> None:
    assert parse_keywords(text, "k.toml")[1][0].startswith(problem)


def test_a_bad_rule_does_not_stop_the_others_and_an_id_counts_once() -> None:
    text = "[[rule]]\nid='a'\npattern='('\n[[rule]]\nid='b'\npattern='x'\n[[rule]]\nid='b'\npattern='y'\n"
    rules, problems = parse_keywords(text, "k.toml")
    assert [(rule.id, rule.pattern) for rule in rules] == [("b", "x")]
    assert [problem.split(":")[1] for problem in problems] == ["1", "7"]


@given(st.text())
def test_no_text_breaks_the_reading_of_rules(text: str) -> None:
    parse_keywords(text, "k.toml")
