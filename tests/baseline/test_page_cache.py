"""A nice scan leaves in memory what was there, and nothing else."""

import os
from pathlib import Path

import pytest

from fimkit.baseline.page_cache import load_residency
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Scanning, Watch
from fimkit.model.states import FileState

SIZE = 20 << 20


def pages_of(path: Path) -> int:
    with path.open("rb") as file:
        residency = load_residency(file.fileno(), path.stat().st_size)
    assert residency is not None
    return sum(residency)


def drop(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())  # what is not on the disk yet cannot be dropped
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def look(folder: Path, *, nice: bool) -> dict[bytes, FileState]:
    return {state.path: state for state in scan_watches([Watch(path=os.fsencode(folder))], limits=Scanning(nice=nice))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A large and a small file that are not in memory; skips where the file system has its files nowhere else (tmpfs)."""
    for name, size in (("large", SIZE), ("small", 5000)):
        (tmp_path / name).write_bytes(os.urandom(size))
        drop(tmp_path / name)
    if pages_of(tmp_path / "large"):
        pytest.skip("pages of this file system cannot be dropped")
    return tmp_path


def test_a_nice_scan_leaves_nothing_in_memory_that_was_not_there(folder: Path) -> None:
    nice = look(folder, nice=True)
    assert (pages_of(folder / "large"), pages_of(folder / "small")) == (0, 0)
    usual = look(folder, nice=False)
    assert pages_of(folder / "large") > SIZE // 4096 // 2  # the control: it is the wish that did it
    assert nice == usual


def test_what_others_have_in_memory_stays_there(folder: Path) -> None:
    (folder / "small").read_bytes()
    with (folder / "large").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no reading ahead
        os.pread(file.fileno(), 2 << 20, 4 << 20)
    before = pages_of(folder / "large")
    assert 0 < before < SIZE // 4096 // 2
    look(folder, nice=True)
    assert pages_of(folder / "small") == 2
    assert before * 0.9 <= pages_of(folder / "large") <= before + 1


def test_of_a_file_that_is_empty_or_shorter_by_now_nothing_is_known(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    with path.open("rb") as file:
        assert load_residency(file.fileno(), 0) is None
        assert load_residency(file.fileno(), 1 << 20) is None
