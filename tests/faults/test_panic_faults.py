"""The fault table of a panic: what breaks or hangs, and the time from the trigger to the last link down, in a real run.

Never later than ``deadline_s``, and never a link left up without words on it. ``-s`` prints the table.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.panic.namespaces import Namespace
from fimkit.panic.record import Phase
from tests.faults.scene import DEADLINE_S, Scene, command, fill, memory_free_mb, mount_failing, mount_small, toml
from tests.notify.mail_servers import Certificates, RealServer, drip, never_answer, serve_with
from tests.panic.confined import confined, ip_batch, needs, wait_until

__all__: list[str] = []

pytestmark = needs("ip", "mount")

ALLOWANCE_S = 3.0
"""For a loaded machine of two cores: the reply, the cut itself, and the look at it."""
TIMES = 500


class Post(RealServer):
    """The real mail server; ``taking`` is called when a message has come, before it is said to be taken."""

    taking: Callable[[], None] = staticmethod(lambda: None)

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        self.taking()
        return await super().handle_DATA(server, session, envelope)


@dataclass(kw_only=True)
class Stage:
    """What a fault has to play with."""

    scene: Scene
    post: Post
    connected: threading.Event = field(default_factory=threading.Event)
    held: list[object] = field(default_factory=list)

    def reached(self, name: str) -> None:
        """Wait until a command of this name runs."""
        wait_until((self.scene.folder / f"{name}.pid").exists)


Act = Callable[[Stage], None]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A row: ``before`` happens on the armed host, ``then`` when the finding has been handed over; ``says`` can be read of it."""

    name: str
    says: str
    panic: Callable[[Path], str] = lambda folder: ""
    server: str = "real"
    before: Act = lambda stage: None
    then: Act = lambda stage: None
    after: Act = lambda stage: None
    elsewhere: bool = False  # the guard is in a process of its own


def hanging_recon(folder: Path) -> str:
    return toml("recon", command(folder, "recon"))


def killing(reached: Act) -> Act:
    def act(stage: Stage) -> None:
        reached(stage)
        stage.scene.signal_runner(signal.SIGKILL)

    return act


def at_begin(stage: Stage) -> None:
    stage.scene.wait_phase(Phase.TRIGGERED, Phase.CUT)


def at_folder(stage: Stage) -> None:
    wait_until(lambda: stage.scene.incident)


def at_recon(stage: Stage) -> None:
    stage.reached("recon")


def at_capture(stage: Stage) -> None:
    wait_until(lambda: stage.scene.incident and list(stage.scene.incident.glob("*capture*")))


def at_mail(stage: Stage) -> None:
    assert stage.connected.wait(30)


def keep_stopping(stage: Stage) -> None:
    """Stop it again and again: its guard makes a stopped runner go on."""
    at_recon(stage)
    while stage.scene.record.phase is not Phase.CUT:
        stage.scene.signal_runner(signal.SIGSTOP)
        time.sleep(0.02)


def stop_it_and_its_watch(stage: Stage) -> None:
    """Nobody is left who could make it go on: the helper's own clock is."""
    at_recon(stage)
    assert stage.scene.watch_pid
    os.kill(stage.scene.watch_pid, signal.SIGSTOP)
    stage.scene.signal_runner(signal.SIGSTOP)


def kill_when_the_mail_is_taken(stage: Stage) -> None:
    stage.post.taking = lambda: stage.scene.signal_runner(signal.SIGKILL)


def silence_osquery(stage: Stage) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(stage.scene.folder / "osquery.em"))
    listener.listen()
    stage.held.append(listener)


def kill_and_start_the_helper(stage: Stage) -> None:
    at_recon(stage)
    stage.scene.kill_helper()
    stage.scene.start_helper()


