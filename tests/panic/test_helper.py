"""A helper's own process, asked over its line, in a network of the test's own: cuts, holds, restores, and outlives who asks."""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fimkit.model.errors import HostError
from fimkit.panic.helper import serve
from fimkit.panic.helper_client import connect_helper, start_helper
from fimkit.panic.helper_wire import PacketReader, split_packets
from fimkit.panic.namespaces import Namespace
from fimkit.panic.record import Phase, load_record, parse_record, render_record
from fimkit.panic.rights import RIGHTS, drop_rights
from tests.panic.confined import confined, ip, needs, nft, peer, wait_until
from tests.panic.helping import begin_in_a_child, make_links, running, settings, up_names
from tests.panic.test_restore import same, settled, view

__all__: list[str] = []

pytestmark = needs("ip")

INCIDENT = "2026-11-22T103000Z"
UP = {"lo", "v0", "v1", "t0"}


@pytest.fixture
def state(tmp_path: Path) -> bytes:
    """A folder whose name is longer than a socket's address may be."""
    folder = tmp_path / ("a-long-name-" * 12)
    folder.mkdir(mode=0o700)
    return os.fsencode(folder)


def no_right_to_cut() -> None:
    """For the programs started from here too: root's are given all that is not barred."""
    drop_rights(set(RIGHTS) - {"NET_ADMIN"})


def end(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)
    os.waitpid(pid, 0)


@confined
def test_armed_begun_cut_and_restored_is_on_the_disk_before_it_is_answered(where: Namespace, state: bytes) -> None:
    make_links()
    wait_until(settled)
    before = view()
    with running(state) as helper, helper.line() as line:
        hello = line.hello()
        assert (hello.phase, hello.can_cut, hello.rights) == (Phase.DISARMED, True, ("NET_ADMIN",))
        assert hello.namespace == where.inode and hello.pid == helper.process.pid and not hello.problem
        assert set(line.plan(settings(keep_interfaces=["t?"])).down) == {"v0", "v1"}
        line.arm(settings(), by="root", seen=["old", "old"])
        assert load_record(state).phase is Phase.ARMED and load_record(state).seen == ("old",)
        assert set(line.plan().down) == {"v0", "v1", "t0"}
        line.judged(["new"], ["new"])
        assert (load_record(state).seen, load_record(state).counted) == (("old", "new"), ("new",))
        begun = line.begin(INCIDENT, "a cause", nokill=False)
        assert (begun.again, begun.saved, begun.errors) == (False, True, ())
        assert load_record(state).phase is Phase.TRIGGERED and up_names() == UP
        receipt = line.cut()
        assert up_names() == {"lo"}
        assert receipt.complete and receipt.still_up == () and set(receipt.took_down) == {"v0", "v1", "t0"}
        record = load_record(state)
        assert record.phase is Phase.CUT and record.cut is not None and record.cut["took_down"] == list(receipt.took_down)
        for _ in range(2):
            assert line.restore(by="root").complete
            same(before)
        assert load_record(state).phase is Phase.RESTORED
        assert line.restore(by="root").words[0].startswith("links set up: none that were not; 0 addresses")
        line.arm(settings(), by="root", seen=[])
        line.disarm(by="root")
    assert [line.words for line in load_record(state).log][-2:] == ["armed by root", "disarmed by root"]


