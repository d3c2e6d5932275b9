"""What can be opened: live stores, collected folders, logs, exports, and fleets with a broken host among them."""

import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fimkit
from fimkit.evidence.finding_life import FindingStatus
from fimkit.evidence.past_rows import Span
from fimkit.evidence.reader import open_reader
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Change
from fimkit.model.config_text import load_foreign_config
from fimkit.model.errors import ConfigError, UsageError
from fimkit.model.findings import Finding, Severity, Tier
from fimkit.model.json_form import render_finding
from fimkit.report.change_frames import change_frame, changes_frame
from fimkit.report.frame_schema import SCHEMAS
from fimkit.verbs.archive_parts import StorePart, read_finding
from fimkit.verbs.notebook_places import find_sample
from fimkit.verbs.since import parse_since
from tests.evidence.examples import DAY_NS, NOW, a_change, a_finding, a_state, an_actor, changes

DATA = Path(__file__).parents[1] / "data"
INCIDENT = DATA / "incident-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return state


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with open_store(os.fsencode(folder), create=True) as opened:
        opened.write_baseline([a_state(b"/etc/x"), a_state(b"/etc/ssh/a"), a_state(b"/srv/a")], who="eve", why="x", time_ns=NOW)
        yield opened


def _config(place: Path, state_dir: Path) -> Path:
    place.write_text(
        f'[host]\nname = "web07"\nstate_dir = "{state_dir}"\n\n[[paths]]\npath = "/etc"\ntier = "watch"\n\n'
        '[[paths]]\npath = "/etc/ssh"\ntier = "critical"\n'
    )
    return place


def _some(store: Store) -> None:
    old, new = NOW - 10 * DAY_NS, NOW
    store.add_findings([
        a_finding("a1", b"/etc/x", first_seen_ns=old, last_seen_ns=new),
        a_finding("a2", b"/etc/ssh/a", severity=Severity.LOW, tier=Tier.WATCH, first_seen_ns=old, last_seen_ns=old),
        a_finding("a3", b"/srv/a", moved_to=b"/etc/moved", first_seen_ns=new, last_seen_ns=new),
    ], now_ns=new)  # fmt: skip
    store.add_changes([a_change(b"/etc/x", time_ns=old, serial=1), a_change(b"/etc/ssh/a", time_ns=new, serial=2),
                       a_change(b"/etc/ssh/b", time_ns=new, serial=2, item=2)])  # fmt: skip


def test_filters_leave_out_what_is_not_meant(folder: Path, store: Store) -> None:
    _some(store)
    archive = fimkit.open(folder)

    def ids(**filters: Any) -> list[str]:
        return sorted(archive.findings(**filters)["id"])

    assert ids() == ["a1", "a2", "a3"]
    assert ids(since=NOW - DAY_NS) == ["a1", "a3"]
    assert ids(since="2026-11-21") == ids(since=pd.Timestamp(NOW - DAY_NS, tz="UTC")) == ["a1", "a3"]
    assert ids(until=NOW - DAY_NS) == ["a1", "a2"]
    assert ids(path="/etc") == ["a1", "a2", "a3"]  # one was moved there
    assert ids(path="/etc/ssh") == ids(path="/etc/*/a") == ["a2"]
    assert ids(tier="watch") == ["a2"]
    assert ids(severity="medium") == ["a1", "a3"]
    assert ids(host="web*") == ["a1", "a2", "a3"]
    assert ids(host="db*") == []
    assert list(archive.changes(since=NOW - DAY_NS)["path"]) == ["/etc/ssh/a", "/etc/ssh/b"]
    assert list(archive.changes(path="/etc/x")["path"]) == ["/etc/x"]
    assert list(archive.baseline(path="/etc/ssh")["path"]) == ["/etc/ssh/a"]


