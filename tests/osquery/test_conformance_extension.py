"""What osqueryd does with extensions: registration, constraints, death, and its own start of them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.osquery.conformance import each_osqueryd, needs_stand_in
from tests.osqueryd import QueryFailed, Running, is_stand_in, start_osqueryd, wait_for

pytestmark = each_osqueryd

EXAMPLE = Path(__file__).parent / "example_extension.py"
_FLAGS = ["--extensions_interval=1", "--extensions_timeout=5"]


@contextlib.contextmanager
def example(running: Running, log: Path, kind: str = "table") -> Iterator[subprocess.Popen[bytes]]:
    """Run the example as one that is started by hand, and wait until it is registered."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--socket", str(running.socket), "--timeout", "5", "--interval", "1"],
        env={**os.environ, "EXAMPLE_KIND": kind, "EXAMPLE_LOG": str(log)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_for(lambda: _registered(running, f"fimkit_example_{kind}"))
        assert wait_for(lambda: list(running.socket.parent.glob(f"{running.socket.name}.*")))
        yield process
    finally:
        process.kill()
        process.wait()
    # The next one of this name is refused until osqueryd has noticed.
    wait_for(lambda: running.process.poll() is not None or not _registered(running, f"fimkit_example_{kind}"), timeout_s=5)


def _registered(running: Running, name: str) -> bool:
    with contextlib.suppress(QueryFailed, OSError, EOFError):
        return bool(running.query(f"SELECT 1 FROM osquery_extensions WHERE name = '{name}'"))
    return False


def _contexts(log: Path) -> list[dict[str, Any]]:
    return [entry for entry in map(json.loads, log.read_text().splitlines()) if isinstance(entry, dict)]


@pytest.fixture(scope="module")
def running(binary: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start_osqueryd(tmp_path_factory.mktemp("extension"), flags=_FLAGS, binary=binary) as running:
        yield running


def test_a_table_of_an_extension_is_a_table(running: Running, tmp_path: Path) -> None:
    with example(running, tmp_path / "example.log"):
        assert running.query("SELECT path, n FROM fimkit_example WHERE n = 3") == [{"path": "/etc/3", "n": "3"}]
        assert running.query("SELECT count(*) AS n FROM fimkit_example WHERE n BETWEEN 2 AND 4") == [{"n": "3"}]
        sql = "SELECT u.username FROM users u JOIN fimkit_example e ON u.uid = e.n WHERE e.n = 0"
        assert running.query(sql) == [{"username": "root"}]


def test_the_extension_gets_the_constraints_and_the_columns_used(running: Running, tmp_path: Path) -> None:
    log = tmp_path / "example.log"
    with example(running, log):
        running.query("SELECT n FROM fimkit_example WHERE n > 1 AND path LIKE '/etc/%' AND time <= 5000")
        context = _contexts(log)[-1]
    by_name = {each["name"]: each for each in context["constraints"]}
    assert by_name["n"] == {"name": "n", "list": [{"op": 4, "expr": "1"}], "affinity": "INTEGER"}
    assert {"op": 65, "expr": "/etc/%"} in by_name["path"]["list"]
    assert by_name["time"] == {"name": "time", "list": [{"op": 8, "expr": "5000"}], "affinity": "BIGINT"}
    assert sorted(context["colsUsed"]) == ["n", "path", "time"]
    assert context["colsUsedBitset"] == 0b111


def test_in_asks_once_for_each_value(running: Running, tmp_path: Path) -> None:
    log = tmp_path / "example.log"
    with example(running, log):
        rows = running.query("SELECT n FROM fimkit_example WHERE path IN ('/etc/1', '/etc/2')")
        asked = [each["expr"] for context in _contexts(log) for row in context["constraints"] for each in row["list"]]
    assert sorted(row["n"] for row in rows) == ["1", "2"]
    assert sorted(asked) == ["/etc/1", "/etc/2"]


def test_the_extension_has_a_socket_of_its_own(running: Running, tmp_path: Path) -> None:
    with example(running, tmp_path / "example.log"):
        (row,) = running.query("SELECT uuid, type, version FROM osquery_extensions WHERE name = 'fimkit_example_table'")
        assert (row["type"], row["version"]) == ("extension", "1.0.0")
        assert wait_for(lambda: Path(f"{running.socket}.{row['uuid']}").is_socket())


def test_a_second_one_of_the_same_name_is_refused(running: Running, tmp_path: Path) -> None:
    with example(running, tmp_path / "example.log"):
        second = subprocess.run(
            [sys.executable, str(EXAMPLE), "--socket", str(running.socket), "--timeout", "2"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert second.returncode != 0
        assert "Duplicate extension registered" in second.stderr


def test_the_death_of_a_table_leaves_the_daemon_alive_and_another_life_heals_it(running: Running, tmp_path: Path) -> None:
    with example(running, tmp_path / "example.log") as process:
        process.kill()
        process.wait()
        with pytest.raises(QueryFailed, match=r"vtable constructor failed: fimkit_example|no such table: fimkit_example"):
            running.query("SELECT * FROM fimkit_example")
        assert running.query("SELECT 1 AS one") == [{"one": "1"}]
        assert wait_for(lambda: not _registered(running, "fimkit_example_table"))
    with example(running, tmp_path / "example.log"):
        assert len(running.query("SELECT * FROM fimkit_example")) == 10


def test_the_extension_ends_with_the_daemon(binary: tuple[str, ...], tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, flags=_FLAGS, binary=binary) as running, example(running, tmp_path / "example.log") as process:
        running.kill()
        assert wait_for(lambda: process.poll() is not None, timeout_s=10)


def test_the_death_of_a_configuration_ends_the_daemon_with_78(binary: tuple[str, ...], tmp_path: Path) -> None:
    needs_stand_in(binary, "a real one must have been started with this configuration plugin")
    with start_osqueryd(tmp_path, flags=_FLAGS, binary=binary) as running:
        with example(running, tmp_path / "example.log", "config"):
            pass
        assert running.process.wait(15) == 78


@pytest.mark.skipif(os.geteuid() != 0, reason="an extension that is loaded by itself must belong to root")
def test_a_logger_gets_the_results_and_its_death_ends_the_daemon_with_78(
    binary: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "example.log"
    monkeypatch.setenv("EXAMPLE_KIND", "logger")
    monkeypatch.setenv("EXAMPLE_LOG", str(log))
    place = _autoload(tmp_path, "example.ext", 0o755)
    config = {"schedule": {"fresh": {"query": "SELECT unix_time FROM time", "interval": 1}}}
    flags = [*_FLAGS, "--logger_plugin=fimkit_example_logger", "--extensions_require=fimkit_example_logger"]
    with start_osqueryd(tmp_path, config=config, flags=flags, binary=binary) as running:
        assert wait_for(lambda: log.exists() and '\\"name\\":\\"fresh\\"' in log.read_text())
        assert not running.results_log.exists()
        (row,) = running.query(f"SELECT pid FROM processes WHERE cmdline LIKE '%{place}%' AND parent = {running.pid}")
        os.kill(int(row["pid"]), signal.SIGKILL)
        assert running.process.wait(15) == 78


def _autoload(folder: Path, name: str, mode: int) -> Path:
    """Write an extension as a package would install it: a program with the interpreter's name at its head."""
    place = folder / name
    place.write_text(f"#!{sys.executable}\n{EXAMPLE.read_text()}")
    place.chmod(mode)
    (folder / "extensions.load").write_text(f"{place}\n")
    return place


@pytest.mark.skipif(os.geteuid() != 0, reason="an extension that is loaded by itself must belong to root")
def test_a_listed_extension_is_started_and_started_again(
    binary: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.jsonl"
    monkeypatch.setenv("EXAMPLE_LOG", str(log))
    place = _autoload(tmp_path, "example.ext", 0o755)
    with start_osqueryd(tmp_path, flags=_FLAGS, binary=binary) as running:
        assert wait_for(lambda: _registered(running, "fimkit_example_table"))
        words = json.loads(log.read_text().splitlines()[0])
        assert words[: words.index("--interval") + 2] == ["--socket", str(running.socket), "--timeout", "5", "--interval", "1"]
        assert len(running.query("SELECT * FROM fimkit_example")) == 10
        sql = f"SELECT pid FROM processes WHERE cmdline LIKE '%{place}%' AND parent = {running.pid}"
        (first,) = running.query(sql)
        os.kill(int(first["pid"]), signal.SIGKILL)
        assert wait_for(lambda: [row for row in running.query(sql) if row != first])
        assert wait_for(lambda: _registered(running, "fimkit_example_table"))
        assert wait_for(lambda: len(running.query("SELECT * FROM fimkit_example")) == 10)
        pids = [int(row["pid"]) for row in running.query(sql)]
    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


@pytest.mark.skipif(os.geteuid() != 0, reason="an extension that is loaded by itself must belong to root")
@pytest.mark.parametrize(("name", "mode"), [("example.ext", 0o777), ("example.bin", 0o755)])
def test_a_listed_extension_that_others_may_write_or_of_another_name_is_refused(
    binary: tuple[str, ...], tmp_path: Path, name: str, mode: int
) -> None:
    _autoload(tmp_path, name, mode)
    with start_osqueryd(tmp_path, flags=_FLAGS, binary=binary) as running:
        assert not wait_for(lambda: _registered(running, "fimkit_example_table"), timeout_s=2)
        if is_stand_in(binary):  # a real one says it in words of its own
            assert name in running.stderr_text()
