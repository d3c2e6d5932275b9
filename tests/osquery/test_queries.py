"""The files of queries/: headers, order, and where they are found."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.errors import ConfigError
from fimkit.osquery.queries import Query, load_queries, load_query, parse_query, queries_folder

__all__: list[str] = []

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(folder.name for folder in (ROOT / "queries").iterdir() if folder.is_dir() and any(folder.glob("*.sql")))
QUERIES = [query for folder in FOLDERS for query in load_queries(folder)]
FULL = """-- New programs
--   in folders of programs
-- Why: what nobody installed.
--   It stays.
-- Interval: 60
-- Snapshot: yes
-- Platform: posix
-- Version: 5.0.0
-- Source: somewhere

SELECT 1 -- a comment of its own
;
"""


def test_a_header_is_read_whole() -> None:
    assert parse_query(FULL, name="new", folder="pack") == Query(
        name="new",
        folder="pack",
        sql="SELECT 1 -- a comment of its own",
        description="New programs in folders of programs",
        why="what nobody installed. It stays.",
        platform="posix",
        interval_s=60,
        snapshot=True,
        removed=False,
        version="5.0.0",
        source="somewhere",
    )


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_query("-- Interval: soon\n-- Removed: maybe\n-- Wy: x\n", name="bad", folder="pack")
    assert len(refused.value.problems) == 5
    assert all(problem.startswith("query pack/bad: ") for problem in refused.value.problems)


@pytest.mark.parametrize("interval", ["0", "604801", "-1", "1.5", "", "٣"])
def test_an_interval_that_osquery_refuses_is_refused(interval: str) -> None:
    with pytest.raises(ConfigError, match="Interval"):
        parse_query(f"-- x\n-- Interval: {interval}\n\nSELECT 1", name="x")


@given(st.text())
def test_any_text_is_a_query_or_refused_in_our_words(text: str) -> None:
    try:
        assert parse_query(text, name="x").sql
    except ConfigError as error:
        assert error.problems


def test_an_unknown_query_and_an_unknown_folder_are_refused() -> None:
    with pytest.raises(ConfigError, match="processes"):
        load_query("recon/nothing")
    with pytest.raises(ConfigError, match="no such folder"):
        load_queries("nothing")


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.folder}/{query.name}")
def test_every_file_says_what_it_is_for_and_where_it_comes_from(query: Query) -> None:
    assert query.description and query.why and query.source
    assert load_query(f"{query.folder}/{query.name}") == query


def test_no_two_queries_of_a_folder_share_a_name() -> None:
    assert len({(query.folder, query.name) for query in QUERIES}) == len(QUERIES)


@pytest.mark.parametrize("query", load_queries("recon"), ids=lambda query: query.name)
def test_every_recon_query_fits_the_tables_of_osquery(query: Query) -> None:
    schema = (ROOT / "tests/data/osquery/tables.sql").read_text(encoding="utf-8")
    with sqlite3.connect(":memory:") as tables:
        tables.executescript(schema)
        assert tables.execute(query.sql).description


def test_recon_goes_from_what_is_lost_first_to_what_stays() -> None:
    names = [query.name for query in load_queries("recon")]
    in_order = ["process_open_sockets", "arp_cache", "processes", "mounts", "temporary_executables", "crontab", "suid_bin"]
    assert sorted(in_order, key=names.index) == in_order


def test_an_installation_finds_its_queries(tmp_path: Path) -> None:
    """Only what a wheel holds: the package in one place, the queries in its scheme's share folder."""
    (tmp_path / "share/fimkit").mkdir(parents=True)
    (tmp_path / "share/fimkit/queries").symlink_to(queries_folder())
    (tmp_path / "fimkit").symlink_to(ROOT / "fimkit")
    code = "from fimkit.osquery.queries import *; print(queries_folder(), len(load_queries('recon')))"
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-S", "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(tmp_path / "share/fimkit/queries"), str(len(load_queries("recon")))], done.stderr