def hold_the_store(stage: Stage) -> None:
    """Lock the database and the writers' lock, in this process, which is another one than the runner."""
    lock = os.open(stage.scene.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    holder = sqlite3.connect(stage.scene.state / "fimkit.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    stage.held += [lock, holder]


def keep_rewriting(stage: Stage) -> None:
    """The changed file is another one whenever it is looked at."""
    path = stage.scene.changed = stage.scene.folder / "door"
    path.write_bytes(b"first")

    def rewrite() -> None:
        number = 0
        while True:  # as long as the test's process
            number += 1
            with path.open("r+b" if number % 50 else "wb") as file:
                file.write(b"%d" % number)
                file.seek(0, os.SEEK_END)
                file.write(b"x" * (1 << 16))

    threading.Thread(target=rewrite, daemon=True).start()


def fight(stage: Stage) -> None:
    from pyroute2 import IPRoute  # the opponent: another implementation

    stage.scene.wait_cut()
    with IPRoute() as opponent:
        index = opponent.link_lookup(ifname="t0")[0]
        for _ in range(TIMES):
            opponent.link("set", index=index, state="up")
            until = time.monotonic() + 30
            while opponent.get_links(index)[0]["flags"] & 1:
                assert time.monotonic() < until, "it was left up"
                time.sleep(0.001)


def keep_making_links(stage: Stage) -> None:
    stop, made = threading.Event(), list[str]()

    def make() -> None:
        while not stop.is_set() and len(made) < 300:
            ip_batch([f"link add n{len(made)} type ifb", f"link set n{len(made)} up"])
            made.append(f"n{len(made)}")

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    stage.scene.wait_phase(Phase.CUT)
    there = len(made)
    wait_until(lambda: len(made) > there + 3 or len(made) >= 300)
    stop.set()
    maker.join(60)


def killed_watch(stage: Stage) -> None:
    """The process that found it dies at once; its runner does not."""
    stage.scene.wait_phase(Phase.TRIGGERED, Phase.CUT)
    assert stage.scene.watch_pid
    os.kill(stage.scene.watch_pid, signal.SIGKILL)


def the_killswitch_ends(stage: Stage) -> None:
    stage.reached("killswitch")
    pid = int((stage.scene.folder / "killswitch.pid").read_text())

    def is_over() -> bool:
        try:
            return b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes()  # empty: it waits to be reaped
        except OSError:
            return True

    wait_until(is_over, patience_s=90)


GONE = "cut as the process that began the panic is gone"
ASKED = "cut as it was asked to"
FAULTS = (
    Fault(name="nothing is broken", says="mail taken for 1 of 1"),
    Fault(name="runner killed at begin", panic=hanging_recon, then=killing(at_begin), says=GONE),
    Fault(name="runner killed at the log", panic=hanging_recon, then=killing(at_folder), says=GONE),
    Fault(name="runner killed in recon", panic=hanging_recon, then=killing(at_recon), says=GONE),
    Fault(name="runner killed in the capture", panic=hanging_recon, then=killing(at_capture), says=GONE),
    Fault(name="runner killed in the mail", server="silent", then=killing(at_mail), says=GONE),
    Fault(name="runner killed just before the cut", before=kill_when_the_mail_is_taken, says=GONE),
    Fault(name="runner stopped, again and again", panic=hanging_recon, then=keep_stopping,
          says="somebody has stopped the panic's runner"),
    Fault(name="runner and its watch stopped in recon", panic=hanging_recon, then=stop_it_and_its_watch, elsewhere=True,
          says="cut at the deadline"),
    Fault(name="watch killed after the trigger", panic=hanging_recon, then=killed_watch, elsewhere=True, says=ASKED),
    Fault(name="recon command hangs", panic=hanging_recon, says="recon_1 timeout"),
    Fault(name="recon command prints without end", says="recon_1 truncated",
          panic=lambda folder: toml("recon", command(folder, "recon", "exec yes endless"))),
    Fault(name="recon command is absent", panic=lambda folder: toml("recon", ["/no/such/program"]),
          says="there is no program /no/such/program"),
    Fault(name="capture command hangs", panic=lambda folder: toml("packetgrab", command(folder, "grab")),
          says="asked to end, its time was over: ended by signal 15"),
    Fault(name="osquery never answers", panic=lambda folder: 'recon_queries = ["SELECT 1"]\n', before=silence_osquery,
          says="not asked: osqueryd did not answer"),
    Fault(name="mail server accepts, never answers", server="silent", says="waiting for its greeting"),
    Fault(name="mail server drips bytes", server="dripping", says="waiting for its greeting"),
    Fault(name="mail server refuses the connection", server="absent", says="Connection refused"),
    Fault(name="mail server refuses the recipient", server="refusing", says="no such mailbox here%1B[2J"),
    Fault(name="mail server has a wrong certificate", server="another", says="certificate verify failed"),
    Fault(name="evidence store locked", before=hold_the_store, says="left behind after"),
    Fault(name="changed file is rewritten all the time", before=keep_rewriting, says='"step": "copy_1"'),
    Fault(name="a link comes back 500 times", then=fight, says="t0 was up and is taken down, 256 times so far"),
    Fault(name="links added during the cut", then=keep_making_links, says=ASKED),
    Fault(name="killswitch hangs", after=the_killswitch_ends, says="killswitch_1",
          panic=lambda folder: toml("killswitch", command(folder, "killswitch"))),
    Fault(name="helper killed after begin, started", panic=hanging_recon, then=kill_and_start_the_helper, says="cut again"),
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Rows are written by the children, each in a namespace of its own, and printed here."""
    path = tmp_path_factory.mktemp("table") / "rows"
    path.touch()
    yield path
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    print(f"\n{'fault':<40} {'down after':>10}   of {DEADLINE_S} s")
    for name, seconds, words in rows:
        print(f"{name:<40} {'never' if seconds is None else f'{seconds:.2f} s':>10}   {words}")


def note(table: Path, name: str, seconds: float | None, words: str) -> None:
    with table.open("a") as file:
        file.write(json.dumps([name, seconds, words]) + "\n")


@contextmanager
def stage(where: Namespace, folder: Path, certificates: Certificates, fault: Fault, state: Path | None = None) -> Iterator[Stage]:
    with Scene(where, folder, ca_file=certificates.ca_file, panic=fault.panic(folder), state=state) as scene:
        certificate = certificates.other if fault.server == "another" else certificates.right
        refused = ("ops@example.org",) if fault.server == "refusing" else ()
        post = Post(port=587, context=certificates.context(certificate), refused=refused)
        here = Stage(scene=scene, post=post)

        def hang(connection: socket.socket) -> None:
            here.connected.set()
            (never_answer if fault.server == "silent" else drip)(connection)

        if fault.server in ("silent", "dripping"):
            scene.peer.call(serve_with(587, hang))
        elif fault.server != "absent":
            scene.peer.call(post.start)
        yield here


def run_row(where: Namespace, folder: Path, certificates: Certificates, fault: Fault, table: Path) -> None:
    with stage(where, folder, certificates, fault) as here:
        scene = here.scene
        with closing(open_store(os.fsencode(scene.state), create=True)):
            pass
        scene.start_helper()
        scene.arm()
        fault.before(here)
        assert set(scene.is_up()) >= {"here0", "v0", "v1", "br0", "t0"}
        scene.trigger(elsewhere=fault.elsewhere)
        fault.then(here)
        record = scene.wait_cut()
        assert record.triggered_ns and record.cut is not None
        took_s = scene.after_s(record.triggered_ns) if fault.then is not fight else (record.cut_ns - record.triggered_ns) / 1e9
        note(table, fault.name, took_s, next(line.words for line in record.log if line.words.startswith("cut")))
        assert took_s <= DEADLINE_S + ALLOWANCE_S, scene.words()
        assert record.cut["complete"], record.cut
        fault.after(here)
        wait_until(lambda: fault.says in scene.words())
        assert scene.is_up() == []


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_the_last_link_is_down_by_the_deadline(
    fault: Fault, tmp_path: Path, certificates: Certificates, table: Path
) -> None:
    confined(lambda where: run_row(where, tmp_path, certificates, fault, table))()


@confined
def test_without_the_right_nothing_is_cut_and_that_is_said(
    tmp_path: Path, certificates: Certificates, table: Path, where: Namespace
) -> None:
    fault = Fault(name="no NET_ADMIN", says="")
    with stage(where, tmp_path, certificates, fault) as here:
        scene = here.scene
        scene.start_helper(has_rights=False)
        hello = scene.helper.hello()
        assert not hello.can_cut and "NET_ADMIN" not in hello.rights
        scene.arm()
        scene.trigger()
        wait_until(lambda: any(words.startswith("cut:") for words in scene.said), patience_s=DEADLINE_S + 60)
        [words] = [words for words in scene.said if words.startswith("cut:")]
        up = scene.is_up()
        assert set(up) >= {"here0", "v0", "v1", "br0", "t0"}
        assert "CAP_NET_ADMIN" in words and all(link in words for link in up), words
        record = scene.record
        assert record.has_begun and not (record.cut and record.cut["complete"])
        note(table, fault.name, None, f"said: {words}")


@confined
def test_a_full_disk_delays_no_cut(tmp_path: Path, certificates: Certificates, table: Path, where: Namespace) -> None:
    if os.getuid():
        pytest.skip("needs root, to mount a small file system")
    state = mount_small(tmp_path, kilobytes=2048)
    fault = Fault(name="disk full", says="NOT ALL WAS DONE; evidence in /dev/shm/")
    with stage(where, tmp_path, certificates, fault, state=state) as here:
        scene = here.scene
        scene.start_helper()
        scene.arm()
        fill(state)
        assert not os.statvfs(state).f_bavail
        scene.trigger()
        record = scene.wait_cut()
        assert record.triggered_ns and record.cut and record.cut["complete"]
        took_s = scene.after_s(record.triggered_ns)
        note(table, fault.name, took_s, f"said: {fault.says}…")
        assert took_s <= DEADLINE_S + ALLOWANCE_S
        wait_until(lambda: fault.says in scene.words())


@confined
def test_a_disk_that_fails_and_can_only_be_read_delays_no_cut(
    tmp_path: Path, certificates: Certificates, table: Path, where: Namespace
) -> None:
    if os.getuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("needs root, to mount a file system, and mkfs.ext4")
    state, fail = mount_failing(tmp_path)
    fault = Fault(name="disk can only be read", says="NOT ALL WAS DONE; evidence in /dev/shm/")
    with stage(where, tmp_path, certificates, fault, state=state) as here:
        scene = here.scene
        scene.start_helper()
        scene.arm()
        scene.start_guard()
        fail()
        began_ns = time.time_ns()
        scene.trigger()
        scene.wait_down()
        took_s = scene.after_s(began_ns)
        note(table, fault.name, took_s, f"said: {fault.says}…")
        assert took_s <= DEADLINE_S + ALLOWANCE_S
        wait_until(lambda: fault.says in scene.words())
        assert "record.json is not on the disk: Read-only file system" in scene.words()
        assert scene.helper.hello().phase is Phase.CUT and scene.record.phase is Phase.ARMED
        scene.helper.restore(by="the test")
        wait_until(lambda: len(scene.is_up()) == 5)


@confined
def test_recon_that_fills_the_disk_delays_no_cut_and_the_record_has_its_room(
    tmp_path: Path, certificates: Certificates, table: Path, where: Namespace
) -> None:
    if os.getuid():
        pytest.skip("needs root, to mount a small file system")
    state = mount_small(tmp_path, kilobytes=66 << 10)  # a little more than what is room enough to begin
    fault = Fault(
        name="recon fills the disk", says="No space left on device",
        panic=lambda folder: toml("recon", *(["yes", f"line {number}"] for number in range(20))),
    )
    with stage(where, tmp_path, certificates, fault, state=state) as here:
        scene = here.scene
        scene.start_helper()
        scene.arm()
        scene.trigger()
        record = scene.wait_cut()
        assert record.triggered_ns and record.cut and record.cut["complete"]
        took_s = scene.after_s(record.triggered_ns)
        note(table, fault.name, took_s, f"said: {fault.says}")
        assert took_s <= DEADLINE_S + ALLOWANCE_S
        wait_until(lambda: "NOT ALL WAS DONE" in scene.words() or "all was done" in scene.words())
        assert fault.says in "\n".join(scene.said) + "".join(path.read_text() for path in state.rglob("index.json"))


@confined
def test_a_thousand_links_are_down_by_the_deadline(
    tmp_path: Path, certificates: Certificates, table: Path, where: Namespace
) -> None:
    if memory_free_mb() < 2048:
        pytest.skip("needs 2 GB of free memory")
    fault = Fault(name="1,000 links", says="")
    with stage(where, tmp_path, certificates, fault) as here:
        scene = here.scene
        ip_batch([line for number in range(500) for line in (
            f"link add a{number} type veth peer name b{number}", f"link set a{number} up", f"link set b{number} up"
        )])
        scene.start_helper()
        scene.arm()
        assert len(scene.is_up()) > 1000
        scene.trigger()
        record = scene.wait_cut()
        assert record.triggered_ns and record.cut and record.cut["complete"]
        took_s = scene.after_s(record.triggered_ns)
        note(table, fault.name, took_s, f"{len(record.cut['took_down'])} taken down")
        assert took_s <= DEADLINE_S + ALLOWANCE_S
