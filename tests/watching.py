"""A `fimkit watch` on a tree under this kernel's real audit: started, followed, stopped or killed; nothing of it stays."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fimkit.model.config_text import load_config
from fimkit.verbs.install import install, uninstall
from tests.incident import CONFIG
from tests.live import LiveAudit, live_audit

__all__ = ["CHANGER", "FOLDERS", "WatchedHost", "Watching", "family", "memory_mib", "opened", "watched_host"]

FOLDERS = 50
CHANGER = f"""
FOLDERS = {FOLDERS}""" + """
import sys, time
folder, count, per_s, files = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
start = time.monotonic()
for number in range(count):
    time.sleep(max(0.0, start + number / per_s - time.monotonic()))
    with open(f"{folder}/{number % files % FOLDERS}/file-{number % files}", "w") as file:
        file.write(f"changed {number}")
"""
"""Writes so many files in turn, at a steady rate, in folders that are there: for a burst in one folder is told as one."""

_TINY_BUFFER = """\
import sys
from fimkit.commands.watch import _Shown
from fimkit.model.config_text import load_config
from fimkit.verbs.watch import WatchOptions, watch
options = WatchOptions(buffer_bytes=int(sys.argv[2]))
sys.exit(1 if watch(lambda: load_config(sys.argv[1]), options, _Shown(as_json=True).show).open else 0)
"""


def family(pid: int) -> list[int]:
    """Give a process and all that came of it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def memory_mib(pid: int) -> float:
    """Give a process's share of memory (PSS): a page that several share counts once."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024


def opened(folder: Path) -> None:
    """Let others pass: pytest's own folders are 0700."""
    for one in (folder, *(parent for parent in folder.parents if parent.name.startswith("pytest-"))):
        one.chmod(0o755)


class Watching:
    """One run of `fimkit watch --json`; ``rows`` is what it printed, each with the time when it was read as ``read_s``."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process, self._errors = process, errors
        self.rows: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.rows.append({**json.loads(line), "read_s": time.time()})

    @property
    def words(self) -> str:
        return self._errors.read_text()

    @property
    def findings(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if "path" in row]

    @property
    def told(self) -> int:
        """How many findings were told, those of groups too."""
        return sum(row["group"]["count"] if "group" in row else 1 for row in self.findings)

    def of(self, path: Path) -> list[dict[str, Any]]:
        return [row for row in self.findings if row["path"] == str(path)]

    def wait(self, is_there: Callable[[], object], timeout_s: float = 10.0) -> None:
        """Wait for something to be printed or to be so."""
        until = time.monotonic() + timeout_s
        while not is_there():
            assert time.monotonic() < until, (self.words, self.rows[-5:])
            assert self.process.poll() is None, self.words
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and give its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        self._reader.join(10)
        return status


class WatchedHost:
    """A tree with a baseline and audit rules; ``live`` is the auditd beside it."""

    def __init__(self, place: Path, live: LiveAudit) -> None:
        self.place, self.live = place, live
        self.tree, self.config = place / "tree", place / "fimkit.toml"
        self.state = place / "state"
        self.running: list[Watching] = []

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "fimkit", "--config", str(self.config)]

    def fimkit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False, timeout=300)

    def check(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.fimkit("check", "--json", *arguments)
        assert "Traceback" not in done.stderr, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def status(self) -> dict[str, Any]:
        done = self.fimkit("watch", "--status", "--json")
        return json.loads(done.stdout) if done.stdout else {}

    def watch(self, *arguments: str, buffer_bytes: int | None = None) -> Watching:
        """Start a watch, and wait until it is ready."""
        started_ns = time.time_ns()
        command = [*self.command, "watch", "--json", *arguments]
        if buffer_bytes is not None:
            command = [sys.executable, "-c", _TINY_BUFFER, str(self.config), str(buffer_bytes)]
        errors = self.place / f"watch-{len(self.running)}.err"
        with errors.open("w") as file:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
        watching = Watching(process, errors)
        self.running.append(watching)
        watching.wait(lambda: self._is_ready(process.pid, started_ns), 60)
        return watching

    def _is_ready(self, pid: int, started_ns: int) -> bool:
        try:
            row = json.loads((self.state / "watch.json").read_text())
        except (OSError, ValueError):
            return False
        return row["pid"] == pid and row["ready"] and row["started_ns"] >= started_ns - 10**9

    def end(self) -> None:
        for watching in self.running:
            if watching.process.poll() is None:
                watching.process.kill()
                watching.process.wait()
            if watching.process.stdout is not None:
                watching._reader.join(10)
                watching.process.stdout.close()


@contextlib.contextmanager
def watched_host(
    folder: Path, prepare: Callable[[Path], object] | None = None, *, config: str = CONFIG, more: str = ""
) -> Iterator[WatchedHost]:
    """Make a tree, its baseline, and audit rules in this kernel; skip where that cannot be."""
    place = Path(os.path.realpath(folder))
    opened(place)
    tree = place / "tree"
    tree.mkdir()
    with live_audit(place / "audit") as live:
        host = WatchedHost(place, live)
        for name in ("sbin", "etc", "home", "www/cache"):
            (tree / name).mkdir(parents=True, exist_ok=prepare is not None)
        if prepare is not None:
            prepare(tree)
        host.config.write_text(config.format(name="live01", state=host.state, log=live.log, tree=tree) + more)
        done = host.fimkit("baseline", "create")
        assert done.returncode == 0, done.stderr
        loaded = load_config(host.config)
        rules = str(place / "40-fimkit.rules")
        assert install(loaded, dry_run=False, root=None, rules_file=rules).refused is None
        try:
            yield host
        finally:
            host.end()
            uninstall(loaded, dry_run=False, root=None, rules_file=rules)
