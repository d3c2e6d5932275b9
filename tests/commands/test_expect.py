"""`fimkit expect` from outside: what was announced and comes just so is expected; what departs, or never comes, is found."""

import hashlib
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config_text import load_config
from fimkit.model.json_form import parse_finding
from fimkit.model.time import parse_time
from fimkit.panic.record import Phase, load_record
from fimkit.panic.trigger import may_panic
from tests.auditlog import ALICE, BOB
from tests.checked_host import CheckedHost, make_checked_host
from tests.verbs.armed_host import put_record

WHY = "release 1.2"


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    return make_checked_host(tmp_path, "app/a.conf", "app/b.conf", "other/c", report=str(tmp_path / "report"))


def announce(host: CheckedHost, *words: str | Path, until: str = "1h", by: str | None = None) -> dict[str, Any]:
    who = ("--by", by or str(ALICE.auid))
    done = host.run("expect", *who, "--until", until, "--reason", WHY, "--json", "--yes", *words)
    assert done.returncode == 0, done.stderr
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def listed(host: CheckedHost) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.run("expect", "list", "--json").stdout.splitlines()]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def wait_until_over(row: dict[str, Any]) -> None:
    while time.time_ns() <= parse_time(row["until"]):
        time.sleep(0.05)


def test_announced_change_by_the_announced_login_is_expected_with_who_why_and_the_ticket(host: CheckedHost) -> None:
    row = announce(host, "--path", host.tree / "app")
    host.log.write(host.tree / "app/a.conf", "new\n")
    finding = host.check().of("a.conf")
    assert (finding["verdict"], finding["severity"], finding["attribution"]) == ("expected", "info", "exact")
    words = finding["reasons"][0]
    assert words.startswith(f"announced: ticket {row['ticket']} of {row['who']}, for auid {ALICE.auid}, until ")
    assert words.endswith(WHY)
    (after,) = listed(host)
    assert (after["state"], after["findings"], after["overdue"]) == ("met", [finding["id"]], [])


def test_announced_program_counts_by_its_recorded_path(host: CheckedHost) -> None:
    announce(host, "--path", host.tree / "app", by=BOB.exe)
    host.log.write(host.tree / "app/a.conf", "new\n", BOB)
    host.log.write(host.tree / "app/b.conf", "new\n", BOB._replace(exe="/usr/bin/vi"))
    found = host.check()
    assert (found.of("a.conf")["verdict"], found.of("b.conf")["verdict"]) == ("expected", "unexplained")
    assert any("by /usr/bin/vi" in words for words in found.of("b.conf")["reasons"])


def test_another_actor_stays_unexplained_and_is_named_beside_the_announcement(host: CheckedHost) -> None:
    row = announce(host, "--path", host.tree / "app")
    host.log.write(host.tree / "app/a.conf", "new\n", BOB)
    finding = host.check().of("a.conf")
    assert (finding["verdict"], finding["severity"]) == ("unexplained", "critical")
    (words,) = [words for words in finding["reasons"] if "announced by" in words]
    assert words.startswith(f"ticket {row['ticket']} does not cover it: announced by ")
    assert f"but it was made by auid {BOB.auid}" in words


def test_unattributed_change_stays_unexplained_and_says_so(host: CheckedHost) -> None:
    announce(host, "--path", host.tree / "app")
    (host.tree / "app/a.conf").write_text("who knows\n")
    finding = host.check().of("a.conf")
    assert finding["verdict"] == "unexplained"
    assert any("but nothing recorded says for sure who made it" in words for words in finding["reasons"])


def test_two_possible_makers_are_not_the_announced_one(host: CheckedHost) -> None:
    announce(host, "--path", host.tree / "app")
    host.log.write(host.tree / "app/a.conf", "one\n", ALICE)
    host.log.write(host.tree / "app/a.conf", "two\n", BOB)
    finding = host.check().of("a.conf")
    assert (finding["verdict"], finding["attribution"]) == ("unexplained", "ambiguous")


def test_hash_is_held_to(host: CheckedHost) -> None:
    announce(host, "--path", host.tree / "app", "--sha256", sha256("right\n"))
    host.log.write(host.tree / "app/a.conf", "right\n")
    host.log.write(host.tree / "app/b.conf", "wrong\n")
    found = host.check()
    right, wrong = found.of("a.conf"), found.of("b.conf")
    assert right["verdict"] == "expected" and right["reasons"][0].startswith("announced with its hash: ticket ")
    assert wrong["verdict"] == "unexplained"
    assert any(f"but its hash is {sha256('wrong' + chr(10))}" in words for words in wrong["reasons"])


