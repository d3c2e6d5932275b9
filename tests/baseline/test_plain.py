"""The quick way of reading a file says what the exact way says, or nothing."""

import hashlib
import os
import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.baseline.compiled import Way, best_way
from fimkit.baseline.content import BLOCK
from fimkit.baseline.entry import EntryReader, Place
from fimkit.baseline.plain import PLAIN_FIELDS, read_plain, state_of_plain
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
from fimkit.model.states import FileType
from tests.baseline.trees import needs_root

VIEW = memoryview(bytearray(BLOCK))


def both(path: Path) -> tuple[object, object]:
    name = os.fsencode(path)
    fields = read_plain(None, name, VIEW)
    return (None if fields is None else state_of_plain(name, fields)), EntryReader().read_exactly(Place(None, name, name))


@pytest.mark.parametrize("size", [0, 1, 63, 4096, BLOCK - 1])
def test_ordinary_file_is_the_same_both_ways(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file\udcff\n"
    path.write_bytes(random.Random(size).randbytes(size))
    path.chmod(0o4711)
    quick, exact = both(path)
    assert quick == exact != None  # noqa: E711 - neither is nothing


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=5000), mode=st.integers(0o400, 0o7777), time_ns=st.integers(-(10**18), 2**62))
def test_any_mode_time_and_content_is_the_same_both_ways(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, mode: int, time_ns: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(content)
    path.chmod(mode | 0o400)
    os.utime(path, ns=(0, time_ns))
    quick, exact = both(path)
    assert quick == exact != None  # noqa: E711


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.with_name("behind").write_bytes(b"x")
    path.symlink_to("behind")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def _large(path: Path) -> None:
    path.write_bytes(bytes(BLOCK))


def _attributed(path: Path) -> None:
    path.write_bytes(b"x")
    os.setxattr(path, "user.note", b"y")


@pytest.mark.parametrize("make", [_fifo, _link, _socket, _large, _attributed, Path.mkdir, lambda path: None])
def test_anything_unusual_is_left_to_the_exact_way(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "it")
    before = len(os.listdir("/proc/self/fd"))
    assert read_plain(None, os.fsencode(tmp_path / "it"), VIEW) is None
    assert len(os.listdir("/proc/self/fd")) == before  # nothing stays open


def test_what_is_no_file_of_a_disk_is_left_too() -> None:
    assert read_plain(None, b"/proc/self/status", VIEW) is None  # it says that it is empty, and has bytes


def test_file_under_constant_change_never_has_a_hash_of_no_version_of_it(tmp_path: Path) -> None:
    """One writer replaces, truncates, rewrites, removes, and puts links and fifos in the place; every answer is a true one."""
    path = tmp_path / "busy"
    path.write_bytes(b"a" * 30_000)
    versions = {b"a" * 30_000}
    stop = threading.Event()

    def write() -> None:
        draw = random.Random(3)
        while not stop.is_set():
            bytes_now = bytes([97 + draw.randrange(20)]) * draw.randrange(20_000, 40_000)
            versions.add(bytes_now)
            fresh = tmp_path / "fresh"
            match draw.randrange(4):
                case 0:
                    os.mkfifo(fresh)
                case 1:
                    fresh.symlink_to("elsewhere")
                case _:
                    fresh.write_bytes(bytes_now)
            os.replace(fresh, path)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        answers = [read_plain(None, os.fsencode(path), VIEW) for _ in range(3000)]
    finally:
        stop.set()
        thread.join()
    true = {(len(content), hashlib.sha256(content).hexdigest()) for content in versions}
    read = [fields for fields in answers if fields is not None]
    assert all(len(fields) == PLAIN_FIELDS and (fields[3], fields[9]) in true for fields in read)
    assert read  # some were caught standing still


QUICK_CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "mode": lambda path: path.chmod(0o600),
    "owner": lambda path: os.chown(path, 1, 1),
    "time": lambda path: os.utime(path, ns=(0, 5)),
    "bytes": lambda path: path.write_bytes(b"other"),
    "one more link": lambda path: os.link(path, path.with_name("second")),
    "attribute": lambda path: os.setxattr(path, "user.note", b"x"),
    "replaced": lambda path: (path.unlink(), path.write_bytes(b"bytes")),
    "gone": lambda path: path.unlink(),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
    "link": lambda path: (path.unlink(), path.symlink_to("elsewhere")),
}