def test_what_the_store_leaves_out_is_what_a_look_at_each_would(folder: Path, store: Store) -> None:
    some = [
        a_finding(f"{number:02x}", b'/etc/"tier":"watch"%d' % number, severity=severity, tier=tier)
        for number, (severity, tier) in enumerate(itertools.product(Severity, Tier))
    ]
    store.add_findings(some, now_ns=NOW)
    store.close_undone([one.path for one in some[::3]], [], now_ns=NOW + 5)
    archive = fimkit.open(folder)
    whole = archive.findings()
    for severity, tier, status in itertools.product((None, "low", "critical"), (None, "watch", "critical"), (None, "open", "gone")):
        found = archive.findings(severity=severity, tier=tier, status=status)
        meant = whole[
            (whole["severity"] >= (severity or "info")) & whole["tier"].isin([tier] if tier else ["watch", "critical"])
            & whole["status"].isin([status] if status else ["open", "gone"])
        ]  # fmt: skip
        assert list(found["id"]) == list(meant["id"])
    with open_reader(os.fsencode(folder)) as reader:
        read = list(reader.findings(Span(severities=("critical",), status="open"), only_open=False))
    assert {row.finding.severity for row in read} == {Severity.CRITICAL}  # the others were not even read
    for wrong in ({"severity": "bad"}, {"tier": "bad"}, {"status": "bad"}):
        with pytest.raises(UsageError):
            archive.findings(**wrong)


