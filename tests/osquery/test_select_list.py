"""What columns a query gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.osquery.select_list import parse_select

__all__: list[str] = []


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT action, target_path FROM file_events", {"action": "action", "target_path": "target_path"}),
        ("select f.action, f.target_path path from file_events f", {"action": "action", "path": "target_path"}),
        ('SELECT hex(target_path) AS "path", time FROM file_events', {"path": "hex(target_path)", "time": "time"}),
        ("SELECT datetime(time, '-1 day, x') AS t FROM file_events", {"t": "datetime(time, '-1 day, x')"}),
        ("-- all, of it\nSELECT /* a, b */ action FROM file_events", {"action": "action"}),
        ("SELECT count(*) FROM file_events", {"count(*)": "count(*)"}),
    ],
)
def test_columns_are_named_as_the_result_names_them(sql: str, columns: dict[str, str]) -> None:
    selected = parse_select(sql)
    assert selected is not None
    assert selected.columns == columns
    assert not selected.has_star


@pytest.mark.parametrize("sql", ["SELECT * FROM file_events", "select f.* from file_events f;", "SELECT *, uid AS who FROM x"])
def test_a_star_gives_all(sql: str) -> None:
    selected = parse_select(sql)
    assert selected is not None and selected.has_star and not selected.narrowed


def test_what_leaves_rows_out_is_named() -> None:
    selected = parse_select("SELECT * FROM file_events WHERE category = 'etc' AND uid > 0 GROUP BY inode ORDER BY time LIMIT 5;")
    assert selected is not None
    assert selected.narrowed == ("WHERE category = 'etc' AND uid > 0", "GROUP BY inode", "LIMIT 5")


@pytest.mark.parametrize("sql", ["", "PRAGMA x", "WITH a AS (SELECT 1) SELECT * FROM a", "SELECT * FROM a UNION SELECT * FROM b"])
def test_what_is_no_plain_select_is_not_told(sql: str) -> None:
    assert parse_select(sql) is None


@given(st.text() | st.text(alphabet="select from,*()'\" aswherelimit;-/"))
def test_any_text_raises_nothing(sql: str) -> None:
    parse_select(sql)
    parse_select(f"SELECT {sql} FROM {sql}")
