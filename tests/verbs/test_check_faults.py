"""Check on a host that goes wrong: killed, locked, full, unreadable, mounted over. Nothing is lost, doubled or made up."""

import contextlib
import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import open_store
from tests.auditlog import ALICE, BOB, ROOT
from tests.checked_host import CheckedHost, Outcome, make_checked_host
from tests.edited_store import edited_store

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
_UNPRIVILEGED = 65534


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    return make_checked_host(tmp_path, "a", "b", "sub/x", "sub/y")


def test_without_a_baseline_it_says_what_to_do_and_makes_nothing(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a")
    for name in ("fimkit.sqlite", "lock"):
        (host.base / "state" / name).unlink()
    for _ in range(2):
        found = host.check()
        assert (found.status, found.findings) == (2, [])
        assert "no baseline in" in found.words and "fimkit baseline create" in found.words
        assert os.listdir(host.base / "state") == []
        (host.base / "state").rmdir() if (host.base / "state").exists() else None
        (host.base / "state").mkdir(mode=0o700)


def test_every_problem_of_the_configuration_is_told_at_once(host: CheckedHost) -> None:
    host.config.write_text('[host]\nstate_dir = "state"\nnmae = "x"\n[[paths]]\npath = "/srv"\nrecursive = "no"\n')
    found = host.check()
    assert found.status == 2
    assert [line.split(":")[0] for line in found.words.splitlines()] == ["fimkit"] * 3
    for word in ("state_dir", "nmae", "recursive"):
        assert word in found.words


def test_missing_log_given_by_hand_and_a_time_that_is_none_are_refused(host: CheckedHost) -> None:
    assert (host.check("--audit-log", "/none.log").status, host.check("--since", "yesterday").status) == (2, 2)


def test_second_check_at_the_same_time_is_locked_out_in_words(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n")
    with lock_state(os.fsencode(host.base / "state"), verb="check"):
        out = host.check()
    assert (out.status, out.findings) == (3, [])
    assert f"pid {os.getpid()} (check) is at work on" in out.words
    assert host.check().kinds == {"a": "modified"}


def test_checks_all_at_once_tell_each_finding_and_store_it_once(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n")
    host.log.deny(host.tree / "b", BOB)
    running = [
        subprocess.Popen([*host.command, "check", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    done = [process.communicate(timeout=120) for process in running]
    assert {process.returncode for process in running} <= {1, 3}
    assert all("at work on" in stderr for process, (_, stderr) in zip(running, done, strict=True) if process.returncode == 3)
    told = {json.loads(line)["id"] for stdout, _ in done for line in stdout.splitlines()}
    with open_store(os.fsencode(host.base / "state")) as store:
        stored = [row.finding.id for row in store.finding_rows(None)]
        events = [change.actor.event for change in store.changes() if change.actor]
    assert sorted(stored) == sorted(told) and len(stored) == 2
    assert len(events) == len(set(events)) == 2


def _plain(outcome: Outcome) -> list[dict]:
    """Findings without what moves by itself: each look has its own time."""
    return [{key: value for key, value in finding.items() if key != "last_seen"} for finding in outcome.findings]


def _tamper(host: CheckedHost) -> None:
    host.log.write(host.tree / "a", "new\n", ALICE)
    host.log.deny(host.tree / "b", BOB)
    host.log.rotate()
    for number in range(60):
        host.log.write(host.tree / f"made{number}", "x\n", ROOT)
    host.log.remove(host.tree / "sub" / "x", BOB)
    host.log.append(b"garbage\n")


def _copy(host: CheckedHost, name: str) -> CheckedHost:
    """Give the same host another state folder: the same tree and logs, checked from the same beginning."""
    state = host.base / name
    state.mkdir(mode=0o700)
    (state / "fimkit.sqlite").write_bytes((host.base / "state" / "fimkit.sqlite").read_bytes())
    (state / "fimkit.sqlite").chmod(0o600)
    config = host.base / f"{name}.toml"
    config.write_text(host.config.read_text().replace(f'"{host.base}/state"', f'"{state}"'))
    return CheckedHost(host.base, host.log, config_file=config)


def test_killed_at_any_moment_a_check_gives_afterwards_what_an_undisturbed_one_gives(host: CheckedHost) -> None:
    calm, begun = _copy(host, "calm"), _copy(host, "killed")
    _tamper(host)
    started = time.monotonic()
    wanted = calm.check("--all")
    took = time.monotonic() - started
    chance = random.Random(7)
    told: set[str] = set()
    for _ in range(20):
        running = subprocess.Popen([*begun.command, "check", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(chance.uniform(0.2, 1.0) * took)
        running.kill()
        stdout, _ = running.communicate(timeout=60)
        told.update(json.loads(line)["id"] for line in stdout.split(b"\n")[:-1])
    last = begun.check()
    every = begun.check("--all")
    assert _plain(every) == _plain(wanted)
    assert told | set(last.ids) == set(wanted.ids)
    for one in (calm, begun):
        with open_store(os.fsencode(one.state)) as store:
            assert store.verify() == []
            assert store.bad_line_counts() == {str(host.log.path): 1}
            events = [change.actor.event for change in store.changes() if change.actor]
            assert len(events) == len(set(events)) == 63


@pytest.mark.parametrize(("signal_number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_interrupted_check_leaves_no_lock_behind(host: CheckedHost, signal_number: int, status: int) -> None:
    for number in range(3000):
        host.put(f"many/{number}", "x" * 2000)
    running = subprocess.Popen([*host.command, "check"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lock = host.base / "state" / "lock"
    until = time.monotonic() + 30
    while lock.read_text() == "" and time.monotonic() < until:
        time.sleep(0.002)
    running.send_signal(signal_number)
    _, words = running.communicate(timeout=60)
    assert running.returncode == status
    assert "Traceback" not in words
    assert host.check().status == 1


def test_findings_past_their_keeping_are_dropped_in_words_and_critical_open_ones_stay(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", "b", more=["[store]", "keep_days = 1"])
    host.log.write(host.tree / "a", "new\n")
    host.log.deny(host.tree / "b", BOB)
    host.log.write(host.tree / "gone", "x\n")
    host.check()
    host.log.remove(host.tree / "gone")
    host.check()
    with edited_store(host.base / "state") as rows:  # as if all that had been three days ago
        back = 3 * 86_400 * 10**9
        rows.execute("UPDATE findings SET last_seen_ns = last_seen_ns - ?, closed_ns = closed_ns - ?", (back, back))
        rows.execute("UPDATE changes SET time_ns = time_ns - ?", (back,))
        rows.execute("UPDATE acceptances SET time_ns = time_ns - ?", (back + 10**9,))
    found = host.check()
    assert "dropped 1 closed findings, older than 1 days" in found.words
    assert "dropped 1 open denied tries and passing files, older than 1 days" in found.words
    assert "changes that no open finding stands on, older than 1 days" in found.words
    every = host.check("--all")
    assert every.kinds == {"a": "modified"} and every.pids == [ALICE.pid]
    assert "dropped" not in every.words


def test_store_over_its_size_says_what_it_drops_and_keeps_open_critical_findings(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", more=["[store]", "max_mb = 1"])
    host.log.write(host.tree / "a", "new\n")
    for number in range(4000):
        host.log.append(b"".join(host.log.written(host.tree / "churn", "x\n", ROOT)))
        if number % 1000 == 999:
            host.log.rotate()
    (host.tree / "churn").unlink()
    found = host.check()
    assert "changes that no open finding stands on, to keep the store within 1 MB" in found.words
    assert host.check("--all").of("a")["actors"][0]["pid"] == ALICE.pid


class _AsNobody(CheckedHost):
    """The same host, checked without root's rights."""

    def check(self, *arguments: str | Path) -> Outcome:
        done = self.run("check", "--json", *arguments, user=_UNPRIVILEGED, group=_UNPRIVILEGED, extra_groups=[])
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)


@contextlib.contextmanager
def without_root(host: CheckedHost) -> Iterator[CheckedHost]:
    """Give the host to somebody without rights; the way to it is opened for the time being."""
    nobody = _AsNobody(host.base, host.log)
    for folder in host.base.parents:
        if folder.name.startswith(("pytest-", "test_")) and not folder.stat().st_mode & 0o005:
            folder.chmod(0o755)
    for path in [host.base, *host.base.rglob("*")]:
        os.chown(path, _UNPRIVILEGED, _UNPRIVILEGED, follow_symlinks=False)
    probe = nobody.run("--version", user=_UNPRIVILEGED, group=_UNPRIVILEGED, extra_groups=[])
    if probe.returncode:
        pytest.skip("this Python cannot be run without root's rights")
    yield nobody


@needs_root
def test_without_root_what_works_works_and_the_rest_is_said(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", "b", "closed/x")
    with without_root(host) as nobody:
        nobody.run("baseline", "create", "--force", user=_UNPRIVILEGED, group=_UNPRIVILEGED, extra_groups=[])
        host.log.write(host.tree / "a", "new\n")
        os.chown(host.log.path, 0, 0)
        host.log.path.chmod(0o600)
        os.chown(host.tree / "b", 0, 0)
        (host.tree / "b").chmod(0o600)
        os.chown(host.tree / "closed", 0, 0)
        (host.tree / "closed").chmod(0o700)
        found = nobody.check()
        assert found.status == 1
        assert found.kinds == {"a": "modified", "b": "attributes", "closed": "attributes"}
        assert "audit.log cannot be read: Permission denied" in found.words
        assert "tree/b: cannot be read: Permission denied" in found.words
        assert "tree/closed: what lies in it is not known" in found.words


@needs_root
def test_what_cannot_be_read_for_a_while_keeps_its_finding_and_gets_no_other(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", "sub/x", "sub/y", "deep/er/z")
    with without_root(host) as nobody:
        nobody.run("baseline", "create", "--force", user=_UNPRIVILEGED, group=_UNPRIVILEGED, extra_groups=[])
        host.log.write(host.tree / "sub" / "x", "new\n")
        host.log.write(host.tree / "deep" / "er" / "z", "new\n")
        first = nobody.check()
        for mode in (0o000, 0o444):  # not to be listed; to be listed, and nothing in it to be looked at
            for name in ("sub", "deep"):
                (host.tree / name).chmod(mode)
            hidden = nobody.check("--all")
            for name in ("sub", "deep"):
                (host.tree / name).chmod(0o755)
            assert hidden.kinds == {"x": "modified", "z": "modified", "sub": "attributes", "deep": "attributes"}
            assert {hidden.of("x")["id"], hidden.of("z")["id"]} == set(first.ids)
        after = nobody.check("--all")
        assert {finding["id"] for finding in after.findings if finding["kind"] == "modified"} == set(first.ids)


def test_tree_that_never_rests_opens_nothing_for_good_and_closes_nothing_else(host: CheckedHost) -> None:
    host.log.write(host.tree / "sub" / "x", "new\n")
    first = host.check()
    churn = f"""
import os, sys
os.chdir({str(host.tree)!r})
print(flush=True)
while True:
    for number in range(50):
        os.makedirs(f'sub/d{{number}}/e', exist_ok=True)
        open(f'sub/d{{number}}/e/f', 'w').write('x' * number)
        os.rename(f'sub/d{{number}}', f'sub/moved{{number}}')
        os.unlink(f'sub/moved{{number}}/e/f')
        os.removedirs(f'sub/moved{{number}}/e')
"""
    running = subprocess.Popen([sys.executable, "-c", churn], stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None and running.stdout.readline()
        busy = [host.check("--all") for _ in range(4)]
    finally:
        running.kill()
        running.communicate()
    for left in [*host.tree.glob("sub/d*"), *host.tree.glob("sub/moved*")]:
        shutil.rmtree(left)
    assert all(look.of("x")["id"] == first.ids[0] for look in busy)
    assert host.check("--all").ids == first.ids


@needs_root
def test_unreadable_configured_path_deletes_nothing(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "in/a", "in/b")
    host.config.write_text(host.config.read_text().replace(f'path = "{host.tree}"', f'path = "{host.tree}/in"'))
    with without_root(host) as nobody:
        nobody.run("baseline", "create", "--force", user=_UNPRIVILEGED, group=_UNPRIVILEGED, extra_groups=[])
        host.log.write(host.tree / "in" / "a", "new\n")
        first = nobody.check()
        host.tree.chmod(0o000)
        blind = nobody.check("--all")
        host.tree.chmod(0o755)
        assert (first.kinds, blind.ids) == ({"a": "modified"}, first.ids)
        assert "is configured and cannot be looked at: Permission denied" in blind.words
        assert nobody.check("--all").ids == first.ids


def test_configured_path_that_is_gone_is_deleted_with_all_in_it(host: CheckedHost) -> None:
    host.tree.rename(host.base / "elsewhere")
    found = host.check()
    assert found.kinds["tree"] == found.kinds["a"] == found.kinds["x"] == "deleted"
    assert "is configured and not there" in found.words
    (host.base / "elsewhere").rename(host.tree)
    assert all(finding["severity"] == "info" for finding in host.check("--all").findings)


def _in_a_mount_namespace(script: str, *arguments: str | Path) -> str:
    """Run a shell script where its mounts concern nobody else; give what it printed."""
    may = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], capture_output=True, text=True, check=False)
    if may.returncode:
        pytest.skip(f"no mount namespace here: {may.stderr.strip()}")
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stdout


def test_folder_that_is_mounted_over_deletes_nothing_and_keeps_its_findings(host: CheckedHost) -> None:
    host.log.write(host.tree / "sub" / "x", "new\n")
    first = host.check()
    script = """
    folder=$1; words=$2; shift 2
    mount -t tmpfs none "$folder"
    echo another > "$folder/y"
    "$@" check --json --all 2> "$words" || test $? = 1
    """
    stdout = _in_a_mount_namespace(script, host.tree / "sub", host.base / "words", *host.command)
    over = Outcome(1, [json.loads(line) for line in stdout.splitlines()], (host.base / "words").read_text())
    assert over.of("x")["id"] == first.ids[0]
    assert over.kinds == {"x": "modified", "sub": "attributes"}
    assert "dev" in over.of("sub")["changed"]
    assert f"{host.tree}/sub: a file system is mounted here, and was not looked at" in over.words
    assert host.check("--all").ids == first.ids


def test_disk_full_is_said_and_the_store_stays_whole(host: CheckedHost) -> None:
    small = _copy(host, "small")
    for number in range(600):
        host.log.write(host.tree / f"made{number}", "x\n", ROOT)
    script = """
    state=$1; kept=$2; shift 2
    mv "$state/fimkit.sqlite" "$kept/fimkit.sqlite"
    mount -t tmpfs -o size=512k,mode=0700 none "$state"
    mv "$kept/fimkit.sqlite" "$state/fimkit.sqlite"
    dd if=/dev/zero of="$state/filler" bs=4k 2> /dev/null || true
    "$@" check --json 2>&1 || echo "status $?"
    rm "$state/filler"
    cp "$state"/fimkit.sqlite* "$kept"
    mount -o remount,size=64m "$state"
    "$@" check --json 2> /dev/null || echo "status $?"
    """
    kept = host.base / "kept"
    kept.mkdir(mode=0o700)
    words, refused, *printed, status = _in_a_mount_namespace(script, small.state, kept, *small.command).splitlines()
    assert "fimkit.sqlite cannot be used: " in words and refused == "status 3"
    findings = [json.loads(line) for line in printed]
    assert (status, len(findings)) == ("status 1", 600)
    assert {finding["attribution"] for finding in findings} == {"exact"}
    with open_store(os.fsencode(kept)) as store:  # as the full disk left it
        assert store.verify() == []
        assert (store.findings(), list(store.changes())) == ([], [])


def test_state_folder_inside_the_watched_tree_is_no_finding_of_its_own(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a")
    inside = CheckedHost(host.base, host.log, config_file=host.base / "inside.toml")
    inside.config.write_text(host.config.read_text().replace(f'"{host.base}/state"', f'"{host.tree}/var/fimkit"'))
    assert inside.run("baseline", "create").returncode == 0
    for _ in range(2):
        assert (inside.check().status, inside.check("--all").findings) == (0, [])
    host.put("var/fimkit/planted", "x\n")
    host.log.write(host.tree / "a", "new\n")
    assert inside.check().kinds == {"planted": "created", "a": "modified"}
    assert inside.check().findings == []


def test_what_a_configured_link_leads_to_is_watched(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "usr/sbin/tool")
    (host.tree / "sbin").symlink_to("usr/sbin")
    host.config.write_text(host.config.read_text().replace(f'path = "{host.tree}"', f'path = "{host.tree}/sbin"'))
    assert host.run("baseline", "create", "--force").returncode == 0
    host.log.write(host.tree / "sbin" / "tool", "evil\n", BOB)
    found = host.check()
    assert [finding["path"] for finding in found.findings] == [str(host.tree / "usr" / "sbin" / "tool")]
    assert (found.pids, found.of("tool")["severity"]) == ([BOB.pid], "critical")
    assert "only the link is watched" not in found.words
    (host.tree / "sbin").unlink()
    (host.tree / "sbin").symlink_to("usr")
    assert host.check().kinds["sbin"] == "modified"
    (host.tree / "sbin").unlink()
    (host.tree / "sbin").symlink_to("usr/sbin")
    assert all(finding["severity"] == "info" for finding in host.check().findings)


def test_path_that_is_not_configured_any_more_closes_its_findings_in_words(host: CheckedHost) -> None:
    host.log.write(host.tree / "sub" / "x", "new\n")
    host.check()
    host.configure(more=[f'exclude = ["{host.tree}/sub/*"]'])
    found = host.check()
    assert (found.status, host.check("--all").findings) == (0, [])
    assert "1 open findings were closed: the configuration does not name their paths any more" in found.words


def test_clock_that_was_set_back_behind_the_baseline_is_said(host: CheckedHost) -> None:
    with edited_store(host.state) as rows:
        rows.execute("UPDATE acceptances SET time_ns = time_ns + ?", (3600 * 10**9,))
    host.put("a", "new\n")
    found = host.check()
    assert found.kinds == {"a": "modified"}
    assert "the clock stands at " in found.words


def _on_a_terminal(command: list[str]) -> tuple[int, bytes]:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    seen = b""
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while piece := os.read(terminal, 65536):
            seen += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def test_progress_is_shown_on_a_terminal_and_never_in_a_pipe(host: CheckedHost) -> None:
    for number in range(4000):
        host.put(f"many/{number}", "x" * 3000)
    host.run("baseline", "create", "--force")
    status, seen = _on_a_terminal([*host.command, "check"])
    piped = host.run("check")
    assert (status, piped.returncode) == (0, 0)
    assert b"\rscanning" in seen and seen.count(b"\r\x1b[K") == 1
    assert piped.stderr == "" and "scanning" not in piped.stdout
