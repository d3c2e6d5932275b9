"""What packages are believed by, in the store: one row, replaced whole."""

import sqlite3

import pytest

from fimkit.evidence.connection import store_path
from fimkit.evidence.pin_rows import PinsRow
from fimkit.evidence.store import Store

__all__: list[str] = []

FIRST = PinsRow(body={"keys": [], "packages": [["a", "all", "1", None]]}, who="eve", time_ns=7)


def test_a_new_store_has_none(store: Store) -> None:
    assert store.pins() is None


def test_later_pins_take_the_place_of_earlier_ones(store: Store) -> None:
    store.set_pins(FIRST)
    assert store.pins() == FIRST
    later = PinsRow(body={"keys": ["\udcff", "ä"]}, who="n\udce4me", time_ns=2**64)
    store.set_pins(later)
    assert store.pins() == later


def test_pins_are_part_of_the_transaction_around_them(store: Store) -> None:
    with pytest.raises(KeyError), store.transaction():
        store.set_pins(FIRST)
        raise KeyError
    assert store.pins() is None


@pytest.mark.parametrize("body", ["", "{", "7", "null"])
def test_a_row_that_is_no_object_ends_nothing(body: str, store: Store, state_dir: bytes) -> None:
    store.set_pins(FIRST)
    with sqlite3.connect(store_path(state_dir)) as connection:
        connection.execute("UPDATE package_pins SET body = ?", (body,))
    connection.close()
    assert store.pins() == PinsRow(body={}, who="eve", time_ns=7)
