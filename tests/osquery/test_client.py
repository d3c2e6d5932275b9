"""The client against servers that misbehave: every fault ends by the deadline, in an error that says what it was."""

import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import thrift.protocol
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimkit.model.errors import (
    OsqueryAbsentError,
    OsqueryDeniedError,
    OsqueryError,
    OsqueryLostError,
    OsqueryProtocolError,
    OsqueryQueryError,
    OsqueryTimeoutError,
)
from fimkit.osquery.client import OsqueryClient
from tests.osquery.thrift_server import Peer, refusal, reply, serve

__all__: list[str] = []

ONE = [{b"one": b"1"}]
SQL = "SELECT 1 AS one"


@pytest.fixture
def place() -> Iterator[Path]:
    """A socket's path: short, as the kernel wants it, in a folder that everyone may enter."""
    with tempfile.TemporaryDirectory(prefix="fimkit-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "em"


def query(path: Path, sql: str, deadline_s: float = 10.0) -> list[dict[str, str]]:
    with OsqueryClient(str(path), deadline_s=deadline_s) as client:
        return client.query(sql)


def answer_always(peer: Peer) -> None:
    while peer.take():
        peer.send(reply(ONE))


def say(data: bytes) -> Callable[[Peer], None]:
    def talk(peer: Peer) -> None:
        peer.take()
        peer.send(data)
        peer.hold()

    return talk


@contextmanager
def within(least_s: float, most_s: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert least_s <= time.monotonic() - started <= most_s


# No osqueryd


def test_no_socket_is_said_with_its_path(place: Path) -> None:
    with OsqueryClient(os.fsencode(place)) as client, pytest.raises(OsqueryAbsentError, match=f"no socket '{place}'"):
        client.query(SQL)
    with OsqueryClient(str(place / "em")) as client, pytest.raises(OsqueryAbsentError):
        client.query(SQL)


def test_a_socket_left_behind_is_told_from_one_that_is_served(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    with OsqueryClient(str(place)) as client, pytest.raises(OsqueryAbsentError, match="nobody listens"):
        client.query(SQL)


def test_what_is_no_stream_socket_is_said_so(place: Path) -> None:
    place.write_text("")
    with pytest.raises(OsqueryProtocolError, match="no stream socket"):
        query(place, SQL)
    with pytest.raises(OsqueryProtocolError, match="no stream socket"):
        query(place.parent, SQL)
    place.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(place))
        with pytest.raises(OsqueryProtocolError, match="no stream socket"):
            query(place, SQL)


def test_a_path_too_long_for_a_socket_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(OsqueryAbsentError, match="too long"):
        query(tmp_path / ("x" * 120), SQL)


def test_no_right_to_the_socket_is_said_with_the_user(place: Path) -> None:
    with serve(place, answer_always):
        place.chmod(0)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(OsqueryDeniedError, match=f"user {os.geteuid()} "):
                query(place, SQL)
        finally:
            os.seteuid(before)


# One that hangs


def test_a_full_queue_of_connections_ends_at_the_deadline(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(place))
            with within(0.3, 1.3), pytest.raises(OsqueryTimeoutError, match="connecting"):
                query(place, SQL, deadline_s=0.3)


def test_one_that_accepts_and_never_answers_ends_at_the_deadline(place: Path) -> None:
    with serve(place, Peer.hold), within(0.3, 1.3), pytest.raises(OsqueryTimeoutError, match="its answer"):
        query(place, SQL, deadline_s=0.3)


def test_one_that_does_not_even_take_the_query_ends_at_the_deadline(place: Path) -> None:
    with serve(place, Peer.hold), within(0.3, 1.3), pytest.raises(OsqueryTimeoutError, match="taking the query"):
        query(place, f"SELECT '{'x' * 5_000_000}'", deadline_s=0.3)


def test_one_that_trickles_ends_at_the_deadline(place: Path) -> None:
    def talk(peer: Peer) -> None:
        peer.take()
        peer.trickle(reply([{b"text": b"x" * 10_000}]), every_s=0.02)

    with serve(place, talk), within(0.5, 1.5), pytest.raises(OsqueryTimeoutError):
        query(place, SQL, deadline_s=0.5)


def test_one_that_trickles_fast_enough_is_heard_out(place: Path) -> None:
    def talk(peer: Peer) -> None:
        peer.take()
        peer.trickle(reply(ONE), every_s=0.001)

    with serve(place, talk):
        assert query(place, SQL) == [{"one": "1"}]


def test_a_question_may_have_a_deadline_of_its_own(place: Path) -> None:
    with serve(place, Peer.hold), within(0.2, 1.2), pytest.raises(OsqueryTimeoutError):
        OsqueryClient(str(place), deadline_s=60).query(SQL, deadline_s=0.2)


def test_a_late_answer_is_not_taken_for_that_of_the_next_question(place: Path) -> None:
    def late(peer: Peer) -> None:
        peer.take()
        peer.stopped.wait(0.4)
        peer.send(reply([{b"late": b"1"}]))
        peer.hold()

    with serve(place, late, answer_always) as served, OsqueryClient(str(place), deadline_s=0.2) as client:
        with pytest.raises(OsqueryTimeoutError):
            client.query(SQL)
        time.sleep(0.4)
        assert client.query(SQL) == [{"one": "1"}]
        assert served.connections == 2


# One that dies


def test_death_in_the_middle_of_an_answer_is_told_and_not_tried_again(place: Path) -> None:
    whole = reply(ONE)

    def die(peer: Peer) -> None:
        peer.take()
        peer.send(whole[: len(whole) // 2])

    with serve(place, die, answer_always) as served, OsqueryClient(str(place)) as client:
        with pytest.raises(OsqueryLostError, match=f"after {len(whole) // 2} bytes"):
            client.query(SQL)
        assert served.connections == 1
        assert client.query(SQL) == [{"one": "1"}]


def test_death_before_an_answer_on_a_new_connection_is_told(place: Path) -> None:
    with serve(place, Peer.take) as served:
        with pytest.raises(OsqueryLostError, match="before it answered"):
            query(place, SQL)
        assert served.connections == 1


def test_a_kept_connection_that_has_died_is_replaced(place: Path) -> None:
    def once(peer: Peer) -> None:
        peer.take()
        peer.send(reply(ONE))

    with serve(place, once) as served, OsqueryClient(str(place)) as client:
        for number in range(1, 4):
            assert client.query(SQL) == [{"one": "1"}]
            assert served.connections == number
            time.sleep(0.05)


def test_a_kept_connection_that_dies_of_the_question_is_tried_once_more(place: Path) -> None:
    def dies_of_the_second(peer: Peer) -> None:
        peer.take()
        peer.send(reply(ONE))
        peer.take()

    with serve(place, dies_of_the_second, answer_always) as served, OsqueryClient(str(place)) as client:
        assert client.query(SQL) == client.query(SQL) == [{"one": "1"}]
        assert served.connections == 2
    with serve(place, dies_of_the_second, Peer.take) as served, OsqueryClient(str(place)) as client:
        client.query(SQL)
        with pytest.raises(OsqueryLostError):
            client.query(SQL)
        assert served.connections == 2


def test_a_kept_connection_that_died_in_mid_answer_is_not_tried_again(place: Path) -> None:
    def half(peer: Peer) -> None:
        peer.take()
        peer.send(reply(ONE))
        peer.take()
        peer.send(reply(ONE)[:20])

    with serve(place, half, answer_always) as served, OsqueryClient(str(place)) as client:
        client.query(SQL)
        with pytest.raises(OsqueryLostError, match="after 20 bytes"):
            client.query(SQL)
        assert served.connections == 1


def test_a_server_that_is_gone_for_good_is_absent(place: Path) -> None:
    with OsqueryClient(str(place)) as client:
        with serve(place, answer_always):
            client.query(SQL)
        with pytest.raises(OsqueryAbsentError):
            client.query(SQL)
        with serve(place, answer_always):
            assert client.query(SQL) == [{"one": "1"}]


# One that is no osqueryd


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not as osqueryd does"),
        (b"\xff" * 200, "not as osqueryd does"),
        (refusal("Invalid method name: 'query'"), "refuses query: Invalid method name"),
        (reply(ONE, method="ping"), "not what was asked: 'ping'"),
        (reply(ONE, status=False), "without a status"),
        (reply(ONE).replace(b"\x0d\x00\x00\x00\x01", b"\x0d\x7f\xff\xff\xff"), "not as osqueryd does"),
        (reply(ONE).replace(b"one\x00\x00\x00\x01", b"one\x7f\xff\xff\xff"), "not as osqueryd does"),
    ],
    ids=["http", "noise", "exception", "other method", "no status", "endless list", "endless text"],
)
def test_what_is_no_answer_of_osqueryd_is_said_so(place: Path, data: bytes, words: str) -> None:
    assert data != reply(ONE)
    with serve(place, say(data)), pytest.raises(OsqueryProtocolError, match=words):
        query(place, SQL, deadline_s=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(seed=st.integers(), changes=st.integers(0, 6), cut=st.integers(0, 60))
def test_any_damage_to_an_answer_gives_rows_or_an_error_of_the_family(place: Path, seed: int, changes: int, cut: int) -> None:
    chance, data = random.Random(seed), bytearray(reply([{b"path": b"/etc/a", b"n": b"1"}, {b"path": b"\xff", b"n": b""}]))
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.randrange(256)

    def talk(peer: Peer) -> None:
        peer.take()
        peer.send(bytes(data[: len(data) - cut]))

    with serve(place, talk):
        try:
            rows = query(place, SQL, deadline_s=5)
        except OsqueryError:
            return
    assert all(isinstance(value, str) for row in rows for value in row.values())


# What it says


@pytest.fixture(params=["in C", "in Python"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of Thrift's two decoders; the one in C is not built everywhere."""
    if request.param == "in Python":
        monkeypatch.setitem(sys.modules, "thrift.protocol.fastbinary", None)
        monkeypatch.delattr(thrift.protocol, "fastbinary", raising=False)
    else:
        pytest.importorskip("thrift.protocol.fastbinary")
    return str(request.param)


@pytest.mark.usefixtures("decoder")
def test_names_that_are_no_utf8_come_through(place: Path) -> None:
    name = b"/srv/bad\xff\xfename\n\x00\xc3\xbc"
    with serve(place, say(reply([{b"path": name, b"col\xe9": b""}, {b"path": b"", b"col\xe9": b"x"}]))):
        first, second = query(place, SQL)
    assert list(first) == ["path", "col\udce9"]
    assert os.fsencode(first["path"]) == name
    assert second == {"path": "", "col\udce9": "x"}


@pytest.mark.usefixtures("decoder")
def test_a_refused_query_has_the_words_of_osqueryd(place: Path) -> None:
    def talk(peer: Peer) -> None:
        peer.take()
        peer.send(reply(code=1, message=b"no such table: nope\xff"))
        answer_always(peer)

    with serve(place, talk) as served, OsqueryClient(str(place)) as client:
        with pytest.raises(OsqueryQueryError) as refused:
            client.query("SELECT * FROM nope")
        assert (refused.value.message, refused.value.code) == ("no such table: nope\udcff", 1)
        assert client.query(SQL) == [{"one": "1"}]  # on the same connection: a refusal is an answer
        assert served.connections == 1


@pytest.mark.usefixtures("decoder")
def test_a_question_of_any_bytes_is_sent_as_it_is(place: Path) -> None:
    asked: list[bytes] = []

    def talk(peer: Peer) -> None:
        asked.append(peer.take())
        peer.send(reply(ONE))

    with serve(place, talk):
        query(place, "SELECT * FROM file WHERE path = '/srv/bad\udcffü'")
    assert b"path = '/srv/bad\xff\xc3\xbc'" in asked[0]


def test_a_hundred_thousand_rows_come_whole(place: Path) -> None:
    rows = [
        {b"path": b"/usr/lib/%d" % number, b"pid": b"%d" % number, b"cmdline": b"x" * 60, b"uid": b"0", b"hash": b"a" * 64}
        for number in range(100_000)
    ]
    with serve(place, say(reply(rows))):
        got = query(place, SQL, deadline_s=60)
    assert len(got) == 100_000
    assert got[-1] == {"path": "/usr/lib/99999", "pid": "99999", "cmdline": "x" * 60, "uid": "0", "hash": "a" * 64}
