"""The stand-in's SQL: values, constraints, and functions that osquery adds."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from fimkit.testing.osqueryd.row_table import RowTable
from fimkit.testing.osqueryd.sql import Asked, SqlError, query_columns, run_query

ROWS: list[Mapping[str, Any]] = [
    {"path": "/etc/passwd", "size": "12", "mode": ""},
    {"path": "/etc/bad\udcff", "size": 7, "mode": None},
    {"path": "/etc/none", "size": "no number"},
]


def tables(asked: list[Asked] | None = None) -> dict[str, RowTable]:
    def rows(what: Asked) -> Iterable[Mapping[str, Any]]:
        if asked is not None:
            asked.append(what)
        return ROWS

    return {"file": RowTable("file", "path size:b mode eid-", rows)}


def test_a_number_that_is_none_is_null_and_a_name_keeps_its_bytes() -> None:
    rows = run_query(tables(), "SELECT path, size, hex(path) AS hex FROM file ORDER BY path").rows
    assert [row["size"] for row in rows if row["path"] == "/etc/none"] == [None]
    (bad,) = [row for row in rows if row["size"] == 7]
    assert bad["path"] == "/etc/bad\udcff" and bad["hex"] == b"/etc/bad\xff".hex().upper()


def test_like_takes_names_that_are_no_utf8() -> None:
    asked: list[Asked] = []
    rows = run_query(tables(asked), "SELECT path FROM file WHERE path LIKE '/ETC/b%'").rows
    assert rows == [{"path": "/etc/bad\udcff"}]
    assert [(each.column, each.op, each.expr) for each in asked[0].constraints if each.op == 65] == [("path", 65, "/ETC/b%")]


def test_hidden_columns_are_not_in_a_star() -> None:
    assert [name for name, _ in run_query(tables(), "SELECT * FROM file").columns] == ["path", "size", "mode"]


def test_columns_without_rows_still_have_types() -> None:
    sql = "SELECT path, size, count(*) AS n, 'x' AS text FROM file WHERE path = 'nowhere'"
    assert query_columns(tables(), sql) == [("path", "TEXT"), ("size", "BIGINT"), ("n", "BIGINT"), ("text", "TEXT")]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("split('a:b:c', ':', 1)", "b"),
        ("split('a:b', ':', 9)", None),
        ("regex_match('/usr/lib/x.so', '([a-z]+)\\.so', 1)", "x"),
        ("concat('a', 1, NULL)", "a1"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        ("md5('')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("from_base64(to_base64('abc'))", "abc"),
    ],
)
def test_functions_of_osquery(expression: str, value: object) -> None:
    assert run_query({}, f"SELECT {expression} AS value").rows == [{"value": value}]


@pytest.mark.parametrize("sql", ["SELECT * FROM nope", "SELEC", "CREATE TABLE x(y)", "ATTACH 'x' AS y", "DELETE FROM file"])
def test_what_is_refused_is_an_error_of_ours(sql: str) -> None:
    with pytest.raises(SqlError):
        run_query(tables(), sql)
