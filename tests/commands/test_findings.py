"""`fimkit findings` and `fimkit show`: a table, one finding with its records, and nothing of a name at work in it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.auditlog import ALICE, ROOT
from tests.checked_host import CheckedHost, make_checked_host

__all__: list[str] = []


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> CheckedHost:
    host = make_checked_host(tmp_path_factory.mktemp("findings"), "login", "sub/config", "gone")
    host.log.write(host.tree / "login", "new\n", ROOT)
    host.log.write(host.tree / "sub" / "config", "new\n", ALICE)
    (host.tree / "a\x1b[2J\u202eb").write_text("x")
    host.log.remove(host.tree / "gone", ALICE)
    assert host.check().status == 1
    return host


def ids(host: CheckedHost, *words: str | Path) -> list[str]:
    done = host.run("findings", "--json", *words)
    assert done.returncode == (1 if done.stdout else 0), done.stderr
    return [json.loads(line)["path"].rpartition("/")[2] for line in done.stdout.splitlines()]


def test_a_line_a_finding_with_an_id_that_show_takes(host: CheckedHost) -> None:
    done = host.run("findings")
    assert done.returncode == 1
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["ID", "SEVERITY", "VERDICT", "KIND", "WHEN", "WHO", "PATH"]
    assert len(lines) == 4 and any(line.endswith(str(host.tree / "sub" / "config")) for line in lines)
    assert done.stderr == "fimkit: 4 findings: 4 critical; 1 not attributed for sure\n"
    for line in lines:
        assert host.run("show", line.split()[0]).returncode == 1


def test_each_filter_leaves_out_what_is_not_meant(host: CheckedHost) -> None:
    assert ids(host, "--kind", "deleted") == ["gone"]
    assert ids(host, "--kind", "deleted", "--kind", "created") == ["a%1B[2J\u202eb", "gone"]
    assert ids(host, "--path", host.tree / "sub") == ["config"]
    assert ids(host, "--path", "*/log?n", "--path", f"{host.tree}/gone") == ["gone", "login"]
    assert ids(host, "--path", f"{host.tree}/a%1B[2J%E2%80%AEb") == ["a%1B[2J\u202eb"]
    assert sorted(ids(host, "--who", str(ALICE.auid))) == ["config", "gone"]
    assert ids(host, "--who", "install") == ids(host, "--who", "/usr/bin/install") == ["login"]
    assert ids(host, "--who", "no-login") == ids(host, "--tier", "watch") == []
    assert len(ids(host, "--severity", "high", "--since", "1h")) == 4
    assert ids(host, "--since", "2100-01-01") == []


def test_json_is_the_findings_of_check_and_their_status(host: CheckedHost) -> None:
    checked = {row["id"]: row for row in host.check("--all").findings}
    rows = [json.loads(line) for line in host.run("findings", "--json").stdout.splitlines()]
    assert {row["id"] for row in rows} == set(checked)
    for row in rows:
        assert row["status"] == "open"
        assert {name for name, value in checked[row["id"]].items() if row[name] != value} <= {"last_seen"}


def test_one_finding_whole_with_claims_and_auditds_own_records(host: CheckedHost) -> None:
    (row,) = [json.loads(line) for line in host.run("findings", "--json", "--path", host.tree / "login").stdout.splitlines()]
    done = host.run("show", row["id"][:12])
    assert done.returncode == 1 and not done.stderr
    words = done.stdout
    now = f"+ sha256      {row['after']['sha256']}"
    for part in (row["id"], "by carol (auid 2003) with /usr/bin/install", now, "audit: opened"):
        assert part in words
    event = row["actors"][0]["event"]
    assert f"type=SYSCALL msg=audit({event})" in words and str(host.log.path) in words
    whole = json.loads(host.run("show", "--json", row["id"]).stdout)
    assert [claim["action"] for claim in whole["claims"]] == ["opened"]
    logged = [line for line in host.log.path.read_text().splitlines() if f"audit({event})" in line]
    assert len(logged) == len(whole["records"]) > 2


def test_a_log_that_is_gone_or_turned_is_no_error(host: CheckedHost, tmp_path: Path) -> None:
    (row,) = [json.loads(line) for line in host.run("findings", "--json", "--kind", "deleted").stdout.splitlines()]
    turned = host.log.path.with_name("audit.log.1")
    host.log.path.rename(turned)
    try:
        host.log.path.write_text("")
        assert f"{turned}" in host.run("show", row["id"]).stdout
        turned.rename(tmp_path / "away")
        done = host.run("show", row["id"])
        assert "Claims" in done.stdout and "Records" not in done.stdout and done.returncode == 1
    finally:
        for name in (tmp_path / "away", turned):
            if name.exists():
                name.rename(host.log.path)


def test_an_id_of_none_or_of_several_is_a_usage_error(host: CheckedHost) -> None:
    for words, said in ((("show", "zz"), "no finding's id begins with 'zz'"), (("show", ""), "no finding's id begins with ''")):
        done = host.run(*words)
        assert (done.returncode, done.stdout) == (2, "") and said in done.stderr
    firsts = [line.split()[0][0] for line in host.run("findings").stdout.splitlines()[1:]]
    several = next((first for first in firsts if firsts.count(first) > 1), None)
    if several is not None:
        assert host.run("show", several).returncode == 2


def test_no_name_reaches_a_terminal_as_a_control_sequence(host: CheckedHost) -> None:
    for words in (("findings",), ("show", host.run("findings", "--kind", "created").stdout.splitlines()[1].split()[0])):
        text = host.run(*words).stdout
        assert "\x1b" not in text and "\u202e" not in text
        assert "a%1B[2J%E2%80%AEb" in text


def on_a_terminal(host: CheckedHost, **environment: str) -> str:
    main, other = pty.openpty()
    try:
        done = subprocess.run(
            [*host.command, "findings"], stdout=other, stderr=subprocess.DEVNULL, timeout=120, check=False,
            env={name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | environment,
        )  # fmt: skip
        assert done.returncode == 1
        return os.read(main, 65536).decode()
    finally:
        os.close(main)
        os.close(other)


def test_a_terminal_has_colours_unless_told_otherwise(host: CheckedHost) -> None:
    colored = on_a_terminal(host)
    assert "\x1b[1;31mcritical\x1b[0m" in colored
    for plain in (on_a_terminal(host, NO_COLOR="1"), on_a_terminal(host, TERM="dumb")):
        assert "\x1b" not in plain
        assert all(len(line) <= 80 for line in plain.splitlines())
        assert plain.split() == colored.replace("\x1b[1;31m", "").replace("\x1b[1m", "").replace("\x1b[0m", "").split()


def test_what_was_closed_is_shown_on_request(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "login")
    host.put("login", "new\n")
    host.check()
    host.accept(host.tree / "login", why="ticket 4711")
    assert host.run("findings").returncode == 0
    done = host.run("findings", "--all")
    assert "accepted" in done.stdout.splitlines()[1]
    shown = host.run("show", done.stdout.splitlines()[1].split()[0])
    assert shown.returncode == 0
    assert ": ticket 4711" in shown.stdout


def test_without_a_store_the_words_say_what_makes_one(tmp_path: Path) -> None:
    file = tmp_path / "fimkit.toml"
    file.write_text(f'[host]\nstate_dir = "{tmp_path}/none"\n[[paths]]\npath = "/sbin"\n')
    for verb in (["findings"], ["show", "a"], ["export", "--format", "ecs"]):
        done = subprocess.run(
            [sys.executable, "-m", "fimkit", "--config", file, *verb], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stdout) == (3, "")
        assert "baseline create" in done.stderr
