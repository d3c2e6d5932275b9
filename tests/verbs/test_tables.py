"""fimkit's tables, as osquery asks them: whatever is pushed down, the answer to a query stays the same."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimkit.evidence.cells import CELLS
from fimkit.evidence.connection import store_path
from fimkit.evidence.store import open_store
from fimkit.model.config import Config, Host
from fimkit.model.findings import ContentMark, Kind, Severity
from fimkit.osquery.columns import BASELINE, CHANGES, FINDINGS, STATUS, ColumnType, Table
from fimkit.osquery.row_filter import row_filter
from fimkit.osquery.tables import parse_context
from fimkit.verbs.tables import StoreTables
from fimkit.verbs.watch_status import StatusFile, WatchStatus
from tests.evidence.examples import DAY_NS, NOW, a_change, a_finding, a_state, an_actor, changes, states

STORED = {"findings": FINDINGS, "changes": CHANGES, "baseline": BASELINE}
_SQL = {2: "=", 4: ">", 8: "<=", 16: "<", 32: ">=", 65: "LIKE", 66: "GLOB"}


def _tables(folder: Path, said: list[str] | None = None) -> StoreTables:
    config = Config(host=Host(name="web01", state_dir=os.fsencode(folder)))
    return StoreTables(config, say=(said if said is not None else []).append)


Constraints = Sequence[tuple[str, int, str]]


def _rows(tables: StoreTables, table: Table, constraints: Constraints = (), used: list[str] | None = None) -> Any:
    by_column: dict[str, list[dict[str, Any]]] = {}
    for name, op, expr in constraints:
        by_column.setdefault(name, []).append({"op": op, "expr": expr})
    context: dict[str, Any] = {"constraints": [{"name": name, "list": pairs} for name, pairs in by_column.items()]}
    if used is not None:
        context["colsUsed"] = used
    asked = parse_context(json.dumps(context), table)
    answer = tables.answer(table, asked)
    keep = row_filter(answer.columns, asked.limits)
    rows = list(answer.rows if keep is None else filter(keep, answer.rows))
    names = [column.name for column in table.columns if column.name in asked.columns]
    assert list(answer.columns[: len(names)]) == names
    return [dict(zip(names, row, strict=False)) for row in rows]


def _filtered_by_sqlite(table: Table, rows: list[dict[str, Any]], constraints: Constraints) -> list[tuple[Any, ...]]:
    """Do what osquery does with rows: cast them, empty texts for none, and check every constraint."""
    connection = sqlite3.connect(":memory:")
    columns = ", ".join(f'"{column.name}" {column.type.value}' for column in table.columns)
    connection.execute(f"CREATE TABLE t ({columns})")
    for row in rows:
        values = []
        for column in table.columns:
            value = row[column.name]
            if column.type is ColumnType.TEXT:
                values.append(value or "")
            else:
                number = None if value is None else int(value)
                values.append(number if number is None or -(2**63) <= number < 2**63 else None)
        connection.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(values))})", values)
    wheres = " AND ".join(f'"{name}" {_SQL[op]} ?' for name, op, _ in constraints) or "1"
    found = connection.execute(f"SELECT * FROM t WHERE {wheres}", [expr for *_, expr in constraints]).fetchall()
    connection.close()
    return sorted(found, key=repr)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with some of everything, ordinary and odd."""
    folder = tmp_path_factory.mktemp("state")
    folder.chmod(0o700)
    odd = [b"/etc/a", b"/ETC/A", b"/etc/bad\xff", b"/etc/100%", b"/etc/\n", "/etc/Ü".encode(), b"/srv/x.PHP", b"/srv/[x]*?", b"/"]
    with open_store(os.fsencode(folder), create=True) as store:
        _fill_baseline(store, odd)
        who = [an_actor(), an_actor(8, exe=b"/usr/bin/\xff", user="\udcff", auid=None), None]
        store.add_changes(
            a_change(name, serial=number, time_ns=NOW + number * 400_000_000, actor=who[number % 3], node="n\udc80", size=2**65)
            for number, name in enumerate([*odd, None])
        )
        store.add_changes([a_change(b"/far", time_ns=2**70), a_change(b"/ago", time_ns=-(2**70))])
        for number, name in enumerate(odd):
            kind, severity = list(Kind)[number % 7], list(Severity)[number % 5]
            finding = a_finding(
                f"f{number}", name, kind=kind, severity=severity, first_seen_ns=NOW - number * DAY_NS,
                actors=tuple(filter(None, who[number % 3 :])), before=None if number % 2 else a_state(name),
            )  # fmt: skip
            store.add_findings([finding], now_ns=NOW)
        store.accept([], who="Ann", why="ticket 7", time_ns=NOW, finding_ids=["f1", "f3"])
    yield folder


