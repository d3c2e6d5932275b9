"""What an analyst asks of frames, held against the labelled incident."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fimkit
from fimkit.model.errors import UsageError
from fimkit.report.frames import Frame, baseline_frame, findings_frame, findings_of
from fimkit.report.html_verdict import render_when
from tests.evidence.examples import NOW, a_finding, a_state, an_actor

DATA = Path(__file__).parents[1] / "data"
TREE = "/srv/fim/tree"


@pytest.fixture(scope="module")
def archive() -> Any:
    return fimkit.open(DATA / "incident-01")


@pytest.fixture(scope="module")
def findings(archive: Any) -> Frame:
    return archive.findings()


@pytest.fixture(scope="module")
def truth() -> dict[str, dict[str, Any]]:
    lines = (DATA / "incident-01" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["step"]: row for row in map(json.loads, lines)}


def test_who_names_the_process_of_each_step(findings: Frame, truth: dict[str, dict[str, Any]]) -> None:
    asked = 0
    for step in truth.values():
        if step["attribution"] == "exact" and step["pid"] is not None and step["kind"] not in ("none", "any", "transient"):
            who = findings.fim.who(step["path"])
            asked += 1
            assert step["pid"] in set(who["pid"]), step
            row = who[who["pid"] == step["pid"]].iloc[0]
            assert (row["exe"], row["uid"]) == (step["exe"], step["uid"])
            assert pd.isna(row["auid"]) if step["auid"] is None else row["auid"] == step["auid"]
    assert asked >= 20


def test_a_session_is_all_that_one_login_did(findings: Frame, truth: dict[str, dict[str, Any]]) -> None:
    for auid in (1000, 1001, 1002):
        expected = {step["path"] for step in truth.values() if step["auid"] == auid and step["kind"] not in ("none", "any")}
        session = findings.fim.session(auid=auid)
        assert expected <= set(session["path"])
        assert session["time"].is_monotonic_increasing
    assert set(findings.fim.session(user="alice")["auid"]) == {1000}


def test_a_history_follows_a_rename_from_either_name(archive: Any, findings: Frame) -> None:
    for name in ("app9.conf", "app9.bak"):
        assert list(findings.fim.history(f"{TREE}/etc/{name}")["moved_to"]) == [f"{TREE}/etc/app9.bak"]
        assert {f"{TREE}/etc/app9.conf", f"{TREE}/etc/app9.bak"} <= set(archive.changes().fim.history(f"{TREE}/etc/{name}")["path"])


def test_a_history_says_what_became_of_it(findings: Frame) -> None:
    assert findings.fim.history(f"{TREE}/sbin/tool3")["what"].str.contains("mode 0755 → 4755").all()


def test_one_critical_weighs_more_than_many_infos(findings: Frame) -> None:
    assert findings.fim.top("exe")["exe"].iloc[0] == "/usr/bin/cp"
    assert findings.fim.top("exe", by="count")["exe"].iloc[0] == "/usr/bin/python3.11"
    assert findings.fim.top("changed", n=1)["changed"].iloc[0]  # what a row has several of is counted one by one
    assert len(findings.fim.top("exe", n=3)) == 3


def test_a_timeline_counts_every_finding_once(findings: Frame) -> None:
    for every in ("1s", "1min", "1D", "auto"):
        counts = findings.fim.timeline(every)
        assert counts.to_numpy().sum() == len(findings)
        assert list(counts.columns) == ["critical", "high", "medium", "low", "info"]
    assert findings.fim.timeline()["time"].is_monotonic_increasing


def test_a_forged_time_makes_no_million_of_steps() -> None:
    rows = [(a_finding("a1", first_seen_ns=0), "open", None), (a_finding("a2", b"/y", first_seen_ns=NOW), "open", None)]
    assert len(findings_frame(rows).fim.timeline("1s")) == 2


def test_prevalence_tells_a_roll_out_from_a_lead() -> None:
    spread = fimkit.open(DATA / "fleet-01").findings().fim.prevalence("path")
    reading = dict(zip(spread["path"].str.removeprefix(TREE + "/"), spread["reading"], strict=True))
    assert reading == {
        "sbin/tool2": "lead", "home/alice/sh": "lead", "www/html/uploads/test3.php": "lead", "etc/app13.conf": "lead",
        "etc/app2.conf": "", "etc/app3.conf": "roll-out", "etc/app4.conf": "roll-out",
    }  # fmt: skip


def test_the_reading_of_a_prevalence_stands_where_it_is_seen() -> None:
    spread = fimkit.open(DATA / "fleet-01").findings().fim.prevalence("path", "sha256")
    heads = re.findall(r'<th scope="col">(\w+)</th>', spread._repr_html_())
    assert heads == ["path", "sha256", "severity", "reading", "hosts", "of", "where", "first", "last"]


def test_the_odd_one_out_is_found_in_baselines_alone() -> None:
    states = [(f"web{number}", None, a_state(b"/usr/bin/id", sha256=("b" if number == 3 else "a") * 64)) for number in range(1, 13)]
    spread = baseline_frame(states).fim.prevalence("path", "sha256")
    assert next(zip(spread["where"], spread["reading"], strict=True)) == ("web3", "lead")
    assert list(spread["hosts"]) == [1, 11]


def test_hosts_without_findings_can_be_counted_in() -> None:
    spread = fimkit.open(DATA / "fleet-01").findings().fim.prevalence("path", hosts=400)
    assert set(spread["of"]) == {400}
    assert "roll-out" not in set(spread["reading"])


def test_on_few_hosts_nothing_is_a_roll_out(findings: Frame) -> None:
    assert set(findings.fim.prevalence()["reading"]) == {""}


def test_a_pivot_counts_all_rows(findings: Frame) -> None:
    table = findings.fim.pivot("exe")
    assert table["total"].sum() == len(findings)
    assert table.loc["(none)", "critical"] == 1


def test_the_report_has_all_findings(findings: Frame, tmp_path: Path) -> None:
    page = findings.fim.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(number in page for number in findings["id"])
    assert len(findings_of(findings)) == len(findings)


def test_the_report_of_a_frame_counts_what_is_closed_as_closed(tmp_path: Path) -> None:
    closed_ns = NOW + 10**9
    lives = [
        (a_finding("a1", b"/etc/one"), "accepted", closed_ns), (a_finding("a1", b"/etc/one"), "open", None),
        (a_finding("a2", b"/etc/two"), "gone", closed_ns), (a_finding("a3", b"/etc/three"), "superseded", closed_ns),
    ]  # fmt: skip
    frame = findings_frame(lives)
    frame.attrs["problems"] = ["audit.log:3: no <b>record</b>"]
    page = frame.fim.report(tmp_path / "r.html", now_ns=NOW).read_text()
    shown = json.loads(re.search('<script type="application/json" id="data">(.*?)</script>', page)[1])  # type: ignore[index]
    rows = zip(shown["findings"]["path"], shown["findings"]["status"], strict=True)
    told = {path: shown["statuses"][status] for path, status in rows}
    assert told == {"/etc/one": "open", "/etc/two": f"gone {render_when(closed_ns)}"}
    assert "audit.log:3: no &lt;b&gt;record&lt;/b&gt;" in page
    assert "Nothing is known to have been missed" not in page


def test_every_question_takes_an_empty_frame() -> None:
    empty = findings_frame([])
    assert empty.fim.timeline().empty and empty.fim.timeline("1h").empty and empty.fim.top("exe").empty
    assert empty.fim.who("/x").empty and empty.fim.history("/x").empty and empty.fim.session(auid=1).empty
    assert empty.fim.prevalence().empty and empty.fim.pivot("exe").empty
    for frame in (empty.fim.timeline("1h"), empty.fim.prevalence(), empty.fim.pivot("exe")):
        assert "0 rows" in frame._repr_html_()


def test_a_question_that_makes_no_sense_is_refused_in_words(findings: Frame) -> None:
    for ask in (
        lambda: findings.fim.top("nonsense"), lambda: findings.fim.top("exe", by="colour"), lambda: findings.fim.session(),
        lambda: findings.fim.timeline("often"), lambda: findings.fim.process_tree(-5),
        lambda: pd.DataFrame({"a": [1]}).fim.who("/x"), lambda: pd.DataFrame({"path": ["/x"], "mtime": [1]}).fim.history("/x"),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            ask()


def _process(pid: int, ppid: int, exe: bytes, at: int) -> Any:
    actor = an_actor(pid=pid, ppid=ppid, exe=exe, cmdline=exe.decode(), time_ns=NOW + at)
    return a_finding(f"{pid}-{at}", b"/etc/%d" % pid, actors=(actor,), after=a_state(b"/etc/x")), "open", None


def test_a_tree_has_ancestors_and_descendants_and_no_siblings() -> None:
    frame = findings_frame([
        _process(10, 1, b"/sbin/sshd", 0), _process(20, 10, b"/bin/bash", 1), _process(30, 20, b"/bin/cp", 2),
        _process(31, 20, b"/bin/sh", 3), _process(40, 31, b"/bin/rm", 4), _process(50, 10, b"/bin/other", 5),
    ])  # fmt: skip
    tree = frame.fim.process_tree(20)
    assert list(tree["pid"]) == [1, 10, 20, 30, 31, 40]
    assert list(tree["tree"]) == [
        "(pid 1, not recorded itself)", "└─ /sbin/sshd", "   └─ ▶ /bin/bash", "      └─ /bin/cp", "      └─ /bin/sh",
        "         └─ /bin/rm",
    ]  # fmt: skip


def test_numbers_that_were_used_again_end_no_walk() -> None:
    frame = findings_frame([_process(10, 20, b"/a", 0), _process(20, 10, b"/b", 1), _process(30, 30, b"/c", 2)])
    assert sorted(frame.fim.process_tree(10)["pid"]) == [10, 20]
    assert list(frame.fim.process_tree(30)["pid"]) == [30]


def test_a_pid_of_two_hosts_needs_the_host() -> None:
    one, status, closed = _process(10, 1, b"/a", 0)
    other = a_finding("b1", host="web02", actors=one.actors)
    frame = findings_frame([(one, status, closed), (other, status, closed)])
    with pytest.raises(UsageError, match="web01, web02"):
        frame.fim.process_tree(10)
    assert list(frame.fim.process_tree(10, host="web02")["pid"]) == [1, 10]
