"""The process that empties the multicast socket: order and bounds of what waits, and the real thing."""

import contextlib
import select
import tempfile
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.audit.drain import Drain, _Backlog
from tests.live import kept_kernel

MESSAGES = st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=60)


def take(backlog: _Backlog, most: int) -> bytes:
    head = backlog.peek()[:most]
    if head:
        backlog.advance(len(head))
    return head


@settings(deadline=None)
@given(MESSAGES)
def test_what_waits_comes_out_whole_and_in_order_through_memory_and_file(steps: list[tuple[bool, int]]) -> None:
    with contextlib.closing(_Backlog(tempfile.gettempdir(), memory_bytes=64, spool_bytes=1 << 20)) as backlog:
        hold_against(backlog, steps)


def hold_against(backlog: _Backlog, steps: list[tuple[bool, int]]) -> None:
    put = taken = b""
    for number, (puts, size) in enumerate(steps):
        if puts:
            message = bytes([number % 256]) * size
            backlog.put(message, 1)
            put += message
        else:
            taken += take(backlog, size)
        assert len(backlog) == len(put) - len(taken)
    while part := take(backlog, 7):
        taken += part
    assert taken == put
    assert backlog.lost == 0


def test_what_finds_no_room_is_counted(tmp_path: Path) -> None:
    backlog = _Backlog(str(tmp_path), memory_bytes=10, spool_bytes=20)
    for _ in range(5):
        backlog.put(b"x" * 10, 3)
    assert backlog.lost == 6
    assert len(backlog) == 30
    backlog.close()


def test_without_a_folder_for_the_file_it_is_counted_too() -> None:
    backlog = _Backlog("/does/not/exist", memory_bytes=10, spool_bytes=100)
    backlog.put(b"x" * 10, 1)
    backlog.put(b"y" * 10, 4)
    assert backlog.lost == 4


def read_all(drain: Drain) -> tuple[list[bytes], int]:
    lines: list[bytes] = []
    losses = 0
    while True:
        select.select([drain], [], [], 5)
        drained = drain.read()
        lines += [line for block in drained.lines for line in block.splitlines()]
        losses += len(drained.losses)
        if drained.ended:
            return lines, losses


def test_every_record_is_handed_on_though_nobody_reads_for_a_while(tmp_path: Path) -> None:
    with kept_kernel() as kernel:
        kernel.enable()
        with Drain(spool_dir=str(tmp_path)) as drain:
            for number in range(3000):
                kernel.say(f"fimkit-drain-{number:05d}-{'x' * 1000}")
            time.sleep(0.5)
            drain.finish()
            lines, losses = read_all(drain)
            assert drain.process.wait(5) == 0
    said = [line.partition(b"fimkit-drain-")[2][:5] for line in lines if b"fimkit-drain-" in line]
    assert said == [b"%05d" % number for number in range(3000)]
    assert losses == 0


def test_a_tiny_buffer_says_that_it_lost_records(tmp_path: Path) -> None:
    with kept_kernel() as kernel:
        kernel.enable()
        with Drain(spool_dir=str(tmp_path), buffer_bytes=1024) as drain:
            for number in range(5000):
                kernel.say(f"fimkit-drain-{number}-{'x' * 1000}")
            drain.finish()
            _, losses = read_all(drain)
    assert losses > 0


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    with kept_kernel():
        drain = Drain(spool_dir=str(tmp_path))
        drain.peer.close()
        assert drain.process.wait(5) == 0
