"""What a worker says is checked: it has read hostile files."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.content.answers import PACKET_BYTES, BadAnswerError, Scanned, parse_answer, parse_answers, parse_hello, parse_packet
from fimkit.model.errors import HostError

__all__: list[str] = []

HIT = ["r", "suspect", "d", "T1", 3, 40, "text", "yara"]
KEYS = st.sampled_from(["read", "hits", "cpu", "problem", "more", "gap", "files", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)  # fmt: skip


def test_an_honest_answer_is_read_with_the_path_that_was_asked_for() -> None:
    said = {"files": [7, {"read": 9, "hits": [HIT]}], "cpu": 1.5}
    answers, cpu_s = parse_answers(said, [(b"/w/clean", 8), (b"/w/a", 9), (b"/w/later", 1)])
    clean, scanned = answers
    assert clean == Scanned(b"/w/clean", size_bytes=8, read_bytes=7)
    assert (scanned.path, scanned.hits[0].path, scanned.hits[0].line, cpu_s) == (b"/w/a", b"/w/a", 3, 1.5)


def test_the_worst_hit_is_the_first() -> None:
    hits = [["i", "info", "", "", 1, 1, "", "yara"], ["c", "critical", "", "", 9, 90, "", "yara"], HIT]
    assert [hit.rule for hit in parse_answer({"hits": hits}, b"/w/a", 9).hits] == ["c", "r", "i"]


def test_texts_are_made_safe_once_more() -> None:
    evil = "\x1b[2J\u202e\ud800\n"
    scanned = parse_answer({"hits": [[evil, "info", evil, evil, 1, 1, evil, "yara"]], "problem": evil}, b"/w/a", 9)
    for text in (scanned.hits[0].rule, scanned.hits[0].text, scanned.problem or ""):
        assert text.isprintable()
        text.encode()


@pytest.mark.parametrize(
    "said",
    [
        {"hits": 3}, {"hits": [[]]}, {"hits": [[*HIT[:1], "deadly", *HIT[2:]]]}, {"hits": [[*HIT[:7], "mail"]]},
        {"read": float("inf")}, {"problem": 3}, {"hits": [[3, *HIT[1:]]]}, True, None, "9", 1.5, [],
    ],
)  # fmt: skip
def test_what_no_worker_says_of_a_file_is_a_bad_answer(said: object) -> None:
    with pytest.raises(BadAnswerError):
        parse_answer(said, b"/w/a", 9)
    answers, _ = parse_answers({"files": [1, said], "cpu": 0}, [(b"/w/b", 1), (b"/w/a", 9)])
    assert next(answers).read_bytes == 1  # what was said before that holds
    with pytest.raises(BadAnswerError):
        next(answers)


@pytest.mark.parametrize("said", [{}, {"cpu": 1}, {"cpu": "x", "files": [1]}, {"files": [1]}, {"cpu": 1, "files": []},
                                  {"cpu": 1, "files": {}}, {"cpu": 1, "files": [1, 1, 1]}])  # fmt: skip
def test_what_no_worker_says_is_a_bad_answer(said: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError):
        parse_answers(said, [(b"/w/a", 9), (b"/w/b", 9)])


@given(JSON)
def test_nothing_said_does_more_than_be_a_bad_answer(said: Any) -> None:
    with suppress(BadAnswerError):
        parse_answer(said, b"/w/a", 9)
    with suppress(BadAnswerError):
        answers, _ = parse_answers(parse_packet(json.dumps(said).encode()), [(b"/w/a", 9)] * 9)
        list(answers)


@given(st.binary())
def test_no_bytes_do(packet: bytes) -> None:
    with suppress(BadAnswerError):
        parse_packet(packet)


@pytest.mark.parametrize("packet", [b"[" * 100_000, b'{"a":"' + b"x" * PACKET_BYTES + b'"}', b"[]", b"{"])
def test_a_packet_too_deep_too_long_or_of_no_object_is_refused(packet: bytes) -> None:
    with pytest.raises(BadAnswerError):
        parse_packet(packet)


def test_one_that_could_not_be_confined_is_the_hosts_refusal() -> None:
    with pytest.raises(HostError, match="refuses to: PermissionError"):
        parse_hello({"refused": "PermissionError: setresuid"})
