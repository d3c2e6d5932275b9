"""`fimkit watch` on this kernel: what check finds it finds, live; through bursts, kills, losses, reloads and restarts. As root."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.incident import Incident
from tests.osqueryd import wait_for
from tests.truth import hold_against, render_rows
from tests.watching import WatchedHost, Watching, watched_host

BURST = int(os.environ.get("FIMKIT_TEST_BURST", "5000"))
MAKE = "import os\nfor i in range({count}): os.close(os.open('{folder}/b%d' % i, os.O_CREAT | os.O_WRONLY))"


def make_files(host: WatchedHost, count: int, folder: str = "etc") -> None:
    program = MAKE.format(count=count, folder=host.tree / folder)
    ran = host.live.run([sys.executable, "-c", program], auid=1001)
    assert ran.returncode == 0, ran.stderr


def open_rows(host: WatchedHost) -> list[tuple[str, str]]:
    """Give path and attribution of what changed and is open."""
    database = sqlite3.connect(host.state / "fimkit.sqlite")
    try:
        query = "SELECT path, json_extract(body, '$.attribution') FROM findings WHERE status = 'open' AND kind <> 'tampered'"
        rows = database.execute(query).fetchall()
    finally:
        database.close()
    return [(os.fsdecode(path), attribution) for path, attribution in rows]


@pytest.mark.parametrize("seed", [1, 2])
def test_an_incident_is_found_live_as_check_finds_it(tmp_path: Path, seed: int) -> None:
    incidents: list[Incident] = []

    def prepare(tree: Path) -> None:
        shutil.rmtree(tree)
        tree.mkdir()
        incidents.append(Incident(tree, seed))
        incidents[0].prepare()

    with watched_host(tmp_path, prepare) as host:
        watching = host.watch()
        incidents[0].run(host.live)
        watching.wait(lambda: not host.status()["waiting"])
        time.sleep(3)  # what was opened for writing is looked at again
        watching.process.send_signal(signal.SIGUSR1)  # what was done through a link from outside is in no record
        watching.wait(lambda: host.status()["rescans"] == 1 and not host.status()["waiting"], 60)
        time.sleep(1)
        beside = host.check()
        every = host.check("--all")
        assert watching.stop() == 1, watching.words
    # The watch may be there while a passing file is: then it told of its coming, and its going is that finding's end.
    met = {row["path"] for row in watching.findings if (row["kind"], row["attribution"]) == ("created", "exact")}
    truths = [truth for truth in incidents[0].truths if truth["kind"] != "transient" or truth["path"] not in met]
    rows = hold_against(truths, every, incidents[0].aside)
    print(render_rows(rows))
    assert [row for row in rows if row.wrong] == []
    assert beside == []
    told = {row["id"]: row for row in watching.findings}
    assert {finding["id"] for finding in every} <= set(told)
    for finding in every:  # later records of one change may add to what was told
        assert told[finding["id"]]["attribution"] == finding["attribution"], finding["path"]
        assert [actor["pid"] for actor in told[finding["id"]]["actors"]][:1] == [actor["pid"] for actor in finding["actors"]][:1]


def test_a_change_is_told_at_once_and_once(tmp_path: Path) -> None:
    with watched_host(tmp_path, lambda tree: (tree / "etc/there").write_text("old\n")) as host:
        watching = host.watch()
        made = host.tree / "etc/new"
        host.live.run(["/bin/sh", "-c", f"echo hello > {made}"], auid=1001)
        watching.wait(lambda: watching.of(made))
        os.remove(host.tree / "etc/there")
        watching.wait(lambda: watching.of(host.tree / "etc/there"))
        time.sleep(2.5)
        assert watching.stop() == 1
    (finding,) = watching.of(made)
    assert (finding["kind"], finding["attribution"], finding["actors"][0]["auid"]) == ("created", "exact", 1001)
    assert finding["read_s"] - finding["after"]["ctime_ns"] / 1e9 < 1
    (gone,) = watching.of(host.tree / "etc/there")
    assert (gone["kind"], gone["actors"][0]["pid"]) == ("deleted", os.getpid())


def test_a_writer_that_takes_its_time_has_its_last_bytes_told(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch()
        path = host.tree / "etc/slow"
        late = f"import time\nf = open('{path}', 'wb', 0)\nf.write(b'one')\ntime.sleep(1.2)\nf.write(b'two')\nf.close()"
        ran = host.live.run([sys.executable, "-c", late])
        assert ran.returncode == 0, ran.stderr
        watching.wait(lambda: any((row["after"] or {}).get("size") == 6 for row in watching.of(path)))
        beside = host.check()
        watching.stop()
    assert [row["after"]["size"] for row in watching.of(path)] == [3, 6]
    assert [row["actors"][0]["pid"] for row in watching.of(path)] == [ran.pid, ran.pid]
    assert beside == []


def test_folders_that_come_go_and_move_take_what_is_in_them_along(tmp_path: Path) -> None:
    def prepare(tree: Path) -> None:
        for folder in ("etc/gone.d/deep", "etc/old.d/deep"):
            (tree / folder).mkdir(parents=True)
            (tree / folder / "x").write_text("x\n")

    with watched_host(tmp_path, prepare) as host:
        outside = host.place / "outside.d"
        (outside / "deep").mkdir(parents=True)
        (outside / "deep/y").write_text("y\n")
        watching = host.watch()
        os.rename(outside, host.tree / "etc/came.d")
        os.rename(host.tree / "etc/gone.d", host.place / "away.d")
        os.rename(host.tree / "etc/old.d", host.tree / "etc/new.d")
        shutil.rmtree(host.tree / "etc/came.d/deep")
        watching.wait(lambda: len({row["path"] for row in watching.findings}) >= 5)
        time.sleep(1)
        beside = host.check()
        every = {finding["path"].removeprefix(str(host.tree)): finding for finding in host.check("--all")}
        watching.stop()
    assert beside == []
    assert {path: finding["kind"] for path, finding in every.items() if finding["kind"] != "transient"} == {
        "/etc/came.d": "created", "/etc/gone.d": "deleted", "/etc/gone.d/deep": "deleted", "/etc/gone.d/deep/x": "deleted",
        "/etc/old.d": "moved",
    }  # fmt: skip
    assert {finding["attribution"] for finding in every.values()} == {"exact"}


def test_a_difference_that_is_undone_is_closed(tmp_path: Path) -> None:
    with watched_host(tmp_path, lambda tree: (tree / "etc/mode").write_text("x\n")) as host:
        path = host.tree / "etc/mode"
        path.chmod(0o644)
        assert host.fimkit("baseline", "create", "--force").returncode == 0
        watching = host.watch()
        extra = host.tree / "etc/extra"
        extra.write_text("x\n")
        watching.wait(lambda: watching.of(extra))
        extra.unlink()
        watching.wait(lambda: not open_rows(host))
        assert host.check() == []
        assert watching.stop() == 0


def test_a_burst_is_told_as_one_and_stored_whole(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch()
        lost = host.live.kernel.status().lost
        make_files(host, BURST)
        watching.wait(lambda: watching.told >= BURST, 240)
        delivered = host.live.kernel.status().lost - lost
        status = host.status()
        assert watching.stop() == 1
        rows = open_rows(host)
        beside = host.check()
    mib = status["memory_bytes"] >> 20
    print(f"{BURST} creations: {delivered} lost by the kernel, {mib} MiB, printed {len(watching.findings)}")
    assert Counter(attribution for _, attribution in rows) == {"exact": BURST}
    assert len({path for path, _ in rows}) == BURST
    assert len(watching.findings) < 100
    group = max((row["group"] for row in watching.findings if "group" in row), key=lambda group: group["count"])
    assert group["count"] > BURST * 0.9
    assert len(group["sample"]) == 10
    assert status["lost"] == {}
    assert beside == []


def test_killed_in_the_middle_of_a_burst_every_change_is_found_once(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        first = host.watch()
        burst = threading.Thread(target=make_files, args=(host, BURST))
        burst.start()
        time.sleep(0.6)
        first.process.kill()
        first.process.wait()
        burst.join()
        host.live.sync()
        second = host.watch()
        second.wait(lambda: not host.status()["held"], 120)
        assert second.stop() == 1
        rows = open_rows(host)
        beside = host.check()
        database = sqlite3.connect(host.state / "fimkit.sqlite")
        (every,) = database.execute("SELECT count(*) FROM findings WHERE kind <> 'tampered'").fetchone()
        killed = database.execute("SELECT body FROM findings WHERE kind = 'tampered'").fetchall()
        (marked,) = database.execute("SELECT count(*) FROM findings WHERE body LIKE '%no watch was at work%'").fetchone()
        database.close()
    assert len(rows) == len({path for path, _ in rows}) == BURST
    assert every == BURST
    assert len(killed) == 1 and "the watch was killed" in killed[0][0]
    assert {attribution for _, attribution in rows} == {"exact"}
    assert beside == []
    assert second.told + first.told >= BURST
    assert 0 < marked <= BURST


def test_what_changed_while_it_was_stopped_is_found_at_the_start_and_says_so(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        assert host.watch().stop() == 0
        path = host.tree / "sbin/planted"
        host.live.run(["/bin/cp", "/bin/true", str(path)], auid=1002)
        host.live.sync()
        again = host.watch()
        again.wait(lambda: again.of(path))
        again.stop()
    (finding,) = again.of(path)
    assert finding["actors"][0]["auid"] == 1002
    assert any("while no watch was at work" in reason for reason in finding["reasons"])


def test_records_that_find_no_room_make_a_blind_interval_and_a_rescan_finds_all(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch(buffer_bytes=1024)
        make_files(host, 3000)
        watching.wait(lambda: any("blind" in row for row in watching.rows), 60)
        watching.wait(lambda: len(open_rows(host)) == 3000, 120)
        watching.wait(lambda: not host.status()["rescanning"], 60)
        status = host.status()
        watching.stop()
        beside = host.check()
        database = sqlite3.connect(host.state / "fimkit.sqlite")
        notes = database.execute("SELECT text FROM notes WHERE kind = 'records_lost'").fetchall()
        database.close()
    blind = next(row["blind"] for row in watching.rows if "blind" in row)
    assert blind["from"] <= blind["to"]
    assert blind["lost"] > 0
    assert blind["source"] == "the receive buffer"
    assert status["lost"]["the receive buffer"] > 0
    assert status["blind_intervals"] > 0
    assert notes
    assert beside == []


def test_a_second_watch_is_refused_and_named(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        first = host.watch()
        second = host.fimkit("watch", "--json")
        assert second.returncode == 3
        assert f"pid {first.process.pid} (watch)" in second.stderr
        assert host.status()["running"] is True
        assert first.stop() == 0
        assert host.status()["running"] is False


def reloaded(host: WatchedHost, watching: Watching, text: str) -> None:
    host.config.write_text(text)
    watching.process.send_signal(signal.SIGHUP)


def test_a_reload_takes_a_good_configuration_and_refuses_a_bad_one(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        (host.tree / "var").mkdir()
        good = host.config.read_text()
        watching = host.watch()
        reloaded(host, watching, good.replace("[host]", "[host]\nnonsense = 1"))
        watching.wait(lambda: "the old one stays in force" in watching.words)
        assert "nonsense" in watching.words
        still = host.tree / "etc/still"
        still.write_text("x\n")
        watching.wait(lambda: watching.of(still))
        reloaded(host, watching, good + f'\n[[paths]]\npath = "{host.tree}/var"\n')
        watching.wait(lambda: watching.of(host.tree / "var"))
        inside = host.tree / "var/inside"
        inside.write_text("x\n")
        watching.process.send_signal(signal.SIGUSR1)  # no audit rule was installed for it: the rescan finds it
        watching.wait(lambda: watching.of(inside), 30)
        assert watching.stop() == 1


def test_an_acceptance_beside_it_is_taken_up(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch()
        path = host.tree / "etc/planned"
        path.write_text("x\n")
        watching.wait(lambda: watching.of(path))
        accepted = host.fimkit("baseline", "accept", str(path), "--reason", "planned", "--yes")
        assert accepted.returncode == 0, accepted.stderr
        time.sleep(1.5)
        assert host.status()["open"] == 0
        path.write_text("other\n")
        watching.wait(lambda: len(watching.of(path)) == 2)
        watching.stop()
    assert [row["kind"] for row in watching.of(path)] == ["created", "modified"]


@pytest.mark.parametrize("records", ["log", "files"])
def test_other_sources_than_the_kernels_records(tmp_path: Path, records: str) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch("--records", records)
        path = host.tree / "etc/new"
        host.live.run(["/bin/sh", "-c", f"echo hello > {path}"], auid=1001)
        watching.wait(lambda: watching.of(path))
        time.sleep(0.5)
        assert watching.stop() == 1
        text = json.dumps(watching.of(path)[0])
    assert watching.of(path)[0]["kind"] == "created"
    if records == "log":
        assert [actor["auid"] for actor in watching.of(path)[0]["actors"]] == [1001], text
    else:
        assert "there will be no who" in watching.words


def test_auditing_that_is_switched_off_and_rules_that_are_taken_out_are_told_and_what_changes_is_found(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch()
        kernel = host.live.kernel
        assert host.status()["problem"] == ""
        kernel.disable()
        (host.tree / "etc/while-off").write_text("x\n")
        watching.wait(lambda: watching.of(host.tree / "etc/while-off"))  # no record tells of it: the look that follows does
        assert host.status()["problem"] == "auditing is off, and nothing is recorded"
        kernel.enable()
        watching.wait(lambda: host.status()["problem"] == "")
        rules = kernel.rules()
        for rule in rules:
            kernel.delete(rule)
        watching.wait(lambda: "are not in the kernel" in watching.words)
        (host.tree / "etc/unruled").write_text("x\n")
        assert "problem  " in host.fimkit("watch", "--status").stdout
        for rule in rules:
            kernel.add(rule)
        watching.wait(lambda: host.status()["problem"] == "", 20)
        watching.wait(lambda: watching.of(host.tree / "etc/unruled"))
        assert watching.stop() == 1
    blind = [row["blind"] for row in watching.rows if "blind" in row]
    assert [(one["lost"], one["from"] <= one["to"]) for one in blind] == [(0, True)] * 4
    assert [watching.of(host.tree / name)[0]["attribution"] for name in ("etc/while-off", "etc/unruled")] == ["unattributed"] * 2


def test_a_rescan_that_is_killed_is_said_and_nothing_is_concluded_from_it(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch()
        watching.process.send_signal(signal.SIGUSR1)
        children = Path(f"/proc/{watching.process.pid}/task/{watching.process.pid}/children")

        def rescans() -> list[int]:
            found = []
            for pid in children.read_text().split():
                with contextlib.suppress(OSError):
                    if b"watch_rescan" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        found.append(int(pid))
            return found

        watching.wait(rescans)
        os.kill(rescans()[0], signal.SIGKILL)
        watching.wait(lambda: "the rescan ended with status -9" in watching.words)
        assert host.status()["rescans"] == 0
        watching.process.send_signal(signal.SIGUSR1)
        watching.wait(lambda: host.status()["rescans"] == 1)
        assert watching.stop() == 0


def test_files_replaced_again_and_again_are_never_told_without_a_who(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch()
        storm = "for i in $(seq 150); do for n in a b c; do echo $i$n > $n.lock; /bin/mv $n.lock $n; done; done"
        ran = host.live.run(["/bin/sh", "-c", storm], auid=1001, cwd=host.tree / "etc")
        assert ran.returncode == 0, ran.stderr
        host.live.sync()
        watching.wait(lambda: not host.status()["waiting"], 30)
        assert watching.stop() == 1
        assert host.check() == []
        database = sqlite3.connect(host.state / "fimkit.sqlite")
        every = Counter(text for (text,) in database.execute("SELECT json_extract(body, '$.attribution') FROM findings"))
        database.close()
    assert every["exact"] >= 3
    assert every["unattributed"] == 0


def test_output_that_nobody_reads_holds_up_neither_the_watch_nor_its_end_and_the_next_check_tells_the_rest(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        process = subprocess.Popen([*host.command, "watch", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: host.status().get("ready"))
            for number in range(90):  # some 2 kB each: more than a pipe takes, and too slow to be told as one
                (host.tree / f"etc/unread{number}").write_text(str(number))
                time.sleep(0.03)
            wait_for(lambda: host.status()["findings"] >= 90 and host.status()["held_up_s"] > 0)
            assert host.status()["open"] == 90
            process.terminate()
            assert process.wait(60) == 1
            assert process.stdout is not None
            *whole, _ = process.stdout.read().split(b"\n")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()
        shown = {row["path"] for row in map(json.loads, whole) if "path" in row}
        assert 0 < len(shown) < 90
        status = host.status()
        assert (status["stuck"], status["findings"]) == (True, 90)
        rest = {row["path"] for row in host.check()}
        assert shown | rest == {str(host.tree / f"etc/unread{number}") for number in range(90)}
