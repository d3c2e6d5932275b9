"""What is written by the million is what would be written row by row."""

import contextlib
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.bulk_states import insert_states
from fimkit.evidence.schema import STATE_TABLE
from fimkit.evidence.values import STATE_COLUMNS, encode_plain, encode_state
from fimkit.model.states import FileState, FileType
from tests.evidence.examples import a_state, plain_states, states

CELLS = ", ".join(f"typeof({name}), {name}" for name in STATE_COLUMNS)


def tables(rows: list[FileState]) -> tuple[list[object], list[object]]:
    """Give what is in a table after the quick writing, and after the plain one."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for name in ("quick", "plain"):
            connection.execute(f"CREATE TABLE {name} {STATE_TABLE}")
        insert_states(connection, "quick", iter(rows))
        places = ", ".join("?" * len(STATE_COLUMNS))
        connection.executemany(f"INSERT OR REPLACE INTO plain VALUES ({places})", map(encode_state, rows))
        quick, plain = (connection.execute(f"SELECT {CELLS} FROM {name} ORDER BY path").fetchall() for name in ("quick", "plain"))
    return quick, plain


@given(st.lists(states | plain_states, max_size=40))
def test_any_states_are_written_as_row_by_row(rows: list[FileState]) -> None:
    quick, plain = tables(rows)
    assert quick == plain


@pytest.mark.parametrize("count", [1, 15, 16, 17, 511, 512, 513, 1300])
def test_every_number_of_rows_is_written_whole(count: int) -> None:
    rows = [a_state(b"/%05d" % number, inode=number) for number in range(count)]
    rows[::13] = [row._replace(type=FileType.DIRECTORY, sha256=None) for row in rows[::13]]
    quick, plain = tables(rows)
    assert quick == plain
    assert len(quick) == count


def test_of_a_path_that_comes_twice_the_last_counts_however_far_apart() -> None:
    names = [b"/%05d" % number for number in range(600)]
    rows = [a_state(name, inode=place) for place, name in enumerate([*names, *names[::7], names[0], names[0]])]
    rows[3] = rows[3]._replace(problem="it vanished")
    rows.insert(4, a_state(rows[3].path, inode=99))
    quick, plain = tables(rows)
    assert quick == plain


def test_files_and_folders_of_a_scan_take_the_short_way() -> None:
    folders: list[object] = []
    others: list[FileState] = []
    link = a_state(b"/l", type=FileType.SYMLINK, sha256=None, target=b"x")
    folder = a_state(b"/f", type=FileType.DIRECTORY, sha256=None)
    odd = [a_state(b"/b", xattrs={"user.a": b""}), folder._replace(sha256="ab" * 32), a_state(b"/c", sha256=None)]
    values = encode_plain([a_state(b"/a"), link, folder, *odd], folders, others)
    assert (len(values), len(folders)) == (11, 10)
    assert others == [link, *odd]
