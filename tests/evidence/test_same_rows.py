"""The compiled comparison marks what the Python one marks, and is used only where it was built of these sources."""

import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence import same_rows
from fimkit.evidence.same_rows import REVISION, Way, best_way, mark_python
from fimkit.evidence.values import STATE_COLUMNS, encode_state
from fimkit.model.states import FileState, FileType
from tests.evidence.examples import a_state, plain_states, states

DIGEST = STATE_COLUMNS.index("sha256")
WAYS = [mark_python] if best_way() is mark_python else [mark_python, best_way()]
a_way = pytest.mark.parametrize("mark", WAYS)
only_built = pytest.mark.skipif(best_way() is mark_python, reason="the compiled comparison was not built")


def rows_of(older: list[FileState]) -> dict[bytes, tuple[tuple[object, ...], int]]:
    by_path = {state.path: state for state in older}
    return {path: (encode_state(state), place) for place, (path, state) in enumerate(by_path.items())}


@a_way
@given(older=st.lists(plain_states | states, max_size=6), newer=st.lists(plain_states | states, max_size=6))
def test_what_is_marked_as_the_same_is_equal(mark: Way, older: list[FileState], newer: list[FileState]) -> None:
    before = {state.path: state for state in older}
    marks = bytearray(len(before))
    rest = mark([*newer, *before.values()], rows_of(older), marks)
    for state in [*newer, *before.values()]:
        assert state in rest or before[state.path] == state
    assert all(marks[place] for place, state in enumerate(before.values()) if state not in rest)


@only_built
@given(older=st.lists(plain_states | states, max_size=6), newer=st.lists(plain_states | states, max_size=6))
def test_both_ways_mark_the_same_but_hashes_of_another_length(older: list[FileState], newer: list[FileState]) -> None:
    rows, asked = rows_of(older), [*older, *newer]
    marks, quick = bytearray(len(rows)), bytearray(len(rows))
    plain_rest, quick_rest = mark_python(asked, rows, marks), best_way()(asked, rows, quick)
    usual = [state for state in asked if state.sha256 is None or len(encode_state(state)[DIGEST]) == 32]
    assert [state for state in quick_rest if state in usual] == [state for state in plain_rest if state in usual]
    assert all(plain >= own for plain, own in zip(marks, quick, strict=True))


@a_way
def test_an_unchanged_file_is_marked_without_another_look(mark: Way) -> None:
    folder, link = a_state(b"/b", type=FileType.DIRECTORY, sha256=None), a_state(b"/c", type=FileType.SYMLINK, target=b"x")
    rows = [a_state(b"/a"), folder, link]
    marks = bytearray(3)
    assert mark(rows, rows_of(rows), marks) == []
    assert marks == b"\1\1\1"


@a_way
@pytest.mark.parametrize(
    "changed",
    [
        {"sha256": "ab" * 31 + "aa"}, {"sha256": None}, {"mode": 0o755}, {"uid": None}, {"size": 4}, {"inode": 78}, {"ctime_ns": 0},
        {"type": FileType.FIFO}, {"target": b"x"}, {"xattrs": None}, {"xattrs": {"user.a": b""}}, {"problem": "it vanished"},
    ],
)  # fmt: skip
def test_a_difference_in_any_field_is_left_to_the_caller(mark: Way, changed: dict[str, object]) -> None:
    state = a_state(b"/a")
    for older, newer in ((state, state._replace(**changed)), (state._replace(**changed), state)):
        marks = bytearray(1)
        assert mark([newer], rows_of([older]), marks) == [newer]
        assert marks == b"\0"


@only_built
def test_what_is_no_state_or_no_row_is_left_to_the_caller() -> None:
    mark, state = best_way(), a_state(b"/a")
    for row in ((), (1, 2), ((), 0), (encode_state(state)[:-1], 0)):
        assert mark([state], {b"/a": row}, bytearray(1)) == [state]  # type: ignore[dict-item]
    assert mark([state[:3], 5], {b"/a": (encode_state(state), 0)}, bytearray(1)) == [state[:3], 5]  # type: ignore[list-item]
    for place in (1, -1, 2**70):
        with pytest.raises(IndexError):
            mark([state], {b"/a": (encode_state(state), place)}, bytearray(1))


@only_built
def test_a_change_of_the_sources_raises_the_revision() -> None:
    digests = json.loads((Path(__file__).parents[1] / "data" / "evidence" / "rows-revisions.json").read_text())
    source = Path(same_rows.__file__).with_name("_rows.c").read_bytes()
    assert digests[str(REVISION)] == hashlib.sha256(source).hexdigest(), "raise REVISION in both files, and note the digest"
    assert b"#define REVISION %d " % REVISION in source


@only_built
def test_a_module_built_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    older = ModuleType("fimkit.evidence._rows")
    monkeypatch.setitem(sys.modules, "fimkit.evidence._rows", older)
    for revision in (None, REVISION - 1, REVISION + 1):
        if revision is not None:
            older.REVISION = revision  # type: ignore[attr-defined]
        assert best_way() is mark_python
    monkeypatch.setitem(sys.modules, "fimkit.evidence._rows", None)
    assert best_way() is mark_python
