"""Values go into columns and come back unchanged."""

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.schema import STATE_TABLE
from fimkit.evidence.values import STATE_COLUMNS, decode_state, encode_state, int_in, int_out, text_in, text_out
from fimkit.model.states import FileState
from tests.evidence.examples import a_state, states


def through_sqlite(state: FileState) -> FileState:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"CREATE TABLE one {STATE_TABLE}")
        connection.execute(f"INSERT INTO one VALUES ({', '.join('?' * len(STATE_COLUMNS))})", encode_state(state))
        return decode_state(connection.execute(f"SELECT {', '.join(STATE_COLUMNS)} FROM one").fetchone())
    finally:
        connection.close()


@given(states)
def test_any_state_comes_back_from_the_table_unchanged(state: FileState) -> None:
    assert through_sqlite(state) == state


def test_columns_are_the_fields_of_a_state_in_their_order() -> None:
    assert FileState._fields == STATE_COLUMNS


def test_unknown_xattrs_are_not_the_same_as_none() -> None:
    assert through_sqlite(a_state(b"/a", xattrs=None)).xattrs is None
    assert through_sqlite(a_state(b"/a", xattrs={})).xattrs == {}


def test_digest_takes_32_bytes() -> None:
    assert encode_state(a_state(b"/a"))[STATE_COLUMNS.index("sha256")] == bytes.fromhex("ab" * 32)


@given(st.none() | st.integers())
def test_any_integer_comes_back(value: int | None) -> None:
    assert int_out(int_in(value)) == value


@given(st.none() | st.text(st.characters(exclude_categories=())))
def test_any_text_comes_back_even_with_half_a_surrogate_pair(value: str | None) -> None:
    assert text_out(text_in(value)) == value