@confined
def test_what_makes_no_sense_in_a_phase_is_refused_with_the_reason(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        for ask, words in (
            (lambda: line.begin(INCIDENT, "cause", nokill=False), "this host is disarmed, not armed"),
            (line.cut, "no panic has begun"),
            (line.plan, "not armed, and no settings were given"),
            (lambda: line.arm({"panic": {"action": "explode"}}, by="root", seen=[]), "action 'explode'"),
            (lambda: line.arm({}, by="root", seen=[]), "expected an object"),
            (lambda: line._ask("reboot"), "there is no 'reboot' to be asked for"),
            (lambda: line._ask("begin", incident=7), "incident is 7, expected text"),
        ):
            with pytest.raises(HostError, match=words):
                ask()
        assert line.restore(by="root").words == ("nothing is cut: this host is disarmed",)
        line.arm(settings(), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=False)
        for ask in (lambda: line.disarm(by="root"), lambda: line.arm(settings(), by="root", seen=[])):
            with pytest.raises(HostError, match="while a panic goes on"):
                ask()
        assert line.hello().phase is Phase.TRIGGERED
        assert line.restore(by="root").complete  # called off before the cut
    assert up_names() == UP


@confined
def test_a_second_trigger_adds_its_cause_and_saves_nothing_over_what_is_saved(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line, helper.line() as other:
        line.arm(settings(), by="root", seen=[])
        first = line.begin(INCIDENT, "the first", nokill=False)
        again = other.begin("another", "the second", nokill=True)
        assert again.again and again.triggered_ns == first.triggered_ns
        line.cut()
        saved = Path(os.fsdecode(state), "panic", "network.json").read_bytes()
        assert other.begin("another", "the third", nokill=False).again
        assert Path(os.fsdecode(state), "panic", "network.json").read_bytes() == saved
        record = load_record(state)
    assert record.incident == INCIDENT and [cause.words for cause in record.causes] == ["the first", "the second", "the third"]
    assert record.phase is Phase.CUT and not record.nokill


@confined
def test_what_was_judged_by_an_arming_begins_nothing_and_adds_to_nothing_by_the_next(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        first_ns = load_record(state).armed_ns
        with pytest.raises(HostError, match="no panic goes on: this host is armed"):
            line.add("late", armed_ns=first_ns)
        line.begin(INCIDENT, "cause", nokill=False, armed_ns=first_ns)
        line.add("more", armed_ns=first_ns)
        assert [cause.words for cause in load_record(state).causes] == ["cause", "more"]
        line.cut()
        assert line.restore(by="root").complete
        with pytest.raises(HostError, match="no panic goes on: this host is restored"):
            line.add("late", armed_ns=first_ns)
        line.arm(settings(), by="root", seen=[])
        for late in (
            lambda: line.begin(INCIDENT, "late", nokill=False, armed_ns=first_ns), lambda: line.add("late", armed_ns=first_ns),
        ):
            with pytest.raises(HostError, match="disarmed or armed anew since"):
                late()
        with pytest.raises(HostError, match="armed_ns is 'now', expected a number"):
            line._ask("begin", incident=INCIDENT, cause="x", armed_ns="now")
        assert load_record(state).phase is Phase.ARMED and up_names() == UP


@confined
def test_what_was_undone_is_forgotten_durably_and_what_it_counted_stays(where: Namespace, state: bytes) -> None:
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="eve", seen=["a", "b"])
        line.judged(["c"], ["c"])
        for _ in range(2):
            line.forget(["a", "c", "never seen"])
            record = load_record(state)
            assert (record.seen, record.counted) == (("b",), ("c~1",))
        line.judged(["c"], ["c"])
        line.forget(["c"])
        helper.kill()
    with running(state) as helper, helper.line():
        assert load_record(state).counted == ("c~1", "c~2")


@confined
def test_an_answer_that_waits_to_be_read_is_no_end_of_the_line(where: Namespace, state: bytes) -> None:
    with running(state) as helper, helper.line() as line:
        line._socket.send(split_packets({"n": 9, "do": "hello"})[0])
        assert select.select([line], [], [], 30)[0]
        assert not line.is_gone()
        helper.kill()
        assert line.is_gone()
    assert line.is_gone()


@confined
def test_who_only_adds_a_cause_may_go_and_the_one_that_began_goes_on(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        line.begin(INCIDENT, "the first", nokill=False)
        with helper.line() as other:
            other.begin(INCIDENT, "by hand", nokill=False)
        assert line.hello().phase is Phase.TRIGGERED and up_names() == UP  # asked after the end of the other one
        line.cut()
        assert up_names() == {"lo"}


@confined
def test_the_network_of_another_panic_is_not_put_back(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=False)
        line.cut()
        line.restore(by="root")
        ip("route del default")
        line.arm(settings(), by="root", seen=[])
        line.begin("2026-11-23T103000Z", "cause", nokill=False)
        helper.kill()  # before the end of the line has it cut
    saved = Path(os.fsdecode(state), "panic", "network.json")
    saved.write_text(saved.read_text().replace("2026-11-23T103000Z", INCIDENT))  # as if this one had not been saved
    with running(state) as helper, helper.line() as line:
        assert up_names() == {"lo"}
        answer = line.restore(by="root")
        assert "default" not in ip("route") and up_names() == UP, answer.words


@confined
def test_who_began_is_killed_and_the_links_go_down(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        end(begin_in_a_child(state))
        wait_until(lambda: up_names() == {"lo"})
        wait_until(lambda: load_record(state).phase is Phase.CUT)
        assert "as the process that began the panic is gone" in load_record(state).log[-1].words


@confined
def test_who_began_is_stopped_and_the_links_go_down_at_the_deadline(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(deadline_s=1), by="root", seen=[])
        child = begin_in_a_child(state)
        os.kill(child, signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: up_names() == {"lo"})
        assert time.monotonic() - began < 15  # of a deadline of 1 s, on a loaded machine
        wait_until(lambda: load_record(state).phase is Phase.CUT)
        assert "at the deadline, 1 s after the trigger" in load_record(state).log[-1].words
        end(child)


@confined
def test_signals_end_one_that_is_armed_and_none_that_holds(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            helper.process.send_signal(number)
            wait_until(lambda number=number: any(number.name in said.words for said in load_record(state).log))
        line.cut()
        helper.process.send_signal(signal.SIGTERM)
        assert line.hello().phase is Phase.CUT and helper.process.poll() is None
        line.restore(by="root")
        line.arm(settings(), by="root", seen=[])
        helper.process.send_signal(signal.SIGTERM)
        assert helper.process.wait(30) == 0
    assert load_record(state).phase is Phase.ARMED


@confined
def test_another_user_is_refused_and_counted(where: Namespace, state: bytes) -> None:
    with running(state) as helper, helper.line() as line:
        folder = os.open(os.path.join(state, b"panic"), os.O_PATH)
        os.fchmod(os.open(os.path.join(state, b"panic"), os.O_RDONLY), 0o711)  # so that the folder alone is not what refuses
        os.chmod(f"/proc/self/fd/{folder}/helper.sock", 0o666)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os.setuid(65534)
                asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                asking.connect(f"/proc/self/fd/{folder}/helper.sock")
                os.write(writer, json.dumps(PacketReader().receive(asking)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            answer = json.loads(pipe.read())
        os.waitpid(child, 0)
        assert answer == {"error": f"process {child} of uid 65534 may not ask"}
        assert line.hello().phase is Phase.DISARMED
        line.arm(settings(), by="root", seen=[])
        assert any("uid 65534 may not ask (1 refused so far)" in said.words for said in load_record(state).log)


_TRIES = """\
import json, os, signal, socket, sys
panic, pid, done = "panic", int(sys.argv[1]), []
assert os.getuid() == 65534
def tried(name, work):
    try:
        work()
        done.append(name)
    except OSError:
        pass
def connect():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.connect(panic + "/helper.sock")
def read():
    with open(panic + "/record.json") as file:
        file.read()
tried("connect", connect)
tried("read", read)
tried("list", lambda: os.listdir(panic + "/incidents"))
tried("write", lambda: open(panic + "/record.json", "a"))
tried("unlink", lambda: os.unlink(panic + "/helper.sock"))
tried("make", lambda: os.mkdir(panic + "/incidents/x"))
tried("swap", lambda: os.rename(panic, "elsewhere"))
tried("lock", lambda: open(panic + "/lock", "a"))
tried("end", lambda: os.kill(pid, signal.SIGKILL))
tried("descriptors", lambda: os.readlink(f"/proc/{pid}/fd/0"))
print(json.dumps(done))
"""


@pytest.mark.parametrize("may_read", [False, True])
@confined
def test_who_reads_hostile_files_can_neither_ask_change_nor_end_anything(may_read: bool, where: Namespace, state: bytes) -> None:
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("needs root, to become another user, and setpriv")
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        os.mkdir(os.path.join(state, b"panic/incidents"), 0o700)
        os.chmod(state, 0o711)  # so that the panic's own folder is what refuses
        right = "+dac_read_search" if may_read else "-all"
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={right}", f"--ambient-caps={right}",
                 sys.executable, "-I", "-S", "-c", _TRIES, str(helper.process.pid)]  # fmt: skip
        done = subprocess.run(words, cwd=state, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        # A scanner that may read all files may read these too: that is what it is given the right for, and all that it does.
        assert json.loads(done.stdout) == (["read", "list"] if may_read else [])
        assert line.hello().phase is Phase.ARMED


@confined
def test_a_second_helper_of_the_same_folder_is_refused(where: Namespace, state: bytes) -> None:
    with running(state) as helper, helper.line(), running(state) as second:
        assert second.process.wait(30) == 1
        assert f"another panic helper (pid {helper.process.pid}) is at work" in helper.said.read_text()


@confined
def test_a_record_that_somebody_changes_while_a_helper_is_there_is_put_back_and_said(where: Namespace, state: bytes) -> None:
    make_links()
    record = Path(os.fsdecode(state), "panic", "record.json")

    def is_back() -> bool:
        with contextlib.suppress(HostError):
            return load_record(state).phase is Phase.ARMED
        return False

    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=["old"])
    with running(state) as helper, helper.line() as line:  # also one that has not written it itself
        armed_ns = load_record(state).armed_ns
        record.unlink()
        wait_until(is_back)
        record.write_bytes(record.read_bytes().replace(b'"armed"', b'"cut"', 1))
        wait_until(is_back)
        record.unlink()
        record.symlink_to("/etc/passwd")
        wait_until(is_back)
        record.unlink()
        record.mkdir()
        wait_until(is_back)
        assert load_record(state).seen == ("old",) and load_record(state).armed_ns == armed_ns
        wait_until(lambda: any("4 times so far" in said.words for said in load_record(state).log))
        assert any(b'"cut"' in kept.read_bytes() for kept in record.parent.glob("record.json.damaged-*") if kept.is_file())
        assert line.hello().phase is Phase.ARMED and up_names() == UP
        line.disarm(by="root")
        assert load_record(state).phase is Phase.DISARMED


@confined
def test_a_damaged_record_cuts_nothing_and_is_kept_and_said(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
    record = Path(os.fsdecode(state), "panic", "record.json")
    damaged = record.read_bytes().replace(b'"armed"', b'"cut"', 1)[:-40]
    record.write_bytes(damaged)
    with pytest.raises(HostError, match="is damaged"):
        load_record(state)
    with running(state) as helper, helper.line() as line:
        hello = line.hello()
        assert hello.phase is Phase.DISARMED and "THE PANIC RECORD WAS DAMAGED" in hello.problem
        [kept] = record.parent.glob("record.json.damaged-*")
        assert kept.read_bytes() == damaged and kept.name in hello.problem
        assert up_names() == UP


@confined
def test_one_that_crashed_while_it_held_cuts_again_holds_and_restores_all(where: Namespace, state: bytes) -> None:
    make_links()
    wait_until(settled)
    before = view()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=False)
        line.cut()
    ip("link set t0 up")  # nobody holds
    with running(state) as helper, helper.line() as line:
        assert line.hello().phase is Phase.CUT
        assert up_names() == {"lo"}
        for _ in range(2):
            ip("link set t0 up")
            wait_until(lambda: up_names() == {"lo"})
        wait_until(lambda: any("t0 was up and is taken down" in said.words for said in load_record(state).log))
        assert line.restore(by="root").complete
        same(before)


@pytest.mark.parametrize("damage", ["{", "gone"])
@confined
def test_a_saved_network_that_is_damaged_or_gone_is_missing_and_no_restore_calls_itself_whole(
    where: Namespace, state: bytes, damage: str
) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=False)
        line.cut()
    saved = Path(os.fsdecode(state), "panic", "network.json")
    saved.write_text(damage) if damage != "gone" else saved.unlink()
    with running(state) as helper, helper.line() as line:
        for _ in range(2):
            answer = line.restore(by="root")
            assert not answer.complete
            assert any(words.startswith("missing: the addresses and routes that were lost") for words in answer.words)
        assert up_names() == UP and "default" not in ip("route")
        assert any(name.startswith("network.json.damaged-") for name in os.listdir(saved.parent)) == (damage != "gone")


@confined
def test_after_a_reboot_it_cuts_before_anything_else_and_gives_back_what_it_took(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=False)
        line.cut()
    folder = Path(os.fsdecode(state), "panic")
    for name in ("record.json", "network.json"):  # as if they were written in another boot
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "another"))
    ip("link set v0 up")  # this boot's network service was faster
    with running(state) as helper, helper.line() as line:
        assert up_names() == {"lo"}
        assert "in another boot" in load_record(state).log[-1].words
        ip("link add late0 type ifb")
        ip("link set late0 up")
        wait_until(lambda: up_names() == {"lo"})
        wait_until(lambda: "late0" in load_record(state).lowered)
        answer = line.restore(by="root")
        assert answer.complete, answer.words
        assert up_names() == {"lo", "v0", "late0"}


@confined
def test_a_panic_that_is_not_to_cut_has_no_clock_and_leaves_the_host_armed(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(deadline_s=0), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=True)
        with pytest.raises(HostError, match="not to cut"):
            line.cut()
        line.judged(["a", "b"], ["a", "b"])
        line.finish("mailed")
        record = load_record(state)
        assert (record.phase, record.seen, record.counted) == (Phase.ARMED, ("a", "b"), ())  # the next one counts anew
        end(begin_in_a_child(state, nokill=True))
        wait_until(lambda: load_record(state).phase is Phase.ARMED)
        assert "ends without a cut: the process that began it is gone" in load_record(state).log[-1].words
        assert up_names() == UP
        line.begin(INCIDENT, "cause", nokill=True)
        line.begin(INCIDENT, "a worse one", nokill=False)  # this one is to cut: the deadline is at once
        wait_until(lambda: up_names() == {"lo"})


@needs("nft")
@confined
def test_isolation_is_put_in_place_held_and_released(where: Namespace, state: bytes) -> None:
    make_links()
    wait_until(settled)
    before = view()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(action="isolate", allow=["192.0.2.10:22"]), by="root", seen=[])
        assert "only 192.0.2.10:22 may reach this host" in line.plan().text
        line.begin(INCIDENT, "cause", nokill=False)
        receipt = line.cut()
        assert (receipt.action, receipt.isolated, receipt.complete) == ("isolate", True, True)
        assert up_names() == UP
        rules = nft(["list", "table", "inet", "fimkit_isolation"][0], "table", "inet", "fimkit_isolation")
        nft("delete", "table", "inet", "fimkit_isolation")
        wait_until(lambda: "fimkit_isolation" in nft("list", "tables"))
        wait_until(lambda: any("put in place again, 1 times" in said.words for said in load_record(state).log))
        assert "192.0.2.10" in rules
        assert line.restore(by="root").complete
        assert "fimkit_isolation" not in nft("list", "tables")
        same(before)


@confined
def test_other_namespaces_are_named_and_cut_and_held_where_they_are_included(where: Namespace, state: bytes) -> None:
    make_links()
    with peer() as pid:
        ip("link set v1 netns", str(pid))
        ip("link set v1 up", pid=pid)
        ip("addr add 192.0.2.2/24 dev v1", pid=pid)
        ip("route add default via 192.0.2.1", pid=pid)
        routes = ip("route", pid=pid)
        inode = str(Namespace.of(f"/proc/{pid}/ns/net").inode)

        def is_up() -> bool:
            return "UP" in ip("link show v1", pid=pid).split("<")[1].split(">")[0].split(",")

        with running(state, rights="all") as helper, helper.line() as line:
            assert line.hello().rights == ("NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE")
            left = line.plan(settings())
            assert inode in left.namespaces[0]
            assert any("not cut, as include_namespaces is false" in words for words in left.warnings)
            line.arm(settings(include_namespaces=True), by="root", seen=[])
            assert any("cut too" in words for words in line.plan().warnings)
            line.begin(INCIDENT, "cause", nokill=False)
            receipt = line.cut()
            # Where the kernel hides processes even from who may look, that is a row of its own, and the receipt not complete.
            [row] = [row for name, row in receipt.namespaces.items() if inode in name]
            assert row["complete"] and row["took_down"] == ["v1"]
            assert receipt.complete == (len(receipt.namespaces) == 1)
            ip("link set v1 up", pid=pid)
            wait_until(lambda: not is_up())
            assert line.restore(by="root").complete
            wait_until(is_up)
            assert ip("route", pid=pid) == routes


@confined
def test_without_the_right_other_namespaces_stay_and_the_plan_and_the_receipt_say_so(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(include_namespaces=True), by="root", seen=[])
        assert any("needs CAP_SYS_ADMIN" in words for words in line.plan().warnings)
        line.begin(INCIDENT, "cause", nokill=False)
        receipt = line.cut()
        assert up_names() == {"lo"}
        assert not receipt.complete and receipt.still_up == ()
        errors = [error for row in receipt.namespaces.values() for error in row["errors"]]
        assert any("it lacks SYS_ADMIN, SYS_PTRACE" in error for error in errors)


def small_disk(state: bytes, size: str) -> None:
    """Mount a file system of a few pages there, for this process and its children alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):  # CLONE_NEWNS; MS_REC | MS_PRIVATE
        pytest.skip(f"no mount namespace can be made here: {os.strerror(ctypes.get_errno())}")
    if libc.mount(b"tmpfs", state, b"tmpfs", 0, f"size={size},mode=700".encode()):
        pytest.skip(f"no tmpfs can be mounted here: {os.strerror(ctypes.get_errno())}")


def fill(state: bytes) -> None:
    with open(os.path.join(state, b"filler"), "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@confined
def test_with_a_full_disk_the_host_is_cut_and_what_is_not_stored_is_said(where: Namespace, state: bytes) -> None:
    make_links()
    small_disk(state, "32k")
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])  # and no room for a reserve
        fill(state)
        begun = line.begin(INCIDENT, "cause", nokill=False)
        assert any("record.json is not on the disk: No space left" in words for words in begun.errors)
        receipt = line.cut()
        assert up_names() == {"lo"} and receipt.complete
        assert any("record.json is not on the disk" in words for words in receipt.errors)
        assert "not on the disk" in line.hello().problem
        os.unlink(os.path.join(state, b"filler"))
        wait_until(lambda: load_record(state).phase is Phase.CUT)  # tried again
        assert line.restore(by="root").complete


@confined
def test_a_disk_that_was_filled_after_arming_has_room_for_the_record(where: Namespace, state: bytes) -> None:
    make_links()
    small_disk(state, "1m")
    with running(state) as helper, helper.line() as line:
        line.arm(settings(), by="root", seen=[])
        fill(state)
        begun = line.begin(INCIDENT, "cause", nokill=False)
        assert begun.errors == () and begun.saved
        assert line.cut().errors == ()
        assert load_record(state).phase is Phase.CUT


@confined
def test_a_disk_that_hangs_holds_up_neither_the_answer_nor_the_deadline(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(deadline_s=1), by="root", seen=[])
        os.mkfifo(os.path.join(state, b"panic", b"record.json.new"))  # who opens it to write waits for ever
        began = time.monotonic()
        begun = line.begin(INCIDENT, "cause", nokill=False)
        assert any("record.json is not on the disk, which has not answered" in words for words in begun.errors)
        wait_until(lambda: up_names() == {"lo"})
        assert time.monotonic() - began < 15  # of a deadline of 1 s, on a loaded machine
        assert line.cut().complete and "not answered" in line.hello().problem
        assert load_record(state).phase is Phase.ARMED  # what the disk has


@confined
def test_without_the_right_to_cut_it_says_so_at_once_and_in_each_answer(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state, before=no_right_to_cut) as helper, helper.line() as line:
        hello = line.hello()
        assert not hello.can_cut and "CAP_NET_ADMIN" in hello.problem
        line.arm(settings(), by="root", seen=[])
        assert any("CAP_NET_ADMIN" in words for words in line.plan().warnings)
        line.begin(INCIDENT, "cause", nokill=False)
        receipt = line.cut()
        assert not receipt.complete and set(receipt.still_up or ()) == UP - {"lo"}
        assert any("CAP_NET_ADMIN" in words for words in receipt.errors) and any("pyroute2" in words for words in receipt.errors)


@confined
def test_a_cut_with_an_end_ends_by_itself_also_after_a_crash(where: Namespace, state: bytes) -> None:
    make_links()
    wait_until(settled)
    before = view()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(restore_after_s=2), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=False)
        began = time.monotonic()
        line.cut()
        assert up_names() == {"lo"}
    with running(state) as helper, helper.line():
        wait_until(lambda: load_record(state).phase is Phase.RESTORED)
        assert time.monotonic() - began >= 2
        same(before)
        assert load_record(state).by == "restore_after_s"


@confined
def test_a_wall_clock_that_was_set_on_within_a_boot_ends_no_cut(where: Namespace, state: bytes) -> None:
    make_links()
    with running(state) as helper, helper.line() as line:
        line.arm(settings(restore_after_s=600), by="root", seen=[])
        line.begin(INCIDENT, "cause", nokill=False)
        line.cut()
    path = Path(os.fsdecode(state), "panic", "record.json")
    row = json.loads(path.read_text())
    due = row["restore_boottime_ns"]
    path.write_text(json.dumps(row | {"cut_ns": 1_000_000_000}))  # by the wall clock, long over
    with running(state) as helper, helper.line() as line:
        assert line.hello().phase is Phase.CUT and up_names() == {"lo"}
        assert load_record(state).restore_boottime_ns == due


@confined
def test_one_that_was_started_on_demand_ends_with_its_last_line_but_not_while_it_holds(where: Namespace, state: bytes) -> None:
    make_links()
    line = start_helper(state, confined=True)
    with start_helper(state, confined=True) as other:
        assert other.hello().pid == line.hello().pid
    pid = line.hello().pid
    assert os.getsid(pid) != os.getsid(0)
    line.arm(settings(), by="root", seen=[])
    line.begin(INCIDENT, "cause", nokill=False)
    line.close()
    wait_until(lambda: up_names() == {"lo"})
    with connect_helper(state) as line:
        assert line.hello().pid == pid
        assert line.restore(by="root").complete

    def answers() -> bool:
        with contextlib.suppress(HostError):
            connect_helper(state).close()
            return True
        return False

    wait_until(lambda: not Path(f"/proc/{pid}").exists() or not os.path.exists(f"/proc/{pid}/exe"))
    assert not answers()


@confined
def test_one_on_demand_without_the_right_is_refused_with_the_reason(where: Namespace, state: bytes) -> None:
    no_right_to_cut()
    with pytest.raises(HostError, match="does not start: no right to cut: this needs CAP_NET_ADMIN"):
        start_helper(state, confined=True)


def test_a_trial_in_the_machines_own_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"the machine's own|may be the machine's"):
        serve(os.fsencode(tmp_path), confined=True)
    with pytest.raises(HostError, match=r"does not start: .*machine's"):
        start_helper(os.fsencode(tmp_path), confined=True)


@confined
def test_one_line_that_sends_nonsense_or_half_a_message_holds_up_no_other(where: Namespace, state: bytes) -> None:
    with running(state) as helper, helper.line() as line:
        folder = os.open(os.path.join(state, b"panic"), os.O_PATH)

        def raw(*packets: bytes) -> socket.socket:
            asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            asking.settimeout(20)
            asking.connect(f"/proc/self/fd/{folder}/helper.sock")
            for packet in packets:
                asking.send(packet)
            return asking

        nonsense, half = raw(b"GET / HTTP/1.1"), raw(split_packets({"do": "x" * 100_000})[0])
        assert nonsense.recv(100) == b""
        nested = raw(b"." + b"[" * 30_000)
        assert nested.recv(100) == b""
        assert line.hello().phase is Phase.DISARMED
        line.arm(settings(), by="root", seen=[f"{number:064x}" for number in range(10_000)])
        assert len(load_record(state).seen) == 10_000
        half.close()


def test_a_record_reads_back_as_it_was_written() -> None:
    record = parse_record(json.loads(json.dumps(render_record(parse_record({
        "fimkit_panic_record": 1, "phase": "cut", "settings": settings(), "causes": [[1, "why"]], "cut_ns": 5,
        "cut": {"complete": True},
    })))))
    assert record.phase is Phase.CUT and record.causes[0].words == "why" and record.cut == {"complete": True} and record.cut_ns == 5


@pytest.mark.parametrize("change", [
    {"phase": "exploded"}, {"causes": [1]}, {"cut_ns": "now"}, {"nokill": 1}, {"settings": None}, {"seen": "all"}, {"boot_id": 5},
    {"settings": {"panic": {"allow": ["nobody"]}}}, {"deadline_s": True}, {"log": [["then", "words"]]},
])
def test_a_record_with_a_value_that_makes_no_sense_is_damaged(change: dict[str, object]) -> None:
    good = {"fimkit_panic_record": 1, "phase": "cut", "settings": settings()}
    parse_record(good)
    with pytest.raises(HostError, match="damaged"):
        parse_record(good | change)
