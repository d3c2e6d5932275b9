"""`fimkit extension`, as a process of its own beside an osqueryd: its whole life, and what happens when either is killed."""

import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fimkit.evidence.connection import store_path
from fimkit.evidence.store import open_store
from fimkit.model.findings import Severity
from fimkit.osquery.extension import render_script
from fimkit.osquery.queries import load_queries
from tests.evidence.examples import NOW, a_change, a_finding, a_state
from tests.osqueryd import OSQUERYDS, QueryFailed, Running, default_osqueryd, is_stand_in, start_osqueryd, wait_for

TABLES = ("fimkit_findings", "fimkit_changes", "fimkit_baseline", "fimkit_status")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with open_store(os.fsencode(state), create=True) as store:
        names = [b"/etc/x", b"/etc/bad\xff\n%", b"/srv/www/x.php"]
        store.write_baseline([a_state(name) for name in names], who="eve", why="x", time_ns=NOW)
        store.add_changes([a_change(name, serial=number) for number, name in enumerate(names)])
        store.put_findings([a_finding(), a_finding("b2", b"/etc/bad\xff\n%", severity=Severity.LOW)], now_ns=NOW)
    path = tmp_path / "fimkit.toml"
    path.write_text(f'[host]\nname = "web01"\nstate_dir = "{state}"\n[[paths]]\npath = "/etc"\n')
    return path


@contextmanager
def _extension(config: Path, running: Running, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "fimkit", "--config", str(config), "extension"]
    arguments = ["--socket", str(running.socket), "--timeout", "15", "--interval", "1", "--verbose", *options]
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: _has_tables(running) or process.poll() is not None)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _has_tables(running: Running) -> bool:
    try:
        return len(running.query("SELECT * FROM fimkit_status")) == 1
    except QueryFailed:
        return False


def _pid(running: Running) -> int:
    return int(running.query("SELECT pid FROM fimkit_status")[0]["pid"])


def _left(running: Running) -> list[Path]:
    return [path for path in running.socket.parent.glob(running.socket.name + ".*") if stat.S_ISSOCK(path.lstat().st_mode)]


@pytest.fixture(params=OSQUERYDS, ids=lambda binary: Path(binary[-1]).name)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    with start_osqueryd(tmp_path / "o", binary=request.param) as found:
        yield found


def test_tables_answer_queries_with_constraints_and_joins(config: Path, running: Running) -> None:
    with _extension(config, running):
        (status,) = running.query("SELECT host, ok, open_findings, baseline_rows FROM fimkit_status")
        assert status == {"host": "web01", "ok": "1", "open_findings": "2", "baseline_rows": "3"}
        odd = "/etc/bad%FF%0A%25"
        assert running.query(f"SELECT path FROM fimkit_baseline WHERE path = '{odd}'") == [{"path": odd}]
        assert running.query("SELECT path FROM fimkit_baseline WHERE path LIKE '/SRV/%.php'") == [{"path": "/srv/www/x.php"}]
        assert running.query("SELECT id FROM fimkit_findings WHERE severity = 'critical'") == [{"id": "a1"}]
        both = running.query("SELECT id FROM fimkit_findings WHERE severity IN ('critical', 'low', 'none') ORDER BY id")
        assert both == [{"id": "a1"}, {"id": "b2"}]
        joined = running.query(
            "SELECT u.username, c.path, b.sha256 FROM fimkit_changes c JOIN users u ON u.uid = c.actor_uid"
            " JOIN fimkit_baseline b ON b.path = c.path WHERE c.path = '/etc/x' AND c.time > 1"
        )
        assert joined == [{"username": "root", "path": "/etc/x", "sha256": "ab" * 32}]


def test_every_scheduled_query_on_them_runs(config: Path, running: Running) -> None:
    with _extension(config, running):
        rows = {query.name: running.query(query.sql) for query in load_queries("findings")}
    assert [row["path"] for row in rows["critical_findings"]] == ["/etc/x"]
    assert [row["id"] for row in rows["other_findings"]] == ["b2"]
    assert rows["fimkit_status"][0]["ok"] == "1"
    assert {row["severity"]: row["findings"] for row in rows["findings_by_severity"]} == {"critical": "1", "low": "1"}


