"""A line of JSON is one line to everybody, and the same value to who reads it."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.json_text import render_json_line

__all__: list[str] = []

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(_VALUES)
def test_it_is_one_line_and_the_same_value(value: object) -> None:
    text = render_json_line(value)
    assert json.loads(text) == value
    assert len(text.splitlines()) == 1
    text.encode()  # lone surrogates too


def test_no_format_character_is_left_as_it_is() -> None:
    deceiving = "".join(chr(one) for one in range(0x110000) if unicodedata.category(chr(one)) in ("Cf", "Zl", "Zp", "Cc"))
    text = render_json_line(deceiving)
    assert [char for char in text if unicodedata.category(char) in ("Cf", "Zl", "Zp", "Cc")] == []
    assert json.loads(text) == deceiving
