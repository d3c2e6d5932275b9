"""The compiled way of reading files, beside the Python way: the same states, whatever lies there and whatever happens to it."""

import contextlib
import ctypes
import gc
import hashlib
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.baseline.batch import Batch
from fimkit.baseline.compiled import Way, best_way, new_readers, why_python
from fimkit.baseline.entry import EntryReader, Place
from fimkit.baseline.scan import scan_watches
from fimkit.baseline.thread_pool import ThreadPool
from fimkit.model.config import Watch
from fimkit.model.states import FileState, FileType
from tests.baseline.trees import needs_root, run_python

if best_way() is Way.PYTHON:
    pytest.skip(f"the Python way is used: {why_python()}", allow_module_level=True)

BLOCK = 1 << 17
"""Of the compiled reader."""


@pytest.fixture(scope="module", params=sorted({Way.COMPILED, best_way()}))
def way(request: pytest.FixtureRequest) -> Way:
    """Each of the compiled ways that this processor has."""
    chosen: Way = request.param
    return chosen


def rows_of(tree: Path, way: Way) -> dict[bytes, FileState]:
    rows = list(scan_watches([Watch(path=os.fsencode(tree))], way=way))
    states = {row.path: row for row in rows}
    assert len(states) == len(rows)
    return states


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def read_one(path: Path, way: Way) -> FileState | None:
    """Give what the compiled reader says of a file; nothing where it is left."""
    readers = new_readers(way)
    folder = os.open(path.parent, os.O_RDONLY)
    readers.put(folder, os.fsencode(path.parent) + b"/", [os.fsencode(path.name)])
    os.close(folder)
    thread = threading.Thread(target=readers.work)
    thread.start()
    states, left = readers.take(1, 60_000)
    readers.stop()
    thread.join()
    assert readers.waiting == 0 and len(states) + len(left) == 1
    for descriptor, start, names in left:
        assert (start, names) == (os.fsencode(path.parent) + b"/", [os.fsencode(path.name)])
        os.close(descriptor)
    assert states or readers.bytes_read == 0
    return states[0] if states else None


def exact(path: Path) -> FileState:
    name = os.fsencode(path)
    return EntryReader().read_exactly(Place(None, name, name))


def make_oddities(tree: Path) -> None:
    """Make one of everything that may lie in a tree, as far as this user may."""
    draw = random.Random(5)
    for size in (0, 1, 55, 56, 64, 4095, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, (1 << 20) + 7):
        (tree / f"size-{size}").write_bytes(draw.randbytes(size))
    (tree / "set-id").write_bytes(b"x")
    (tree / "set-id").chmod(0o7755)
    (tree / "no-rights").write_bytes(b"y")
    (tree / "no-rights").chmod(0)
    os.link(tree / "size-64", tree / "second-name")
    (tree / "link").symlink_to("size-64")
    (tree / "dangling").symlink_to("nowhere\udcff")
    (tree / "to-folder").symlink_to(".")
    os.mkfifo(tree / "fifo")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as one:
        one.bind(str(tree / "socket"))
    for name in (b"bad\xff\xfe", b"new\nline", b" ", b"-rf", b"%41", "ä€𝄞".encode(), b"x" * 255, bytes(range(1, 47)) + b"0"):
        Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).write_bytes(name)
    for name, value in {"user.a": b"", "user.empty name ": b"\0\xff", "user.large": bytes(3000)}.items():
        os.setxattr(tree / "size-55", name, value)
    os.setxattr(tree / f"size-{3 * BLOCK}", b"user.bad\xff", b"x")
    for size in (1023, 1024, 1025):  # around where a second call asks with more room
        os.setxattr(tree / f"size-{BLOCK}", f"user.of-{size}", bytes(size))
    for number in range(16):  # more names than the first call has room for
        os.setxattr(tree / f"size-{BLOCK + 1}", f"user.{'n' * 90}{number}", b"%d" % number)
    with (tree / "sparse").open("wb") as file:
        file.truncate(3 << 20)
    with (tree / "hollow").open("wb") as file:
        file.truncate(1 << 43)
    for time_ns in (0, -1, 1, -(10**18), (1 << 33) * 10**9 + 7):
        path = tree / f"time{time_ns}"
        path.write_bytes(b"t")
        os.utime(path, ns=(0, time_ns))
    (tree / "folder").mkdir()
    (tree / "folder" / "empty").mkdir()
    for number in range(200):
        (tree / "folder" / f"file-{number}").write_bytes(draw.randbytes(number * 11))
    if os.geteuid() == 0:
        os.chown(tree / "size-1", 2**32 - 2, 54321)
        os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
        os.setxattr(tree / "size-56", "security.capability", b"\x01\x00\x00\x02\x00\x04" + bytes(14))


