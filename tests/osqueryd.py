"""Starts an osqueryd for a test: the stand-in, or a real one, by the same flags. It ends with the test, whatever happens.

``FIMKIT_OSQUERYD=/usr/bin/osqueryd pytest tests/osquery`` (or one on PATH) runs the conformance tests against a real one too.
A real one needs root for ``file_events``.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from osquery import ExtensionClient

from thrift.transport.TTransport import TTransportException

__all__ = ["OSQUERYDS", "STAND_IN", "QueryFailed", "Running", "default_osqueryd", "is_stand_in", "start_osqueryd", "wait_for"]

T = TypeVar("T")

STAND_IN: tuple[str, ...] = (sys.executable, "-m", "fimkit.testing.osqueryd")
_REPOSITORY = Path(__file__).parent.parent

# The child asks the kernel to end it with its parent, before it becomes the daemon: a killed test run leaves nothing behind.
_TRAMPOLINE = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])"


def _real() -> tuple[str, ...] | None:
    if named := os.environ.get("FIMKIT_OSQUERYD"):
        return tuple(shlex.split(named))
    found = shutil.which("osqueryd")
    return (found,) if found else None


def default_osqueryd() -> tuple[str, ...]:
    """Give the command that a test takes when it does not care: what FIMKIT_OSQUERYD names, else the stand-in."""
    return (os.environ.get("FIMKIT_OSQUERYD") and _real()) or STAND_IN


OSQUERYDS: list[tuple[str, ...]] = [STAND_IN, *([real] if (real := _real()) else [])]


def is_stand_in(binary: Sequence[str]) -> bool:
    """Say whether a command is the stand-in: some tests ask for what no real one can be made to do."""
    return tuple(binary) == STAND_IN


class QueryFailed(Exception):
    """The daemon refused a query; the message is its own."""


def wait_for(what: Callable[[], T], *, timeout_s: float = 15.0, every_s: float = 0.05) -> T:
    """Call until it gives something true, and give that; the last value after the time is up."""
    until = time.monotonic() + timeout_s
    while not (value := what()) and time.monotonic() < until:
        time.sleep(every_s)
    return value


class Running:
    """An osqueryd that runs."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, socket: Path, binary: Sequence[str]) -> None:
        self.process, self.folder, self.socket, self.binary = process, folder, socket, tuple(binary)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def config(self) -> Path:
        return self.folder / "osquery.conf"

    @property
    def results_log(self) -> Path:
        return self.folder / "log" / "osqueryd.results.log"

    @property
    def snapshots_log(self) -> Path:
        return self.folder / "log" / "osqueryd.snapshots.log"

    def stderr_text(self) -> str:
        return (self.folder / "osqueryd.stderr").read_text("utf-8", "replace")

    def query(self, sql: str) -> list[dict[str, str]]:
        client = ExtensionClient(path=str(self.socket))
        if not client.open(timeout=2):
            raise QueryFailed(f"no answer on {self.socket}")
        try:
            answer = client.extension_manager_client().query(sql)
        except TTransportException as error:  # it ended meanwhile
            raise QueryFailed(str(error)) from error
        finally:
            client.close()
        if answer.status.code != 0:
            raise QueryFailed(answer.status.message)
        rows: list[dict[str, str]] = answer.response
        return rows

    def results(self) -> list[dict[str, Any]]:
        """Give the whole lines of the results log."""
        return _json_lines(self.results_log)

    def snapshots(self) -> list[dict[str, Any]]:
        """Give the whole lines of the snapshots log."""
        return _json_lines(self.snapshots_log)

    def stop(self) -> int:
        """Ask it to end, and give its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def _json_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def _answers(running: Running) -> bool:
    if running.process.poll() is not None:
        raise RuntimeError(f"osqueryd ended with {running.process.returncode}:\n{running.stderr_text()}")
    try:
        return bool(running.socket.exists() and running.query("SELECT 1 AS one"))
    except (QueryFailed, OSError, EOFError):
        return False


def _watches(running: Running) -> bool:
    with contextlib.suppress(QueryFailed):
        return bool(running.query("SELECT 1 FROM osquery_events WHERE name = 'inotify' AND active = 1"))
    return True


@contextlib.contextmanager
def start_osqueryd(
    folder: Path,
    *,
    config: dict[str, Any] | str | None = None,
    flags: Sequence[str] = (),
    binary: Sequence[str] | None = None,
) -> Iterator[Running]:
    """Run an osqueryd with everything of its own in ``folder``.

    Args:
        folder: Gets osquery.conf, the log folder, the database and what it says; an osquery.conf.d beside it is read.
        config: The configuration; none leaves what is there, or writes an empty one.
        flags: Beside the usual ones; the last of a name wins.
        binary: The command; none takes what FIMKIT_OSQUERYD names, else the stand-in.
    """
    binary = tuple(binary or default_osqueryd())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log").mkdir(exist_ok=True)
    conf = folder / "osquery.conf"
    if config is not None or not conf.exists():
        conf.write_text(config if isinstance(config, str) else json.dumps(config or {}, indent=1))
    # A folder of its own: a unix socket's path is at most 107 bytes, and a test's folder may be longer.
    with tempfile.TemporaryDirectory(prefix="osq-") as place:
        named = [flag.partition("=")[2] for flag in flags if flag.startswith("--extensions_socket=")]
        socket = Path(named[-1] if named else f"{place}/osquery.em")
        words = [
            f"--config_path={conf}", f"--extensions_socket={socket}", f"--logger_path={folder / 'log'}",
            f"--pidfile={folder / 'osqueryd.pid'}", f"--database_path={folder / 'osquery.db'}",
            f"--extensions_autoload={folder / 'extensions.load'}",
            "--disable_watchdog", "--disable_events=false", "--enable_file_events=true", "--disable_audit=true",
            "--logger_event_type=true", "--schedule_splay_percent=0", "--extensions_interval=1", *flags,
        ]  # fmt: skip
        with (folder / "osqueryd.stderr").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _TRAMPOLINE, *binary, *words],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd=_REPOSITORY,
            )  # fmt: skip
        running = Running(process, folder, socket, binary)
        try:
            if not wait_for(lambda: _answers(running), timeout_s=30):
                raise TimeoutError(f"osqueryd does not answer:\n{running.stderr_text()}")
            if not {"--disable_events=true", "--enable_file_events=false", "--standin_no_inotify"} & set(flags):
                wait_for(lambda: _watches(running), timeout_s=5)
            yield running
        finally:
            running.stop()
