"""A real helper process in the test's own namespace, for the tests of it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fimkit
from fimkit.panic.helper_client import Helper, connect_helper
from tests.panic.confined import ip_batch, ip_json, wait_until

__all__ = ["Running", "begin_in_a_child", "make_links", "running", "settings", "up_names"]

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from fimkit.panic.helper import serve; "
    "sys.exit(serve(sys.argv[2].encode(), confined=True, include_namespaces=sys.argv[3] == 'all'))"
)


def settings(**panic: Any) -> dict[str, Any]:
    """What is frozen at arming, as far as the helper looks at it."""
    return {"panic": {"action": "down", "keep_interfaces": [], "allow": [], "deadline_s": 60, "restore_after_s": 0} | panic}


def make_links() -> None:
    """Two wires' ends, up, with an address and a route that is lost with its link."""
    ip_batch([
        "link set lo up",
        "link add v0 type veth peer name v1",
        "link add t0 type ifb",
        "link set v0 up", "link set v1 up", "link set t0 up",
        "addr add 192.0.2.1/24 dev v0",
        "-6 addr add 2001:db8::1/64 dev v0 nodad",
        "route add default via 192.0.2.9",
        "route add 198.51.100.0/24 via 192.0.2.9 table 100",
    ])


def up_names() -> set[str]:
    return {each["ifname"] for each in ip_json("link show up")}


class Running:
    """A helper's process."""

    def __init__(self, state_dir: bytes, *, rights: str = "", before: Callable[[], None] | None = None) -> None:
        self.state_dir = state_dir
        self.said = Path(os.fsdecode(state_dir) + ".said")
        root = str(Path(fimkit.__file__).parents[1])
        with open(self.said, "ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, root, os.fsdecode(state_dir), rights], stdin=subprocess.DEVNULL, stderr=said,
                preexec_fn=before,
            )

    def line(self) -> Helper:
        """A line to it, when it listens."""
        found: list[Helper] = []

        def try_it() -> bool:
            assert self.process.poll() is None, self.said.read_text()
            with contextlib.suppress(OSError):
                found.append(connect_helper(self.state_dir, timeout_s=20.0))
            return bool(found)

        wait_until(try_it)
        return found[0]

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(state_dir: bytes, *, rights: str = "", before: Callable[[], None] | None = None) -> Iterator[Running]:
    """A helper, for the time of the block."""
    helper = Running(state_dir, rights=rights, before=before)
    try:
        yield helper
    finally:
        helper.kill()


def begin_in_a_child(state_dir: bytes, *, nokill: bool = False) -> int:
    """Begin a panic in a process that then only waits; give its number."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            line = connect_helper(state_dir, timeout_s=20.0)
            line.begin("2026-11-22T103000Z", "a child's cause", nokill=nokill)
            os.write(writer, b"1")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"1"
    finally:
        os.close(reader)
    return child
