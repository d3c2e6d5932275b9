"""Recon on this very host: commands in their bounds, facts that are true, copies with their hashes."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fimkit.panic.commands import plan_commands
from fimkit.panic.host_facts import list_authorized_keys, list_cron, list_mounts, list_temporary_files, list_units
from fimkit.panic.incident import Incident, OutputFull, Sink, Status, make_incident
from fimkit.panic.network_facts import list_connections, list_interfaces, list_neighbours, list_routes
from fimkit.panic.process_facts import list_deleted_files, list_processes
from fimkit.panic.read import describe_file
from fimkit.panic.recon import plan_copies, plan_facts, plan_rows
from fimkit.panic.steps import run_steps, start_steps
from tests.private_net import HERE, PEER, PeerNet, in_private_net

__all__: list[str] = []

LATE_S = 60.0


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    return make_incident(str(tmp_path / "incidents").encode(), "x")


def output(incident: Incident, name: str) -> bytes:
    return Path(os.fsdecode(incident.folder), name).read_bytes()


def running_with(mark: str) -> list[int]:
    return [row["pid"] for row in list_processes() if any(mark in word for word in row.get("cmdline", []))]


def test_a_command_runs_without_a_shell_and_its_output_is_kept(incident: Incident) -> None:
    commands = [["echo", "$HOME", "a;b"], ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]]
    entries = run_steps(incident, plan_commands("recon", commands), deadline_s=LATE_S)
    assert [(entry.status, entry.note) for entry in entries] == [(Status.OK, "exit status 0"), (Status.OK, "exit status 3")]
    assert output(incident, "recon-01.txt") == b"$HOME a;b\n"
    assert output(incident, "recon-02.txt") == b"out\nerr\n"
    assert entries[0].subject == "echo $HOME a;b"


def test_a_hanging_an_endless_and_an_absent_command_stop_nothing_and_leave_nothing(incident: Incident) -> None:
    mark = f"fimkit-test-{os.getpid()}"
    nest = f"sh -c ': {mark}; sleep 300; :' & wait"
    commands = [["sh", "-c", nest], ["yes", mark], ["fimkit-no-such-program"], ["echo", "last"]]
    entries = run_steps(incident, plan_commands("recon", commands, most_s=1.0, most_bytes=100_000), deadline_s=LATE_S)
    assert [entry.status for entry in entries] == [Status.TIMEOUT, Status.TRUNCATED, Status.ABSENT, Status.OK]
    assert entries[0].note == "killed, with all it had started: it ran too long"
    assert entries[1].size_bytes == 100_000
    assert entries[2].note == "there is no program fimkit-no-such-program"
    assert output(incident, "recon-04.txt") == b"last\n"
    assert not running_with(mark)


def test_what_leaves_its_session_is_killed_with_its_command_and_a_killswitch_may_leave_a_service(
    incident: Incident, tmp_path: Path
) -> None:
    mark, there = f"fimkit-left-{os.getpid()}", tmp_path / "there"
    asleep = f"sh -c ': {mark}; sleep 300; :'"
    away = f"setsid -f sh -c ': {mark}; exec >/dev/null 2>&1; echo >{there}; sleep 300; :'"
    waits = f"until [ -e {there} ]; do sleep 0.02; done; rm {there}"  # until it has its session
    commands = [
        ["sh", "-c", f"{away}; {waits}; echo done"],                    # a service of its own
        ["sh", "-c", f"{away}; {waits}; {asleep}"],                     # beside one that hangs
        ["sh", "-c", f"env -i setsid {asleep} & exec {asleep}"],        # without its environment
        ["sh", "-c", "setsid -f sh -c 'while :; do setsid -f sleep 300; sleep 0.02; done'; sleep 300"],  # again and again
    ]
    entries = run_steps(incident, plan_commands("recon", commands, most_s=2.0), deadline_s=LATE_S)
    assert [entry.status for entry in entries] == [Status.OK, *[Status.TIMEOUT] * 3], entries
    assert "1 that had left its session killed" in entries[0].note or "2 that had left" in entries[0].note, entries[0].note
    assert not running_with(mark)
    there.unlink(missing_ok=True)
    try:
        (entry,) = run_steps(incident, plan_commands("switch", commands[:1], may_leave=True), deadline_s=LATE_S)
        assert (entry.note, bool(running_with(mark))) == ("exit status 0", True)
    finally:
        for pid in running_with(mark):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def test_a_command_is_killed_when_its_share_of_the_time_is_over_before_its_own_bound(incident: Incident) -> None:
    mark = f"fimkit-share-{os.getpid()}"
    (entry,) = run_steps(incident, plan_commands("recon", [["sh", "-c", f": {mark}; sleep 300"]], most_s=300.0), deadline_s=0.5)
    assert entry.status is Status.TIMEOUT
    end = time.monotonic() + LATE_S
    while running_with(mark) and time.monotonic() < end:
        time.sleep(0.1)
    assert not running_with(mark)


def test_the_facts_are_gathered_on_this_host_each_in_a_file_of_json_lines(incident: Incident) -> None:
    entries = run_steps(incident, plan_facts(), deadline_s=LATE_S)
    assert [entry.step for entry in entries] == [step.name for step in plan_facts()]
    assert {entry.status for entry in entries} <= {Status.OK, Status.ABSENT}
    for entry in entries:
        rows = [json.loads(line) for line in output(incident, str(entry.file)).splitlines()]
        assert entry.status is Status.ABSENT or entry.note.split()[0] == str(len(rows))


def test_a_process_whose_program_was_deleted_is_hashed_from_what_it_executes(tmp_path: Path) -> None:
    program = tmp_path / "sneaky 100%"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    right = hashlib.sha256(program.read_bytes()).hexdigest()
    with subprocess.Popen([program, "60"]) as process:
        try:
            program.unlink()
            (row,) = [one for one in list_processes() if one["pid"] == process.pid]
        finally:
            process.kill()
    assert (row["exe_deleted"], row["exe_sha256"]) == (True, right)
    assert row["exe"].endswith("/sneaky 100%25") and row["cmdline"][1:] == ["60"]
    assert (row["ppid"], row["comm"]) == (str(os.getpid()), "sneaky 100%25")


def test_an_open_file_without_a_name_is_found_with_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "hidden\nlog"
    with path.open("wb") as file:
        file.write(b"secret")
        file.flush()
        path.unlink()
        inode = os.fstat(file.fileno()).st_ino
        (row,) = [one for one in list_deleted_files() if (one["pid"], one["inode"]) == (os.getpid(), inode)]
    assert row["was"].endswith("/hidden%0Alog") and row["size"] == 6
    assert row["sha256"] == hashlib.sha256(b"secret").hexdigest()


def test_connections_name_their_process_and_netlink_gives_neighbours_and_routes() -> None:
    def run() -> None:
        peer = PeerNet()
        peer.call(lambda: kept.append(socket.create_server((PEER, 7777))))
        with socket.create_connection((PEER, 7777)) as mine:
            rows = [one for one in list_connections() if one["remote"] == [PEER, 7777]]
            assert [(row["pid"], row["state"], row["local"]) for row in rows] == [
                (os.getpid(), "ESTABLISHED", [HERE, mine.getsockname()[1]])
            ]
            assert rows[0]["exe"] == os.path.realpath(sys.executable)
        assert PEER in [row.get("NDA_DST") for row in list_neighbours()]
        routes = list(list_routes())
        assert {"192.0.2.0", "2001:db8::"} <= {row.get("RTA_DST") for row in routes}
        assert {row["what"] for row in routes} == {"rule", "route"}
        links = {row.get("IFLA_IFNAME") for row in list_interfaces() if row["what"] == "link"}
        assert {"lo", "here0"} <= links

    kept: list[Any] = []
    in_private_net(run)


def test_what_stays_on_a_host_has_its_places() -> None:
    assert "/proc" in [row["point"] for row in list_mounts()]
    assert all("path" in row for rows in (list_cron(), list_units(), list_authorized_keys()) for row in rows)


def test_a_new_file_in_tmp_is_among_the_temporary_files() -> None:
    path = Path("/tmp") / f"fimkit-recon-{os.getpid()}"
    path.write_text("x")
    try:
        (row,) = [one for one in list_temporary_files() if one["path"] == str(path)]
    finally:
        path.unlink()
    assert row["sha256"] == hashlib.sha256(b"x").hexdigest()


def test_a_fifo_a_link_and_a_device_are_described_and_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/shadow")
    paths = (str(tmp_path / "fifo").encode(), str(tmp_path / "link").encode(), b"/dev/zero")
    fifo, link, device = (describe_file(path, with_text=True) for path in paths)
    assert link["target"] == "/etc/shadow"
    assert not [row for row in (fifo, link, device) if "text" in row or "sha256" in row]


def test_changed_files_are_copied_with_their_hash_and_links_are_not_followed(incident: Incident, tmp_path: Path) -> None:
    trojan = tmp_path / "ls ö\n"
    trojan.write_bytes(b"trojan" * 1000)
    (tmp_path / "link").symlink_to(trojan)
    os.mkfifo(tmp_path / "fifo")
    paths = [str(path).encode() for path in (trojan, tmp_path / "link", tmp_path / "fifo", tmp_path / "gone")]
    entries = run_steps(incident, plan_copies(paths), deadline_s=LATE_S)
    assert [entry.status for entry in entries] == [Status.OK, Status.FAILED, Status.FAILED, Status.ABSENT]
    assert entries[0].sha256 == hashlib.sha256(b"trojan" * 1000).hexdigest()
    assert entries[0].file == "copy-001-ls_" and "6000 bytes" in entries[0].note
    assert entries[0].subject.endswith("/ls ö%0A")
    assert output(incident, "copy-001-ls_") == b"trojan" * 1000


def test_a_file_that_grows_while_it_is_copied_has_its_bound_and_it_is_said(incident: Incident, tmp_path: Path) -> None:
    path = tmp_path / "grows"
    path.write_bytes(b"x" * 1000)
    (step,) = plan_copies([os.fsencode(path)], most_bytes=1 << 20)

    class Meddling(Sink):
        def write(self, chunk: bytes) -> None:
            if path.stat().st_size < self.limit:
                with path.open("ab") as file:
                    file.write(b"y" * 100_000)
            super().write(chunk)

    def copy(name: str, limit: int) -> tuple[int, str]:
        sink = Meddling(os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT), most_bytes=step.most_bytes)
        sink.limit = limit  # type: ignore[attr-defined]
        try:
            words = step.write(sink) or ""
        except OutputFull:
            words = "full"
        sink.finish()
        return sink.size_bytes, words

    size_bytes, words = copy("once", 5000)
    assert size_bytes == 101_000 and words.endswith(", 1000 bytes, changed while it was read")
    assert copy("for ever", 1 << 40) == (1 << 20, "full")


def test_a_large_file_is_copied_up_to_its_bound_and_the_rest_is_named(incident: Incident, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"x" * 5000)
    paths = [str(tmp_path / name).encode() for name in ("a", "b", "c")]
    entries = run_steps(incident, plan_copies(paths, most_bytes=1000, most=2), deadline_s=LATE_S)
    assert [(entry.status, entry.size_bytes) for entry in entries[:2]] == [(Status.TRUNCATED, 1000)] * 2
    assert entries[2].subject == "not copied: 1 more"
    assert json.loads(output(incident, "not_copied.jsonl")) == {"path": str(tmp_path / "c")}


def test_rows_of_others_are_a_step_too(incident: Incident) -> None:
    (entry,) = run_steps(incident, [plan_rows("osquery listening/ports", lambda: iter([{"port": "22"}]))], deadline_s=LATE_S)
    assert (entry.file, entry.note) == ("osquery_listening_ports.jsonl", "1 row")


def test_a_command_that_runs_until_it_is_told_is_asked_to_end_and_writes_what_it_has(incident: Incident) -> None:
    stop = threading.Event()
    script = "trap 'echo the end; exit 0' TERM; echo here > here; echo begun; while :; do sleep 0.05; done"
    steps = plan_commands("grab", [["sh", "-c", script]], most_s=LATE_S, share=1.0, folder=incident.folder, stop=stop)
    running = start_steps(incident, steps, deadline_s=LATE_S)
    end = time.monotonic() + LATE_S
    while not Path(os.fsdecode(incident.folder), "here").exists() and time.monotonic() < end:
        time.sleep(0.02)
    stop.set()
    (entry,) = running.wait()
    assert entry.status is Status.OK and entry.note.startswith("asked to end, its time was over")
    assert b"the end" in output(incident, "grab-01.txt")
