"""Rows are left out only where SQLite would leave them out."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.osquery.row_filter import row_filter
from fimkit.osquery.tables import Limits, Operator, Pattern

_texts = st.text("aAbB/%_*?[]^-.äÄ\n", max_size=7)


def _keeps(limits: Limits, value: str | None) -> bool:
    keep = row_filter(["x"], {"x": limits})
    return keep is None or keep([value])


@given(_texts, _texts, st.sampled_from([Operator.LIKE, Operator.GLOB]))
def test_patterns_keep_what_sqlite_keeps(pattern: str, value: str, operator: Operator) -> None:
    connection = sqlite3.connect(":memory:")
    wanted = connection.execute(f"SELECT ? {operator.name} ?", (value, pattern)).fetchone()[0]
    connection.close()
    kept = _keeps(Limits(patterns=(Pattern(operator, pattern),)), value)
    assert kept or not wanted
    if "[" not in pattern:
        assert kept == bool(wanted)


@pytest.mark.parametrize("operator", [Operator.LIKE, Operator.GLOB])
def test_a_pattern_of_very_many_wildcards_is_left_to_sqlite(operator: Operator) -> None:
    assert _keeps(Limits(patterns=(Pattern(operator, "%a*" * 30),)), "a" * 5000)


def test_what_is_not_known_is_the_empty_text_and_no_number() -> None:
    assert _keeps(Limits(patterns=(Pattern(Operator.LIKE, "%"),)), None)
    assert not _keeps(Limits(texts=frozenset({"a"})), None)
    assert not _keeps(Limits(low=1), None)
    assert not _keeps(Limits(numbers=frozenset({1})), None)


def test_numbers_are_compared_as_numbers() -> None:
    assert _keeps(Limits(low=9, high=10), "10")
    assert not _keeps(Limits(low=9, high=9), "10")
    assert _keeps(Limits(numbers=frozenset({10, 7})), "7")


def test_all_columns_must_be_as_asked() -> None:
    keep = row_filter(["a", "b"], {"a": Limits(texts=frozenset({"x"})), "b": Limits(low=5), "c": Limits(low=9)})
    assert keep is not None
    assert keep(["x", "5"]) and not keep(["x", "4"]) and not keep(["y", "5"])


def test_without_limits_there_is_no_filter() -> None:
    assert row_filter(["a"], {"b": Limits(low=1)}) is None
