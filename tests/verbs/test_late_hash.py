"""Hashes that osquery did not take are taken late: of the very inode, unfollowed, within limits, and marked."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.model.changes import Action, Change, Source
from fimkit.model.states import FileState, FileType
from fimkit.osquery.rows import parse_process_event
from fimkit.verbs.late_hash import LateLimits, add_late_hashes, hash_now
from tests.osquery.result_rows import PROCESS_ROW

TEXT = b"what is there now\n"
SHA256 = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "f"
    path.write_bytes(TEXT)
    return path


def row(file: Path, **more: object) -> Change:
    plain = Change(
        source=Source.OSQUERY, action=Action.MOVED_TO, time_ns=10**18, path=os.fsencode(file), inode=file.lstat().st_ino
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def state(path: Path, **more: object) -> dict[bytes, FileState]:
    plain = FileState(os.fsencode(path), FileType.FILE, inode=path.lstat().st_ino, sha256=SHA256)
    return {plain.path: plain._replace(**more)}


def unread(path: bytes, inode: int, most_bytes: int) -> str | None:
    raise AssertionError(f"{path!r} was read")


def test_the_scans_own_hash_is_taken_and_nothing_is_read(there: Path) -> None:
    (change,), words = add_late_hashes([row(there)], state(there), read=unread)
    assert (change.sha256, change.hash_late, words) == (SHA256, True, [])


def test_a_file_that_no_scan_read_is_read_now(there: Path) -> None:
    (change,), _ = add_late_hashes([row(there)], {})
    assert (change.sha256, change.hash_late) == (SHA256, True)


def test_a_hash_of_osquerys_own_is_left_alone_and_not_late(there: Path) -> None:
    given = row(there, sha256="cd" * 32)
    assert add_late_hashes([given], state(there)).changes == [given]


@pytest.mark.parametrize("more", [{"action": Action.ATTRIBUTES}, {"action": Action.UNLINKED}, {"inode": None}, {"path": None}])
def test_rows_without_new_bytes_or_an_inode_stay_without(there: Path, more: dict[str, object]) -> None:
    given = row(there, **more)
    assert add_late_hashes([given], state(there)).changes == [given]


def test_rows_of_processes_and_of_audit_stay_without(there: Path) -> None:
    rows = [*parse_process_event(PROCESS_ROW, node=None), row(there, source=Source.AUDIT)]
    assert add_late_hashes(rows, state(there)).changes == rows


def test_another_inode_under_the_name_gives_nothing(there: Path) -> None:
    given = row(there)
    other = there.with_name("other")
    other.write_bytes(b"another file")
    other.rename(there)
    assert add_late_hashes([given], {}).changes == [given]
    assert add_late_hashes([given], state(there)).changes == [given]


def test_a_link_is_not_followed_though_its_row_has_its_targets_inode(there: Path) -> None:
    link = there.with_name("link")
    link.symlink_to(there)
    given = row(there, path=os.fsencode(link))
    assert add_late_hashes([given], {}).changes == [given]
    assert add_late_hashes([given], state(link, type=FileType.SYMLINK, inode=there.stat().st_ino)).changes == [given]
    assert hash_now(os.fsencode(link), there.stat().st_ino, 1000) is None


def test_a_fifo_in_the_files_place_does_not_hold_anything_up(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert add_late_hashes([row(fifo)], {}).changes == [row(fifo)]
    assert hash_now(os.fsencode(fifo), fifo.stat().st_ino, 1000) is None


def test_what_is_too_much_is_left_and_said(tmp_path: Path) -> None:
    rows = []
    for number, size in enumerate([10, 5000, 900, 20, 30]):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * size)
        rows.append(row(path))
    found, words = add_late_hashes(rows, {}, limits=LateLimits(files=2, file_bytes=1000, all_bytes=905))
    assert [change.hash_late for change in found] == [True, False, False, True, False]
    assert words[0].startswith("3 files that osquery did not hash were not hashed late either: over ")


def test_one_file_told_of_a_thousand_times_is_read_once(there: Path) -> None:
    reads: list[bytes] = []

    def count(path: bytes, inode: int, most_bytes: int) -> str:
        reads.append(path)
        return SHA256

    found = add_late_hashes([row(there)] * 1000, {}, read=count).changes
    assert len(reads) == 1
    assert all(change.hash_late for change in found)


def test_a_file_that_is_written_to_while_it_is_read_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * (1 << 20))
    inode = path.stat().st_ino
    assert hash_now(os.fsencode(path), inode, 1 << 20) == hashlib.sha256(b"x" * (1 << 20)).hexdigest()
    assert hash_now(os.fsencode(path), inode, (1 << 20) - 1) is None
    assert hash_now(os.fsencode(path), inode + 1, 1 << 21) is None
    assert hash_now(os.fsencode(path) + b"-absent", inode, 1 << 21) is None