@pytest.fixture(scope="module")
def oddities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("odd")
    make_oddities(tree)
    return tree


def test_both_ways_give_the_same_states_of_everything(oddities: Path, way: Way) -> None:
    before = descriptors()
    compiled, python = (rows_of(oddities, one) for one in (way, Way.PYTHON))
    assert compiled == python
    assert len(compiled) > 230
    start = os.fsencode(oddities) + b"/"
    assert compiled[start + b"size-55"].xattrs == {"user.a": b"", "user.empty name ": b"\0\xff", "user.large": bytes(3000)}
    assert "hashed" in (compiled[start + b"hollow"].problem or "")
    assert descriptors() == before


def test_each_ordinary_file_is_read_by_the_threads_themselves(oddities: Path, way: Way) -> None:
    ordinary = [path for path in sorted(oddities.rglob("*")) if path.is_file() and not path.is_symlink() and path.name != "hollow"]
    assert len(ordinary) > 220
    for path in ordinary if os.geteuid() == 0 else []:
        state = read_one(path, way)
        assert state == exact(path)
        assert list(map(type, state)) == list(map(type, exact(path)))
        assert state.type is FileType.FILE


def test_what_is_no_ordinary_file_is_left(oddities: Path, way: Way) -> None:
    for name in ("link", "dangling", "to-folder", "fifo", "socket", "hollow", "folder", "absent"):
        before = descriptors()
        assert read_one(oddities / name, way) is None
        assert descriptors() == before
    for path in ("/proc/self/status", "/proc/self/mem", "/dev/null"):
        assert read_one(Path(path), way) is None


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(max_size=5000),
    repeated=st.integers(1, 300),
    mode=st.integers(0o400, 0o7777),
    time_ns=st.integers(-(10**18), 2**62),
    xattrs=st.dictionaries(
        st.binary(min_size=1, max_size=30).filter(lambda name: 0 not in name), st.binary(max_size=300), max_size=3
    ),
)
def test_any_mode_time_attribute_and_content_is_the_same_both_ways(
    tmp_path_factory: pytest.TempPathFactory,
    way: Way,
    content: bytes,
    repeated: int,
    mode: int,
    time_ns: int,
    xattrs: dict[bytes, bytes],
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(content * repeated)
    for name, value in xattrs.items():
        os.setxattr(path, b"user." + name, value)
    path.chmod(mode | 0o400)
    os.utime(path, ns=(0, time_ns))
    assert read_one(path, way) == exact(path) != None  # noqa: E711 - neither is nothing


def test_files_of_others_and_unreadable_ones_are_the_same_both_ways_without_rights(way: Way) -> None:
    """O_NOATIME is refused for another's file; what cannot be read says why."""
    if os.geteuid() != 0:
        pytest.skip("only root may make another's files")
    code = """
import os, sys, tempfile
from pathlib import Path
from fimkit.baseline.compiled import Way
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
from tests.baseline.test_thread_pool import read_one
with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o755)
    for number in range(30):
        path = Path(folder, f"file{number}")
        path.write_bytes(b"x" * number * 1000)
        path.chmod(0o644 if number % 3 else 0o600)
    os.setegid(65534); os.seteuid(65534)
    way = Way[sys.argv[1]]
    both = [{row.path: row for row in scan_watches([Watch(path=os.fsencode(folder))], way=one)} for one in (way, Way.PYTHON)]
    problems = sum(row.problem is not None for row in both[0].values())
    print(both[0] == both[1], problems, read_one(Path(folder, "file1"), way) is not None)
    os.seteuid(0)
"""
    assert run_python(code, way.name) == "True 10 True\n"


# Change meanwhile.


class Writer:
    """A thread that does something again and again until it is left."""

    def __init__(self, act: Callable[[random.Random], object]) -> None:
        self._act = act
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.error: BaseException | None = None

    def _run(self) -> None:
        draw = random.Random(7)
        try:
            while not self._stop.is_set():
                self._act(draw)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self.error is None


def scanned(tree: Path, rounds: int, way: Way) -> Iterator[FileState]:
    for _ in range(rounds):
        yield from rows_of(tree, way).values()


def test_a_file_under_constant_change_never_has_a_hash_of_no_version_of_it(tmp_path: Path, way: Way) -> None:
    """Files are replaced, cut, and gone; links, fifos and folders take their names: every hash is one of bytes that were there."""
    names = [f"file{number}" for number in range(40)]
    versions = {b"a" * 30_000}
    for name in names:
        (tmp_path / name).write_bytes(b"a" * 30_000)

    def act(draw: random.Random) -> None:
        path, fresh = tmp_path / draw.choice(names), tmp_path / "fresh"
        content = bytes([97 + draw.randrange(20)]) * draw.randrange(20_000, 300_000)
        versions.add(content)
        match draw.randrange(6):
            case 0:
                os.mkfifo(fresh)
            case 1:
                fresh.symlink_to("elsewhere")
            case 2:
                path.unlink(missing_ok=True)
                return
            case _:
                fresh.write_bytes(content)
        os.replace(fresh, path)

    with Writer(act):
        read = [row for row in scanned(tmp_path, 60, way) if row.sha256 is not None and not row.path.endswith(b"/fresh")]
    true = {(len(content), hashlib.sha256(content).hexdigest()) for content in versions}
    assert {(row.size, row.sha256) for row in read} <= true
    assert len(read) > 200


def test_a_growing_file_has_the_hash_of_what_its_size_says(tmp_path: Path, way: Way) -> None:
    """It only ever grows by the same bytes: a hash with its size is that of so many, or there is none and a problem."""
    paths = [tmp_path / f"log{number}" for number in range(4)]
    for path in paths:
        path.write_bytes(b"line\n" * 50_000)

    def act(draw: random.Random) -> None:
        with draw.choice(paths).open("ab") as file:
            file.write(b"line\n" * draw.randrange(1, 400) if file.tell() < 1 << 20 else b"")

    with Writer(act):
        rows = [row for row in scanned(tmp_path, 40, way) if row.type is FileType.FILE]
    for row in rows:
        assert (row.sha256 is None) == (row.problem is not None)
        if row.sha256 is not None:
            assert row.size is not None
            assert row.sha256 == hashlib.sha256(b"line\n" * (row.size // 5) + b"line\n"[: row.size % 5]).hexdigest()


def test_a_folder_that_moves_away_is_read_where_it_is(tmp_path: Path, way: Way) -> None:
    """The descriptor stays: what was put is read after the folder has another name, under the path that it was listed at."""
    folder = tmp_path / "before"
    folder.mkdir()
    names = [b"%d" % number for number in range(50)]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(name)
    pool = ThreadPool(EntryReader(), way)
    opened = os.open(folder, os.O_RDONLY)
    with contextlib.closing(pool):
        pool._readers.put(opened, b"/said/", names)
        os.close(opened)
        folder.rename(tmp_path / "after")
        pool.start()
        rows = list(chain.from_iterable(pool.finish()))
    assert {row.path: row.sha256 for row in rows} == {b"/said/" + name: hashlib.sha256(name).hexdigest() for name in names}


# Threads.


def test_what_is_left_is_read_by_the_walk_and_its_descriptor_is_closed(tmp_path: Path, way: Way) -> None:
    for number in range(20):
        (tmp_path / f"file{number}").write_bytes(b"x")
        (tmp_path / f"link{number}").symlink_to("file1")
    before = descriptors()
    pool = ThreadPool(EntryReader(), way)
    pool.start()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        runs = pool.read(Batch(folder, b"/x/", sorted(map(os.fsencode, os.listdir(tmp_path)))))
        rows = list(chain.from_iterable(chain(runs, pool.finish())))
    finally:
        os.close(folder)
        pool.close()
    assert len(rows) == 40
    assert {row.target for row in rows if row.type is FileType.SYMLINK} == {b"file1"}
    assert descriptors() == before


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_scan_given_up_leaves_no_thread_and_no_descriptor(tmp_path: Path, taken: int, way: Way) -> None:
    for number in range(150):
        (tmp_path / f"{number}").mkdir()
        for name in range(3):
            (tmp_path / f"{number}" / f"{name}").write_bytes(b"x" * 10_000)
            (tmp_path / f"{number}" / f"link{name}").symlink_to("0")
    before = descriptors(), threading.active_count()
    under_way = scan_watches([Watch(path=os.fsencode(tmp_path))], way=way)
    for _ in range(taken):
        next(under_way)
    under_way.close()
    assert (descriptors(), threading.active_count()) == before
    dropped = scan_watches([Watch(path=os.fsencode(tmp_path))], way=way)
    for _ in range(taken):
        next(dropped)
    del dropped
    gc.collect()
    assert (descriptors(), threading.active_count()) == before


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)"])
def test_a_scan_that_is_never_closed_keeps_no_process_from_its_end(tmp_path: Path, end: str, way: Way) -> None:
    for number in range(100):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "file").write_bytes(bytes(100_000))
    code = f"""
import os, sys
from fimkit.baseline.compiled import Way
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
class Circle: pass
circle = Circle()
circle.itself = circle
circle.scan = scan_watches([Watch(path=os.fsencode(sys.argv[1]))], way=Way[sys.argv[2]])
for _ in range(3):
    next(circle.scan)
sys.stderr = sys.stdout
{end}
"""
    assert run_python(code, str(tmp_path), way.name, timeout=60) == ""


def test_a_stop_ends_within_a_block_of_a_large_file(tmp_path: Path, way: Way) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(900 << 20)  # a hole, and not yet hollow: a second or more of hashing
    (tmp_path / "other").write_bytes(b"x")
    under_way = scan_watches([Watch(path=os.fsencode(tmp_path))], way=way)
    assert next(under_way).path.endswith((b"/other", os.fsencode(tmp_path)))
    under_way.close()
    assert under_way.bytes_read < 900 << 20


def test_an_interrupt_ends_a_scan_and_its_threads(tmp_path: Path, way: Way) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1023 << 20)
    (tmp_path / "other").write_bytes(b"x")
    main = threading.get_ident()
    timer = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
    before = descriptors()
    under_way = scan_watches([Watch(path=os.fsencode(tmp_path))], way=way)
    with pytest.raises(KeyboardInterrupt), contextlib.closing(under_way):
        timer.start()
        for _ in under_way:
            pass
        time.sleep(1)  # the hashing was quicker than the timer
    timer.join()
    assert descriptors() == before
    assert threading.active_count() == 1


