"""What osqueryd answers on its socket, what it starts with, and what it ends with."""

import concurrent.futures
import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from osquery import ExtensionClient

from tests.osquery.conformance import each_osqueryd
from tests.osqueryd import QueryFailed, Running, start_osqueryd

pytestmark = each_osqueryd


@pytest.fixture(scope="module")
def running(binary: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start_osqueryd(tmp_path_factory.mktemp("manager"), flags=["--events_max=1234"], binary=binary) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[ExtensionClient]:
    client = ExtensionClient(path=str(running.socket))
    assert client.open()
    yield client.extension_manager_client()
    client.close()


def test_every_value_of_an_answer_is_a_text(running: Running) -> None:
    assert running.query("SELECT 1 AS one, 'a' AS a, NULL AS empty") == [{"one": "1", "a": "a", "empty": ""}]


def test_an_unknown_table_is_an_error_in_sqlites_words(client: ExtensionClient) -> None:
    answer = client.query("SELECT * FROM nope")
    assert (answer.status.code, answer.status.message, answer.response) == (1, "no such table: nope", [])


def test_bad_sql_is_an_error_and_the_daemon_goes_on(running: Running) -> None:
    with pytest.raises(QueryFailed, match="syntax error"):
        running.query("SELEC 1")
    assert running.query("SELECT 1 AS one") == [{"one": "1"}]


def test_nothing_can_be_written(running: Running) -> None:
    with pytest.raises(QueryFailed):
        running.query("INSERT INTO users (username) VALUES ('eve')")


def test_columns_come_with_their_types(client: ExtensionClient) -> None:
    answer = client.getQueryColumns("SELECT pid, name FROM processes")
    assert answer.status.code == 0
    assert [dict(column) for column in answer.response] == [{"pid": "BIGINT"}, {"name": "TEXT"}]
    assert client.getQueryColumns("SELECT * FROM nope").status.message == "no such table: nope"


def test_the_daemon_answers_a_ping_and_is_extension_0(client: ExtensionClient) -> None:
    assert client.ping().code == 0
    assert client.extensions()[0].name == "core"


def test_options_and_the_table_of_flags_say_the_same(running: Running, client: ExtensionClient) -> None:
    options = client.options()
    assert (options["events_max"].value, options["disable_audit"].value, options["read_max"].value) == ("1234", "true", "52428800")
    for row in running.query("SELECT name, value, default_value FROM osquery_flags WHERE name IN ('events_max', 'config_path')"):
        assert (row["value"], row["default_value"]) == (options[row["name"]].value, options[row["name"]].default_value)


def test_an_unknown_registration_number_is_refused(client: ExtensionClient) -> None:
    status = client.deregisterExtension(4711)
    assert (status.code, status.message) == (1, "No extension UUID found")


def test_many_clients_are_answered_at_once(running: Running) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: running.query(f"SELECT {number} AS n"), range(40)))
    assert answers == [[{"n": str(number)}] for number in range(40)]


def test_an_open_client_that_says_nothing_holds_up_no_other(running: Running) -> None:
    silent = ExtensionClient(path=str(running.socket))
    assert silent.open()
    try:
        assert running.query("SELECT 1 AS one") == [{"one": "1"}]
    finally:
        silent.close()


def test_the_process_table_has_the_daemon_itself(running: Running) -> None:
    (row,) = running.query(f"SELECT pid, parent, uid, on_disk FROM processes WHERE pid = {running.pid}")
    assert row == {"pid": str(running.pid), "parent": str(os.getpid()), "uid": str(os.getuid()), "on_disk": "1"}


