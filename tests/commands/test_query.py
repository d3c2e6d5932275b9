"""`fimkit query` as its users meet it: against a running stand-in, and without any osqueryd."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.cli import main
from fimkit.osquery.recon import plan_recon
from tests.osquery.thrift_server import Peer, reply, serve
from tests.osqueryd import Running, start_osqueryd

__all__: list[str] = []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start_osqueryd(tmp_path_factory.mktemp("osquery")) as one:
        yield one


@pytest.fixture
def config(running: Running, tmp_path: Path) -> str:
    file = tmp_path / "fimkit.toml"
    file.write_text(
        f'[[paths]]\npath = "/sbin"\n[sources]\nosquery_socket = "{running.socket}"\n'
        '[panic]\nrecon_queries = ["SELECT 4711 AS mine"]\n'
    )
    return str(file)


def test_a_table_on_standard_output_and_words_on_standard_error(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", config, "query", "SELECT 7 AS n, 'x' AS text"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("n  text\n7  x\n", "fimkit: 1 row\n")


def test_json_is_one_object_a_row_in_the_order_of_the_query(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", config, "query", "--json", "SELECT 'z' AS z, 1 AS a UNION ALL SELECT 'y', 2"]) == 0
    assert capsys.readouterr().out == '{"z":"z","a":"1"}\n{"z":"y","a":"2"}\n'


def test_a_refused_query_is_a_usage_error_with_the_words_of_osqueryd(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", config, "query", "SELECT * FROM nope"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "fimkit: osqueryd refuses the query: no such table: nope\n")


def test_no_osqueryd_is_the_hosts_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "SELECT 1", "--socket", str(tmp_path / "em")]) == 3
    assert "there is no socket" in capsys.readouterr().err
    assert main(["--config", str(tmp_path / "none.toml"), "query", "--recon", "--json", "--socket", str(tmp_path / "em")]) == 3
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(plan_recon())
    assert "0 of " in said.err


@pytest.mark.parametrize("words", [[], ["SELECT 1", "--recon"], ["SELECT 1", "--deadline", "0"], ["--recon", "--deadline", "nan"]])
def test_neither_or_both_or_no_time_is_a_usage_error(words: list[str], config: str) -> None:
    try:
        status = main(["--config", config, "query", *words])
    except SystemExit as ended:  # argparse's own way
        status = int(str(ended.code))
    assert status == 2


def test_recon_gives_one_object_a_query_and_the_configurations_last(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", config, "query", "--recon", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["query"] for row in rows] == [query.name for query in plan_recon(["SELECT 4711 AS mine"])]
    assert rows[-1]["rows"] == [{"mine": "4711"}]
    assert all((row["rows"] is None) == (row["note"] is not None) for row in rows)


def test_recon_in_words_names_each_query_and_what_is_missing(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", config, "query", "--recon"]) == 0
    said = capsys.readouterr()
    for query in plan_recon():
        assert f"== {query.name}: {query.description}\n" in said.out
    assert "mine\n4711\n" in said.out
    assert "queries answered" in said.err


def test_a_name_of_any_bytes_is_printed_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def talk(peer: Peer) -> None:
        while question := peer.take():
            columns = b"getQueryColumns" in question
            rows = [{b"path": b"TEXT"}] if columns else [{b"path": b"/a\xff\x1b[2J\xe2\x80\xae 1%"}]
            peer.send(reply(rows, method="getQueryColumns" if columns else "query"))

    with serve(tmp_path / "em", talk):
        assert main(["query", "SELECT path FROM file", "--socket", str(tmp_path / "em")]) == 0
        assert capsys.readouterr().out == "path\n/a%FF%1B[2J%E2%80%AE 1%25\n"
        assert main(["query", "SELECT path FROM file", "--json", "--socket", str(tmp_path / "em")]) == 0
        assert json.loads(capsys.readouterr().out) == {"path": "/a%FF%1B[2J\u202e 1%25"}