@needs_root
@pytest.mark.parametrize("change", QUICK_CHANGES)
def test_shortcut_by_times_says_what_the_exact_way_says(tmp_path: Path, change: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    name = os.fsencode(path)
    place = Place(None, name, name)
    known = EntryReader().read_exactly(place)
    QUICK_CHANGES[change](path)
    quick = EntryReader({name: known}).read_file(place)
    assert quick == EntryReader().read_file(place)
    assert (quick is known) == (change == "nothing")


def test_a_row_with_a_problem_is_never_repeated(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    name = os.fsencode(tmp_path / "file")
    known = EntryReader().read_exactly(Place(None, name, name))
    for lacking in (known._replace(problem="x"), known._replace(sha256=None), known._replace(xattrs=None)):
        assert EntryReader({name: lacking}).read_file(Place(None, name, name)) == known


@needs_root
@pytest.mark.skipif(best_way() is Way.PYTHON, reason="the compiled reader is not here")
def test_compiled_shortcut_repeats_what_the_python_one_repeats(tmp_path: Path) -> None:
    """Every change, a row that lacks something, and one that nobody knows: in one folder, looked at at once."""
    for change in (*QUICK_CHANGES, "problem", "no hash", "no attributes", "unknown"):
        (tmp_path / change).write_bytes(b"bytes")
    watches = [Watch(path=os.fsencode(tmp_path))]
    known = {row.path: row for row in scan_watches(watches)}
    start = os.fsencode(tmp_path) + b"/"
    for lacking, fields in {"problem": {"problem": "x"}, "no hash": {"sha256": None}, "no attributes": {"xattrs": None}}.items():
        known[start + lacking.encode()] = known[start + lacking.encode()]._replace(**fields)  # type: ignore[arg-type]
    del known[start + b"unknown"]
    for name, change in QUICK_CHANGES.items():
        (tmp_path / "second").unlink(missing_ok=True)
        change(tmp_path / name)
    compiled, python = ({row.path: row for row in scan_watches(watches, known=known, way=way)} for way in (best_way(), Way.PYTHON))
    exact = {row.path: row for row in scan_watches(watches)}
    assert compiled == python == exact
    repeated = {path for path, row in compiled.items() if row is known.get(path)}
    assert repeated == {path for path, row in python.items() if row is known.get(path)} == {start + b"nothing"}


@pytest.mark.skipif(best_way() is Way.PYTHON, reason="the compiled reader is not here")
def test_rows_that_are_none_are_changed_and_names_that_are_none_are_refused(tmp_path: Path) -> None:
    from fimkit.baseline._plain import find_changed

    (tmp_path / "a").write_bytes(b"x")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        (row,) = (row for row in scan_watches([Watch(path=os.fsencode(tmp_path))]) if row.type is FileType.FILE)
        odd = [row._replace(inode=2**80), row._replace(size="1"), row._replace(mtime_ns=None), row[:14], 7, None, row]  # type: ignore[arg-type]
        assert find_changed(folder, [b"a"] * 7, odd, FileType.FILE) == [0, 1, 2, 3, 4, 5]  # type: ignore[arg-type]
        for names, rows in (([b"a"], []), (["a"], [row]), ([b"a\0"], [row]), (7, [row])):
            with pytest.raises((TypeError, ValueError)):
                find_changed(folder, names, rows, FileType.FILE)  # type: ignore[arg-type]
    finally:
        os.close(folder)
