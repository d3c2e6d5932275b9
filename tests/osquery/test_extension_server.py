"""The server of our tables, in this process, against an osqueryd in another: what is pushed down, bad callers, large answers."""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from osquery.extensions.Extension import Client
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from fimkit.model.errors import HostError, OsqueryAbsentError, StoreError
from fimkit.osquery.columns import Column, ColumnType, Table
from fimkit.osquery.extension import NAME
from fimkit.osquery.extension_server import Answer, ExtensionServer
from fimkit.osquery.manager import Manager
from fimkit.osquery.tables import Asked, Limits, Operator, Pattern
from tests.osqueryd import OSQUERYDS, QueryFailed, Running, default_osqueryd, is_stand_in, start_osqueryd, wait_for

THINGS = Table("fimkit_things", "things", (
    Column("path", ColumnType.TEXT, "a path"),
    Column("n", ColumnType.BIGINT, "a number"),
    Column("word", ColumnType.TEXT, "a word"),
))  # fmt: skip


class Things:
    """Ten things, and a memory of what was asked; some words make trouble."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.refusals: list[str] = []

    def answer(self, table: Table, asked: Asked) -> Answer:
        self.asked.append(asked)
        words = asked.limits.get("word", Limits()).texts or ()
        if "trouble" in words:
            raise StoreError("the store is in trouble")
        if "surprise" in words:
            raise ZeroDivisionError
        columns = (*asked.columns, *(name for name in asked.limits if name not in asked.columns))
        count = 3_000_000 if "endless" in words else 10
        return Answer(columns, (tuple(self._value(name, number) for name in columns) for number in range(count)))

    def _value(self, name: str, number: int) -> str | None:
        if name == "word":
            return "endless" if self.asked[-1].limits.get("word") else None
        return f"/t/{number}" if name == "path" else None if number == 9 else str(number)

    def refused(self, words: str) -> None:
        self.refusals.append(words)


class Served:
    """A server at work in a thread."""

    def __init__(self, running: Running, *, most_bytes: int = 4 << 20) -> None:
        self.running, self.things, self.said = running, Things(), list[str]()
        self.server = ExtensionServer(
            str(running.socket), [THINGS], self.things, version="1", most_bytes=most_bytes, say=self.said.append
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"timeout_s": 15.0, "interval_s": 0.3})

    @property
    def socket(self) -> str:
        uuid = next(uuid for uuid, name in Manager(str(self.running.socket)).registered().items() if name == NAME)
        return f"{self.running.socket}.{uuid}"

    def query(self, sql: str) -> list[dict[str, str]]:
        return self.running.query(sql)


@contextmanager
def _serving(running: Running) -> Iterator[Served]:
    served = Served(running)
    served.thread.start()
    try:
        wait_for(lambda: any("registered" in words for words in served.said))
        yield served
    finally:
        served.server.stop()
        served.thread.join(20)
    assert not served.thread.is_alive()


@pytest.fixture(scope="module", params=OSQUERYDS, ids=lambda binary: Path(binary[-1]).name)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start_osqueryd(tmp_path_factory.mktemp("o"), binary=request.param) as found:
        yield found


@pytest.fixture(scope="module")
def served(running: Running) -> Iterator[Served]:
    with _serving(running) as found:
        yield found


def test_rows_come_with_empty_texts_and_numbers_that_are_null(served: Served) -> None:
    rows = served.query("SELECT *, n IS NULL AS none FROM fimkit_things ORDER BY path")
    assert len(rows) == 10 and rows[3] == {"path": "/t/3", "n": "3", "word": "", "none": "0"}
    assert rows[9]["none"] == "1"


@pytest.mark.parametrize(("where", "column", "limits"), [
    ("path = '/t/3'", "path", Limits(texts=frozenset({"/t/3"}))),
    ("path LIKE '/T/%'", "path", Limits(patterns=(Pattern(Operator.LIKE, "/T/%"),))),
    ("path GLOB '/t/[12]'", "path", Limits(patterns=(Pattern(Operator.GLOB, "/t/[12]"),))),
    ("n > 3 AND n <= 5", "n", Limits(low=4, high=5)),
    ("n >= CAST(strftime('%s', '1970-01-01 00:00:05') AS INTEGER)", "n", Limits(low=5)),
])  # fmt: skip
def test_constraints_reach_the_table(served: Served, where: str, column: str, limits: Limits) -> None:
    served.things.asked.clear()
    rows = served.query(f"SELECT path FROM fimkit_things WHERE {where}")
    assert served.things.asked[-1].limits[column] == limits
    assert set(served.things.asked[-1].columns) <= {"path", "n"} and rows


def test_an_in_finds_all_of_its_values(served: Served) -> None:
    rows = served.query("SELECT path FROM fimkit_things WHERE path IN ('/t/1', '/t/4', '/none')")
    assert sorted(row["path"] for row in rows) == ["/t/1", "/t/4"]


def test_a_join_asks_for_the_rows_of_each_partner(served: Served) -> None:
    rows = served.query("SELECT u.username, t.path FROM users u JOIN fimkit_things t ON t.n = u.uid WHERE u.uid = 0")
    assert {"username": "root", "path": "/t/0"} in rows


def test_a_count_reads_no_column(served: Served) -> None:
    assert served.query("SELECT count(*) AS c FROM fimkit_things") == [{"c": "10"}]


def test_a_distinct_answer_has_each_value_once(served: Served) -> None:
    assert served.query("SELECT DISTINCT word FROM fimkit_things") == [{"word": ""}]


def test_an_answer_that_is_too_large_is_refused_in_words(served: Served) -> None:
    with pytest.raises(QueryFailed, match="name the columns that are needed"):
        served.query("SELECT * FROM fimkit_things WHERE word = 'endless'")
    assert "4 MB already" in served.things.refusals[-1]
    assert len(served.query("SELECT path FROM fimkit_things")) == 10


def test_trouble_is_the_querys_error_and_the_servers_life_goes_on(served: Served) -> None:
    with pytest.raises(QueryFailed, match="the store is in trouble"):
        served.query("SELECT * FROM fimkit_things WHERE word = 'trouble'")
    assert len(served.query("SELECT path FROM fimkit_things")) == 10


def test_an_error_of_our_own_ends_the_query_alone(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TApplicationException), _client(served) as client:
        client.call("table", "fimkit_things", {"action": "generate", "context": _word("surprise")})
    with _client(served) as client:
        assert client.ping().code == 0


def _word(word: str) -> str:
    return json.dumps({"constraints": [{"name": "word", "list": [{"op": 2, "expr": word}]}]})


@contextmanager
def _client(served: Served) -> Iterator[Client]:
    connection = TSocket(unix_socket=served.socket)
    connection.setTimeout(15_000)
    transport = TBufferedTransport(connection)
    transport.open()
    try:
        yield Client(TBinaryProtocol(transport))
    finally:
        transport.close()


@pytest.mark.parametrize(("registry", "item", "asked", "words"), [
    ("table", "fimkit_none", {"action": "generate"}, "there is no 'fimkit_none'"),
    ("logger", "fimkit_things", {"action": "init"}, "there is no"),
    ("table", "fimkit_things", {"action": "dance"}, "unknown action"),
    ("table", "fimkit_things", {}, "unknown action"),
    ("table", "fimkit_things", {"action": "generate", "context": "{"}, "no JSON"),
])  # fmt: skip
def test_requests_that_make_no_sense_get_words(served: Served, registry: str, item: str, asked: dict[str, str], words: str) -> None:
    with _client(served) as client:
        answer = client.call(registry, item, asked)
    assert answer.status.code == 1 and words in answer.status.message


def test_columns_are_told_and_writes_are_refused(served: Served) -> None:
    with _client(served) as client:
        columns = client.call("table", "fimkit_things", {"action": "columns"}).response
        assert [row["name"] for row in columns] == ["path", "n", "word"]
        for action in ("insert", "update", "delete"):
            assert client.call("table", "fimkit_things", {"action": action}).response == [{"status": "readonly"}]


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.0\r\n\r\n", b"\0" * 40, b"\xff" * 40, b"\x80\x01\x00\x01\x7f\xff\xff\xff", b"\x80\x01", b"",
    struct.pack("!HHi", 0x8001, 1, 4) + b"call" + struct.pack("!iBhi", 0, 11, 1, -5),
    struct.pack("!HHi", 0x8001, 1, 4) + b"c\xff\xfel" + struct.pack("!iB", 0, 0),
])  # fmt: skip
def test_garbage_ends_its_own_connection_alone(served: Served, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(served.socket)
        caller.sendall(garbage)
        caller.shutdown(socket.SHUT_WR)
        while caller.recv(1000):
            pass
    with _client(served) as client:
        assert client.ping().code == 0


def test_a_name_that_is_no_utf8_is_no_trouble(served: Served) -> None:
    with _client(served) as client:
        raw = b'{"constraints":[{"name":"path","list":[{"op":2,"expr":"/t/1"}]}],"x":"\xff"}'
        client._oprot.writeString = lambda text: client._oprot.writeBinary(raw if text == "RAW" else text.encode())
        answer = client.call("table", "fimkit_things", {"action": "generate", "context": "RAW"})
    assert answer.status.code == 0 and [row["path"] for row in answer.response] == ["/t/1"]


def test_many_callers_at_once_are_all_answered(served: Served) -> None:
    counts: list[int] = []

    def ask() -> None:
        with _client(served) as client:
            for _ in range(20):
                counts.append(len(client.call("table", "fimkit_things", {"action": "generate", "context": "{}"}).response))

    threads = [threading.Thread(target=ask) for _ in range(40)]  # more than are served at once
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == [10] * 800


def test_an_idle_caller_holds_nobody_up(served: Served) -> None:
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(served.socket)
        assert len(served.query("SELECT path FROM fimkit_things")) == 10


def test_the_socket_is_the_owners_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, binary=default_osqueryd()) as found:
        with _serving(found) as served:
            path = served.socket
            assert os.stat(path).st_mode & 0o777 == 0o700
        assert not os.path.exists(path)
        assert NAME not in Manager(str(found.socket)).registered().values()


def test_the_server_ends_with_osqueryd(tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, binary=default_osqueryd()) as found:
        served = Served(found)
        served.thread.start()
        wait_for(lambda: served.said)
        path = served.socket
        found.stop()
        served.thread.join(15)
        assert not served.thread.is_alive() and not os.path.exists(path)
        assert "osqueryd has gone away" in served.said


def test_a_server_that_osqueryd_forgot_registers_again(tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, binary=default_osqueryd()) as found, _serving(found) as served:
        before = served.socket
        Manager(str(found.socket)).deregister(int(before.rpartition(".")[2]))
        wait_for(lambda: len([words for words in served.said if words.startswith("registered")]) == 2)
        assert served.socket != before and not os.path.exists(before)
        assert len(wait_for(lambda: served.query("SELECT path FROM fimkit_things"))) == 10


def test_a_second_one_of_the_name_is_told_of_the_first(served: Served) -> None:
    second = ExtensionServer(str(served.running.socket), [THINGS], Things(), version="1", say=lambda words: None)
    with pytest.raises(HostError, match="another fimkit extension is at work"):
        second.run(timeout_s=0.5, interval_s=1)


def test_without_an_osqueryd_it_gives_up_in_time(tmp_path: Path) -> None:
    server = ExtensionServer(str(tmp_path / "none.em"), [THINGS], Things(), version="1", say=lambda words: None)
    began = time.monotonic()
    with pytest.raises(OsqueryAbsentError):
        server.run(timeout_s=0.5, interval_s=1)
    assert 0.4 < time.monotonic() - began < 5


def test_an_osqueryd_that_comes_in_time_is_met(tmp_path: Path) -> None:
    if not is_stand_in(default_osqueryd()):
        pytest.skip("its start takes longer than this test waits")
    folder = tmp_path / "o"
    folder.mkdir()
    server = ExtensionServer(str(folder / "osquery.em"), [THINGS], Things(), version="1", say=lambda words: None)
    thread = threading.Thread(target=server.run, kwargs={"timeout_s": 30.0, "interval_s": 0.3})
    thread.start()
    with start_osqueryd(folder, flags=[f"--extensions_socket={folder / 'osquery.em'}"]) as found:
        wait_for(lambda: NAME in Manager(str(found.socket)).registered().values())
        server.stop()
        thread.join(15)
    assert not thread.is_alive()


def test_a_path_that_no_socket_can_have_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "o"
    folder.mkdir()
    server = ExtensionServer(str(folder / ("x" * 100)), [THINGS], Things(), version="1", say=lambda words: None)
    with pytest.raises(HostError, match="too long for a socket beside it"):
        server.run(timeout_s=0, interval_s=1)


def test_a_socket_that_cannot_be_made_leaves_no_registration(tmp_path: Path) -> None:
    with start_osqueryd(tmp_path, binary=default_osqueryd()) as found:
        link = tmp_path / "away" / "o"
        link.parent.mkdir()
        link.symlink_to(found.socket)
        for number in range(1 << 16):  # whichever osqueryd gives, a folder is in its place
            os.mkdir(f"{link}.{number}")
        server = ExtensionServer(str(link), [THINGS], Things(), version="1", say=lambda words: None)
        with pytest.raises(HostError, match="cannot make the socket"):
            server.run(timeout_s=5, interval_s=1)
        assert NAME not in Manager(str(found.socket)).registered().values()


def test_nothing_is_left_connected(served: Served) -> None:
    served.query("SELECT path FROM fimkit_things")
    wait_for(lambda: sum(thread.name == "fimkit request" for thread in threading.enumerate()) == 0)
