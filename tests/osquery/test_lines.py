"""Lines of osquery's logs: three formats, old and new ones, and lines of any length."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.errors import RecordError
from fimkit.osquery import lines
from fimkit.osquery.lines import parse_line
from tests.osquery.result_rows import FILE_ROW, batch, event, snapshot


def long(line: bytes) -> bytes:
    """Make a line so long that its rows are read one at a time."""
    return line + b" " * (lines.LONG_LINE_BYTES + 1)


@pytest.mark.parametrize(
    "line",
    [
        event(FILE_ROW),
        batch([FILE_ROW, {"a": [1, {"b": "]},"}]}], removed=[{"x": "1"}, {}]),
        batch([]),
        snapshot([FILE_ROW] * 3),
        snapshot([]),
        b' { "snapshot" : [ { } , {"a":"\\"]"} ] , "name" : "q" , "hostname" : "h" } ',
        b'{"name":"q","diffResults":{"added":"","removed":""}}',
        b'{"name":"q","diffResults":""}',
    ],
)
def test_a_long_line_says_what_a_short_one_says(line: bytes) -> None:
    short, other = parse_line(line), parse_line(long(line))
    assert (short.name, short.node, short.names, short.removed) == (other.name, other.node, other.names, other.removed)
    assert list(short.rows()) == list(other.rows())


@pytest.mark.parametrize(
    "line",
    [b"", b"3", b"[]", b"{", b'{"a":1,}', b'{"snapshot":[1,]}', b'{"snapshot":[{}', b'{"diffResults":{"added":[{}}}', b'{"a":1} x',
     b'{"columns":7}', b'{"diffResults":7}', b'{"snapshot":7}', b'{"diffResults":' * 100_000, b"[" * 200_000, b"\xff\xff"],
)  # fmt: skip
def test_what_is_no_result_is_refused_short_or_long(line: bytes) -> None:
    for whole in (line, long(line)):
        with pytest.raises(RecordError):
            list(parse_line(whole).rows())


def test_a_row_that_is_no_object_does_not_keep_those_behind_it_from_being_given() -> None:
    line = b'{"snapshot":[{"a":"1"},2,{"b":"3"}]}'
    for whole in (line, long(line)):
        assert list(parse_line(whole).rows()) == [{"a": "1"}, 2, {"b": "3"}]


def test_removed_rows_that_are_no_list_are_refused() -> None:
    for removed in (b"5", b"true", b'"x"', b'{"a":1}'):
        line = b'{"diffResults":{"added":[],"removed":%b}}' % removed
        for whole in (line, long(line)):
            with pytest.raises(RecordError, match="removed rows are a list"):
                parse_line(whole)


@pytest.mark.parametrize(
    ("names", "node"),
    [
        ({"hostIdentifier": "web01"}, "web01"),
        ({"hostname": "web01"}, "web01"),
        ({"decorations": {"hostname": "web01"}}, "web01"),
        ({"hostIdentifier": "uuid-1", "decorations": {"hostname": "web01", "other": 3}}, "uuid-1"),
        ({"host_uuid": "uuid-1"}, "uuid-1"),
        ({"hostIdentifier": "", "decorations": []}, None),
    ],
)
def test_the_host_is_what_stamps_the_line_else_what_decorates_it(names: dict[str, Any], node: str | None) -> None:
    line = parse_line(json.dumps({"columns": {}, **names}).encode())
    assert line.node == node
    assert ("web01" in line.names) == ("web01" in json.dumps(names))


KEYS = st.sampled_from(["a", "added", "snapshot", "name"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["diffResults", "snapshot", "columns", "action", "name", "decorations"]), JSON))
def test_long_and_short_agree_on_anything(body: dict[str, Any]) -> None:
    def said(line: bytes) -> object:
        try:
            result = parse_line(line)
            return result.name, result.names, result.removed, list(result.rows())
        except RecordError:
            return None

    text = json.dumps(body).encode()
    assert said(text) == said(long(text))


@given(st.binary())
def test_any_line_is_read_or_refused_with_our_own_error(line: bytes) -> None:
    try:
        list(parse_line(line).rows())
    except RecordError:
        return