@settings(max_examples=40, deadline=None)
@given(st.lists(changes, max_size=6), st.sampled_from([None, b"web07"]))
def test_changes_by_columns_are_those_by_objects(some: list[Change], named: bytes | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        state = Path(name) / "state"
        state.mkdir(mode=0o700)
        with open_store(os.fsencode(state), create=True) as opened:
            opened.add_changes(some)
        config = None if named is None else load_foreign_config(_config(Path(name) / "fimkit.toml", state))
        part = StorePart(os.fsencode(state), config=config, host="web01")
        by_objects, by_columns = changes_frame(part.changes(Span())), change_frame(part.change_blocks(Span()))
    pd.testing.assert_frame_equal(by_columns, by_objects)
    assert sorted(by_columns.attrs["notes"]) == sorted(by_objects.attrs["notes"])


def test_many_changes_of_many_processes_are_read_in_order(folder: Path, store: Store) -> None:
    count = 45_000  # of three blocks
    store.add_changes(
        a_change(b"/etc/%d" % (number % 7), time_ns=NOW + number // 2 * 1_000_000, serial=number // 2, item=number % 2,
                 actor=None if number % 11 == 0 else an_actor(pid=number % 3000, serial=number // 2))
        for number in range(count)
    )  # fmt: skip
    frame = fimkit.open(folder, host="web01").changes()
    numbers = range(count)
    assert list(frame["serial"]) == [number // 2 for number in numbers]
    assert list(frame["item"]) == [number % 2 for number in numbers]
    assert list(frame["pid"].fillna(-1)) == [-1 if number % 11 == 0 else number % 3000 for number in numbers]
    assert frame["event"].isna().sum() == frame["exe"].isna().sum() == len(range(0, count, 11))


def test_what_is_closed_says_how(folder: Path, store: Store) -> None:
    _some(store)
    store.close_undone([b"/etc/x"], [], now_ns=NOW + 5)
    archive = fimkit.open(folder)
    assert list(archive.findings(status="gone")["id"]) == ["a1"]
    assert list(archive.findings(status="gone")["closed"]) == [pd.Timestamp(NOW + 5, tz="UTC")]
    assert list(archive.findings(since=NOW, status="gone")["id"]) == ["a1"]
    assert [row.status for row in store.finding_rows(None) if row.finding.id == "a1"] == [FindingStatus.GONE]


def test_the_events_of_a_store_are_those_of_its_changes(folder: Path, store: Store) -> None:
    _some(store)
    events = fimkit.open(folder).events()
    assert list(events["paths"]) == [("/etc/x",), ("/etc/ssh/a", "/etc/ssh/b")]
    assert list(events["pid"]) == [4711, 4711]
    assert list(fimkit.open(folder).events(path="/etc/ssh/a")["event"]) == list(events["event"])[1:]


def test_a_configuration_says_the_tiers_and_the_host(folder: Path, store: Store, tmp_path: Path) -> None:
    _some(store)
    config = _config(tmp_path / "fimkit.toml", folder)
    for archive in (fimkit.open(config), fimkit.open(config=config), fimkit.open(folder, config=config)):
        changes = archive.changes()
        assert list(changes["tier"]) == ["watch", "critical", "critical"]
        assert set(changes["host"]) == {"web07"}
        assert list(archive.baseline(tier="critical")["path"]) == ["/etc/ssh/a"]


def test_the_default_is_this_hosts_own_store(folder: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _some(store)
    monkeypatch.setenv("FIMKIT_CONFIG", str(_config(tmp_path / "fimkit.toml", folder)))
    assert len(fimkit.open().findings()) == 3
    assert set(fimkit.open(folder).changes()["tier"]) == {"watch", "critical"}  # it is the configuration of this folder
    monkeypatch.setenv("FIMKIT_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError):
        fimkit.open()


def test_a_live_store_is_read_while_it_is_written(folder: Path, store: Store) -> None:
    """Every answer is of one moment: what a transaction wrote is there whole, or not at all."""
    stop, written = threading.Event(), []

    def write() -> None:
        with open_store(os.fsencode(folder)) as other:
            while not stop.is_set() or len(written) < 3:
                number = len(written)
                path = b"/etc/%d" % number
                with other.transaction():
                    other.add_changes([a_change(path, serial=2 * number), a_change(path, serial=2 * number + 1)])
                written.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        archive, counts = fimkit.open(folder), [0]
        while len(counts) < 10:
            counts.append(len(archive.changes()))
            assert counts[-1] % 2 == 0
    finally:
        stop.set()
        thread.join()
    assert counts == sorted(counts)
    assert len(archive.changes()) == 2 * len(written)
    assert archive.problems == ()


def test_a_collected_folder_is_judged_as_investigate_does() -> None:
    archive = fimkit.open(INCIDENT)
    truth = [json.loads(line) for line in (INCIDENT / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    told = archive.findings().set_index("path")
    for step in truth:
        if step["kind"] not in ("none", "any"):
            assert (told.loc[step["path"], "kind"], told.loc[step["path"], "attribution"]) == (step["kind"], step["attribution"])
    assert len(archive.baseline()) == len((INCIDENT / "baseline.jsonl").read_text(encoding="utf-8").splitlines())
    assert set(archive.findings(tier="critical")["tier"]) == {"critical"}
    assert archive.problems == ()


def test_rotated_and_packed_files_of_a_collected_folder_are_read(tmp_path: Path) -> None:
    copy = tmp_path / "web01"
    shutil.copytree(INCIDENT, copy)
    lines = (copy / "audit.log").read_bytes().splitlines(keepends=True)
    (copy / "audit.log.1").write_bytes(b"".join(lines[:200]))
    (copy / "audit.log").write_bytes(b"".join(lines[200:]))
    for name in ("baseline.jsonl", "after.jsonl"):
        (copy / f"{name}.gz").write_bytes(gzip.compress((copy / name).read_bytes()))
        (copy / name).unlink()
    whole, packed = fimkit.open(INCIDENT), fimkit.open(copy)
    assert list(packed.findings()["id"]) == list(whole.findings()["id"])
    assert len(packed.events()) == len(whole.events())


def test_a_log_alone_has_its_events() -> None:
    events = fimkit.open(INCIDENT / "audit.log").events()
    assert {"openat", "renameat2"} <= set(events["syscall"])
    assert events["cwd"].notna().any()
    assert set(fimkit.open(INCIDENT / "audit.log", host="db01").changes()["host"]) == {"db01"}


def test_a_broken_host_of_a_fleet_is_stated_and_stops_no_other(tmp_path: Path) -> None:
    for name in ("web01", "web02"):
        shutil.copytree(INCIDENT, tmp_path / name)
        config = tmp_path / name / "fimkit.toml"
        config.write_text(config.read_text().replace('"web01"', f'"{name}"'))
    shutil.copytree(INCIDENT, tmp_path / "web03")
    (tmp_path / "web03" / "baseline.jsonl").write_text("no snapshot\n")
    (tmp_path / "web04").mkdir()
    (tmp_path / "web04" / "fimkit.sqlite").write_bytes(b"no store")
    shutil.copytree(DATA / "fleet-01", tmp_path / "others")
    archive = fimkit.open(tmp_path)
    findings = archive.findings()
    assert set(findings["host"]) == {f"web{n:02d}" for n in range(1, 9)}
    assert findings[findings["host"] == "web02"].shape[0] > 30
    words = "\n".join(findings.attrs["problems"])
    assert "web03" in words and "web04" in words
    assert "web04" in findings._repr_html_()


def test_findings_as_lines_come_back_and_bad_lines_are_counted(tmp_path: Path) -> None:
    some = [a_finding("a1"), a_finding("a2", b"/etc/bad\xff"), a_finding("a1", severity=Severity.HIGH)]
    file = tmp_path / "found.jsonl"
    lines = [json.dumps(render_finding(finding)) for finding in some]
    file.write_text("\n".join([lines[0], "no json", '{"blind": {}}', *lines[1:]]) + "\n")
    archive = fimkit.open(file)
    frame = archive.findings()
    assert sorted(fimkit.notebook.findings_of(frame), key=lambda one: one.id) == [some[2], some[1]]
    assert frame.set_index("id").loc["a1", "severity"] == "high"  # the last one counts
    assert [word.rpartition(":")[0].partition("found.jsonl:")[2].partition(":")[0] for word in archive.problems] == ["2", "3"]


def test_findings_as_parquet_come_back(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    some = [a_finding("a1", first_seen_ns=NOW + 1), a_finding("a2", b"/etc/y", actors=(), before=None)]
    rows = [json.loads(json.dumps(render_finding(finding))) for finding in some]
    for row in rows:
        row |= {name: json.dumps(row[name]) for name in ("actors", "before", "after")}
    folder = tmp_path / "host=web01" / "date=2026-11-22"
    folder.mkdir(parents=True)
    table = arrow.Table.from_pylist([{name: value for name, value in row.items() if name != "first_seen"} for row in rows])
    stamps = arrow.array([finding.first_seen_ns for finding in some], type=arrow.timestamp("ns", tz="UTC"))
    parquet.write_table(table.append_column("first_seen", stamps), folder / "part.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"none")
    archive = fimkit.open(tmp_path)
    found: list[Finding] = fimkit.notebook.findings_of(archive.findings())
    assert sorted(found, key=lambda one: one.id) == some
    assert "broken.parquet" in archive.problems[0]


def test_what_cannot_be_opened_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        fimkit.open(tmp_path / "none")
    with pytest.raises(UsageError, match="nothing to analyse"):
        fimkit.open(tmp_path)
    archive = fimkit.open(DATA / "fleet-01")
    for wrong in ({"since": "soon"}, {"tier": "high"}, {"severity": "bad"}, {"status": "new"}):
        with pytest.raises(UsageError):
            archive.findings(**wrong)


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_is_refused(text: str) -> None:
    try:
        assert isinstance(parse_since(text, now_ns=NOW), int)
    except UsageError as error:
        assert "is no time" in str(error)


_plain = st.none() | st.integers() | st.text(max_size=4)


@given(st.recursive(_plain, lambda inner: st.dictionaries(st.text(max_size=8), inner) | st.lists(inner)))
def test_any_object_is_a_finding_or_is_refused(row: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_finding(row)


def test_importing_fimkit_loads_no_frames() -> None:
    code = "import sys, fimkit; assert fimkit.open; print([name for name in ('numpy', 'pandas', 'sqlite3') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_coverage_of_a_log_says_what_the_log_says_of_itself() -> None:
    frame = fimkit.open(find_sample()).coverage()
    assert list(frame.columns) == [field.name for field in SCHEMAS["coverage"].fields]
    assert list(frame["cause"]) == ["rules"]
    assert "auditctl" in frame["words"].iloc[0] and frame["to"].isna().all()
    assert fimkit.open(find_sample()).coverage(until="2020-01-01").empty
