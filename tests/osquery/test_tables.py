"""What a query asks: osquery's context read, and never more left out than is meant."""

import contextlib
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.errors import UsageError
from fimkit.osquery.columns import BASELINE, CHANGES, DOCTOR_CHECKS, STATUS, TABLES, ColumnType, render_routes
from fimkit.osquery.tables import Limits, Operator, Pattern, parse_context


def _context(used: list[str] | None = None, **constraints: list[tuple[int, str]]) -> str:
    context: dict[str, object] = {
        "constraints": [
            {"name": name, "list": [{"op": op, "expr": expr} for op, expr in pairs], "affinity": "TEXT"}
            for name, pairs in constraints.items()
        ]
    }
    if used is not None:
        context |= {"colsUsed": used, "colsUsedBitset": 3}
    return json.dumps(context)


def test_columns_that_the_query_reads_come_in_the_tables_order() -> None:
    assert parse_context(_context(["sha256", "path", "no_such"]), BASELINE).columns == ("path", "sha256")


def test_a_count_reads_no_column() -> None:
    assert parse_context(_context([]), BASELINE).columns == ()


@pytest.mark.parametrize("text", [None, "", "{}", '{"colsUsed": 7}', '{"constraints": {}}', '{"colsUsed": [1]}'])
def test_without_a_word_all_is_asked_for(text: str | None) -> None:
    asked = parse_context(text, BASELINE)
    assert asked.columns == tuple(column.name for column in BASELINE.columns)
    assert asked.limits == {}


@pytest.mark.parametrize("text", ["{", "[]", "7", "[" * 100_000])
def test_what_is_no_context_is_refused_in_words(text: str) -> None:
    with pytest.raises(UsageError, match="context"):
        parse_context(text, BASELINE)


def test_several_equalities_are_one_in() -> None:
    asked = parse_context(_context(path=[(2, "/a"), (2, "/b")], uid=[(2, "1"), (2, "2")]), BASELINE)
    assert asked.limits["path"] == Limits(texts=frozenset({"/a", "/b"}))
    assert asked.limits["uid"] == Limits(numbers=frozenset({1, 2}))


def test_the_narrowest_range_counts() -> None:
    asked = parse_context(_context(time=[(4, "10"), (32, "12"), (16, "20"), (8, "30")]), CHANGES)
    assert asked.limits["time"] == Limits(low=12, high=19)


def test_patterns_are_kept_apart_from_those_that_match_everything() -> None:
    asked = parse_context(_context(path=[(65, "/etc/%"), (65, "%%"), (66, "/e*"), (66, "*")]), BASELINE)
    assert asked.limits["path"].patterns == (Pattern(Operator.LIKE, "/etc/%"), Pattern(Operator.GLOB, "/e*"))


@pytest.mark.parametrize("pair", [(67, "^/etc"), (64, "x"), (68, "/a"), (71, "x"), (73, "10"), (999, "x"), (2, ""), (4, "/a")])
def test_what_is_not_understood_limits_nothing(pair: tuple[int, str]) -> None:
    assert parse_context(_context(path=[pair]), BASELINE).limits == {}


@pytest.mark.parametrize("expr", ["abc", "1e3", "", " 5", "0x10", "9223372036854775808", "99999999999999999999", "1.5e9", "nan"])
def test_numbers_that_are_not_sure_limit_nothing(expr: str) -> None:
    asked = parse_context(_context(time=[(4, expr), (2, expr)]), CHANGES)
    assert asked.limits == {}


def test_a_value_that_is_not_sure_lets_the_whole_in_go() -> None:
    assert parse_context(_context(uid=[(2, "5"), (2, "5.0"), (2, "6")]), BASELINE).limits == {}


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["path", "list"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["constraints", "colsUsed", "name", "list", "op", "expr"]), inner, max_size=4),
))  # fmt: skip
def test_any_json_is_read_or_refused(value: object) -> None:
    with contextlib.suppress(UsageError):
        parse_context(json.dumps(value), BASELINE)


_OPERATORS = {2: "=", 4: ">", 8: "<=", 16: "<", 32: ">="}


@given(
    st.sampled_from(sorted(_OPERATORS)),
    st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20) | st.floats(-30, 30) | st.floats(),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20), max_size=5),
)
def test_no_number_is_lost_that_sqlite_would_keep(op: int, value: float, rows: list[int]) -> None:
    """The value reaches a table as the text that SQLite makes of it."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (n BIGINT)")
    connection.executemany("INSERT INTO t VALUES (?)", ((row,) for row in rows))
    kept = connection.execute(f"SELECT n FROM t WHERE n {_OPERATORS[op]} ?", (value,)).fetchall()
    text = connection.execute("SELECT CAST(? AS TEXT)", (value,)).fetchone()[0]
    connection.close()
    limits = parse_context(_context(time=[(op, text or "")]), CHANGES).limits.get("time", Limits())
    for (number,) in kept:
        assert limits.numbers is None or number in limits.numbers
        assert (limits.low is None or number >= limits.low) and (limits.high is None or number <= limits.high)


def test_every_column_is_documented_and_within_what_osquery_can_tell_apart() -> None:
    for table in TABLES:
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names) <= 63  # osquery has a bit for each of 63 columns
        assert all(column.words and column.name.islower() for column in table.columns)


def test_ids_sizes_and_times_have_64_bits() -> None:
    """osquery cuts INTEGER at 32 bits: a uid of 4294967294 would be -2."""
    for table in TABLES:
        for column in table.columns:
            if column.type is ColumnType.INTEGER:
                assert column.name in {
                    "audit_enabled", "cmdline_verified", "doctor_status", "hash_late", "ok", "path_sure", "watch_running",
                }  # fmt: skip


def test_constraints_on_every_column_are_asked_for() -> None:
    for table in TABLES:
        assert [route["op"] for route in render_routes(table)] == ["28" if column.hidden else "12" for column in table.columns]


def test_the_doctors_columns_are_hidden_and_asked_for_by_name_alone() -> None:
    names = [column.name for column in STATUS.columns]
    hidden = [column.name for column in STATUS.columns if column.hidden]
    assert hidden == [name for name in names if name.startswith("doctor_")] == names[: len(hidden)]
    assert DOCTOR_CHECKS.issubset(hidden)
    assert not any(column.hidden for table in TABLES if table is not STATUS for column in table.columns)
    assert not set(hidden) & set(parse_context(None, STATUS).columns)
    assert parse_context('{"colsUsed": ["doctor_check", "host"]}', STATUS).columns == ("doctor_check", "host")
