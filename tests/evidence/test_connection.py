"""Damage, later versions and other programs' files are told in words, and left as they are."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from fimkit.evidence import schema
from fimkit.evidence.connection import connect, store_path
from fimkit.evidence.store import open_store
from fimkit.model.errors import StoreError
from tests.evidence.examples import NOW, a_state


def file_of(state_dir: bytes) -> Path:
    return Path(os.fsdecode(store_path(state_dir)))


def filled(state_dir: bytes, rows: int = 5000) -> Path:
    with open_store(state_dir, create=True) as store:
        store.write_baseline((a_state(b"/etc/%05d" % number) for number in range(rows)), who="eve", why="", time_ns=NOW)
    return file_of(state_dir)


def test_settings_are_those_of_a_durable_store(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        settings = {
            name: store._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum", "application_id", "user_version")
        }
    assert settings == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "auto_vacuum": 2, "application_id": 0x66696D6B,
        "user_version": len(schema.MIGRATIONS),
    }  # fmt: skip


def test_store_of_a_later_version_is_refused_and_left_alone(state_dir: bytes) -> None:
    path = filled(state_dir, rows=3)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"written by a later fimkit \(schema 99, this one knows up to \d+\); update fimkit"):
        open_store(state_dir)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(state_dir: bytes) -> None:
    os.mkdir(state_dir, 0o700)
    path = file_of(state_dir)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photographs (name)")
    connection.close()
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program's database"):
        open_store(state_dir, create=True)
    assert path.read_bytes() == before


def test_file_that_is_no_database_is_called_damaged(state_dir: bytes) -> None:
    path = filled(state_dir, rows=3)
    path.write_bytes(b"this is no database, and it is long enough to be looked at" * 100)
    with pytest.raises(StoreError, match=r"fimkit\.sqlite is damaged"):
        open_store(state_dir)


def test_damage_in_the_middle_is_met_in_words_when_it_is_read(state_dir: bytes) -> None:
    path = filled(state_dir)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(b"\xa5" * (size // 3))
    with open_store(state_dir) as store:
        assert store.verify() != []
        with pytest.raises(StoreError, match=r"fimkit\.sqlite is damaged"):
            store.baseline()


def test_truncated_file_is_met_in_words(state_dir: bytes) -> None:
    path = filled(state_dir)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreError, match="is damaged"), open_store(state_dir) as store:
        store.baseline()


def test_error_that_leaves_the_with_block_is_told_in_our_words(state_dir: bytes) -> None:
    with pytest.raises(StoreError, match="the evidence store"), open_store(state_dir, create=True) as store:
        store._connection.execute("SELECT * FROM no_such_table")


def test_whole_store_has_nothing_to_complain_of(state_dir: bytes) -> None:
    filled(state_dir)
    with open_store(state_dir) as store:
        assert store.verify() == []


def test_earlier_version_is_brought_forward_in_one_go(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    schema.migrate(connection)
    later = (*schema.MIGRATIONS, ("ALTER TABLE notes ADD COLUMN shade",), ("CREATE TABLE moods (name)",))
    assert schema.migrate(connection, later) == len(schema.MIGRATIONS)
    assert schema.schema_version(connection) == len(schema.MIGRATIONS) + 2
    assert connection.execute("SELECT count(shade), (SELECT count(*) FROM moods) FROM notes").fetchone() == (0, 0)
    connection.close()


def test_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    schema.migrate(connection)
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, (*schema.MIGRATIONS, ("CREATE TABLE moods (name)", "CREATE TABLE moods (name)")))
    assert schema.schema_version(connection) == len(schema.MIGRATIONS)
    assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'moods'").fetchall()
    connection.close()


def test_many_that_make_the_store_at_once_all_get_it(state_dir: bytes) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def make(number: int) -> None:
        start.wait()
        try:
            with open_store(state_dir, create=True) as store:
                store.set_cursor("audit", b"/%d" % number, {"offset": number})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_store(state_dir) as store:
        assert [store.cursor("audit", b"/%d" % number) for number in range(8)] == [{"offset": number} for number in range(8)]


def test_findings_of_a_store_from_before_they_were_marked_count_as_told(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, schema.MIGRATIONS[:1])
    connection.execute(
        "INSERT INTO findings (id, host, path, kind, severity, severity_rank, first_seen_ns, last_seen_ns, body)"
        " VALUES ('a1', 'h', x'2f', 'modified', 'critical', 4, 1, 7, '{}')"
    )
    assert schema.migrate(connection) == 1
    assert connection.execute("SELECT id, told_ns FROM findings").fetchall() == [("a1", 7)]
    connection.close()


def test_scratch_tables_make_no_files_in_a_folder_that_may_be_watched(tmp_path: Path) -> None:
    connection = connect(os.fsencode(tmp_path / "state"), create=True)
    assert connection.execute("PRAGMA temp_store").fetchone()[0] == 2
    connection.close()
