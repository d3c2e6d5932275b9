"""Pieces of the baseline are the same whichever way they are read; the compiled one is used where it was built of these sources."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence import packed_pieces
from fimkit.evidence.damage import UNREADABLE
from fimkit.evidence.packed_pieces import REVISION, Piece, load_packing, piece_reader, read_packed, read_rows, why_python
from fimkit.evidence.schema import STATE_TABLE
from fimkit.evidence.values import STATE_COLUMNS, encode_state
from fimkit.model.states import FileState, FileType
from tests.evidence.examples import a_state, plain_states, states

IS_BUILT = why_python() is None
WAYS = [read_rows, read_packed] if IS_BUILT else [read_rows]
only_built = pytest.mark.skipif(not IS_BUILT, reason="the compiled way was not built")
SOURCE = Path(packed_pieces.__file__).with_name("_rows.c")
LABEL = {"security.selinux": b"system_u:object_r:bin_t:s0\0"}
CONSTANTS = {
    "INTEGER": "SQLITE_INTEGER", "REAL": "SQLITE_FLOAT", "TEXT": "SQLITE3_TEXT", "BLOB": "SQLITE_BLOB", "NOTHING": "SQLITE_NULL",
    "UTF8": "SQLITE_UTF8", "DIRECT_ONLY": "SQLITE_DIRECTONLY", "OK": "SQLITE_OK", "ERROR": "SQLITE_ERROR",
}  # fmt: skip
INSERT = f"INSERT INTO baseline VALUES ({', '.join('?' * len(STATE_COLUMNS))})"


def baseline_of(rows: Iterable[tuple[Any, ...]]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"CREATE TABLE baseline {STATE_TABLE}")
    connection.executemany(INSERT, rows)
    if IS_BUILT:
        load_packing(connection)
    return connection


def pieces_of(older: Iterable[FileState], place: int = 0, start: bytes = b"", end: bytes | None = None) -> list[Piece]:
    connection = baseline_of(map(encode_state, {state.path: state for state in older}.values()))
    pieces: list[Piece] = [way(connection, place, start, end) for way in WAYS]
    connection.close()
    return pieces


def outcome(read: Callable[..., object], *arguments: object) -> object:
    """Give what a call gives, and the kind of each number in it, or that a row cannot be read."""
    try:
        found = read(*arguments)
    except UNREADABLE:
        return "unreadable"
    return found, [list(map(type, state)) for state in (found if isinstance(found, list) else [found])]


@given(older=st.lists(plain_states | states, max_size=6), newer=st.lists(plain_states | states, max_size=6))
def test_what_is_marked_as_the_same_is_equal_and_the_rest_is_given(older: list[FileState], newer: list[FileState]) -> None:
    before = {state.path: state for state in older}
    places = {path: place for place, path in enumerate(sorted(before))}
    asked = [*newer, *before.values()]
    for piece in pieces_of(older):
        marks, others = bytearray(len(before)), list[FileState]()
        assert piece.mark_same(asked, marks, others) == []
        for state in asked:
            assert state in others or before[state.path] == state
        assert all(marks[places[state.path]] for state in asked if state not in others)
        assert [state for state in asked if state in others] == others


@given(older=st.lists(plain_states | states, max_size=8))
def test_rows_are_found_and_decoded_alike(older: list[FileState]) -> None:
    before = {state.path: state for state in older}
    for piece in pieces_of(older, place=512):
        assert len(piece) == len(before)
        assert piece.paths() == sorted(before)
        assert piece.states() == [before[path] for path in sorted(before)]
        for place, path in enumerate(sorted(before), 512):
            assert (piece.place_of(path), piece.state_of(path), piece.state_at(place)) == (place, before[path], before[path])
        for path in (b"", b"/", b"/none", b"/a\0", b"\xff"):
            assert (piece.state_of(path), piece.place_of(path)) == (None, None) or path in before


number = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
anything = number | st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.binary(max_size=5) | st.just("{}")
whole = a_state(b"/a")
any_rows = st.tuples(
    st.binary(max_size=4),
    st.sampled_from([*map(str, FileType), "door", "", b"file"]),
    *[st.just(value) | anything for value in encode_state(whole)[2:13]],
    st.sampled_from(["{}", "{", '{"user.a":"%FF"}', '{"user.a":5}', "[]", None, b"{}", 5]),
    st.none() | anything,
)


@only_built
@given(st.lists(any_rows, max_size=5, unique_by=lambda row: row[0]))
def test_rows_that_fimkit_never_wrote_are_read_alike(rows: list[tuple[Any, ...]]) -> None:
    connection = baseline_of(rows)
    plain, packed = (way(connection, 0, b"", None) for way in (read_rows, read_packed))
    connection.close()
    assert plain.paths() == packed.paths()
    assert outcome(plain.states) == outcome(packed.states)
    asked = [whole._replace(path=path) for path in plain.paths()]
    for place, state in enumerate(asked):
        assert outcome(plain.state_of, state.path) == outcome(packed.state_of, state.path)
        assert outcome(plain.state_at, place) == outcome(packed.state_at, place)
    marks, quick, others = bytearray(len(rows)), bytearray(len(rows)), list[FileState]()
    plain.mark_same(asked, marks, [])
    packed.mark_same(asked, quick, others)
    for place, state in enumerate(asked):
        assert quick[place] == (state not in others)
        assert not quick[place] or plain.state_at(place) == state


@pytest.mark.parametrize("start, end", [(b"/b", b"/d"), (b"/b", None), (b"", b"/d"), (b"", None), (b"/b", b"/b\0")])
def test_a_piece_is_of_the_paths_from_one_until_before_another(start: bytes, end: bytes | None) -> None:
    rows = [a_state(path) for path in (b"/a", b"/b", b"/c", b"/d")]
    asked = [row for row in rows if row.path >= start and (end is None or row.path < end)]
    new = a_state(start + b"/new")
    for piece in pieces_of(rows, 3, start, end):
        marks, others = bytearray(3 + len(asked)), list[FileState]()
        assert piece.mark_same([*rows, new], marks, others) == [row for row in [*rows, new] if not piece.spans(row.path)]
        assert marks == bytes(3) + b"\1" * len(asked)
        assert others == [new] * piece.spans(new.path)
        assert list(map(piece.spans, (row.path for row in rows))) == [row in asked for row in rows]
        assert piece.paths() == [row.path for row in asked]


def test_an_unchanged_file_is_marked_without_another_look() -> None:
    folder, link = a_state(b"/b", type=FileType.DIRECTORY, sha256=None), a_state(b"/c", type=FileType.SYMLINK, target=b"x\xff")
    rows = [a_state(b"/a"), folder, link, a_state(b"/d\xff\n", size=2**63 - 1, mtime_ns=-(2**63))]
    for piece in pieces_of(rows):
        marks, others = bytearray(4), list[FileState]()
        assert piece.mark_same(rows[::-1], marks, others) == others == []
        assert marks == b"\1\1\1\1"


@only_built
def test_labels_that_every_file_has_are_compared_without_another_look() -> None:
    rows = [a_state(b"/%03d" % name, xattrs=dict(LABEL) if name % 2 else {f"user.{name}": b"\xff"}) for name in range(600)]
    packed = pieces_of(rows)[1]
    marks, others = bytearray(600), list[FileState]()
    assert packed.mark_same(rows, marks, others) == others == []
    changed = [row._replace(xattrs={**(row.xattrs or {}), "user.other": b""}) for row in rows]
    assert packed.mark_same(changed, marks, others) == []
    assert others == changed


@pytest.mark.parametrize(
    "changed",
    [
        {"sha256": "ab" * 31 + "aa"}, {"sha256": None}, {"sha256": "AB" * 32}, {"mode": 0o755}, {"uid": None}, {"gid": 1},
        {"size": 4}, {"inode": 78}, {"inode": 2**64 - 1}, {"dev": 1}, {"nlink": 2}, {"mtime_ns": 0}, {"ctime_ns": 0},
        {"type": FileType.FIFO}, {"target": b"x"}, {"target": b""}, {"xattrs": None}, {"xattrs": {"user.a": b""}},
        {"xattrs": LABEL}, {"problem": "it vanished"},
    ],
)  # fmt: skip
def test_a_difference_in_any_field_is_left_to_the_caller(changed: dict[str, object]) -> None:
    state = a_state(b"/a")
    for older, newer in ((state, state._replace(**changed)), (state._replace(**changed), state)):
        for piece in pieces_of([older]):
            marks, others = bytearray(1), list[FileState]()
            assert piece.mark_same([newer], marks, others) == []
            assert (others, marks) == ([newer], b"\0")


@only_built
def test_rows_that_are_too_large_together_are_read_one_by_one() -> None:
    rows = [a_state(b"/%d" % name, xattrs={"user.a": b"x" * 900}) for name in range(5)]
    connection = baseline_of(map(encode_state, rows))
    whole_piece = read_packed(connection, 0, b"", None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2000)
    by_rows = read_packed(connection, 0, b"", None)
    connection.close()
    assert type(whole_piece) is not type(by_rows)
    assert whole_piece.states() == by_rows.states() == rows


@only_built
def test_what_is_no_state_no_path_or_no_place_is_an_error() -> None:
    piece = pieces_of([a_state(b"/a")])[1]
    for wrong in (5, (1, 2), a_state(b"/a")[:3], ("/a", *a_state(b"/a")[1:])):
        with pytest.raises(TypeError):
            piece.mark_same([wrong], bytearray(1), [])  # type: ignore[list-item]
    for read in (piece.state_of, piece.place_of, piece.spans):
        with pytest.raises(TypeError):
            read("/a")  # type: ignore[arg-type]
    for place in (-1, 1, 2**70):
        with pytest.raises(IndexError):
            piece.state_at(place)
    with pytest.raises(IndexError):
        piece.mark_same([a_state(b"/a")], bytearray(), [])


@only_built
@given(st.lists(plain_states, min_size=1, max_size=3), st.data())
def test_bytes_that_are_no_rows_are_refused_or_read_as_rows(older: list[FileState], data: st.DataObject) -> None:
    from fimkit.evidence._rows import PackedPiece

    connection = baseline_of(map(encode_state, {state.path: state for state in older}.values()))
    packed = connection.execute(f"SELECT fimkit_pack({', '.join(STATE_COLUMNS)}) FROM baseline").fetchone()[0]
    connection.close()
    place = data.draw(st.integers(0, len(packed) - 1))
    altered = packed[:place] + data.draw(st.binary(max_size=4)) + packed[place + data.draw(st.integers(0, 4)) :]
    try:
        piece = PackedPiece(altered, place=0, start=b"", end=None)
    except ValueError:
        return
    assert len(piece.paths()) == len(piece)
    outcome(piece.states)
    piece.mark_same(older, bytearray(len(piece)), [])


@only_built
def test_rows_that_do_not_ascend_are_refused() -> None:
    from fimkit.evidence._rows import PackedPiece

    connection = baseline_of(map(encode_state, [a_state(b"/a"), a_state(b"/b")]))
    query = f"SELECT fimkit_pack({', '.join(STATE_COLUMNS)}) FROM (SELECT * FROM baseline ORDER BY path DESC LIMIT 2)"
    packed = connection.execute(query).fetchone()[0]
    connection.close()
    with pytest.raises(ValueError, match="do not ascend"):
        PackedPiece(packed, place=0, start=b"", end=None)


@only_built
def test_a_path_that_is_none_is_refused() -> None:
    connection = baseline_of([])
    for path in ("/a", 5, None):
        with pytest.raises(sqlite3.OperationalError, match="a path that is none"):
            connection.execute(f"SELECT fimkit_pack({', '.join('?' * len(STATE_COLUMNS))})", [path, *encode_state(whole)[1:]])
    connection.close()


@only_built
def test_nothing_else_can_be_loaded_into_the_connection_later() -> None:
    connection = baseline_of([])
    with pytest.raises(sqlite3.OperationalError, match="not authorized"):
        connection.load_extension("x")
    connection.close()


@only_built
@pytest.mark.skipif(not shutil.which("gcc") or not Path("/usr/include/sqlite3ext.h").exists(), reason="no header of SQLite")
def test_what_is_needed_of_sqlite_stands_where_its_header_says(tmp_path: Path) -> None:
    names = (
        "aggregate_context", "create_function", "result_blob", "result_error", "value_blob", "value_bytes", "value_double",
        "value_int64", "value_text", "value_type", "result_error_nomem", "result_error_toobig",
    )  # fmt: skip
    text = f'#include <stddef.h>\n#include <sqlite3ext.h>\n#include "{SOURCE}"\n' + "".join(
        f'_Static_assert(offsetof(struct routines, {name}) == offsetof(struct sqlite3_api_routines, {name}), "{name}");\n'
        for name in names
    )
    for ours, theirs in CONSTANTS.items():
        text += f'_Static_assert({ours} == {theirs}, "{ours}");\n'
    file = tmp_path / "places.c"
    file.write_text(text)
    subprocess.run(["gcc", "-fsyntax-only", f"-I{sysconfig.get_paths()['include']}", file], check=True)


@only_built
def test_a_change_of_the_sources_raises_the_revision() -> None:
    digests = json.loads((Path(__file__).parents[1] / "data" / "evidence" / "rows-revisions.json").read_text())
    source = SOURCE.read_bytes()
    assert digests[str(REVISION)] == hashlib.sha256(source).hexdigest(), "raise REVISION in both files, and note the digest"
    assert b"#define REVISION %d " % REVISION in source


@only_built
def test_a_module_built_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    older = ModuleType("fimkit.evidence._rows")
    monkeypatch.setitem(sys.modules, "fimkit.evidence._rows", older)
    for revision in (None, REVISION - 1, REVISION + 1):
        if revision is not None:
            older.REVISION = revision  # type: ignore[attr-defined]
        assert "built of other sources" in str(why_python())
    monkeypatch.setitem(sys.modules, "fimkit.evidence._rows", None)
    assert "was not built" in str(why_python())
    connection = sqlite3.connect(":memory:")
    assert piece_reader(connection).func is read_rows  # type: ignore[attr-defined]
    connection.close()


class WithoutExtensions(sqlite3.Connection):
    def enable_load_extension(self, enable: bool, /) -> None:
        raise AttributeError("'sqlite3.Connection' object has no attribute 'enable_load_extension'")


@only_built
def test_a_python_whose_sqlite_loads_no_extension_reads_by_rows() -> None:
    connection = sqlite3.connect(":memory:", factory=WithoutExtensions)
    with pytest.raises(ImportError, match="loads no extension"):
        load_packing(connection)
    assert piece_reader(connection).func is read_rows  # type: ignore[attr-defined]
    connection.close()
