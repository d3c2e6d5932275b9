"""Frames of osqueryd's answers: typed columns, exact numbers, names of any bytes."""

import pandas as pd
import pytest

from fimkit.osquery.answer import Answer
from fimkit.verbs.query import frame_of

__all__: list[str] = []


def test_columns_have_the_types_that_osquery_says() -> None:
    columns = (("i", "INTEGER"), ("b", "BIGINT"), ("u", "UNSIGNED BIGINT"), ("d", "DOUBLE"), ("t", "TEXT"), ("x", "UNKNOWN"))
    rows = [
        {"i": "-1", "b": "9223372036854775807", "u": "18446744073709551615", "d": "0.5", "t": "", "x": "7"},
        {"i": "", "b": "", "u": "", "d": "", "t": "a", "x": ""},
    ]
    frame = frame_of(Answer(columns, rows))
    assert frame.dtypes.astype(str).to_dict() == {"i": "Int64", "b": "Int64", "u": "UInt64", "d": "float64", "t": "str", "x": "str"}
    assert frame.loc[0].tolist() == [-1, 2**63 - 1, 2**64 - 1, 0.5, "", "7"]
    assert frame.loc[1, ["i", "b", "u", "d"]].isna().all()
    assert frame.attrs["notes"] == []


def test_numbers_of_64_bits_are_exact_beside_small_ones() -> None:
    rows = [{"b": "1", "u": "1"}, {"b": str(2**53 + 1), "u": str(2**64 - 1)}, {"b": str(-(2**63)), "u": str(2**63 + 1)}]
    frame = frame_of(Answer((("b", "BIGINT"), ("u", "UNSIGNED BIGINT")), rows))
    assert frame["b"].tolist() == [1, 2**53 + 1, -(2**63)]
    assert frame["u"].tolist() == [1, 2**64 - 1, 2**63 + 1]


def test_no_rows_still_have_typed_columns() -> None:
    frame = frame_of(Answer((("pid", "BIGINT"), ("name", "TEXT"), ("load", "DOUBLE")), []))
    assert len(frame) == 0
    assert frame.dtypes.astype(str).to_dict() == {"pid": "Int64", "name": "str", "load": "float64"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [("BIGINT", "9223372036854775808"), ("UNSIGNED BIGINT", "-1"), ("INTEGER", "many"), ("DOUBLE", "1,5")],
)
def test_a_value_that_is_no_number_of_its_type_is_kept_and_noted(kind: str, value: str) -> None:
    frame = frame_of(Answer((("n", kind),), [{"n": "1"}, {"n": value}]))
    assert frame["n"].tolist() == ["1", value]
    assert len(frame.attrs["notes"]) == 1 and frame.attrs["notes"][0].startswith("n stays text: ")


def test_a_name_that_is_no_utf8_is_escaped_as_everywhere() -> None:
    frame = frame_of(Answer((("path", "TEXT"),), [{"path": "/srv/bad\udcff 100%"}]))
    assert frame["path"].tolist() == ["/srv/bad%FF 100%25"]
    assert isinstance(frame["path"].dtype, pd.StringDtype)
