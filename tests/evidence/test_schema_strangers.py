"""What somebody put into a store's schema is taken out before it can run, and stays in the chain; other tables are refused."""

import os
import sqlite3
from pathlib import Path

import pytest

from fimkit.evidence.reader import open_reader
from fimkit.evidence.schema import MIGRATIONS, migrate
from fimkit.evidence.schema_strangers import check_tables, find_strangers
from fimkit.evidence.store import Store, open_store
from fimkit.model.config import Config, Host
from fimkit.model.errors import StoreError
from fimkit.verbs.evidence_aside import set_aside
from tests.evidence.examples import NOW, a_finding, a_state

DROPS = "CREATE TRIGGER helpful AFTER INSERT ON findings BEGIN DELETE FROM findings WHERE row_id = NEW.row_id; END"


def put_in(state_dir: bytes, *statements: str) -> None:
    connection = sqlite3.connect(os.path.join(state_dir, b"fimkit.sqlite"), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def words(store: Store) -> list[str]:
    return [one.words for one in store.verify_chain().broken]


def fill(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        store.write_baseline([a_state(b"/etc/a")], who="ada", why="new", time_ns=NOW)
        store.write_baseline([a_state(b"/etc/a", size=7)], who="ada", why="again", time_ns=NOW)  # its table is made anew


@pytest.mark.parametrize("version", range(3, len(MIGRATIONS) + 1))
def test_schema_of_any_version_is_its_own(version: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, MIGRATIONS[:version])
    connection.execute("ANALYZE")
    check_tables(connection)
    assert not find_strangers(connection)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (DROPS, "the trigger 'helpful' ("),
        ("CREATE TRIGGER t BEFORE UPDATE ON chain BEGIN SELECT RAISE(IGNORE); END", "the trigger 't' ("),
        ("CREATE VIEW more AS SELECT 1", "the view 'more' ("),
        ("CREATE UNIQUE INDEX one_a_kind ON findings (kind)", "the index 'one_a_kind' ("),
        ('CREATE VIEW "a""b\x1b[2J" AS SELECT 1', "the view 'a\"b\\x1b[2J' ("),
    ],
)
def test_stranger_is_taken_out_and_named_for_ever(state_dir: bytes, statement: str, expected: str) -> None:
    fill(state_dir)
    put_in(state_dir, statement)
    with open_reader(state_dir) as reader:
        assert any(expected in one.words and "put in past fimkit" in one.words for one in reader.verify_chain().broken)
    with open_store(state_dir) as store:
        store.put_findings([a_finding("a1", b"/a"), a_finding("b2", b"/b")], now_ns=NOW)
        assert len(store.findings()) == 2
        (said,) = words(store)
        assert expected in said and "put in past fimkit, and was taken out" in said and "\x1b" not in said


def test_trigger_that_is_put_in_beside_an_open_store_never_runs(state_dir: bytes) -> None:
    fill(state_dir)
    with open_store(state_dir) as store:
        store.put_findings([a_finding("a1", b"/a")], now_ns=NOW)
        put_in(state_dir, DROPS)
        store.add_findings([a_finding("b2", b"/b")], now_ns=NOW)
        assert {one.id for one in store.findings()} == {"a1", "b2"}
        assert "the trigger 'helpful'" in words(store)[0]


def test_trigger_that_came_back_with_a_failed_write_does_not_run_in_the_next(state_dir: bytes) -> None:
    fill(state_dir)
    with open_store(state_dir) as store:
        put_in(state_dir, DROPS)
        with pytest.raises(ZeroDivisionError), store.transaction():
            raise ZeroDivisionError
        store.add_findings([a_finding("b2", b"/b")], now_ns=NOW)
        assert len(store.findings()) == 1 and len(words(store)) == 1


def test_altered_tables_can_be_set_aside(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01", state_dir=os.fsencode(tmp_path / "state")))
    fill(config.host.state_dir)
    put_in(config.host.state_dir, "CREATE TABLE more (a)")
    assert set_aside(config).damage == "the table 'more' was put in"
    fill(config.host.state_dir)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (("ALTER TABLE baseline RENAME TO kept", "CREATE VIEW baseline AS SELECT * FROM kept"),
         "the table 'baseline' is missing; the table 'kept' was put in"),
        (("DROP TABLE chain",), "the table 'chain' is missing"),
        (("DROP INDEX findings_open_id",), "the index 'findings_open_id' is missing"),
        (("DROP INDEX findings_open_id", "CREATE INDEX findings_open_id ON findings (id)"),
         "the index 'findings_open_id' is another one"),
        (("ALTER TABLE findings ADD COLUMN more DEFAULT 1",), "the table 'findings' is another one"),
        (("CREATE TABLE more (a REFERENCES findings (row_id))",), "the table 'more' was put in"),
    ],
)  # fmt: skip
def test_other_tables_are_refused_and_named(state_dir: bytes, statements: tuple[str, ...], expected: str) -> None:
    fill(state_dir)
    put_in(state_dir, *statements)
    with pytest.raises(StoreError, match=expected):
        open_store(state_dir).close()
    with pytest.raises(StoreError, match=expected):
        open_reader(state_dir)
