"""The store read without writing: conditions, snapshots, and stores that cannot be read."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.evidence.cells import CELLS
from fimkit.evidence.connection import store_path
from fimkit.evidence.log_rows import LAST_CHECK
from fimkit.evidence.reader import OLDEST_SCHEMA, Reader, open_reader
from fimkit.evidence.schema import MIGRATIONS, migrate
from fimkit.evidence.search import Condition
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Action, Note, NoteKind, Source
from fimkit.model.errors import FimkitError, HostError, StoreError
from fimkit.model.findings import Severity
from fimkit.model.paths import render_path
from tests.evidence.examples import NOW, a_change, a_finding, a_state

NAMES = [
    b"/etc/a", b"/ETC/a", b"/Etc/b", b"/etc/bad\xff", b"/etc/100%", b"/etc/new\nline", "/etc/ü".encode(),
    b"/srv/x.php", b"/srv/%41",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> bytes:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return os.fsencode(state)


@pytest.fixture
def store(folder: bytes) -> Iterator[Store]:
    with open_store(folder, create=True) as opened:
        yield opened


def _paths(folder: bytes, table: str = "baseline", **conditions: Condition) -> set[str | None]:
    with open_reader(folder) as reader:
        return {path for (path,) in reader.rows(table, ["path"], conditions)}


def _fill(store: Store) -> None:
    store.write_baseline([a_state(name) for name in NAMES], who="eve", why="x", time_ns=NOW)


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_found_by_its_text(folder: bytes, store: Store, name: bytes) -> None:
    _fill(store)
    assert _paths(folder, path=Condition(texts=frozenset({render_path(name)}))) == {render_path(name)}


def test_like_takes_both_cases_and_names_that_are_not_plain(folder: bytes, store: Store) -> None:
    _fill(store)
    found = _paths(folder, path=Condition(likes=("/etc/%",)))
    assert {"/etc/a", "/ETC/a", "/Etc/b", "/etc/bad%FF", "/etc/100%25", "/etc/new%0Aline", "/etc/ü"} == found


def test_like_in_the_middle_leaves_out_plain_names_alone(folder: bytes, store: Store) -> None:
    _fill(store)
    found = _paths(folder, path=Condition(likes=("%.PHP",)))
    assert "/srv/x.php" in found and "/etc/a" not in found


def test_glob_tells_the_cases_apart(folder: bytes, store: Store) -> None:
    _fill(store)
    assert _paths(folder, path=Condition(globs=("/ETC/*",))) == {"/ETC/a"}
    assert _paths(folder, path=Condition(globs=("/etc/new%0A*",))) == {"/etc/new%0Aline"}


def test_very_many_spellings_are_no_way_to_hide(folder: bytes, store: Store) -> None:
    spelled = {
        "/" + "".join(letter.upper() if number >> place & 1 else letter for place, letter in enumerate("abcdefg"))
        for number in range(128)
    }
    store.write_baseline([a_state(name.encode()) for name in spelled], who="eve", why="x", time_ns=NOW)
    assert _paths(folder, path=Condition(likes=("/abcdefg%",))) >= spelled


def test_a_path_is_found_by_the_index_among_changes_and_findings(folder: bytes, store: Store) -> None:
    connection = sqlite3.connect(os.fsdecode(store_path(folder)))
    for table in ("changes c", "findings f", "baseline b"):
        letter = table[-1]
        for where, value in ((f"{letter}.path IN (?)", b"/x"), (f"{letter}.path >= ? AND {letter}.path < x'30'", b"/")):
            plan = str(connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {where}", (value,)).fetchall())
            assert "SEARCH" in plan and "path" in plan, plan
    plan = str(connection.execute("EXPLAIN QUERY PLAN SELECT 1 FROM findings f WHERE f.severity IN (?)", ("high",)).fetchall())
    assert "findings_severity" in plan
    connection.close()


def test_times_are_seconds_outside_and_none_is_lost_at_the_edges(folder: bytes, store: Store) -> None:
    second = NOW // 10**9
    store.add_changes([a_change(b"/a", time_ns=second * 10**9), a_change(b"/b", time_ns=second * 10**9 + 999_999_999, serial=2)])
    assert _paths(folder, "changes", time=Condition(low=second, high=second)) == {"/a", "/b"}
    assert _paths(folder, "changes", time=Condition(numbers=frozenset({second}))) == {"/a", "/b"}
    assert _paths(folder, "changes", time=Condition(low=second + 1)) == set()
    assert _paths(folder, "changes", time=Condition(high=2**63 - 1)) == {"/a", "/b"}


def test_times_beyond_sqlites_integers_are_let_in(folder: bytes, store: Store) -> None:
    store.add_changes([a_change(b"/far", time_ns=-(2**70))])
    assert _paths(folder, "changes", time=Condition(high=5)) == {"/far"}


def test_a_process_finds_its_changes(folder: bytes, store: Store) -> None:
    store.add_changes([a_change(b"/a"), a_change(b"/b", actor=None, serial=2)])
    assert _paths(folder, "changes", exe=Condition(texts=frozenset({"/usr/bin/vi"}))) == {"/a"}
    assert _paths(folder, "changes", auid=Condition(low=1001)) == set()


def test_a_change_is_found_by_its_id(folder: bytes, store: Store) -> None:
    store.add_changes([a_change(b"/a"), a_change(b"/b", serial=2)])
    with open_reader(folder) as reader:
        ids = dict(reader.rows("changes", ["path", "id"], {}))
    assert _paths(folder, "changes", id=Condition(texts=frozenset({ids["/b"] or ""}))) == {"/b"}
    assert _paths(folder, "changes", id=Condition(texts=frozenset({"nonsense", "1-zz"}))) == set()


def test_a_hash_is_found_in_the_form_that_it_is_shown_in(folder: bytes, store: Store) -> None:
    store.write_baseline([a_state(b"/a"), a_state(b"/b", sha256="AB")], who="eve", why="x", time_ns=NOW)
    assert _paths(folder, sha256=Condition(texts=frozenset({"ab" * 32}))) == {"/a"}
    assert _paths(folder, sha256=Condition(texts=frozenset({"AB"}))) == {"/b"}


def test_a_mode_is_octal(folder: bytes, store: Store) -> None:
    store.write_baseline([a_state(b"/a", mode=0o4755), a_state(b"/b")], who="eve", why="x", time_ns=NOW)
    assert _paths(folder, mode=Condition(texts=frozenset({"4755", "x"}))) == {"/a"}


def test_an_in_of_very_many_values_is_left_to_the_caller(folder: bytes, store: Store) -> None:
    _fill(store)
    many = frozenset(f"/{number}" for number in range(40_000))
    assert len(_paths(folder, path=Condition(texts=many))) == len(NAMES)


def test_a_reader_sees_one_moment_and_blocks_nobody(folder: bytes, store: Store) -> None:
    store.add_changes([a_change(b"/a")])
    with open_reader(folder) as reader:
        assert reader.status().first_change_ns == NOW
        store.add_changes([a_change(b"/b", serial=2)])
        assert {path for (path,) in reader.rows("changes", ["path"], {})} == {"/a"}
    assert _paths(folder, "changes") == {"/a", "/b"}


def test_many_readers_beside_a_writer_see_whole_commits(folder: bytes, store: Store) -> None:
    seen: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with open_reader(folder) as reader:
                seen.append(sum(1 for _ in reader.rows("changes", [], {})))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        store.add_changes([a_change(b"/a", serial=number * 10 + item) for item in range(10)])
    stop.set()
    for thread in threads:
        thread.join()
    assert seen and all(count % 10 == 0 for count in seen)


def test_nothing_can_be_written(folder: bytes, store: Store) -> None:
    with open_reader(folder) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM findings")


def test_a_reading_that_takes_too_long_ends_in_words(folder: bytes, store: Store) -> None:
    store.write_baseline((a_state(b"/%d" % number) for number in range(60_000)), who="eve", why="x", time_ns=NOW)
    with open_reader(folder, deadline_s=0.0) as reader, pytest.raises(HostError, match="interrupted"):
        list(reader.rows("baseline", ["path"], {"path": Condition(likes=("%zzz%",))}))


def test_the_status_tells_of_all_parts(folder: bytes, store: Store) -> None:
    _fill(store)
    store.add_changes([a_change(b"/a")])
    store.put_findings([a_finding(), a_finding("b2", b"/b", severity=Severity.LOW)], now_ns=NOW)
    store.add_notes([
        Note(source=Source.AUDIT, kind=NoteKind.AUDIT_ENABLED, time_ns=5, text="on"),
        Note(source=Source.AUDIT, kind=NoteKind.AUDIT_DISABLED, time_ns=9, text="off"),
        Note(source=Source.AUDIT, kind=NoteKind.RECORDS_LOST, time_ns=7, text="lost"),
    ])
    store.set_cursor(*LAST_CHECK, {"seen_ns": NOW})
    with open_reader(folder) as reader:
        status = reader.status()
        assert reader.status(count_baseline=False).baseline_rows is None
    assert status.schema == len(MIGRATIONS) and status.open == {"critical": 1, "low": 1}
    assert (status.last_check_ns, status.baseline_rows, status.baseline_who) == (NOW, len(NAMES), "eve")
    assert (status.audit_enabled, status.audit_ns, status.records_lost_ns) == (False, 9, 7)
    assert status.first_change_ns == status.last_change_ns == NOW


def test_all_columns_can_be_read_together(folder: bytes, store: Store) -> None:
    _fill(store)
    store.add_changes([a_change(b"/a"), a_change(b"/b", actor=None, action=Action.DENIED, serial=3)])
    store.put_findings([a_finding(), a_finding("b2", b"/b", actors=(), before=None)], now_ns=NOW)
    with open_reader(folder) as reader:
        for table, source in CELLS.items():
            rows = list(reader.rows(table, list(source.cells), {}))
            assert rows and all(len(row) == len(source.cells) for row in rows)
            assert all(value is None or isinstance(value, str) for row in rows for value in row)


def _age(folder: bytes, version: int) -> None:
    connection = sqlite3.connect(os.fsdecode(store_path(folder)))
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


@pytest.mark.parametrize(("version", "words"), [(len(MIGRATIONS) + 1, "later"), (OLDEST_SCHEMA - 1, "earlier")])
def test_a_store_of_another_schema_is_refused_in_words(folder: bytes, version: int, words: str) -> None:
    open_store(folder, create=True).close()
    _age(folder, version)
    with pytest.raises(StoreError, match=words):
        open_reader(folder)
    with sqlite3.connect(os.fsdecode(store_path(folder))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == version


def test_a_store_that_no_check_has_migrated_yet_is_read(folder: bytes) -> None:
    path = os.fsdecode(store_path(folder))
    os.close(os.open(path, os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    migrate(connection, MIGRATIONS[:OLDEST_SCHEMA])
    connection.close()
    with open_reader(folder) as reader:
        assert reader.status().schema == OLDEST_SCHEMA
        for table, source in CELLS.items():
            assert list(reader.rows(table, list(source.cells), {"path": Condition(likes=("/x%",))})) == []


def test_no_store_is_made_by_reading(folder: bytes) -> None:
    with pytest.raises(StoreError, match="no evidence store"):
        open_reader(folder)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_store_is_refused_in_words(folder: bytes, content: bytes) -> None:
    path = store_path(folder)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(content)
    with pytest.raises(FimkitError):
        _read_all(open_reader(folder))


def _read_all(reader: Reader) -> None:
    with reader:
        reader.status()
