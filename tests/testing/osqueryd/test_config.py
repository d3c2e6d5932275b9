"""The stand-in's configuration: comments, packs, and that nothing in it stops the reader."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.testing.osqueryd.config import build_config, strip_comments

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_JSON = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
_KEYS = ("options", "schedule", "packs", "file_paths", "exclude_paths", "file_accesses", "decorators")


@given(_JSON)
def test_what_has_no_comments_stays_what_it_is(value: object) -> None:
    text = json.dumps(value, indent=1)
    assert json.loads(strip_comments(text)) == value


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON))
def test_no_content_stops_the_reader(content: dict[str, object]) -> None:
    config = build_config({"c": json.dumps(content)})
    assert all(query.interval_s > 0 for query in config.schedule.values())


@pytest.mark.parametrize(
    "text",
    [
        '{"schedule": {"q": {"query": "SELECT 1", "interval": 1,},},}',
        '// first\n{"schedule": /* here */ {"q": {"query": "SELECT 1", // there\n "interval": "1"}}}',
        '# first\n{"schedule": {"q": {"query": "SELECT 1", "interval": 1}, // a comma before\n}}',
    ],
)
def test_comments_and_trailing_commas_are_tolerated(text: str) -> None:
    config = build_config({"c": text})
    assert config.problems == [] and config.schedule["q"].sql == "SELECT 1"


def test_what_looks_like_a_comment_in_a_text_stays() -> None:
    config = build_config({"c": '{"file_paths": {"a": ["/x//y/*", "/z/*/w"]}}'})
    assert config.file_paths == [("a", "/x//y/*"), ("a", "/z/*/w")]


def test_a_broken_source_leaves_the_others() -> None:
    config = build_config({"a": "{", "b": '{"options": {"read_max": 1}}'})
    assert config.options == {"read_max": "1"}
    assert len(config.problems) == 1 and config.problems[0].startswith("Error parsing the config JSON: a: ")


def test_excludes_need_a_category_that_is_watched_anywhere() -> None:
    sources = {
        "a": '{"exclude_paths": {"web": ["/x/%%"], "nobody": ["/y/%%"]}}',
        "b": '{"packs": {"p": {"file_paths": {"web": ["/w/%%"]}}}}',
    }
    config = build_config(sources)
    assert config.exclude_paths == ["/x/%%"]
    assert config.problems == ["exclude_paths: category 'nobody' is not in file_paths: '/y/%%' excludes nothing"]


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ({"platform": "linux"}, True),
        ({"platform": "darwin"}, False),
        ({"platform": "posix"}, True),
        ({"version": "5.23.1"}, True),
        ({"version": "5.24.0"}, False),
        ({"interval": 0}, False),
        ({"interval": 700_000}, False),
        ({"interval": "ten"}, False),
        ({"query": ""}, False),
    ],
)
def test_a_query_for_another_platform_or_version_or_without_sense_is_left_out(query: dict[str, object], taken: bool) -> None:
    content = {"schedule": {"q": {"query": "SELECT 1", "interval": 10, **query}}}
    assert ("q" in build_config({"c": json.dumps(content)}).schedule) is taken


def test_the_hash_changes_with_the_content_alone() -> None:
    one, two = build_config({"a": "{}"}), build_config({"a": "{} "})
    assert one.hash == build_config({"a": "{}"}).hash != two.hash
