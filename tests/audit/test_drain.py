"""The process that empties the multicast socket: order and bounds of what waits, and the real thing."""

import contextlib
import os
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.audit.drain import Drain, _Backlog, _Pump, _Told
from fimkit.audit.multicast import MulticastReader
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


@settings(deadline=None)
@given(MESSAGES)
def test_the_file_is_in_pieces_that_are_given_back_as_they_are_read(steps: list[tuple[bool, int]]) -> None:
    with contextlib.closing(_Backlog(tempfile.gettempdir(), memory_bytes=16, spool_bytes=1 << 20, piece_bytes=50)) as backlog:
        hold_against(backlog, steps)
        assert not backlog._pieces


def test_what_was_read_makes_room_though_something_always_waits(tmp_path: Path) -> None:
    backlog = _Backlog(str(tmp_path), memory_bytes=10, spool_bytes=200, piece_bytes=20)
    for _ in range(10):
        backlog.put(b"x" * 10, 1)
    for _ in range(500):
        backlog.put(b"x" * 10, 1)
        backlog.peek()
        backlog.advance(10)
        assert len(backlog) == 100
    assert backlog.lost == 0
    backlog.close()


class Storm:
    """Stands for the socket: so many lines, then none."""

    def __init__(self, count: int) -> None:
        self.count, self.lost = count, 0
        self._ready, self._end = os.pipe()
        os.write(self._end, b"x")

    def close(self) -> None:
        os.close(self._ready)
        os.close(self._end)

    def fileno(self) -> int:
        return self._ready

    def lines(self, timeout_s: float) -> list[bytes]:
        if 0 < self.count <= 500:
            os.read(self._ready, 1)
        self.count, given = max(0, self.count - 500), min(self.count, 500)
        return [b"type=SYSCALL msg=audit(1.000:1): " + b"x" * 1000] * given


def test_it_says_how_much_waits_now_and_not_how_much_there_was_when_that_was_put(tmp_path: Path) -> None:
    peer, ours = socket.socketpair()
    line, numbers = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    told, storm = _Told(line), Storm(20_000)
    for one in (peer, numbers):
        one.setblocking(False)
    backlog = _Backlog(str(tmp_path), memory_bytes=1 << 20, spool_bytes=1 << 30)
    pump = _Pump(peer, numbers, cast(MulticastReader, storm), backlog)
    thread = threading.Thread(target=pump.run)
    thread.start()
    wait_for(lambda: told.last().records == 20_000)  # nobody has read anything yet
    assert 18 << 20 < told.last().waiting_bytes < 21 << 20
    read = 0
    while read < 10 << 20:
        read += len(ours.recv(1 << 18))
    wait_for(lambda: told.last().waiting_bytes < 11 << 20)
    ours.settimeout(2)
    with contextlib.suppress(TimeoutError):
        while True:
            read += len(ours.recv(1 << 18))
    assert read > 20_000 * 1000 and told.last().waiting_bytes == 0
    ours.shutdown(socket.SHUT_WR)
    thread.join(10)
    assert not thread.is_alive() and told.last().records == 20_000
    for one in (storm, peer, ours, line, numbers):
        one.close()


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


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
    with kept_kernel(), Drain(spool_dir=str(tmp_path)) as drain:
        drain.peer.close()
        assert drain.process.wait(5) == 0