def _fill_baseline(store: Any, names: Sequence[bytes]) -> None:
    found = [
        a_state(name, mode=0o4755 if number % 2 else 0o644, uid=number, inode=2**64 - 1 - number)
        for number, name in enumerate(names)
    ]
    store.write_baseline(found, who="eve", why="x", time_ns=NOW)


def _some_constraints(table: Table, rows: list[dict[str, Any]]) -> st.SearchStrategy[list[tuple[str, int, str]]]:
    """Constraints as queries have them: on values that are there, near them, on beginnings in another case, and on anything."""

    def of(column: Any) -> st.SearchStrategy[tuple[str, int, str]]:
        there = sorted({str(row[column.name]) for row in rows if row[column.name]})
        values = st.sampled_from(there) if there else st.text(max_size=3)
        if column.type is not ColumnType.TEXT:
            numbers = values | st.integers(-(2**65), 2**65).map(str) | st.sampled_from(["0", "-1", "1.5", "1e3", "x"])
            return st.tuples(st.just(column.name), st.sampled_from([2, 4, 8, 16, 32]), numbers)
        ends = st.sampled_from(["%", "*", "%x%", "?*", "_"])
        begins = st.tuples(values, st.integers(0, 9), ends).map(lambda parts: parts[0][: parts[1]] + parts[2])
        texts = values | begins | begins.map(str.upper) | begins.map(str.lower) | st.text("/etc%_*?[]AÜü\n", max_size=6)
        return st.tuples(st.just(column.name), st.sampled_from([2, 65, 66]), texts.filter(bool))

    return st.lists(st.sampled_from(table.columns).flatmap(of), max_size=3)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data(), name=st.sampled_from(sorted(STORED)))
def test_no_row_is_lost_by_pushing_constraints_down(draw: st.DataObject, filled: Path, name: str) -> None:
    table, tables = STORED[name], _tables(filled)
    every = _rows(tables, table)
    constraints = draw.draw(_some_constraints(table, every))
    pushed = _rows(tables, table, constraints)
    # Two equalities of one column come as one IN does; a query that means both gets nothing, which SQLite sees to.
    assert _filtered_by_sqlite(table, pushed, constraints) == _filtered_by_sqlite(table, every, constraints)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(states, max_size=8, unique_by=lambda state: state.path), claims=st.lists(changes, max_size=8), draw=st.data())