def test_the_doctor_is_asked_where_its_columns_are_named_and_nowhere_else(config: Path, running: Running) -> None:
    with _extension(config, running):
        (plain,) = running.query("SELECT * FROM fimkit_status")
        assert not any(name.startswith("doctor_") for name in plain)
        assert running.query("SELECT count(*) AS c FROM fimkit_status") == [{"c": "1"}]
        names = "doctor_time, doctor_status, doctor_words"
        wait_for(lambda: running.query(f"SELECT {names} FROM fimkit_status")[0]["doctor_time"], timeout_s=60)
        (summary,) = running.query(f"SELECT host, {names} FROM fimkit_status")
        rows = running.query(
            "SELECT host, doctor_check AS code, doctor_level AS level, doctor_where AS place, doctor_path AS path,"
            " doctor_problem AS problem, doctor_meaning AS meaning, doctor_remedy AS remedy FROM fimkit_status"
        )
        notes = running.query("SELECT doctor_check FROM fimkit_status WHERE doctor_level = 'note'")
        traps = running.query("SELECT count(*) AS c FROM fimkit_status WHERE doctor_level = 'trap'")
        none = running.query("SELECT host, doctor_problem FROM fimkit_status WHERE doctor_check = 'none-such'")
    levels = [row["level"] for row in rows]
    assert summary["host"] == "web01" and summary["doctor_status"] == "1" and summary["doctor_words"] == ""
    assert all(row["host"] == "web01" and row["problem"] and row["meaning"] and row["remedy"] and row["place"] for row in rows)
    assert "seal-no-key" in {row["code"] for row in rows}
    assert len(notes) == levels.count("note") and traps == [{"c": str(levels.count("trap"))}] and none == []


def test_findings_reach_the_fleets_own_log(config: Path, tmp_path: Path) -> None:
    query = next(query for query in load_queries("findings") if query.name == "critical_findings")
    schedule = {"critical_findings": {"query": query.sql, "interval": 1, "removed": False}}
    osqueryd = start_osqueryd(tmp_path / "o", config={"schedule": schedule}, binary=default_osqueryd())
    with osqueryd as found, _extension(config, found):
        rows = wait_for(lambda: [row for row in found.results() if row["name"] == "critical_findings"], timeout_s=30)
    assert rows[0]["columns"]["path"] == "/etc/x" and rows[0]["columns"]["exe"] == "/usr/bin/vi"


def test_a_killed_extension_leaves_osqueryd_alive_and_the_next_one_takes_its_place(config: Path, running: Running) -> None:
    with _extension(config, running) as first:
        first.kill()
        first.wait()
        assert running.query("SELECT 1 AS one") == [{"one": "1"}]
        with _extension(config, running):
            assert len(running.query("SELECT path FROM fimkit_baseline")) == 3
            assert len(_left(running)) <= 2  # the killed one's name stays until osqueryd's own end


