"""What the report takes from the store: what is open, what was settled and by whom, gaps, coverage, parents."""

from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.incident_rows import IncidentRow
from fimkit.model.changes import Action, Actor, Change, Note, NoteKind, Source
from fimkit.model.errors import StoreError
from fimkit.model.findings import Attribution, Finding, Kind
from fimkit.model.records import BadLine
from fimkit.verbs.report import report_store, store_data
from tests.verbs.baseline_host import NOW, SmallHost, make_host

S = 1_000_000_000
DAY = 86_400 * S
ACTOR = Actor(
    auid=1000, uid=0, euid=0, user="alice", pid=300, ppid=200, exe=b"/usr/bin/cp", comm=b"cp", cmdline="cp x a",
    cmdline_verified=True, tty="pts0", ses=3, syscall="openat", time_ns=NOW, event="1795319341.970:10",
)  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    return make_host(tmp_path)


def put(host: SmallHost, finding: Finding) -> Finding:
    with host.store() as store:
        store.add_findings([finding], now_ns=NOW)
    return finding


def changed(host: SmallHost, name: str) -> Finding:
    (host.tree / name).write_text("changed")
    return host.found(name, Kind.MODIFIED)


def data_of(host: SmallHost, **more: int | None) -> object:
    with host.store() as store:
        return store_data(host.config, store, since_ns=more.get("since_ns"), now_ns=NOW + DAY)


def test_what_is_open_is_shown_however_old(host: SmallHost) -> None:
    finding = changed(host, "a")
    data = data_of(host)
    assert [one.id for one in data.findings] == [finding.id]
    assert data.statuses == {}


def test_since_shows_what_was_settled_and_by_whom(host: SmallHost) -> None:
    kept, gone, old = changed(host, "a"), changed(host, "b"), changed(host, "conf/x")
    with host.store() as store:
        store.accept([(kept.path, kept.after)], who="bob", why="ticket 4711", time_ns=NOW + 5 * S, finding_ids=[kept.id])
        store.close_undone([gone.path], [], now_ns=NOW + 6 * S)
    assert [one.id for one in data_of(host).findings] == [old.id]
    data = data_of(host, since_ns=NOW)
    assert {one.id for one in data.findings} == {kept.id, gone.id, old.id}
    assert data.statuses[kept.id].endswith("by bob: ticket 4711")
    assert data.statuses[gone.id].startswith("undone; found as in the baseline")
    assert data_of(host, since_ns=NOW + DAY).findings == ()


def test_a_finding_that_opened_again_is_open(host: SmallHost) -> None:
    finding = changed(host, "a")
    with host.store() as store:
        store.close_undone([finding.path], [], now_ns=NOW + S)
    put(host, replace(finding, last_seen_ns=NOW + 2 * S))
    data = data_of(host, since_ns=NOW)
    assert [one.id for one in data.findings] == [finding.id]
    assert data.statuses == {}


def test_gaps_come_from_the_notes_and_only_those_that_bear_on_what_is_shown(host: SmallHost) -> None:
    def note(kind: NoteKind, time_ns: int) -> Note:
        return Note(source=Source.AUDIT, kind=kind, time_ns=time_ns, text="x")

    with host.store() as store:
        store.add_notes([note(NoteKind.AUDIT_DISABLED, NOW - 90 * DAY), note(NoteKind.AUDIT_ENABLED, NOW - 89 * DAY)])
        store.add_notes([note(NoteKind.AUDIT_DISABLED, NOW - 60 * S), note(NoteKind.AUDIT_ENABLED, NOW - 30 * S)])
    assert data_of(host).blind == ()  # nothing is found: no gap bears on it
    changed(host, "a")
    assert [(one.from_ns, one.to_ns) for one in data_of(host).blind] == [(NOW - 60 * S, NOW - 30 * S)]
    assert len(data_of(host, since_ns=NOW - 100 * DAY).blind) == 2


def test_coverage_says_who_is_not_named_and_what_could_not_be_read(host: SmallHost) -> None:
    changed(host, "a")
    with host.store() as store:
        store.add_bad_lines([BadLine(file="/var/log/audit/audit.log", line=3, text=b"?", error="no stamp")], time_ns=NOW)
    coverage = "\n".join(data_of(host).coverage)
    assert "Of 1 open findings, for 1 nobody is named" in coverage
    assert "1 line of /var/log/audit/audit.log could not be read" in coverage


def test_excluded_names_are_stated(tmp_path: Path) -> None:
    host = make_host(tmp_path, exclude=("*.swp",))
    assert any("*.swp" in line for line in data_of(host).coverage)


def test_what_was_looked_at_names_the_baseline_and_who_took_it(host: SmallHost) -> None:
    watched = "\n".join(data_of(host).watched)
    assert str(host.tree) in watched
    assert "by eve" in watched
    assert "No check has looked" in watched


def test_the_hosts_panics_are_in_it(host: SmallHost) -> None:
    row = IncidentRow(id="i", host="web01", cause="2 critical", triggered_ns=NOW, updated_ns=NOW, phase="cut", folder=b"/x")
    with host.store() as store:
        store.add_incident(row)
    assert [one.cause for one in data_of(host).incidents] == ["2 critical"]
    assert data_of(host, since_ns=NOW + S).incidents == ()


def test_parents_are_read_from_the_store(host: SmallHost, tmp_path: Path) -> None:
    finding = changed(host, "a")
    put(host, replace(finding, actors=(ACTOR,), attribution=Attribution.EXACT, evidence=(ACTOR.event,)))
    shell = replace(ACTOR, pid=200, ppid=100, exe=b"/bin/sh", cmdline="sh -c evil", time_ns=NOW - S, event="1795319340.970:5")
    above = replace(ACTOR, pid=100, ppid=1, exe=b"/usr/sbin/sshd", cmdline=None, time_ns=NOW - 2 * S, event="1795319339.970:2")
    with host.store() as store:
        store.add_changes(
            Change(source=Source.AUDIT, action=Action.OPENED, time_ns=actor.time_ns, serial=number, path=b"/tmp/x", actor=actor)
            for number, actor in enumerate((shell, above, replace(shell, time_ns=NOW - S + 1)))
        )
    data = report_store(host.config, tmp_path / "report.html", now_ns=NOW)
    above_it = [(one.pid, one.exe, one.cmdline) for one in data.processes]
    assert above_it == [(200, b"/bin/sh", "sh -c evil"), (100, b"/usr/sbin/sshd", None)]
    assert "sh -c evil" in (tmp_path / "report.html").read_text()


def test_without_a_store_it_says_so(tmp_path: Path, host: SmallHost) -> None:
    config = replace(host.config, host=replace(host.config.host, state_dir=b"/nonexistent/state"))
    with pytest.raises(StoreError, match="no evidence store"):
        report_store(config, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