def wait_until_waiting(thread: threading.Thread) -> None:
    """Wait until a thread of readers has blocked its signals, and sleeps."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
        if int(status.split("SigBlk:")[1].split()[0], 16) and "State:\tS" in status:
            return
        time.sleep(0.01)


def test_large_files_of_one_folder_go_to_different_threads(tmp_path: Path, way: Way) -> None:
    """Two threads that wait have one of them each: were both one thread's, the other would have done nothing."""
    names = [b"large1", b"large2"]
    for name in names:
        with (tmp_path / os.fsdecode(name)).open("wb") as file:
            file.truncate(200 << 20)
    readers = new_readers(way)
    threads = [threading.Thread(target=readers.work) for _ in names]
    folder = os.open(tmp_path, os.O_RDONLY)
    for thread in threads:
        thread.start()
        wait_until_waiting(thread)
    readers.put(folder, b"/", names)
    os.close(folder)
    states, left = readers.take(1, 60_000)
    assert (len(states), left) == (2, [])
    worked = [Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split() for thread in threads]
    readers.stop()
    for thread in threads:
        thread.join()
    readers.clear()
    assert all(int(fields[11]) + int(fields[12]) > 0 for fields in worked)  # ticks of the processor, its own and the kernel's


def test_many_threads_put_and_take_at_once_and_each_file_comes_once(tmp_path: Path, way: Way) -> None:
    names = [b"%d" % number for number in range(30)]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(name * 100)
    readers, folder, rows = new_readers(way), os.open(tmp_path, os.O_RDONLY), []
    workers = [threading.Thread(target=readers.work) for _ in range(3)]

    def put_and_take(number: int) -> None:
        for turn in range(40):
            readers.put(folder, b"/%d/%d/" % (number, turn), names)
            rows.extend(readers.take(turn % 2, 5)[0])

    callers = [threading.Thread(target=put_and_take, args=(number,)) for number in range(4)]
    for thread in (*workers, *callers):
        thread.start()
    for thread in callers:
        thread.join()
    while readers.waiting:
        rows.extend(readers.take(1, 1000)[0])
    readers.stop()
    for thread in workers:
        thread.join()
    os.close(folder)
    assert len({row.path for row in rows}) == len(rows) == 4 * 40 * 30
    assert {row.sha256 for row in rows} == {hashlib.sha256(name * 100).hexdigest() for name in names}