def test_kind_is_held_to(host: CheckedHost) -> None:
    announce(host, "--path", host.tree / "app", "--kind", "modified")
    host.log.write(host.tree / "app/a.conf", "new\n")
    host.log.remove(host.tree / "app/b.conf")
    found = host.check()
    assert (found.of("a.conf")["verdict"], found.of("b.conf")["verdict"]) == ("expected", "unexplained")
    assert any("it is deleted, and announced was modified" in words for words in found.of("b.conf")["reasons"])


def test_unannounced_change_beside_an_announced_file_names_the_window(host: CheckedHost) -> None:
    row = announce(host, "--path", host.tree / "app/a.conf")
    host.log.write(host.tree / "app/b.conf", "new\n")
    host.log.write(host.tree / "other/c", "new\n")
    found = host.check()
    beside, elsewhere = found.of("b.conf"), found.of("c")
    assert (beside["verdict"], elsewhere["verdict"]) == ("unexplained", "unexplained")
    assert any(words.startswith(f"not announced: it came in the time of ticket {row['ticket']}") for words in beside["reasons"])
    assert not any("ticket" in words for words in elsewhere["reasons"])


def test_what_came_in_time_is_covered_by_a_check_after_it(host: CheckedHost) -> None:
    row = announce(host, "--path", host.tree / "app/a.conf", until="2s")
    host.log.write(host.tree / "app/a.conf", "new\n")
    wait_until_over(row)
    found = host.check()
    assert [(one["kind"], one["verdict"]) for one in found.findings] == [("modified", "expected")]


def test_what_came_too_late_is_not_covered_and_the_announced_one_is_overdue(host: CheckedHost) -> None:
    row = announce(host, "--path", host.tree / "app/a.conf", until="1s")
    wait_until_over(row)
    time.sleep(0.05)
    host.log.write(host.tree / "app/a.conf", "new\n")
    found = host.check()
    by_kind = {one["kind"]: one for one in found.findings}
    assert set(by_kind) == {"modified", "overdue"}
    assert by_kind["modified"]["verdict"] == "unexplained"
    assert any("when its time was over" in words for words in by_kind["modified"]["reasons"])


def test_what_was_before_the_announcement_is_not_covered(host: CheckedHost) -> None:
    host.log.write(host.tree / "app/a.conf", "new\n")
    time.sleep(0.1)
    announce(host, "--path", host.tree / "app/a.conf")
    assert host.check().of("a.conf")["verdict"] == "unexplained"


def test_announced_change_that_never_came_is_one_finding_a_path_until_it_is_accepted(host: CheckedHost) -> None:
    row = announce(host, "--path", host.tree / "app/a.conf", host.tree / "app/b.conf", until="1s")
    host.log.write(host.tree / "app/a.conf", "new\n")
    wait_until_over(row)
    first = host.check()
    (overdue,) = [one for one in first.findings if one["kind"] == "overdue"]
    assert (overdue["path"], overdue["severity"], overdue["verdict"]) == (str(host.tree / "app/b.conf"), "low", "unexplained")
    assert any(WHY in words for words in overdue["reasons"])
    assert host.check().findings == []
    host.accept()
    assert host.check("--all").findings == []
    assert [(one["state"], one["overdue"]) for one in listed(host)] == [("overdue", [str(host.tree / "app/b.conf")])]


def test_cancelled_ticket_covers_nothing_later_and_is_never_overdue(host: CheckedHost) -> None:
    row = announce(host, "--path", host.tree / "app", until="2s")
    assert host.run("expect", "cancel", str(row["ticket"])).returncode == 0
    time.sleep(0.05)
    host.log.write(host.tree / "app/a.conf", "new\n")
    wait_until_over(row)
    found = host.check()
    assert [(one["kind"], one["verdict"]) for one in found.findings] == [("modified", "unexplained")]
    assert [one["state"] for one in listed(host)] == ["cancelled"]
    assert host.run("expect", "cancel", str(row["ticket"])).returncode == 2
    assert host.run("expect", "cancel", "99").returncode == 2


def test_rights_of_its_own_are_never_announced(host: CheckedHost) -> None:
    announce(host, "--path", host.tree / "app")
    path = host.tree / "app/a.conf"
    host.log.write(path, "new\n")
    os.chmod(path, 0o4755)
    finding = host.check().of("a.conf")
    assert finding["verdict"] == "suspect"


