"""JSON as osqueryd reads it, and as people write it."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fimkit.osquery.config_json import MOST_BYTES, parse_config_json

__all__: list[str] = []


@pytest.mark.parametrize("comment", ["// a comment", "  # a comment", "\t// \"quoted\": {"])
def test_comments_on_lines_of_their_own_are_osquerys_and_no_problem(comment: str) -> None:
    assert parse_config_json(f'{{\n{comment}\n"a": "b // # /* c */"}}') == ({"a": "b // # /* c */"}, [])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1 /* c */}', (1, 9)),
        ('{"a": 1 // c\n}', (1, 9)),
        ('{\n"a": 1, # c\n}', (2, 9)),
        ('{"a": [1,\n 2,\n]}', (3, 1)),
        ('{"a": 1,}', (1, 8)),
    ],
)
def test_what_osqueryd_refuses_and_people_write_is_read_and_told_with_its_place(text: str, place: tuple[int, int]) -> None:
    found, problems = parse_config_json(text)
    assert found is not None
    assert found["a"] in (1, [1, 2])
    (problem,) = problems
    assert problem.refused
    assert problem.line == place[0]
    assert problem.column is not None
    assert "comments go on lines of their own" in problem.words


@pytest.mark.parametrize("text", ["", "{", "[1]", "1", "{} {}", '{"a": NaN}', '{"a": "\n"}', "\ufeff{}", "9" * 5000])
def test_what_is_no_object_is_refused(text: str) -> None:
    found, problems = parse_config_json(text)
    assert found is None
    assert problems[0].refused


def test_a_line_ending_in_a_backslash_goes_on_in_the_next() -> None:
    assert parse_config_json('{"a": "SELECT *\\\n FROM t"}') == ({"a": "SELECT * FROM t"}, [])


def test_a_key_that_is_there_twice_is_told_and_the_first_counts() -> None:
    found, problems = parse_config_json('{"options": {"x": 1}, "options": {"x": 2}}')
    assert found == {"options": {"x": 1}}
    assert [(problem.refused, "twice" in problem.words) for problem in problems] == [(False, True)]
    assert parse_config_json('{"etc": ["/a"], "etc": ["/b"]}')[0] == {"etc": ["/a", "/b"]}


def test_a_file_that_is_too_long_or_too_deep_for_osqueryd_is_told() -> None:
    long = json.dumps({"a": "x" * MOST_BYTES})
    assert [problem.refused for problem in parse_config_json(long)[1]] == [True]
    deep = '{"a":' * 40 + "1" + "}" * 40
    assert "nested deeper than 32" in parse_config_json(deep)[1][0].words
    assert parse_config_json("[" * 200_000)[0] is None
    assert parse_config_json('{"a":' * 30 + "1" + "}" * 30)[1] == []


def test_what_is_json_and_no_object_is_told() -> None:
    for text in ("null", "[]", "1", '"x"', "null // nothing"):
        found, problems = parse_config_json(text)
        assert found is None
        assert problems[-1].words == "it is no JSON object" and problems[-1].refused


@given(st.text() | st.text(alphabet='{}[]",:/*#\\\n ab1'))
@example("null")
def test_any_text_is_read_or_is_a_problem(text: str) -> None:
    found, problems = parse_config_json(text)
    assert found is not None or problems


@given(st.dictionaries(st.text(), st.lists(st.text()) | st.integers() | st.none()))
def test_any_json_comes_back_as_it_is(value: dict[str, object]) -> None:
    found, problems = parse_config_json(json.dumps(value))
    assert not problems
    assert found == value
