"""A finding's life over several checks: what is new is told once, what stays is the same, what is settled does not come back."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from tests.auditlog import ALICE, BOB, ROOT
from tests.checked_host import CheckedHost, make_checked_host


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    return make_checked_host(tmp_path, "a", "b", "c")


def later() -> None:
    """Wait out the clock that change times are taken from: two changes in one tick look like one."""
    time.sleep(0.02)


def test_quiet_tree_is_clean(host: CheckedHost) -> None:
    done = host.run("check")
    assert (done.returncode, done.stdout) == (0, "new: no findings\n")
    quiet = host.check()
    assert (quiet.status, quiet.findings) == (0, [])


def test_mondays_finding_is_the_same_on_tuesday_and_only_counted(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n")
    monday = host.check()
    tuesday = host.run("check")
    every = host.check("--all")
    assert (monday.status, monday.kinds, monday.pids) == (1, {"a": "modified"}, [ALICE.pid])
    assert monday.of("a")["attribution"] == "exact"
    assert tuesday.returncode == 1
    assert tuesday.stdout == "new: no findings\nstill open: 1 finding: 1 critical; --all shows them\n"
    (then,), (now,) = monday.findings, every.findings
    assert now["last_seen"] > then["last_seen"]
    assert {**now, "last_seen": then["last_seen"]} == then


def test_new_and_open_are_printed_together_on_request(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n")
    host.check()
    host.log.write(host.tree / "b", "new\n")
    assert host.check().kinds == {"b": "modified"}
    assert host.check("--all").kinds == {"a": "modified", "b": "modified"}


def test_table_shows_what_is_new_and_json_leaves_standard_output_to_the_objects(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n")
    done = host.run("check", "--json")
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == ["modified"]
    assert "new: 1 finding: 1 critical" in done.stderr
    host.log.write(host.tree / "b", "new\n")
    table = host.run("check").stdout
    assert str(host.tree / "b") in table and str(host.tree / "a") not in table
    assert all(len(line) <= 80 for line in table.splitlines())


def test_further_change_by_another_user_supersedes_and_names_both(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "one\n", ALICE)
    first = host.check()
    later()
    host.log.write(host.tree / "a", "two\n", BOB)
    second = host.check()
    assert (second.status, second.kinds) == (1, {"a": "modified"})
    assert second.ids != first.ids
    assert second.of("a")["attribution"] == "ambiguous"
    assert sorted(second.pids) == [ALICE.pid, BOB.pid]
    assert host.check("--all").ids == second.ids


def test_bytes_by_one_and_mode_by_another_stay_exact_over_two_checks(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "one\n", ALICE)
    host.check()
    later()
    host.log.chmod(host.tree / "a", 0o755, ROOT)
    found = host.check().of("a")
    assert {"sha256", "mode"} <= set(found["changed"])
    assert (found["attribution"], [actor["pid"] for actor in found["actors"]]) == ("exact", [ALICE.pid, ROOT.pid])


def test_created_and_removed_again_is_gone_and_the_host_is_clean(host: CheckedHost) -> None:
    host.log.write(host.tree / "new", "x\n")
    assert host.check().kinds == {"new": "created"}
    later()
    host.log.remove(host.tree / "new", BOB)
    done = host.run("check")
    assert (done.returncode, done.stdout) == (0, "new: no findings\nno longer there: 1\n")
    assert host.check("--all").findings == []


def test_temporary_file_of_what_was_seen_and_removed_is_no_new_finding(host: CheckedHost) -> None:
    host.log.write(host.tree / ".new.tmp", "x\n")
    host.log.rename(host.tree / ".new.tmp", host.tree / "new")
    assert host.check().kinds == {"new": "created"}
    later()
    host.log.remove(host.tree / "new")
    assert (host.check().status, host.check("--all").findings) == (0, [])


def test_what_came_again_after_it_was_seen_to_go_is_told(host: CheckedHost) -> None:
    host.log.write(host.tree / "new", "x\n")
    host.check()
    host.log.remove(host.tree / "new")
    host.check()
    later()
    host.log.write(host.tree / "new", "y\n", BOB)
    host.log.remove(host.tree / "new", BOB)
    again = host.check()
    assert (again.status, again.kinds) == (1, {"new": "transient"})


def test_accepted_change_is_clean_and_its_old_records_do_not_come_back(host: CheckedHost) -> None:
    host.log.deny(host.tree / "a", BOB)
    host.log.write(host.tree / "a", "new\n")
    host.log.write(host.tree / ".d.tmp", "d\n")
    host.log.rename(host.tree / ".d.tmp", host.tree / "d")
    host.log.remove(host.tree / "b")
    assert host.check().kinds == {"a": "modified", "b": "deleted", "d": "created"}
    host.accept(why="release 7")
    assert (host.check().status, host.check("--all").findings) == (0, [])
    history = host.run("baseline", "show", "--history", "--json", host.tree / "a").stdout
    (row,) = map(json.loads, history.splitlines())
    assert row["why"] == "release 7" and row["who"] and row["time"]
    assert row["before"]["sha256"] != row["after"]["sha256"]


def test_change_after_acceptance_is_only_the_later_ones(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "one\n", ALICE)
    host.check()
    host.accept()
    later()
    host.log.write(host.tree / "a", "two\n", BOB)
    found = host.check()
    assert (found.kinds, found.pids, found.of("a")["attribution"]) == ({"a": "modified"}, [BOB.pid], "exact")


def test_file_removed_after_its_creation_was_accepted_is_one_finding(host: CheckedHost) -> None:
    host.log.write(host.tree / ".d.tmp", "d\n")
    host.log.rename(host.tree / ".d.tmp", host.tree / "d")
    host.check()
    host.accept()
    later()
    host.log.remove(host.tree / "d", BOB)
    found = host.check()
    assert (found.kinds, found.pids[0]) == ({"d": "deleted"}, BOB.pid)
    host.accept()
    assert host.check("--all").findings == []


def test_try_repeated_by_the_same_user_is_the_same_finding_and_counts(host: CheckedHost) -> None:
    host.log.deny(host.tree / "a", ALICE)
    first = host.check()
    later()
    host.log.deny(host.tree / "a", ALICE)
    second = host.check()
    (now,) = host.check("--all").findings
    assert (first.kinds, second.findings, second.status) == ({"a": "attempted"}, [], 1)
    assert now["id"] == first.ids[0]
    assert any(reason.startswith("2 denied tries") for reason in now["reasons"])
    assert now["last_seen"] > first.of("a")["last_seen"]


def test_try_of_another_user_replaces_the_older_finding_and_names_both(host: CheckedHost) -> None:
    host.log.deny(host.tree / "a", ALICE)
    first = host.check()
    later()
    host.log.deny(host.tree / "a", BOB)
    second = host.check()
    every = host.check("--all")
    assert second.kinds == {"a": "attempted"} and second.ids != first.ids
    assert second.pids == [ALICE.pid, BOB.pid]
    assert every.ids == second.ids


def test_try_on_a_file_that_changes_later_becomes_part_of_the_change(host: CheckedHost) -> None:
    host.log.deny(host.tree / "a", ALICE)
    first = host.check()
    later()
    host.log.write(host.tree / "a", "new\n", BOB)
    assert host.check().kinds == {"a": "modified"}
    every = host.check("--all")
    assert every.kinds == {"a": "modified"} and len(every.findings) == 1
    assert sorted(every.pids) == [ALICE.pid, BOB.pid]
    assert first.ids != every.ids


def test_accepted_try_stays_accepted_and_the_next_one_of_the_same_user_is_new(host: CheckedHost) -> None:
    host.log.deny(host.tree / "a", ALICE)
    first = host.check()
    host.accept(why="it was a typing error")
    assert (host.check().status, host.check("--all").findings) == (0, [])
    later()
    host.log.deny(host.tree / "a", ALICE)
    second = host.check()
    assert second.kinds == {"a": "attempted"} and second.ids != first.ids
    assert second.of("a")["reasons"] == ["a denied try", "1 denied try: EACCES"]


def test_try_between_the_check_and_its_acceptance_is_still_found(host: CheckedHost) -> None:
    host.log.deny(host.tree / "a", ALICE)
    host.check()
    later()
    host.log.deny(host.tree / "a", BOB)
    host.accept()
    assert host.check().pids == [BOB.pid]


def test_since_leaves_older_tries_to_a_later_check_and_no_difference(host: CheckedHost) -> None:
    host.log.deny(host.tree / "a", ALICE)
    host.log.write(host.tree / "b", "new\n")
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    host.log.deny(host.tree / "c", BOB)
    late = host.check("--since", moment)
    assert late.kinds == {"b": "modified", "c": "attempted"}
    assert late.of("b")["attribution"] == "exact"
    assert host.check().kinds == {"a": "attempted"}


def test_since_takes_how_long_ago_as_the_other_verbs_do(host: CheckedHost) -> None:
    host.log.deny(host.tree / "a", ALICE)
    assert host.check("--since", "0s").kinds == {}
    assert host.check("--since", "24h").kinds == {"a": "attempted"}


def test_quick_finds_a_change_whose_times_were_put_back(host: CheckedHost) -> None:
    path = host.tree / "a"
    seen = path.stat()
    later()
    host.log.write(path, "bad\n")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    found = host.check("--quick")
    assert found.kinds == {"a": "modified"}
    assert "mtime_ns" not in found.of("a")["changed"] and "ctime_ns" in found.of("a")["changed"]


def test_log_given_by_hand_twice_doubles_nothing_and_leaves_the_own_position_alone(host: CheckedHost, tmp_path: Path) -> None:
    aside = tmp_path / "aside.log"
    host.log.deny(host.tree / "a", ALICE)
    aside.write_bytes(host.log.path.read_bytes() + b"no record at all\n")
    first = host.check("--audit-log", aside)
    second = host.check("--audit-log", aside)
    assert (first.kinds, second.findings, second.status) == ({"a": "attempted"}, [], 1)
    assert f"{aside}:5: " in first.words
    with open_store(os.fsencode(host.base / "state")) as store:
        assert store.cursor("audit", os.fsencode(host.log.path)) is None
        assert store.bad_line_counts() == {str(aside): 1}
    host.log.deny(host.tree / "b", BOB)
    assert host.check().kinds == {"b": "attempted"}
    (tried,) = [finding for finding in host.check("--all").findings if finding["path"].endswith("/a")]
    assert "1 denied try: EACCES" in tried["reasons"]


def test_report_file_gets_a_line_for_each_new_finding_once(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    host = make_checked_host(tmp_path, "a", report=str(report))
    host.log.write(host.tree / "a", "new\n")
    host.log.write(host.tree / "odd name\n", "new\n")
    host.check()
    host.check()
    lines = report.read_text().splitlines()
    assert len(lines) == 2
    assert f" web01 critical modified {host.tree}/a by auid=2001 uid=2001 pid=4101 exe=/usr/bin/python3.11 (exact) id=" in lines[0]
    assert '/odd name%0A" by ' in lines[1]
    assert report.stat().st_mode & 0o777 == 0o600


def test_unwritable_report_file_takes_no_finding_away(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", report=str(tmp_path / "missing" / "report.txt"))
    host.log.write(host.tree / "a", "new\n")
    found = host.check()
    assert (found.status, found.kinds) == (1, {"a": "modified"})
    assert "report.txt cannot be written: No such file or directory" in found.words


def test_finding_that_nobody_could_be_shown_is_new_again(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n")
    with Path("/dev/full").open("w") as full:
        cut = subprocess.run([*host.command, "check", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert cut.returncode == 3 and "No space left" in cut.stderr and "Traceback" not in cut.stderr
    assert host.check().kinds == {"a": "modified"}
    assert host.check().findings == []


def test_file_seen_by_osquery_too_names_both_sources(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n")
    row = {
        "name": "pack_fim_file_events", "hostIdentifier": "web01", "unixTime": int(time.time()), "action": "added",
        "columns": {"target_path": str(host.tree / "a"), "action": "UPDATED", "time": str(int(time.time())), "category": "etc",
                    "transaction_id": "0"},
    }  # fmt: skip
    results = host.base / "log" / "osqueryd.results.log"
    results.write_text(json.dumps(row) + "\n{not json\n")
    first = host.check()
    assert first.of("a")["sources"] == ["scan", "audit", "osquery"]
    assert first.words.count(f"{results}:2: ") == 1
    assert str(results) not in host.check().words


def test_reasons_of_an_unrecorded_folder_speak_of_no_hard_links(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n")
    (host.tree / "folder").mkdir()
    found = host.check().of("folder")
    assert found["attribution"] == "unattributed" and found["reasons"]
    assert not any("hard link" in reason for reason in found["reasons"])
