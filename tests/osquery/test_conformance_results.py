"""What osqueryd writes of scheduled queries: the three formats, new rows only, counters, decorations, and bytes of names."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.osquery.conformance import each_osqueryd, write
from tests.osqueryd import Running, start_osqueryd, wait_for

pytestmark = [each_osqueryd, pytest.mark.skipif(os.geteuid() != 0, reason="osqueryd watches files as root")]

_EVENTS = "SELECT * FROM file_events"
_HEAD = ["name", "hostIdentifier", "calendarTime", "unixTime", "epoch", "counter", "numerics"]


def _config(root: Path) -> dict[str, Any]:
    root.mkdir(exist_ok=True)
    return {
        "schedule": {
            "count": {"query": f"SELECT count(*) AS n FROM file WHERE path LIKE '{root}/%'", "interval": 1},
            "only_added": {"query": f"SELECT filename, size FROM file WHERE path LIKE '{root}/%'", "interval": 1, "removed": False},
            "snapshot": {"query": "SELECT 1 AS one, 'a' AS a", "interval": 1, "snapshot": True},
            "broken": {"query": "SELECT * FROM nope", "interval": 1},
        },
        "packs": {
            "fim": {
                "file_paths": {"all": [f"{root}/%%"]},
                "queries": {
                    "file_events": {"query": _EVENTS, "interval": 1, "removed": False},
                    "renamed": {"query": "SELECT target_path AS path FROM file_events", "interval": 1},
                },
            }
        },
        "decorators": {"load": ["SELECT 'x' AS first"], "always": ["SELECT 'y' AS second"]},
    }


class _Host:
    def __init__(self, running: Running, root: Path) -> None:
        self.running, self.root = running, root

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.running.results() if line["name"] == name]

    def rows_of(self, path: Path | str) -> list[dict[str, Any]]:
        return [line for line in self.lines("pack_fim_file_events") if line["columns"]["target_path"] == str(path)]

    def wait_for_rows_of(self, path: Path | str, count: int = 3) -> list[dict[str, Any]]:
        assert wait_for(lambda: len(self.rows_of(path)) >= count)
        return self.rows_of(path)


@pytest.fixture(scope="module")
def host(binary: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Host]:
    home = tmp_path_factory.mktemp("results")
    flags = ["--host_identifier=specified", "--specified_identifier=web01"]
    with start_osqueryd(home / "osquery", config=_config(home / "watched"), flags=flags, binary=binary) as running:
        yield _Host(running, home / "watched")


def test_an_event_is_a_line_with_keys_in_this_order(host: _Host) -> None:
    path = write(host.root / "event")
    line = host.wait_for_rows_of(path)[0]
    assert list(line) == [*_HEAD, "decorations", "columns", "action"]
    assert (line["hostIdentifier"], line["epoch"], line["numerics"], line["action"]) == ("web01", 0, False, "added")
    assert line["calendarTime"] == time.strftime("%a %b %e %H:%M:%S %Y UTC", time.gmtime(line["unixTime"]))
    assert line["decorations"] == {"first": "x", "second": "y"}
    assert list(line["columns"]) == sorted(line["columns"])
    assert {type(value) for value in line["columns"].values()} == {str}
    assert host.running.results_log.read_bytes().count(b'": ') == 0


def test_each_event_is_logged_once_by_each_query(host: _Host) -> None:
    path = write(host.root / "once")
    host.wait_for_rows_of(path)
    time.sleep(2.1)
    assert [line["columns"]["action"] for line in host.rows_of(path)] == ["CREATED", "UPDATED", "UPDATED"]
    assert [line["columns"] for line in host.lines("pack_fim_renamed")].count({"path": str(path)}) == 3


def test_event_queries_remove_nothing_and_count_the_runs_that_had_rows(host: _Host) -> None:
    for name in ("one", "two"):
        host.wait_for_rows_of(write(host.root / name))
        time.sleep(1.1)
    lines = host.lines("pack_fim_file_events")
    assert {line["action"] for line in lines} == {"added"}
    counters = [line["counter"] for line in lines]
    assert counters == sorted(counters) and set(counters) == set(range(max(counters) + 1))


def test_names_in_the_log_keep_utf8_and_escape_the_rest(host: _Host) -> None:
    folder = os.fsencode(host.root)
    for name in (b"new\nline", b"bad\xffname", "ünïcode".encode()):
        with open(os.path.join(folder, name), "wb"):
            pass
    for text in (r"new\x0Aline", r"bad\xFFname", "ünïcode"):
        host.wait_for_rows_of(f"{host.root}/{text}", 2)


def test_a_differential_query_logs_what_differs(host: _Host) -> None:
    assert wait_for(lambda: host.lines("count"))
    write(host.root / "difference")
    assert wait_for(lambda: [line for line in host.lines("count") if line["action"] == "removed"])
    lines = host.lines("count")
    pairs = [(line["counter"], line["action"]) for line in lines]
    assert pairs[0] == (0, "added")
    removed = pairs.index((pairs[1][0], "removed"))
    assert lines[removed]["columns"]["n"] != lines[removed + 1]["columns"]["n"]
    assert pairs[removed + 1] == (pairs[removed][0], "added")


def test_a_query_without_removed_says_nothing_of_what_is_gone(host: _Host) -> None:
    path = write(host.root / "short-lived")
    assert wait_for(lambda: [line for line in host.lines("only_added") if line["columns"]["filename"] == path.name])
    path.unlink()
    host.wait_for_rows_of(path, 4)
    time.sleep(1.1)
    assert {line["action"] for line in host.lines("only_added")} == {"added"}


def test_a_snapshot_goes_to_its_own_log_whole_each_time(host: _Host) -> None:
    assert wait_for(lambda: len(host.running.snapshots()) >= 2)
    for line in host.running.snapshots():
        assert list(line) == ["snapshot", "action", *_HEAD, "decorations"]
        assert (line["snapshot"], line["action"], line["counter"]) == ([{"a": "a", "one": "1"}], "snapshot", 0)
    assert not host.lines("snapshot")


def test_a_query_that_fails_is_said_and_the_others_run(host: _Host) -> None:
    assert wait_for(lambda: "Error executing scheduled query broken: no such table: nope" in host.running.stderr_text())
    assert not host.lines("broken")


def test_batches_and_numbers_are_a_matter_of_flags(binary: tuple[str, ...], tmp_path: Path) -> None:
    root = tmp_path / "watched"
    flags = ["--logger_event_type=false", "--logger_numerics=true"]
    with start_osqueryd(tmp_path / "osquery", config=_config(root), flags=flags, binary=binary) as running:
        path = write(root / "file")

        def batches() -> list[dict[str, Any]]:
            return [line for line in running.results() if line["name"] == "pack_fim_file_events"]

        def rows() -> list[dict[str, Any]]:
            return [row for line in batches() for row in line["diffResults"]["added"]]

        assert wait_for(lambda: len(rows()) >= 3)
        assert list(batches()[0]) == ["diffResults", *_HEAD, "decorations"]
        assert list(batches()[0]["diffResults"]) == ["removed", "added"] and batches()[0]["numerics"] is True
        row = rows()[-1]
        state = path.stat()
        assert (row["inode"], row["size"], row["uid"], row["hashed"], row["transaction_id"]) == (state.st_ino, 7, 0, 1, 0)
        assert row["mode"] == "0644"
        first = next(line for line in running.results() if line["name"] == "count")
        assert (first["counter"], first["diffResults"]["removed"]) == (0, [])


def test_counters_go_on_over_a_restart(binary: tuple[str, ...], tmp_path: Path) -> None:
    root = tmp_path / "watched"
    counters: list[int] = []
    for name in ("before", "after"):
        with start_osqueryd(tmp_path / "osquery", config=_config(root), binary=binary) as running:
            path = write(root / name)
            host = _Host(running, root)
            counters.append(host.wait_for_rows_of(path)[0]["counter"])
    assert counters[0] == 0 < counters[1]


def test_without_a_database_counting_begins_anew(binary: tuple[str, ...], tmp_path: Path) -> None:
    root = tmp_path / "watched"
    for name in ("before", "after"):
        flags = ["--ephemeral", "--disable_database"]
        with start_osqueryd(tmp_path / "osquery", config=_config(root), flags=flags, binary=binary) as running:
            path = write(root / name)
            assert _Host(running, root).wait_for_rows_of(path)[0]["counter"] == 0


def test_a_log_that_is_moved_away_is_begun_anew(host: _Host) -> None:
    host.wait_for_rows_of(write(host.root / "moved-before"))
    log = host.running.results_log
    log.rename(log.with_suffix(".1"))
    assert wait_for(lambda: write(host.root / "moved-after") and log.exists() and json.loads(log.read_bytes().splitlines()[0]))