def test_hit_in_a_file_that_was_announced_without_its_hash_is_suspect_all_the_same(tmp_path: Path) -> None:
    more = ["scan_content = true", "[content]", 'user = "root"'] if os.geteuid() == 0 else ["scan_content = true"]
    host = make_checked_host(tmp_path, "web/index.php", tier="watch", more=more)
    shell = "<?php eval($_POST['x']); ?>\n"
    announce(host, "--path", host.tree / "web")
    host.log.write(host.tree / "web/a.php", shell)
    found = host.check().of("a.php")
    assert found["verdict"] == "suspect", found
    assert host.check("--all").of("a.php")["verdict"] == "suspect"
    announce(host, "--path", host.tree / "web", "--sha256", sha256(shell))
    host.log.write(host.tree / "web/b.php", shell)
    assert host.check().of("b.php")["verdict"] == "expected"


def test_log_given_by_hand_proves_no_announced_change(host: CheckedHost) -> None:
    announce(host, "--path", host.tree / "app")
    host.log.write(host.tree / "app/a.conf", "new\n")
    assert host.check("--audit-log", host.log.path).of("a.conf")["verdict"] == "unexplained"
    assert host.check("--all").of("a.conf")["verdict"] == "expected"


def test_terms_that_cannot_be_meant_are_refused(host: CheckedHost) -> None:
    good = {"--path": "/x", "--by": "0", "--until": "1h", "--reason": "why"}
    for changed in (
        {"--until": "2020-01-01"}, {"--until": "soon"}, {"--from": "2020-01-01"}, {"--from": "2h"}, {"--sha256": "abc"},
        {"--reason": " "}, {"--reason": "a\nb"}, {"--by": "nobody-of-that-name"}, {"--by": "4294967295"}, {"--path": "a/b"},
        {"--until": "31d"}, {"--path": str(host.tree)}, {"--path": "/"}, {"--path": "/*"}, {"--path": f"{host.tree}/*"},
        {"--path": "*"},
    ):  # fmt: skip
        words = [word for pair in (good | changed).items() for word in pair]
        done = host.run("expect", *words)
        assert (done.returncode, done.stdout) == (2, ""), changed
        assert "Traceback" not in done.stderr
    assert host.run("expect", "--path", "/x").returncode == 2
    assert host.run("expect", "list").stdout == "nothing is announced\n"
    yes = [word for pair in (good | {"--path": "/*", "--until": "31d"}).items() for word in pair]
    assert host.run("expect", "--yes", *yes).returncode == 0


def test_announcing_is_in_the_report_file_and_hostile_names_are_escaped(host: CheckedHost) -> None:
    done = host.run("expect", "--path", "/x\x1b\u202e", "--by", "0", "--until", "1h", "--reason", WHY)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout and "%1B%E2%80%AE" in done.stdout
    assert "is in no watched path" in done.stderr and "\x1b" not in done.stderr
    report = (host.base.parent / "report").read_text()
    assert "ticket 1 announced by " in report and "\x1b" not in report and "\u202e" not in report


def test_ticket_that_was_put_in_or_altered_past_fimkit_breaks_the_chain(host: CheckedHost) -> None:
    announce(host, "--path", host.tree / "app")
    assert host.run("evidence", "verify").returncode == 0
    database = sqlite3.connect(host.state / "fimkit.sqlite")
    with database:
        database.execute("UPDATE tickets SET until_ns = until_ns + 86400000000000")
    database.close()
    done = host.run("evidence", "verify")
    assert done.returncode == 1 and "ticket" in done.stdout + done.stderr


def test_on_an_armed_host_announcing_and_cancelling_are_told_and_what_was_announced_starts_no_panic(host: CheckedHost) -> None:
    config = load_config(host.config)
    put_record(config)
    done = host.run("expect", "--yes", "--path", host.tree / "app", "--by", str(ALICE.auid), "--until", "1h", "--reason", WHY)
    assert done.returncode == 0 and "this host is armed: nobody was told: no recipients" in done.stderr
    host.log.write(host.tree / "app/a.conf", "new\n")
    found = host.check()
    assert found.of("a.conf")["verdict"] == "expected" and not may_panic(parse_finding(found.of("a.conf")))
    assert load_record(config.host.state_dir).phase is Phase.ARMED
    assert "this host is armed: " in host.run("expect", "cancel", "1").stderr