def test_hashes_are_joined_to_the_files_of_a_folder_however_the_join_is_written(running: Running, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    want = f"WHERE {{}}.directory = '{tmp_path}' AND {{}}.path LIKE '%/a'"
    for sql in (
        "SELECT h.sha256 FROM file f JOIN hash h ON h.path = f.path " + want.format("f", "f"),
        "SELECT sha256 FROM hash JOIN file f USING (path) " + want.format("f", "f"),
    ):
        assert running.query(sql) == [{"sha256": hashlib.sha256(b"a").hexdigest()}]


def test_a_stop_that_was_asked_for_takes_the_socket_away(binary: tuple[str, ...], tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, binary=binary) as running:
        assert running.stop() == 0
        assert list(running.socket.parent.iterdir()) == []


def test_the_socket_of_a_killed_daemon_is_taken_over_by_the_next(binary: tuple[str, ...], tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, binary=binary) as first:
        first.kill()
        assert first.socket.exists()
        second = [f"--extensions_socket={first.socket}", "--force"]
        with start_osqueryd(tmp_path, flags=second, binary=binary) as running:
            assert running.query("SELECT pid FROM osquery_info") == [{"pid": str(running.pid)}]


def _run(binary: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*binary, *words], capture_output=True, text=True, timeout=30, check=False)


def test_an_unknown_flag_ends_the_start(binary: tuple[str, ...]) -> None:
    ended = _run(binary, "--no_such_flag=1")
    assert ended.returncode == 1
    assert "unknown command line flag 'no_such_flag'" in ended.stderr


def test_the_version_is_told_without_a_start(binary: tuple[str, ...]) -> None:
    told = _run(binary, "--version")
    assert told.returncode == 0 and re.search(r"version 5\.\d+\.\d+", told.stdout)
    assert "--extensions_socket" in _run(binary, "--help").stdout


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("{}", 0),
        ('{"schedule": {"q": {"query": "SELECT 1", "interval": 60}}}', 0),
        ('// a comment\n{\n  // another\n  "options": {}\n}\n', 0),
        ('{"schedule": ', 1),
        ("not JSON", 1),
    ],
)
def test_config_check_says_0_or_1(binary: tuple[str, ...], tmp_path: Path, text: str, status: int) -> None:
    (tmp_path / "osquery.conf").write_text(text)
    assert _run(binary, "--config_check", f"--config_path={tmp_path}/osquery.conf").returncode == status


def test_flags_come_from_a_file_and_later_ones_win(binary: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "osquery.flags").write_text("# a comment\n--read_max=1111\n--events_max=2222\n")
    flags = [f"--flagfile={tmp_path}/osquery.flags", "--events_max=3333"]
    with start_osqueryd(tmp_path, flags=flags, binary=binary) as running:
        sql = "SELECT name, value FROM osquery_flags WHERE name IN ('read_max', 'events_max') ORDER BY name"
        assert [row["value"] for row in running.query(sql)] == ["3333", "1111"]


def test_conf_d_packs_and_options_are_joined(binary: tuple[str, ...], tmp_path: Path) -> None:
    pack = tmp_path / "pack.conf"
    pack.write_text(json.dumps({"platform": "linux", "queries": {"in_pack": {"query": "SELECT 2", "interval": 60}}}))
    config = {
        "options": {"read_max": 4444},
        "schedule": {"plain": {"query": "SELECT 1", "interval": 60}},
        "packs": {
            "by_file": str(pack),
            "inline": {"queries": {"q": {"query": "SELECT 3", "interval": 60}}},
            "elsewhere": {"platform": "windows", "queries": {"q": {"query": "SELECT 4", "interval": 60}}},
        },
    }
    (tmp_path / "osquery.conf.d").mkdir()
    beside = {"schedule": {"beside": {"query": "SELECT 5", "interval": 60}}}
    (tmp_path / "osquery.conf.d" / "more.conf").write_text(json.dumps(beside))
    with start_osqueryd(tmp_path, config=config, binary=binary) as running:
        names = [row["name"] for row in running.query("SELECT name FROM osquery_schedule ORDER BY name")]
        assert names == ["beside", "pack_by_file_in_pack", "pack_inline_q", "plain"]
        assert running.query("SELECT value FROM osquery_flags WHERE name = 'read_max'") == [{"value": "4444"}]
        assert {row["name"] for row in running.query("SELECT name FROM osquery_packs WHERE active = 1")} == {"by_file", "inline"}


def test_a_configuration_that_is_broken_ends_no_daemon(binary: tuple[str, ...], tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, config='{"schedule": ', binary=binary) as running:
        assert running.query("SELECT count(*) AS n FROM osquery_schedule") == [{"n": "0"}]
        os.kill(running.pid, signal.SIGTERM)
        assert running.process.wait(15) == 0
