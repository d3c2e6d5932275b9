"""An armed watch: what its runner is told and what it is never told, what is frozen, and who hears of its end."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config import Config, Host, Panic
from fimkit.model.config_json import freeze
from fimkit.model.config_text import load_config
from fimkit.panic.record import PanicRecord, Phase, load_record
from fimkit.verbs.watch_panic import frozen_config, frozen_words
from tests.verbs.armed_host import put_record
from tests.verbs.panic_place import locked_store
from tests.verbs.test_panic_guard import DOUBLE

__all__: list[str] = []

WATCH = """\
import sys
from fimkit.commands.watch import _Shown
from fimkit.model.config_text import load_config
from fimkit.verbs.watch import WatchOptions, watch
from fimkit.verbs.watch_sources import Records
options = WatchOptions(records=Records.FILES, nomail=True, runner=tuple(sys.argv[2:]))
sys.exit(1 if watch(lambda: load_config(sys.argv[1]), options, _Shown(as_json=True).show).open else 0)
"""
CONFIG = """\
[host]
name = "web01"
state_dir = "{place}/state"
[[paths]]
path = "{place}/tree"
tier = "critical"
[[paths]]
path = "{place}/state"
tier = "critical"
[sources]
audit_log = "{place}/none.log"
osquery_log = "{place}/none"
osquery_config = ""
package_root = ""
[panic]
threshold = {threshold}
"""


class Watched:
    """A watch that runs, with a double for its runner."""

    def __init__(self, place: Path) -> None:
        self.place, self.log, self.config_file = place, place / "runner.log", place / "fimkit.toml"
        self.errors = place / "watch.err"
        self.configure()
        self.process: subprocess.Popen[str] | None = None

    def configure(self, threshold: int = 1) -> None:
        self.config_file.write_text(CONFIG.format(place=self.place, threshold=threshold))

    @property
    def config(self) -> Config:
        return load_config(self.config_file)

    def fimkit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fimkit", "--config", str(self.config_file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    def rows(self, do: str = "findings") -> list[dict[str, Any]]:
        text = self.log.read_text() if self.log.exists() else ""
        return [row for line in text.splitlines(keepends=True) if line.endswith("\n") and (row := json.loads(line))["do"] == do]

    @property
    def paths(self) -> list[str]:
        """The paths of all findings that the runner was told of, by their last part."""
        return [one["path"].rpartition("/")[2] for row in self.rows() for one in row["findings"]]

    def until(self, is_so: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < end, (self.errors.read_text(), self.rows())
            time.sleep(0.02)

    def said(self, words: str) -> bool:
        return words in self.errors.read_text()

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.fimkit("watch", "--status", "--json").stdout))


@contextlib.contextmanager
def watching(watched: Watched, kind: str = "answers") -> Iterator[Watched]:
    name = f"fimkit-test-{os.getpid()}-{time.monotonic_ns()}"
    command = [sys.executable, "-c", WATCH, str(watched.config_file), sys.executable, "-I", DOUBLE, kind, str(watched.log)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, watched.errors.open("w") as errors:
        notified.bind("\0" + name)
        notified.settimeout(60)
        environment = os.environ | {"NOTIFY_SOCKET": "@" + name}
        watched.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, text=True, env=environment)
        try:
            while not notified.recv(4096).startswith(b"READY=1"):
                pass
            yield watched
        finally:
            if watched.process.poll() is None:
                watched.process.kill()
            watched.process.wait()


@pytest.fixture
def host() -> Iterator[Watched]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(os.path.realpath(folder))
        (place / "tree").mkdir()
        for name in ("door", "earlier"):
            (place / "tree" / name).write_text("old")
        watched = Watched(place)
        done = watched.fimkit("baseline", "create")
        assert done.returncode == 0, done.stderr
        yield watched


def test_an_armed_watch_tells_the_runner_what_is_open_and_what_is_new(host: Watched) -> None:
    (host.place / "tree/earlier").write_text("evil")
    put_record(host.config)
    with watching(host):
        host.until(lambda: "earlier" in host.paths)
        assert any(row["whole"] for row in host.rows())
        (host.place / "tree/door").write_text("evil")
        host.until(lambda: "door" in host.paths)
        assert not [row for row in host.rows() if row["whole"]][1:]
        (start,) = host.rows("start")
        assert (start["live"], start["nomail"], start["nokill"]) == (True, True, False)
        host.until(lambda: host.status()["panic"] == "armed")
        assert "panic    armed" in host.fimkit("watch", "--status").stdout
        host.until(lambda: host.said("heard findings"))
        assert host.process is not None
        host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(90) == 1
    assert host.said("this host is armed, and its watch stops: nobody was told: nomail")
    assert host.rows("end")


def test_what_is_undone_is_told_to_the_runner(host: Watched) -> None:
    put_record(host.config)
    with watching(host):
        (host.place / "tree/door").write_text("evil")
        host.until(lambda: "door" in host.paths)
        done = [one["id"] for row in host.rows() for one in row["findings"]]
        (host.place / "tree/door").write_text("old")
        host.until(lambda: [number for row in host.rows("gone") for number in row["ids"]] == done)


def test_canaries_and_its_own_writes_never_reach_the_runner(host: Watched) -> None:
    put_record(host.config)
    with watching(host):
        done = host.fimkit("selftest")
        assert done.returncode in (0, 1), done.stderr
        incident = host.place / "state/panic/incidents/2026-11-22T103000Z"
        incident.mkdir(parents=True)
        (incident / "cause.json").write_text("{}")
        host.fimkit("check", "--nomail", "--nokill")  # writes the store and its lock beside the watch
        (host.place / "tree/last").write_text("what comes after all of these")
        host.until(lambda: "last" in host.paths)
        assert set(host.paths) == {"last"}


def test_a_store_that_another_holds_keeps_nothing_from_the_runner(host: Watched) -> None:
    put_record(host.config)
    with watching(host):
        with locked_store(os.fsencode(host.place / "state")):
            (host.place / "tree/door").write_text("evil")
            host.until(lambda: "door" in host.paths)
            assert host.process is not None and host.process.poll() is None
            host.until(lambda: host.said("is locked; what is found is told and handed on all the same"))
            assert "locked" in host.status()["problem"]
        host.until(lambda: host.said("what is found can be stored again"))
        assert host.status()["problem"] == ""
        host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(90) == 1
    found = json.loads(host.fimkit("findings", "--json").stdout)
    assert found["path"].endswith("/door") and {one["id"] for row in host.rows() for one in row["findings"]} == {found["id"]}
    assert host.fimkit("check", "--nomail", "--nokill").stdout.startswith("new: no findings")


def test_a_reload_does_not_change_what_is_frozen_and_says_so(host: Watched) -> None:
    put_record(host.config)
    with watching(host):
        host.configure(threshold=99)
        assert host.process is not None
        host.process.send_signal(signal.SIGHUP)
        host.until(lambda: host.rows("config"))
        assert host.rows("config")[0]["config"]["panic"]["threshold"] == 99
        host.until(lambda: host.said("[panic] differs from what this host was armed with; [panic] and [mail] are frozen"))


def test_a_killed_runner_is_replaced_while_the_watch_goes_on(host: Watched) -> None:
    put_record(host.config)
    with watching(host):
        host.until(lambda: host.rows("start"))
        os.kill(host.rows("start")[0]["pid"], signal.SIGKILL)
        host.until(lambda: len(host.rows("start")) == 2)
        (host.place / "tree/door").write_text("evil")
        host.until(lambda: "door" in host.paths)
        host.until(lambda: host.said("ended with status -9: a new one is started"))


def test_a_runner_that_hangs_holds_up_neither_the_watch_nor_its_end(host: Watched) -> None:
    put_record(host.config)
    with watching(host, "hangs"):
        host.until(host.rows)
        for name in ("door", "more"):
            (host.place / "tree" / name).write_text("evil")
        host.until(lambda: host.status()["findings"] >= 2)
        assert host.process is not None
        host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(90) == 1
        host.log.with_suffix(".go").touch()


def test_a_host_that_is_not_armed_stops_without_telling_anybody(host: Watched) -> None:
    with watching(host):
        assert host.process is not None
        host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(90) == 0
    assert not host.said("is armed")


def test_where_nothing_is_critical_no_runner_is_started(host: Watched) -> None:
    host.config_file.write_text(host.config_file.read_text().replace('"critical"', '"watch"'))
    with watching(host):
        (host.place / "tree/door").write_text("evil")
        host.until(lambda: host.status()["findings"] >= 1)
        assert host.status()["panic"] == ""
        assert not host.log.exists()


def test_what_differs_from_the_time_of_arming_is_named(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01", state_dir=os.fsencode(tmp_path)), panic=Panic(threshold=2))
    record = PanicRecord(phase=Phase.ARMED, settings=freeze(config))
    assert frozen_words(config, record) == ()
    other = replace(config, panic=Panic(), mail=replace(config.mail, nomail=True))
    (words,) = frozen_words(other, record)
    assert words.startswith("[panic] and [mail] differ from what this host was armed with; ")
    assert frozen_words(other, replace(record, phase=Phase.RESTORED)) == ()
    assert "cannot be read" in frozen_words(other, replace(record, settings={"panic": 3}))[0]
    put_record(config)
    assert frozen_config(other).panic.threshold == 2
    assert load_record(config.host.state_dir).phase is Phase.ARMED
    put_record(config, Phase.DISARMED)
    assert frozen_config(other) == other
