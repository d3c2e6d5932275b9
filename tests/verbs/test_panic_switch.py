"""The killswitch's process: it has the rights that its runner has given up, and what it ran is in the incident."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.lock import lock_state
from fimkit.model.config import Config, Host, Panic
from fimkit.panic.incident import Status, make_incident
from fimkit.panic.rights import RIGHTS, drop_rights, held_rights
from fimkit.verbs.panic_killswitch import check_killswitch
from fimkit.verbs.panic_switch import Switch, start_killswitch
from fimkit.verbs.watch_status import LOCK_NAME, StatusFile, WatchStatus
from tests.verbs.panic_place import wait_for

__all__: list[str] = []

MINE = ("sh", "-c", "grep CapEff /proc/self/status; echo made > made")


def rights_in(file: Path) -> set[str]:
    word = int(next(line for line in file.read_text().splitlines() if line.startswith("CapEff")).split()[1], 16)
    return {name for number, name in enumerate(RIGHTS) if word >> number & 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs rights to give up")
def test_commands_have_the_rights_of_before_and_their_output_is_in_the_index(tmp_path: Path) -> None:
    before = held_rights()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            switch = Switch.start()
            drop_rights(["NET_RAW"])
            incident = make_incident(os.fsencode(tmp_path / "incidents"), "one")
            running, words = start_killswitch(switch, incident, (MINE, ("no-such-program",)))
            entries = running.wait()
            assert words == "" and [entry.status for entry in entries] == [Status.OK, Status.ABSENT]
            assert held_rights() == {"NET_RAW"} and [entry.file for entry in incident.entries] == [one.file for one in entries]
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rights_in(tmp_path / "incidents/one/killswitch-01.txt") == before


def test_where_its_process_was_killed_the_commands_run_all_the_same_and_it_is_said(tmp_path: Path) -> None:
    switch = Switch.start()
    os.kill(switch.pid, signal.SIGKILL)
    os.waitid(os.P_PID, switch.pid, os.WEXITED | os.WNOWAIT)
    incident = make_incident(os.fsencode(tmp_path / "incidents"), "one")
    running, words = start_killswitch(switch, incident, (("echo", "done"),))
    (entry,) = running.wait()
    assert entry.status is Status.OK and "is gone" in words
    assert (tmp_path / "incidents/one/killswitch-01.txt").read_text() == "done\n"
    switch.close()


def test_it_ends_with_its_runner(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        switch = Switch.start()
        running, _ = start_killswitch(switch, make_incident(os.fsencode(tmp_path), "one"), (("sh", "-c", "echo $PPID"),))
        running.wait()
        os.write(writer, (tmp_path / "one/killswitch-01.txt").read_bytes())
        os._exit(0)
    os.waitpid(child, 0)
    pid = int(os.read(reader, 100))
    os.close(reader)
    os.close(writer)
    assert pid != child
    wait_for(lambda: not Path(f"/proc/{pid}/cmdline").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")


def test_which_rights_it_has_is_known_before(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01", state_dir=os.fsencode(tmp_path)), panic=Panic(killswitch=(("poweroff",),)))
    (none,) = check_killswitch(config)
    assert none.code == "panic-killswitch-rights" and "no watch runs" in none.problem
    proc = make_proc(tmp_path, 1 << RIGHTS.index("NET_ADMIN") | 1 << RIGHTS.index("NET_RAW"))
    with StatusFile(os.fsencode(tmp_path)) as file, lock_state(os.fsencode(tmp_path), verb="watch", name=LOCK_NAME):
        file.write(WatchStatus(pid=os.getpid(), started_ns=1))  # this process stands for it
        (few,) = check_killswitch(config, proc)
        assert "these rights alone: NET_ADMIN, NET_RAW" in few.problem and "CapabilityBoundingSet" in few.remedy
        assert list(check_killswitch(config, make_proc(tmp_path, (1 << len(RIGHTS)) - 1))) == []
    assert list(check_killswitch(replace(config, panic=Panic()), proc)) == []


def make_proc(folder: Path, rights: int) -> Path:
    """A watch, its runner, and what that keeps, as /proc shows them."""
    proc = folder / "proc"
    (proc / "sys/kernel").mkdir(parents=True, exist_ok=True)
    (proc / "sys/kernel/cap_last_cap").write_text(f"{len(RIGHTS) - 1}\n")
    for pid, parent, words in ((90001, os.getpid(), b"panic_runner"), (90002, 90001, b"panic_switch")):
        (proc / str(pid)).mkdir(exist_ok=True)
        (proc / f"{pid}/stat").write_text(f"{pid} (python (3)) S {parent} 1 1 0")
        (proc / f"{pid}/cmdline").write_bytes(b"python\0-c\0import " + words)
        (proc / f"{pid}/status").write_text(f"Name:\tpython\nCapPrm:\t{rights:016x}\n")
    return proc