def test_killed_again_and_again_it_comes_back_each_time(config: Path, running: Running) -> None:
    for _ in range(3):
        with _extension(config, running) as process:
            assert len(running.query("SELECT path FROM fimkit_changes")) == 3
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert running.query("SELECT 1 AS one") == [{"one": "1"}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(config: Path, tmp_path: Path, number: int) -> None:
    with start_osqueryd(tmp_path / "o", binary=default_osqueryd()) as found, _extension(config, found) as process:
        assert len(_left(found)) == 1
        process.send_signal(number)
        assert process.wait(10) == 0
        assert _left(found) == []
        with pytest.raises(QueryFailed):
            found.query("SELECT * FROM fimkit_status")


def test_it_ends_when_osqueryd_stops_or_is_killed(config: Path, tmp_path: Path) -> None:
    for how in ("stop", "kill"):
        with start_osqueryd(tmp_path / how, binary=default_osqueryd()) as found, _extension(config, found) as process:
            getattr(found, how)()
            assert process.wait(20) == 0
            assert _left(found) == []


def test_without_a_socket_the_status_is_3(config: Path, tmp_path: Path) -> None:
    for socket in (tmp_path / "none.em", tmp_path / "no folder" / "x.em"):
        command = [sys.executable, "-m", "fimkit", "--config", str(config), "extension", "--socket", str(socket), "--timeout", "0"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert ran.returncode == 3 and "osqueryd does not run" in ran.stderr and ran.stdout == ""


def test_a_store_that_is_written_meanwhile_is_no_obstacle_either_way(config: Path, tmp_path: Path) -> None:
    folder = os.fsencode(config.parent / "state")
    stop, written = threading.Event(), [0]

    def write() -> None:
        with open_store(folder) as store:
            while not stop.is_set():
                store.add_changes([a_change(b"/w", serial=1000 + written[0] * 10 + item) for item in range(10)])
                written[0] += 1

    with start_osqueryd(tmp_path / "o", binary=default_osqueryd()) as found, _extension(config, found):
        writer = threading.Thread(target=write)
        writer.start()
        try:
            counts = [int(found.query("SELECT count(*) AS c FROM fimkit_changes")[0]["c"]) for _ in range(30)]
        finally:
            stop.set()
            writer.join()
    assert counts == sorted(counts) and all((count - 3) % 10 == 0 for count in counts)
    assert written[0] > 0


def test_a_store_that_is_replaced_is_read_anew(config: Path, tmp_path: Path) -> None:
    folder = config.parent / "state"
    with start_osqueryd(tmp_path / "o", binary=default_osqueryd()) as found, _extension(config, found):
        shutil.rmtree(folder)
        assert found.query("SELECT path FROM fimkit_baseline") == []
        (status,) = found.query("SELECT ok, problem FROM fimkit_status")
        assert status["ok"] == "0" and "no evidence store" in status["problem"]
        folder.mkdir(mode=0o700)
        with open_store(os.fsencode(folder), create=True) as store:
            store.write_baseline([a_state(b"/new")], who="eve", why="x", time_ns=NOW)
        assert found.query("SELECT path FROM fimkit_baseline") == [{"path": "/new"}]


def test_a_locked_store_gives_empty_tables_and_says_so(config: Path, tmp_path: Path) -> None:
    path = os.fsdecode(store_path(os.fsencode(config.parent / "state")))
    with start_osqueryd(tmp_path / "o", binary=default_osqueryd()) as found, _extension(config, found):
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("PRAGMA journal_mode = DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        try:
            (status,) = found.query("SELECT ok, problem FROM fimkit_status")
            assert status["ok"] == "0" and "locked" in status["problem"]
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        assert len(found.query("SELECT path FROM fimkit_baseline")) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_no_rights_are_kept(config: Path, tmp_path: Path) -> None:
    with start_osqueryd(tmp_path / "o", binary=default_osqueryd()) as found, _extension(config, found) as process:
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            held = dict(line.split(":\t") for line in (task / "status").read_text().splitlines() if line.startswith("Cap"))
            assert int(held["CapEff"], 16) == int(held["CapPrm"], 16) == 0


def test_an_answer_that_is_too_large_is_refused_and_the_status_tells(config: Path, tmp_path: Path) -> None:
    folder = os.fsencode(config.parent / "state")
    with open_store(folder) as store:
        store.write_baseline((a_state(b"/big/%06d" % number) for number in range(20_000)), who="eve", why="x", time_ns=NOW)
    with start_osqueryd(tmp_path / "o", binary=default_osqueryd()) as found, _extension(config, found, "--max-answer-mb", "1"):
        with pytest.raises(QueryFailed, match="1 MB already"):
            found.query("SELECT * FROM fimkit_baseline")
        assert found.query("SELECT count(*) AS c FROM fimkit_baseline") == [{"c": "20000"}]
        assert found.query("SELECT path FROM fimkit_baseline WHERE path = '/big/000007'") == [{"path": "/big/000007"}]
        (status,) = found.query("SELECT refused_answers, refused_words FROM fimkit_status")
    assert status["refused_answers"] == "1" and status["refused_words"].startswith("fimkit_baseline: the answer has more than")


@pytest.mark.skipif(os.geteuid() != 0, reason="osqueryd starts what belongs to root alone")
def test_osqueryd_starts_the_script_itself_and_again_after_a_kill(config: Path, tmp_path: Path) -> None:
    place = tmp_path / "lib"
    place.mkdir(mode=0o755)
    script = place / "fimkit.ext"
    script.write_bytes(render_script(sys.executable, str(config)))
    script.chmod(0o755)
    folder = tmp_path / "o"
    folder.mkdir()
    (folder / "extensions.load").write_text(f"{script}\n")
    flags = ["--extensions_interval=1"]
    with start_osqueryd(folder, flags=flags, binary=default_osqueryd()) as found:
        wait_for(lambda: _has_tables(found), timeout_s=30)
        pid = _pid(found)
        if is_stand_in(default_osqueryd()):  # a real one gives up on what comes back too soon
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: _has_tables(found) and _pid(found) != pid, timeout_s=30)
            pid = _pid(found)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())


def test_the_reference_names_every_table_and_column() -> None:
    ran = subprocess.run([sys.executable, "-m", "fimkit", "extension", "--columns"], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0
    assert all(f"\n{name}: " in "\n" + ran.stdout for name in TABLES)
    assert re.search(r"^  sha256 +TEXT +SHA-256 of a file's content$", ran.stdout, re.MULTILINE)


@pytest.mark.parametrize("options", [["--timeout", "x"], ["--interval", "-1"], ["--max-answer-mb", "0"], ["--nope"]])
def test_options_that_make_no_sense_are_refused(config: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "fimkit", "--config", str(config), "extension", "--socket", "/x", *options]
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 2


def test_a_relative_socket_is_refused(config: Path) -> None:
    command = [sys.executable, "-m", "fimkit", "--config", str(config), "extension", "--socket", "x.em"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 2 and "relative" in ran.stderr


def test_actors_and_reasons_are_json(config: Path, tmp_path: Path) -> None:
    with start_osqueryd(tmp_path / "o", binary=default_osqueryd()) as found, _extension(config, found):
        (row,) = found.query("SELECT actors, reasons, before FROM fimkit_findings WHERE id = 'a1'")
        (exe,) = found.query("SELECT json_extract(actors, '$[0].exe') AS exe FROM fimkit_findings WHERE id = 'a1'")
    assert json.loads(row["actors"])[0]["pid"] == 4711 and json.loads(row["reasons"]) == ["its bytes"]
    assert json.loads(row["before"])["sha256"] == "ab" * 32 and exe == {"exe": "/usr/bin/vi"}
