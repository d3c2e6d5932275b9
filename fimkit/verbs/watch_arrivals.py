"""Folders that came with much in them: looked through by a process beside the watch, which gives their states bit by bit.

The watch takes a state as its own only where the path's metadata say that nothing was done to it since; all else it looks at
itself. So a folder of any size holds up nobody's alarm, and what changed while it was looked through is not overwritten.
"""

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from fimkit.baseline.scan import scan_watches
from fimkit.baseline.snapshot import parse_line, render_line
from fimkit.model.config import Config, Host, Watch
from fimkit.model.config_json import parse_config_row, render_config
from fimkit.model.errors import SnapshotError
from fimkit.model.own_process import own_command
from fimkit.model.paths import is_below, parse_path, render_path
from fimkit.model.states import FileState

__all__ = ["POLL_S", "Arrival", "Arrivals", "main"]

POLL_S = 0.05
"""So often an arrival under way is asked."""

_END = b"end\n"
_READ_BYTES = 1 << 18


class Arrival(NamedTuple):
    """A folder that is to be looked through, and the watches of it and of what lies in it."""

    folder: bytes
    watches: Sequence[Watch]


class Arrivals:
    """The folders that wait, and the one that is looked through; nothing here waits."""

    def __init__(self) -> None:
        """Begin with none."""
        self._pending: dict[bytes, Arrival] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._now: Arrival | None = None
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self.failed: list[bytes] = []
        """Folders whose process ended before its work: they are to be looked through by the caller, who takes them out."""
        self.began_ns = 0
        """When the process that gave the latest states was started."""

    def __len__(self) -> int:
        """How many folders are not done."""
        return len(self._pending) + (self._now is not None) + len(self.failed)

    def put(self, arrival: Arrival) -> None:
        """Have a folder looked through; one that waits already is looked through once, as it is then."""
        self._pending[arrival.folder] = arrival

    def take(self, most: int) -> list[FileState]:
        """Give states that were found by now, at most so many."""
        if self._now is None and self._pending:
            self._start(self._pending.pop(next(iter(self._pending))))
        if self._now is None:
            return []
        if len(self._lines) < most:
            self._read()
        states: list[FileState] = []
        while self._lines and len(states) < most:
            line = self._lines.popleft()
            if line == _END:
                self._finish(is_whole=True)
                break
            try:
                states.append(parse_line(line))
            except SnapshotError:  # a process that was killed in the middle of a line
                self._finish(is_whole=False)
                break
        return states

    def end(self) -> None:
        """Stop the process; what waits is left to the next look at everything."""
        self._pending.clear()
        if self._now is not None:
            self._finish(is_whole=True)

    def _start(self, arrival: Arrival) -> None:
        self._now, self._rest, self.began_ns = arrival, b"", time.time_ns()
        self._lines.clear()
        asked = {"folder": render_path(arrival.folder), "config": render_config(_config_of(arrival.watches))}
        try:
            self._process = subprocess.Popen(
                own_command("fimkit.verbs.watch_arrivals"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
            )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            os.set_blocking(self._process.stdout.fileno(), False)
            with self._process.stdin as stream:
                stream.write(json.dumps(asked).encode())
        except OSError:  # no process, or one that is gone already
            self._finish(is_whole=False)

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        try:
            part = os.read(self._process.stdout.fileno(), _READ_BYTES)
        except BlockingIOError:
            return
        if not part:
            if not self._lines or self._lines[-1] != _END:
                self._lines.append(b"")  # no state, and not the end: it failed
            return
        *lines, self._rest = (self._rest + part).splitlines(keepends=True)
        if self._rest.endswith(b"\n"):
            lines.append(self._rest)
            self._rest = b""
        self._lines.extend(lines)

    def _finish(self, *, is_whole: bool) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
        if self._now is not None and not is_whole:
            self.failed.append(self._now.folder)
        self._process, self._now = None, None
        self._lines.clear()


def _config_of(watches: Sequence[Watch]) -> Config:
    return Config(host=Host(name="-"), paths=tuple(watches))


def main() -> None:
    """Look through one folder and give the state of each path in it, a line each; at last, that this was all."""
    asked = json.load(sys.stdin.buffer)
    folder, watches = parse_path(asked["folder"]), parse_config_row(asked["config"]).paths
    os.nice(5)  # the records come first
    out = sys.stdout.buffer
    for state in scan_watches(watches):
        if is_below(state.path, folder):
            out.write(render_line(state))
    out.write(_END)