def test_a_thread_leaves_signals_to_the_others(tmp_path: Path, way: Way) -> None:
    readers = new_readers(way)
    thread = threading.Thread(target=readers.work)
    thread.start()
    try:
        blocked = 0
        for _ in range(1000):
            status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
            blocked = int(status.split("SigBlk:")[1].split()[0], 16)
            if blocked:
                break
            time.sleep(0.01)
        assert all(blocked & 1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM))
    finally:
        readers.stop()
        thread.join()


def test_states_hold_on_to_what_they_are_made_of_and_to_nothing_else(tmp_path: Path, way: Way) -> None:
    for number in range(100):
        (tmp_path / f"file{number}").write_bytes(b"%d" % number)
        os.setxattr(tmp_path / f"file{number}", "user.note", b"%d" % number)
    list(scanned(tmp_path, 3, way))
    gc.collect()
    before, shared = sys.getallocatedblocks(), sys.getrefcount(FileState)
    for _ in range(20):
        rows = list(scanned(tmp_path, 1, way))
        assert not any(map(gc.is_tracked, (row for row in rows if row.type is FileType.FILE)))
        del rows
    gc.collect()
    assert abs(sys.getallocatedblocks() - before) < 300
    assert abs(sys.getrefcount(FileState) - shared) < 3


@needs_root
def test_no_memory_and_no_descriptors_cost_no_row(tmp_path: Path, way: Way) -> None:
    """Where there is no descriptor for a batch, or for a file, the exact way says what can be said."""
    for number in range(300):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "file").write_bytes(b"x")
    code = """
import os, resource, sys
from fimkit.baseline.compiled import Way
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
rows = list(scan_watches([Watch(path=os.fsencode(sys.argv[1]))], way=Way[sys.argv[2]]))
unsaid = [row for row in rows if row.type == "file" and row.sha256 is None and row.problem is None]
print(len(rows), len({row.path for row in rows}), len(unsaid))
"""
    assert run_python(code, str(tmp_path), way.name) == "601 601 0\n"


def test_the_library_is_the_one_that_hashlib_has() -> None:
    """Both opened it by the same name: one copy in memory, and no second one whose state could differ."""
    maps = Path("/proc/self/maps").read_text()
    copies = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "libcrypto.so.3" in line}
    assert len(copies) == 1
    assert ctypes.CDLL(copies.pop()).OpenSSL_version_num() >> 28 == 3
