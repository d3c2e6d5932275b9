"""Live: `fimkit watch` where there are no records, by this kernel's inotify."""

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

__all__: list[str] = []

ROOT = Path(__file__).parents[2]
_LOADED = """
import os, signal, sys
from fimkit.commands.watch import _Shown
from fimkit.model.config_text import load_config
from fimkit.verbs.watch import WatchOptions, watch
from fimkit.verbs.watch_sources import Records
shown = _Shown(as_json=True)
def show(told):
    shown.show(told)
    if told.words and not told.findings:  # of the start
        with open(sys.argv[2], "w") as file:
            file.write("other")
    if told.findings:
        os.kill(os.getpid(), signal.SIGTERM)
watch(lambda: load_config(sys.argv[1]), WatchOptions(records=Records.FILES), show)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "pandas", "pyarrow"}))
"""


class Host:
    """A tree, a state folder, and what a watch says of them."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.config, self.folder = folder / "tree", folder / "fimkit.toml", folder
        (self.tree / "sub").mkdir(parents=True)
        (self.tree / "a").write_text("a")
        self.write_config()
        subprocess.run([*self.fimkit, "baseline", "create"], check=True, cwd=ROOT, capture_output=True)

    @property
    def fimkit(self) -> list[str]:
        return [sys.executable, "-m", "fimkit", "--config", str(self.config)]

    def write_config(self, *more: str) -> None:
        paths = "".join(f'[[paths]]\npath = "{path}"\ntier = "critical"\n' for path in (self.tree, *more))
        sources = f'[sources]\naudit_log = "{self.folder}/none.log"\nosquery_log = "{self.folder}/none"\nosquery_config = ""\n'
        self.config.write_text(f'[host]\nname = "web01"\nstate_dir = "{self.folder}/state"\n{paths}{sources}')


class Watched:
    """A watch that runs; its words and its lines are read by threads."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.words: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        assert process.stderr is not None
        assert process.stdout is not None
        targets = ((self.words.append, process.stderr), (self._lines.put, process.stdout))
        self._readers = [threading.Thread(target=_read, args=target) for target in targets]
        for reader in self._readers:
            reader.start()

    def next(self, timeout_s: float = 20.0) -> dict[str, Any]:
        return dict(json.loads(self._lines.get(timeout=timeout_s)))

    def said(self, words: str, timeout_s: float = 20.0) -> bool:
        until = time.monotonic() + timeout_s
        while not any(words in line for line in self.words):
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.join()
        return status

    def join(self) -> None:
        for reader in self._readers:
            reader.join()


def _read(take: Callable[[str], None], lines: IO[str]) -> None:
    for line in lines:
        take(line)


@contextlib.contextmanager
def watching(host: Host, *options: str, before: Sequence[str] = ()) -> Iterator[Watched]:
    name = f"fimkit-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind("\0" + name)
        notified.settimeout(60)
        process = subprocess.Popen(
            [*before, *host.fimkit, "watch", "--json", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"NOTIFY_SOCKET": "@" + name},
        )  # fmt: skip
        watched = Watched(process)
        try:
            while not notified.recv(4096).startswith(b"READY=1"):
                pass
            yield watched
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            watched.join()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()


@pytest.fixture
def host() -> Iterator[Host]:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    yield Host(folder)
    shutil.rmtree(folder)


def test_what_changes_is_told_without_a_who(host: Host) -> None:
    with watching(host, "--records", "files") as watched:
        (host.tree / "a").write_text("b")
        finding = watched.next()
        assert (finding["path"], finding["kind"], finding["attribution"]) == (f"{host.tree}/a", "modified", "unattributed")
        (host.tree / "new/er").mkdir(parents=True)
        (host.tree / "new/er/f").write_text("x")
        told: set[str] = set()
        while f"{host.tree}/new/er/f" not in told:
            told.add(watched.next()["path"])
        assert watched.stop() == 1
    assert any("there will be no who" in words for words in watched.words)