def test_no_row_is_lost_of_any_store(tmp_path_factory: Any, found: Any, claims: Any, draw: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("any")
    folder.chmod(0o700)
    with open_store(os.fsencode(folder), create=True) as store:
        store.write_baseline(found, who="eve", why="x", time_ns=NOW)
        store.add_changes(claims)
    for table in (BASELINE, CHANGES):
        every = _rows(_tables(folder), table)
        constraints = draw.draw(_some_constraints(table, every))
        pushed = _rows(_tables(folder), table, constraints)
        assert _filtered_by_sqlite(table, pushed, constraints) == _filtered_by_sqlite(table, every, constraints)


def test_documentation_and_answers_have_the_same_columns() -> None:
    for name, table in STORED.items():
        assert {column.name for column in table.columns} == set(CELLS[name].cells)


def test_a_finding_has_what_is_in_its_file_as_json_and_null_where_nobody_looked(tmp_path: Path) -> None:
    mark = ContentMark(rule="shell", severity="high", line=3, text="system($_GET['c']);\x1b", attack="T1505.003")
    contents = {"unsearched": None, "clean": (), "hit": (mark,)}
    with open_store(os.fsencode(tmp_path), create=True) as store:
        made = [a_finding(name, path=f"/{name}".encode(), content=content) for name, content in contents.items()]
        store.add_findings(made, now_ns=NOW)
    rows = {row["id"]: row["content"] for row in _rows(_tables(tmp_path), FINDINGS)}
    assert (rows["unsearched"], rows["clean"]) == (None, "[]")
    assert [one["rule"] for one in json.loads(rows["hit"])] == ["shell"] and "\x1b" not in rows["hit"]


def test_a_count_gives_rows_without_columns(filled: Path) -> None:
    assert _rows(_tables(filled), BASELINE, used=[]) == [{}] * 9


def test_only_what_is_used_is_given(filled: Path) -> None:
    rows = _rows(_tables(filled), FINDINGS, [("severity", 2, "critical")], used=["path"])
    assert rows and all(set(row) == {"path"} for row in rows)


def test_who_accepted_and_why_is_told(filled: Path) -> None:
    rows = _rows(_tables(filled), FINDINGS, [("status", 2, "accepted")], used=["id", "accepted_by", "accept_reason", "status"])
    assert {row["id"] for row in rows} == {"f1", "f3"}
    assert {(row["accepted_by"], row["accept_reason"]) for row in rows} == {("Ann", "ticket 7")}


def test_the_maker_of_the_content_is_in_the_columns(filled: Path) -> None:
    (row,) = _rows(_tables(filled), FINDINGS, [("id", 2, "f0")])
    assert (row["auid"], row["uid"], row["pid"], row["exe"], row["user"]) == ("1000", "0", "4711", "/usr/bin/vi", "eve")
    assert json.loads(row["actors"])[1]["exe"] == "/usr/bin/%FF"
    assert (row["before_mode"], row["after_sha256"]) == ("0644", "cd" * 32)


def test_text_that_is_no_text_is_shown(filled: Path) -> None:
    rows = _rows(_tables(filled), CHANGES, used=["node", "user"])
    assert {row["node"] for row in rows} >= {"n\\udc80"} and {row["user"] for row in rows} >= {"\\udcff"}


def test_the_status_is_one_row_of_a_sound_store(filled: Path) -> None:
    (row,) = _rows(_tables(filled), STATUS)
    assert row["ok"] == "1" and row["problem"] == "" and row["host"] == "web01"
    assert set(row) == {column.name for column in STATUS.columns if not column.hidden}
    assert (row["open_findings"], row["baseline_rows"]) == ("7", "9")


def test_the_doctors_columns_give_one_row_where_nobody_is_there_to_ask(filled: Path) -> None:
    (row,) = _rows(_tables(filled), STATUS, used=["host", "doctor_check", "doctor_time", "doctor_status", "doctor_words"])
    assert row == {
        "doctor_check": None, "doctor_time": None, "doctor_status": None, "doctor_words": "no doctor is at work here",
        "host": "web01",
    }  # fmt: skip
    assert _rows(_tables(filled), STATUS, [("doctor_check", 2, "audit-off")], used=["host"]) == []


def _break(folder: Path, how: str) -> None:
    path = os.fsdecode(store_path(os.fsencode(folder)))
    if how == "missing":
        os.unlink(path)
    elif how == "later":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
    elif how == "garbage":
        Path(path).write_bytes(b"x" * 9000)
    elif how == "open to all":
        os.chmod(path, 0o666)
    elif how == "no folder":
        folder.rename(folder.with_suffix(".away"))


@pytest.mark.parametrize(("how", "words"), [
    ("missing", "no evidence store"), ("later", "later fimkit"), ("garbage", "damaged"), ("open to all", "written by others"),
    ("no folder", "no evidence store"),
])  # fmt: skip
def test_a_store_that_cannot_be_read_gives_empty_tables_and_says_why(tmp_path: Path, how: str, words: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    open_store(os.fsencode(folder), create=True).close()
    _break(folder, how)
    tables = _tables(folder)
    assert [_rows(tables, table) for table in STORED.values()] == [[], [], []]
    (row,) = _rows(tables, STATUS)
    assert row["ok"] == "0" and words in row["problem"]


def test_a_store_that_comes_later_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    tables = _tables(folder)
    assert _rows(tables, BASELINE) == []
    with open_store(os.fsencode(folder), create=True) as store:
        store.write_baseline([a_state(b"/a")], who="eve", why="x", time_ns=NOW)
    assert len(_rows(tables, BASELINE)) == 1


def test_what_was_refused_is_counted_and_said(filled: Path) -> None:
    said: list[str] = []
    tables = _tables(filled, said)
    tables.refused("fimkit_baseline: too much")
    (row,) = _rows(tables, STATUS, used=["refused_answers", "refused_words"])
    assert row == {"refused_answers": "1", "refused_words": "fimkit_baseline: too much"}
    assert said == ["refused: fimkit_baseline: too much"]


def test_why_a_watch_hears_nothing_is_in_the_status(filled: Path) -> None:
    with StatusFile(os.fsencode(filled)) as file:
        file.write(WatchStatus(pid=1, records="kernel", problem="auditing is off, and nothing is recorded"))
    (row,) = _rows(_tables(filled), STATUS, used=["watch_running", "watch_problem"])
    assert row == {"watch_running": "0", "watch_problem": "auditing is off, and nothing is recorded"}
