"""A rate holds at every moment of a scan, and who gives way has its priority back at the end."""

import itertools
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.baseline.content import BLOCK
from fimkit.baseline.pace import Pace, low_priority
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Scanning, Watch
from tests.baseline.trees import needs_root

MB = 1_000_000


class Clock:
    """Time that passes only when somebody sleeps, or when it is told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@given(
    st.integers(1, 500), st.integers(1, 5000), st.lists(st.tuples(st.integers(0, BLOCK), st.floats(0, 5)), min_size=1, max_size=40)
)
def test_between_any_two_moments_no_more_is_read_than_the_rates_allow(
    mb_per_s: int, files_per_s: int, steps: list[tuple[int, float]]
) -> None:
    clock = Clock()
    pace = Pace(Scanning(mb_per_s=mb_per_s, files_per_s=files_per_s), now=clock.now, sleep=clock.sleep)
    taken = []
    for count, pause_s in steps:
        clock.sleep(pause_s)
        taken.append((clock.now_s, count))
        pace.take_files()
        pace.take_bytes(count)
    for first, last in itertools.combinations(range(len(taken)), 2):
        span_s = taken[last][0] - taken[first][0] + 1e-6
        assert sum(count for _, count in taken[first:last]) <= mb_per_s * MB * span_s + 1
        assert last - first <= files_per_s * span_s + 1


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    pace = Pace(Scanning(nice=True), now=clock.now, sleep=clock.sleep)
    pace.take_files(10**9)
    pace.take_bytes(10**12)
    assert (pace.limits, clock.now_s) == (False, 1000.0)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Small files and one that is many blocks: 4 MB."""
    for number in range(100):
        (tmp_path / f"small{number}").write_bytes(b"x" * 10_000)
    (tmp_path / "large").write_bytes(b"y" * 3 * MB)
    return tmp_path


def bytes_read() -> int:
    """What the kernel counted for this process, and not what the scan says of itself."""
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


def test_the_kernel_counts_no_more_bytes_than_the_rate_allows(tree: Path) -> None:
    began, start = bytes_read(), time.monotonic()
    count = 0
    for _ in scan_watches([Watch(path=os.fsencode(tree))], limits=Scanning(mb_per_s=5)):
        count += 1
        elapsed_s = time.monotonic() - start
        assert bytes_read() - began <= 5 * MB * elapsed_s + BLOCK + count * 1000 + 100_000  # our own looks at /proc are in it
    assert count == 102
    assert time.monotonic() - start >= 0.75  # 4 MB


@pytest.mark.parametrize("quick", [False, True])
def test_no_more_paths_are_looked_at_than_the_rate_allows(tree: Path, quick: bool) -> None:
    watches = [Watch(path=os.fsencode(tree))]
    known = {state.path: state for state in scan_watches(watches)}
    start = time.monotonic()
    again = scan_watches(watches, known=known if quick else None, limits=Scanning(files_per_s=200))
    for count, state in enumerate(again, 1):
        assert count <= 200 * (time.monotonic() - start) + 2
        assert state == known[state.path]


def io_class() -> str:
    said = subprocess.run(["ionice", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    return said.stdout.split(":")[0].strip()


@needs_root
def test_a_nice_scan_gives_way_and_has_its_priority_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    before = os.getpriority(os.PRIO_PROCESS, 0), io_class()
    states = scan_watches([Watch(path=os.fsencode(tmp_path))], limits=Scanning(nice=True))
    next(states)
    assert (os.getpriority(os.PRIO_PROCESS, 0), io_class()) == (19, "idle")
    assert list(states)
    assert (os.getpriority(os.PRIO_PROCESS, 0), io_class()) == before


def test_priority_stays_where_nobody_asked() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with low_priority(False):
        assert os.getpriority(os.PRIO_PROCESS, 0) == before