def test_a_watch_with_a_finding_loads_nothing_large(host: Host) -> None:
    command = [sys.executable, "-c", _LOADED, str(host.config), str(host.tree / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    finding, loaded = done.stdout.splitlines()
    assert json.loads(finding)["path"] == f"{host.tree}/a"
    assert loaded == "[]"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user without rights")
@pytest.mark.parametrize("log", ["none.log", "none/audit.log", "closed/audit.log"])
def test_without_any_right_it_falls_back_by_itself(host: Host, log: str) -> None:
    (host.folder / "closed").mkdir()
    (host.folder / "closed/audit.log").write_text("")
    host.config.write_text(host.config.read_text().replace("/none.log", f"/{log}"))
    for path in (host.folder, *host.folder.rglob("*")):
        os.chown(path, 65534, 65534)
    os.chown(host.folder / "closed", 0, 0)
    (host.folder / "closed").chmod(0o700)  # as /var/log/audit is
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    again = [*user, *host.fimkit, "baseline", "create", "--force"]
    subprocess.run(again, check=True, cwd=ROOT, capture_output=True)
    with watching(host, before=user) as watched:
        (host.tree / "a").write_text("b")
        assert watched.next()["path"] == f"{host.tree}/a"
        assert watched.stop() == 1
    assert any("needs root (CAP_AUDIT_READ)" in words for words in watched.words)
    assert any("there will be no who" in words for words in watched.words)


def test_a_path_that_is_configured_anew_is_watched(host: Host) -> None:
    other = host.folder / "other"
    other.mkdir()
    with watching(host, "--records", "files") as watched:
        host.write_config(str(other))
        watched.process.send_signal(signal.SIGHUP)
        assert watched.said("read anew")
        (other / "planted").write_text("x")
        told: set[str] = set()
        while f"{other}/planted" not in told:
            told.add(watched.next()["path"])
        watched.stop()


def test_events_that_the_kernel_dropped_are_a_blind_interval_and_nothing_is_missed(host: Host) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip(f"this kernel queues {limit} events")
    with watching(host, "--records", "files") as watched:
        watched.process.send_signal(signal.SIGSTOP)  # slower than the host
        try:
            for number in range(limit // 2 + 10):
                os.utime(host.tree / ("a" if number % 2 else "sub"))
                os.utime(host.tree / ("sub" if number % 2 else "a"))
            (host.tree / "sub/late").write_text("x")
        finally:
            watched.process.send_signal(signal.SIGCONT)
        seen: list[dict[str, Any]] = []
        while not any(row.get("path") == f"{host.tree}/sub/late" for row in seen):
            seen.append(watched.next(60))
        assert [row["blind"]["source"] for row in seen if "blind" in row] == ["inotify"]
        assert watched.said("the kernel's queue of events overflowed 1 time")
        watched.stop()
        assert watched.said("inotify overflowed"), watched.words
    told = subprocess.run([*host.fimkit, "coverage", "--json"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    gaps = [gap for line in told.splitlines() for gap in json.loads(line)["gaps"] if gap["source"] == "live"]
    lasting = [(gap["cause"], gap["lost"], gap["to"] is None) for gap in gaps if gap["cause"] != "watch-down"]
    assert lasting == [("overflow", 1, False)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_member_of_the_group_reads_what_a_watch_with_few_rights_writes(host: Host) -> None:
    state = host.folder / "state"
    os.chown(state, 0, 64_123)
    state.chmod(0o750)
    user = ("setpriv", "--reuid=64124", "--regid=64123", "--clear-groups")
    member = [*user, *host.fimkit, "baseline", "show", "--json"]
    with watching(host, "--records", "files") as watched:
        (host.tree / "a").write_text("b")
        assert watched.next()["path"] == f"{host.tree}/a"
        limits = Path(f"/proc/{watched.process.pid}/status").read_text()
        assert "\nCapEff:\t0000002040000004\n" in limits, "AUDIT_READ, AUDIT_CONTROL and DAC_READ_SEARCH, and nothing else"
        during = subprocess.run(member, capture_output=True, text=True, check=False, cwd=ROOT)
        watched.stop()
    after = subprocess.run(member, capture_output=True, text=True, check=False, cwd=ROOT)
    for done in (during, after):
        assert done.returncode == 0, done.stderr
        assert f"{host.tree}/a" in done.stdout
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in state.iterdir() if path.name.startswith("fimkit.sqlite")} == {
        "fimkit.sqlite": "0o640", "fimkit.sqlite-wal": "0o640", "fimkit.sqlite-shm": "0o640",
    }  # fmt: skip
