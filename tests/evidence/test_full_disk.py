"""A write that failed for want of room is remembered in place, and the next look that can store tells of it once."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from fimkit.evidence.full_disk import is_full, load_full, noting_full, prepare_mark
from fimkit.evidence.store import open_store
from fimkit.model.coverage import Cause, Gap, Sense
from fimkit.model.errors import HostError
from fimkit.notify.queue_file import QueueFile

__all__: list[str] = []


@pytest.fixture
def state(tmp_path: Path) -> bytes:
    folder = tmp_path / "state"
    open_store(bytes(folder), create=True).close()
    prepare_mark(bytes(folder))
    return bytes(folder)


def gap(number: int) -> Gap:
    return Gap(from_ns=number, to_ns=number, source=Sense.SCAN, cause=Cause.UNREAD, words="x" * 5000)


def fail(state: bytes) -> None:
    with open_store(state) as store:
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite says of it what it says of a full disk
        with pytest.raises(HostError, match="full"), store.transaction():
            store.add_gaps([gap(number) for number in range(1, 40)])


def test_a_store_that_has_no_room_is_noted_from_the_first_write_to_the_last(state: bytes) -> None:
    assert load_full(state) is None
    fail(state)
    first = load_full(state)
    assert first is not None and first.writes == 1 and first.from_ns == first.to_ns
    fail(state)
    again = load_full(state)
    assert again is not None and (again.from_ns, again.writes) == (first.from_ns, 2) and again.to_ns > first.to_ns


def test_the_file_is_written_in_place_and_takes_no_more_room(state: bytes) -> None:
    mark = os.path.join(state, b"disk-full.json")
    before = os.stat(mark)
    fail(state)
    after = os.stat(mark)
    assert (before.st_ino, before.st_size, before.st_blocks) == (after.st_ino, after.st_size, after.st_blocks)
    assert after.st_mode & 0o777 == 0o600


def test_a_queue_that_has_no_room_is_noted_too(state: bytes) -> None:
    with QueueFile(state) as queue:
        (pages,) = queue._database.execute("PRAGMA page_count").fetchone()
        queue._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(HostError, match="full"), queue._transaction():
            queue._database.execute("CREATE TABLE big (x)")
            queue._database.execute("INSERT INTO big VALUES (zeroblob(1000000))")
    assert load_full(state) is not None


def test_other_errors_are_not_noted_and_go_on_as_they_are(state: bytes) -> None:
    with pytest.raises(PermissionError), noting_full(state):
        raise PermissionError(errno.EACCES, "no")
    assert load_full(state) is None
    wrapped = HostError("cannot be used")
    wrapped.__cause__ = OSError(errno.EDQUOT, "quota")
    assert is_full(wrapped, state) and not is_full(sqlite3.OperationalError("locked"), state)


_BACKWARD = b'{"from_ns": 9, "to_ns": 1, "writes": 1}'


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"from_ns": "x", "to_ns": 1, "writes": 1}', _BACKWARD])
def test_what_is_no_note_says_nothing_and_a_link_in_its_place_is_not_followed(state: bytes, text: bytes, tmp_path: Path) -> None:
    mark = Path(os.fsdecode(state)) / "disk-full.json"
    mark.write_bytes(text)
    assert load_full(state) is None
    mark.unlink()
    other = tmp_path / "other"
    other.write_text("theirs")
    mark.symlink_to(other)
    fail(state)
    assert load_full(state) is None and other.read_text() == "theirs"
