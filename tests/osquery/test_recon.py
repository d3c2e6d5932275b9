"""Recon against servers that misbehave: one query never costs the others, and the whole ends in time."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.osquery.answer import Answer, ask
from fimkit.osquery.client import OsqueryClient
from fimkit.osquery.queries import Query, load_queries
from fimkit.osquery.recon import plan_recon, run_recon
from tests.osquery.thrift_server import Peer, refusal, reply, serve

__all__: list[str] = []


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fimkit-") as folder:
        yield Path(folder) / "em"


def asked(*queries: str) -> list[Query]:
    return [Query(name=sql.lower(), folder="", sql=sql, description=sql) for sql in queries]


def obey(peer: Peer) -> None:
    """Do what the query says."""
    while question := peer.take():
        if b"HANG" in question:
            peer.hold()
        elif b"DIE" in question:
            return
        elif b"NOTABLE" in question:
            peer.send(reply(code=1, message=b"no such table: nope"))
        elif b"getQueryColumns" in question:
            peer.send(reply([{b"z": b"TEXT"}, {b"a": b"BIGINT"}, {b"z": b"TEXT"}], method="getQueryColumns"))
        else:
            peer.send(reply([{b"a": b"1", b"z": b"x"}]))


def test_one_that_hangs_dies_or_is_refused_does_not_stop_the_others(place: Path) -> None:
    queries = asked("FIRST", "HANG", "SECOND", "DIE", "THIRD", "NOTABLE", "FOURTH")
    with serve(place, obey), OsqueryClient(str(place)) as client:
        started = time.monotonic()
        results = run_recon(client, queries, deadline_s=10, each_s=0.3)
        assert time.monotonic() - started < 2
    assert [result.query.name for result in results if result.answer] == ["first", "second", "third", "fourth"]
    notes = {result.query.name: result.note or "" for result in results if not result.answer}
    assert "longer than the deadline" in notes["hang"]
    assert "closed the connection" in notes["die"]
    assert notes["notable"] == "this osqueryd has no table nope"
    assert 0.3 <= results[1].took_s < 1


def test_one_that_hangs_takes_at_most_a_quarter_of_the_time(place: Path) -> None:
    with serve(place, obey), OsqueryClient(str(place)) as client:
        results = run_recon(client, asked("HANG", "FIRST"), deadline_s=2)
    assert 0.5 <= results[0].took_s < 1
    assert results[1].answer is not None


def test_the_deadline_holds_for_all_and_what_it_cut_is_noted(place: Path) -> None:
    queries = asked(*["HANG"] * 20)
    with serve(place, obey), OsqueryClient(str(place)) as client:
        started = time.monotonic()
        results = run_recon(client, queries, deadline_s=0.6, each_s=0.25)
        assert 0.6 <= time.monotonic() - started < 1.6
    assert len(results) == 20
    assert results[-1].note == "not asked: the 0.6 s for all queries were over"


def test_without_osqueryd_every_query_says_so_at_once(place: Path) -> None:
    started = time.monotonic()
    with OsqueryClient(str(place)) as client:
        results = run_recon(client, plan_recon(), deadline_s=30)
    assert time.monotonic() - started < 2
    assert {result.note for result in results} == {
        f"there is no socket '{place}': osqueryd does not run, or has another --extensions_socket"
    }


def test_the_configurations_queries_come_last_and_keep_their_words() -> None:
    plan = plan_recon(["SELECT * FROM listening_ports", "SELECT 1"])
    assert plan[:-2] == load_queries("recon")
    assert [(query.name, query.sql) for query in plan[-2:]] == [
        ("configured_1", "SELECT * FROM listening_ports"),
        ("configured_2", "SELECT 1"),
    ]


def test_columns_are_in_the_order_of_the_query(place: Path) -> None:
    with serve(place, obey), OsqueryClient(str(place)) as client:
        assert ask(client, "SELECT z, a, z FROM x") == Answer((("z", "TEXT"), ("a", "BIGINT")), [{"a": "1", "z": "x"}])


def test_rows_are_not_lost_where_their_columns_cannot_be_asked(place: Path) -> None:
    def no_columns(peer: Peer) -> None:
        while question := peer.take():
            peer.send(refusal("unknown") if b"getQueryColumns" in question else reply([{b"a": b"1"}]))

    with serve(place, no_columns), OsqueryClient(str(place)) as client:
        assert ask(client, "SELECT a FROM x") == Answer((("a", "UNKNOWN"),), [{"a": "1"}])
