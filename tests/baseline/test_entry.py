import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fimkit.baseline.content import BLOCK
from fimkit.baseline.entry import EntryReader, OpenedFile, Place
from fimkit.baseline.problems import CHANGED, VANISHED
from fimkit.model.states import FileState, FileType

SIZE = 4 * BLOCK


def read_while(path: Path, act: Callable[[int], None]) -> FileState:
    """Read a file while ``act`` is called with the number of each block."""
    blocks = 0

    def goes_on() -> bool:
        nonlocal blocks
        act(blocks)
        blocks += 1
        return True

    name = os.fsencode(path)
    reader = EntryReader(goes_on=goes_on)
    opened = reader.open_file(Place(None, name, name))
    assert isinstance(opened, OpenedFile)
    return reader.finish_file(opened)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(b"a" * SIZE)
    return path


def test_file_that_changes_at_every_reading_has_no_hash_and_says_so(big: Path) -> None:
    def overwrite(block: int) -> None:
        with big.open("r+b") as file:
            file.write(b"%d" % block)
        os.utime(big, ns=(0, block))  # the clock of the kernel is coarse: make sure that the time moves

    state = read_while(big, overwrite)
    assert (state.sha256, state.problem, state.size) == (None, CHANGED, SIZE)


def test_file_that_changes_once_is_read_again_and_has_its_new_hash(big: Path) -> None:
    def change(block: int) -> None:
        if block == 1:
            big.write_bytes(b"c" * (SIZE + 1))

    state = read_while(big, change)
    assert (state.sha256, state.problem, state.size) == (hashlib.sha256(b"c" * (SIZE + 1)).hexdigest(), None, SIZE + 1)


def test_file_replaced_while_it_is_read_is_the_new_file(big: Path) -> None:
    def replace(block: int) -> None:
        if block == 1:
            (big.parent / "new").write_bytes(b"new")
            (big.parent / "new").replace(big)

    state = read_while(big, replace)
    assert (state.sha256, state.inode) == (hashlib.sha256(b"new").hexdigest(), big.stat().st_ino)


def test_file_removed_while_it_is_read_has_vanished(big: Path) -> None:
    state = read_while(big, lambda block: big.unlink() if block == 1 else None)
    assert (state.type, state.problem, state.inode) == (FileType.FILE, VANISHED, None)


def test_file_replaced_by_a_link_while_it_is_read_is_the_link(big: Path) -> None:
    def replace(block: int) -> None:
        if block == 1:
            big.unlink()
            big.symlink_to("/etc/passwd")

    state = read_while(big, replace)
    assert (state.type, state.target, state.sha256) == (FileType.SYMLINK, b"/etc/passwd", None)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_what_took_a_files_name_since_it_was_listed_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a")
    name = os.fsencode(tmp_path / "a")
    reader = EntryReader()
    state = reader.open_file(Place(None, name, name))
    assert isinstance(state, FileState)
    assert state.type is not FileType.FILE and state.sha256 is None and reader.bytes_read == 0


def test_file_whose_size_says_nothing_is_read_to_its_end() -> None:
    name = b"/proc/version"
    reader = EntryReader()
    opened = reader.open_file(Place(None, name, name))
    assert isinstance(opened, OpenedFile)
    assert reader.finish_file(opened).sha256 == hashlib.sha256(Path("/proc/version").read_bytes()).hexdigest()


def test_read_that_fails_is_said_on_the_row() -> None:
    name = b"/proc/self/mem"  # it opens, and its first page cannot be read
    reader = EntryReader()
    opened = reader.open_file(Place(None, name, name))
    assert isinstance(opened, OpenedFile)
    state = reader.finish_file(opened)
    assert state.sha256 is None and state.problem == "cannot be read: Input/output error"
    assert state.mode == 0o600
