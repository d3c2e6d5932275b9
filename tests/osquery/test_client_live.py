"""The client, the recon and the frames against a running osqueryd: the stand-in, and a real one where there is one."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from fimkit.model.errors import (
    OsqueryAbsentError,
    OsqueryLostError,
    OsqueryQueryError,
    OsqueryTimeoutError,
)
from fimkit.osquery.client import OsqueryClient
from fimkit.osquery.queries import load_query
from fimkit.osquery.recon import plan_recon, run_recon
from tests.osqueryd import OSQUERYDS, Running, start_osqueryd, wait_for

__all__: list[str] = []

LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000000) SELECT max(i) AS most FROM n"


@pytest.fixture(scope="module", params=OSQUERYDS, ids=lambda command: Path(command[-1]).name)
def binary(request: pytest.FixtureRequest) -> Sequence[str]:
    command: Sequence[str] = request.param
    return command


@pytest.fixture(scope="module")
def running(binary: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start_osqueryd(tmp_path_factory.mktemp("osquery"), binary=binary) as one:
        yield one


@pytest.fixture
def client(running: Running) -> Iterator[OsqueryClient]:
    with OsqueryClient(os.fsencode(running.socket), deadline_s=30) as one:
        yield one


def test_rows_and_columns(client: OsqueryClient) -> None:
    sql = "SELECT 1 AS one, 'ü' AS two, 1.5 AS half, name FROM osquery_flags WHERE name = 'disable_events'"
    assert client.query(sql) == [{"one": "1", "two": "ü", "half": "1.5", "name": "disable_events"}]
    assert [name for name, _ in client.query_columns(sql)] == ["one", "two", "half", "name"]
    assert dict(client.query_columns("SELECT registry, owner_uuid FROM osquery_registry")) == {
        "registry": "TEXT",
        "owner_uuid": "INTEGER",
    }


def test_what_osqueryd_tells_of_itself(client: OsqueryClient) -> None:
    assert client.extensions()[0].uuid == 0
    assert client.extensions()[0].name == "core"
    flags = client.flags()
    assert flags["disable_events"] == "false"
    assert {"osquery_flags", "osquery_registry", "file_events"} <= client.tables()


def test_a_refusal_has_the_words_of_osqueryd(client: OsqueryClient) -> None:
    with pytest.raises(OsqueryQueryError, match="no such table: nope") as refused:
        client.query("SELECT * FROM nope")
    assert refused.value.code == 1
    with pytest.raises(OsqueryQueryError, match="syntax error"):
        client.query("SELECT FROM WHERE")
    assert client.query("SELECT 1 AS one") == [{"one": "1"}]


def test_a_name_that_is_no_utf8_comes_back_as_its_bytes(binary: Sequence[str], tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    name = os.fsencode(watched) + b"/bad\xff\nname"
    config = {"file_paths": {"here": [f"{watched}/%%"]}}
    with start_osqueryd(tmp_path / "osquery", binary=binary, config=config) as one, OsqueryClient(str(one.socket)) as client:
        Path(os.fsdecode(name)).write_text("x")
        rows = wait_for(lambda: client.query("SELECT target_path FROM file_events WHERE action = 'CREATED'"))
    assert {os.fsencode(row["target_path"]) for row in rows} == {name}


def test_a_hundred_thousand_rows(client: OsqueryClient) -> None:
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i, 'x' || i AS x FROM n"
    rows = client.query(sql, deadline_s=60)
    assert len(rows) == 100_000
    assert rows[99_999] == {"i": "100000", "x": "x100000"}


def test_recon_notes_what_is_missing_and_goes_on(client: OsqueryClient) -> None:
    queries = plan_recon(["SELECT 1 AS one", "SELEC", "SELECT 2 AS two"])
    results = run_recon(client, queries, deadline_s=120)
    assert [result.query for result in results] == list(queries)
    tables = client.tables()
    for result in results:
        assert (result.answer is None) == (result.note is not None)
        if result.lacks:
            assert result.lacks not in tables
            assert result.note == f"this osqueryd has no table {result.lacks}"
    first, bad, last = results[-3:]
    assert first.answer is not None and first.answer.rows == [{"one": "1"}]
    assert bad.note is not None and bad.note.startswith("osqueryd refuses it: ") and bad.lacks is None
    assert last.answer is not None and last.answer.columns[0][0] == "two"


def test_a_restart_goes_unnoticed(binary: Sequence[str], tmp_path: Path) -> None:
    link = tmp_path / "em"
    with ExitStack() as ran, OsqueryClient(os.fsencode(link), deadline_s=20) as client:
        for _ in range(2):
            one = ran.enter_context(start_osqueryd(tmp_path / "osquery", binary=binary))
            link.unlink(missing_ok=True)
            link.symlink_to(one.socket)
            assert client.query("SELECT 1 AS one") == [{"one": "1"}]
            one.stop()
        with pytest.raises(OsqueryAbsentError):
            client.query("SELECT 1 AS one")


def test_a_stopped_process_is_a_timeout_and_a_killed_one_is_lost(binary: Sequence[str], tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, binary=binary) as one, OsqueryClient(os.fsencode(one.socket), deadline_s=20) as client:
        assert client.query("SELECT 1 AS one") == [{"one": "1"}]
        os.kill(one.pid, signal.SIGSTOP)
        stat = Path(f"/proc/{one.pid}/stat")
        try:
            assert wait_for(lambda: stat.read_text().rpartition(") ")[2].startswith("T"))
            started = time.monotonic()
            with pytest.raises(OsqueryTimeoutError):
                client.query("SELECT 1 AS one", deadline_s=0.5)
            assert time.monotonic() - started < 2
        finally:
            os.kill(one.pid, signal.SIGCONT)
        assert client.query("SELECT 1 AS one") == [{"one": "1"}]
        client.close()
        timer = threading.Timer(0.5, one.kill)
        timer.start()
        with pytest.raises(OsqueryLostError):
            client.query(LONG)
        timer.join()
        with pytest.raises(OsqueryAbsentError, match=r"nobody listens|no socket"):
            client.query("SELECT 1 AS one")


def test_recon_finds_what_runs_without_a_file(client: OsqueryClient, tmp_path: Path) -> None:
    program = tmp_path / "gone"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with (tmp_path / "loot").open("w") as loot, subprocess.Popen([program, "60"], stdout=loot) as process:
        try:
            program.unlink()
            (tmp_path / "loot").unlink()
            running = client.query(load_query("recon/deleted_executables").sql)
            held = client.query(load_query("recon/deleted_open_files").sql)
        finally:
            process.kill()
    assert [row["cmdline"] for row in running if row["pid"] == str(process.pid)] == [f"{program} 60"]
    assert (str(process.pid), "1", f"{tmp_path}/loot (deleted)") in {(row["pid"], row["fd"], row["path"]) for row in held}
