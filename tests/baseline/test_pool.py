import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from fimkit.baseline.batch import Batch
from fimkit.baseline.compiled import Way, best_way
from fimkit.baseline.entry import EntryReader
from fimkit.baseline.pool import WorkerPool
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
from fimkit.model.states import FileState, FileType
from tests.baseline.trees import scan, scan_tree

FOLDERS = 60
FILES = 100

needs_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one core no worker is started")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that is worth workers, some of its files of every kind and size."""
    tree = tmp_path_factory.mktemp("tree")
    for number in range(FOLDERS):
        folder = tree / f"folder{number}"
        folder.mkdir()
        for name in range(FILES):
            (folder / f"file{name}").write_bytes(b"%d %d" % (number, name) * (number * name))
        (folder / "link").symlink_to("file1")
    Path(os.fsdecode(os.fsencode(tree) + b"/folder1/bad\xff\n")).write_bytes(b"name")
    os.setxattr(tree / "folder2" / "file1", "user.note", bytes(3000))
    return tree


def children() -> set[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True)
    return {pid for pid in map(int, listed.stdout.split()) if Path(f"/proc/{pid}").exists()}


def right_hash(path: bytes) -> str:
    return hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()


def assert_complete(tree: Path, rows: list[FileState]) -> None:
    assert len({row.path for row in rows}) == len(rows) == 1 + FOLDERS * (FILES + 2) + 1
    for row in rows:
        assert row.problem is None
        if row.type is FileType.FILE:
            assert row.sha256 == right_hash(row.path)


def pooled(pool: WorkerPool, tree: Path) -> Iterator[FileState]:
    """Read every file of the tree through a pool, as a walk would."""
    for number in range(FOLDERS):
        folder = os.open(tree / f"folder{number}", os.O_RDONLY)
        names = [b"file%d" % name for name in range(FILES)]
        yield from chain.from_iterable(pool.read(Batch(folder, os.fsencode(tree) + b"/folder%d/" % number, names)))
        os.close(folder)
    yield from chain.from_iterable(pool.finish())


@pytest.mark.parametrize("way", sorted({Way.PYTHON, best_way()}))
def test_big_scan_is_complete_and_right(tree: Path, way: Way) -> None:
    rows = list(scan_watches([Watch(path=os.fsencode(tree))], way=way))
    assert_complete(tree, rows)
    states = {row.path: row for row in rows}
    assert states[os.fsencode(tree) + b"/folder2/file1"].xattrs == {"user.note": bytes(3000)}


@needs_cores
def test_workers_give_the_same_rows_as_the_walk_alone(tree: Path) -> None:
    alone = WorkerPool(EntryReader())
    helped = WorkerPool(EntryReader())
    helped.start()
    try:
        assert helped.process_ids
        rows = sorted(pooled(helped, tree))
        assert helped.bytes_read > 0
    finally:
        helped.close()
    assert rows == sorted(pooled(alone, tree))


@needs_cores
@pytest.mark.parametrize("after", [0, 1, 700])
def test_worker_that_is_killed_costs_no_row(tree: Path, after: int) -> None:
    pool = WorkerPool(EntryReader())
    pool.start()
    before = len(os.listdir("/proc/self/fd")) - len(pool.process_ids)
    rows = []
    try:
        if after == 0:
            os.kill(pool.process_ids[0], signal.SIGKILL)
        for count, row in enumerate(pooled(pool, tree), 1):
            rows.append(row)
            if count == after:
                for pid in pool.process_ids:
                    os.kill(pid, signal.SIGKILL)
    finally:
        pool.close()
    assert len({row.path for row in rows}) == len(rows) == FOLDERS * FILES
    assert all(row.sha256 == right_hash(row.path) for row in rows)
    assert len(os.listdir("/proc/self/fd")) == before


@needs_cores
def test_scan_given_up_in_the_middle_leaves_no_process_and_no_descriptor(tree: Path) -> None:
    processes, descriptors = children(), len(os.listdir("/proc/self/fd"))
    under_way = scan_watches([Watch(path=os.fsencode(tree))], way=Way.PYTHON)
    for _ in range(3000):
        next(under_way)
    assert children() - processes
    under_way.close()
    assert children() == processes
    assert len(os.listdir("/proc/self/fd")) == descriptors


@needs_cores
def test_workers_end_when_the_scan_is_killed(tree: Path) -> None:
    code = f"""
import sys; sys.path[:] = {sys.path!r}
from fimkit.baseline.entry import EntryReader
from fimkit.baseline.pool import WorkerPool
pool = WorkerPool(EntryReader())
pool.start()
print(*pool.process_ids, flush=True)
import time; time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        workers = [Path(f"/proc/{pid}") for pid in child.stdout.readline().split()]
        assert workers and all(worker.exists() for worker in workers)
        child.kill()
    deadline = time.monotonic() + 10
    while any(worker.exists() and "State:\tZ" not in (worker / "status").read_text() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_shortcut_by_times_reads_nothing_of_a_big_tree(tree: Path) -> None:
    first, _ = scan([Watch(path=os.fsencode(tree))])
    again, under_way = scan([Watch(path=os.fsencode(tree))], first)
    assert again == first and under_way.bytes_read == 0


@pytest.mark.parametrize("way", sorted({Way.PYTHON, best_way()}))
def test_memory_of_a_scan_does_not_grow_with_the_tree(tree: Path, way: Way) -> None:
    code = f"""
import sys; sys.path[:] = {sys.path!r}
import collections, resource
from fimkit.baseline.compiled import Way
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
def peak(path):
    collections.deque(scan_watches([Watch(path=path.encode())], way=Way(sys.argv[2])), maxlen=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
small = peak(sys.argv[1] + "/folder1")
print(peak(sys.argv[1]) - small)
"""
    printed = subprocess.run([sys.executable, "-c", code, str(tree), way], capture_output=True, text=True, check=True).stdout
    assert int(printed) < 8_000  # KiB, for 6,000 more rows and the pool


def test_scan_of_a_small_tree_starts_no_process(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    processes = children()
    assert scan_tree(tmp_path)[b"a"].sha256 == right_hash(os.fsencode(tmp_path / "a"))
    assert children() == processes
