"""Large blocks stay apart from the heap: what is freed of them goes back to the system."""

import subprocess
import sys
from pathlib import Path

import pytest

_LARGE = """
import sys
from fimkit.verbs.watch_heap import keep_large_blocks_apart

def heap_kib():
    rows = open("/proc/self/smaps").read().split("[heap]")[1].splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Size:"))

if sys.argv[1] == "apart":
    assert keep_large_blocks_apart()
bytes(8 << 20)  # freed at once: glibc's threshold rises to its size
before = heap_kib()
held = bytes(4 << 20)
print(heap_kib() - before)
"""


def grown_kib(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", _LARGE, how], capture_output=True, text=True, check=True, timeout=60)
    return int(ran.stdout)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc")
def test_a_large_block_is_not_taken_from_the_heap() -> None:
    if grown_kib("as it is") < 4096:
        pytest.skip("this C library does not take large blocks from the heap")
    assert grown_kib("apart") < 1024
