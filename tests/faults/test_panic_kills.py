"""Kills at random: whatever dies or is stopped, and whenever, a trigger cuts by its deadline, and nothing else ever does.

A few rounds by default; ``FIMKIT_TEST_KILLS=100`` makes more, ``FIMKIT_TEST_SEED`` others. Each round arms the host anew, within a
second of the restore before, while the panic of the round before may still come to its end.
"""

import contextlib
import json
import os
import queue
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.config_json import freeze
from fimkit.model.errors import HostError
from fimkit.notify.channels import Channels
from fimkit.notify.mail import load_mailer
from fimkit.panic.helper_client import Helper, connect_helper
from fimkit.panic.namespaces import Namespace
from fimkit.panic.record import PanicRecord, Phase
from fimkit.verbs.evidence_incidents import verify_incidents
from fimkit.verbs.panic_books import store_incident_of
from fimkit.verbs.panic_reach import Reach, render_endpoints
from tests.faults.scene import DEADLINE_S, Scene, command, toml
from tests.notify.letters import finding
from tests.notify.mail_servers import Certificates
from tests.panic.confined import confined, ip_batch, ip_json, needs, wait_until

__all__: list[str] = []

pytestmark = needs("ip")

ROUNDS = int(os.environ.get("FIMKIT_TEST_KILLS", "6"))
SEED = int(os.environ.get("FIMKIT_TEST_SEED", "1"))
A_SCENE = 3
ALLOWANCE_S = 4.0
PATIENCE_S = 90.0
LINKS = {"here0", "v0", "v1", "br0", "t0"}


class Blow(NamedTuple):
    """What befalls a part of the panic, so long after the host was armed."""

    after_s: float
    target: str
    is_kill: bool
    lasts_s: float  # until it goes on, or is started anew


class Plan(NamedTuple):
    """One round."""

    trigger_s: float | None
    blows: tuple[Blow, ...]


def plan_round(dice: random.Random) -> Plan:
    trigger_s = None if dice.random() < 0.2 else dice.uniform(0, 1.5)
    blows = []
    for _ in range(dice.randint(1, 4)):
        # Most of them while the panic is under way, as far as that can be told before.
        after_s = dice.uniform(0, 5) if trigger_s is None or dice.random() < 0.3 else max(0.0, trigger_s + dice.gauss(0.6, 0.6))
        target = dice.choice(("runner", "runner", "helper", "watch"))
        blows.append(Blow(after_s, target, dice.random() < 0.7, dice.uniform(0, 1.5)))
    return Plan(trigger_s, tuple(sorted(blows)))


def _close_all_but(descriptor: int) -> None:
    """Close what a fork has given: a program that another thread is just starting would wait for the end of this process."""
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number != descriptor:
            with contextlib.suppress(OSError):
                os.close(number)


class Watch:
    """A watch's guard in a process of its own, told of all that is open when it starts, as a watch that starts anew is."""

    def __init__(self, scene: Scene, numbers: list[int]) -> None:
        self._line, other = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _close_all_but(other.fileno())
                self._be(scene, other, numbers)
            finally:
                os._exit(1)
        other.close()

    @staticmethod
    def _be(scene: Scene, line: socket.socket, numbers: list[int]) -> None:
        from fimkit.verbs.panic_guard import PanicGuard

        said = (scene.folder / "said").open("a", buffering=1)

        def say(words: str) -> None:
            said.write(f"{time.time_ns() / 1e9:.3f} watch {os.getpid()}: {words}\n")

        guard = PanicGuard(scene.config, nomail=True, nokill=False, live=True, say=say)
        guard.whole([finding(number) for number in numbers])
        with line.makefile("r") as asked:
            for row in map(json.loads, asked):
                if row is None:
                    line.sendall(b"1" if guard.wait(PATIENCE_S) else b"0")
                else:
                    guard((finding(row),))

    def hand_on(self, number: int) -> None:
        with contextlib.suppress(OSError):  # it is dead: the next one is told of all that is open
            self._line.sendall(f"{number}\n".encode())

    def is_settled(self) -> bool:
        """Whether all that was handed on is answered; false for one that died meanwhile."""
        with contextlib.suppress(OSError):
            self._line.sendall(b"null\n")
            return self._line.recv(1) == b"1"
        return False

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._line.close()


class Service:
    """Keeps a helper at work as a service manager does: one that ends is started anew, also where another holds the lock."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.pause_s = scene, 0.5
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            self.scene.spawn_helper().wait()
            self._over.wait(self.pause_s)

    def kill(self, pause_s: float) -> None:
        """Kill it, and one that was started on demand meanwhile; it comes back after a time."""
        self.pause_s = pause_s
        for pid in self.scene.helper_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        self._over.set()
        until = time.monotonic() + 30
        while self._thread.is_alive() and time.monotonic() < until:
            self.kill(0)
            self._thread.join(0.1)


class Arena:
    """A scene whose parts are struck by a thread while rounds are played."""

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        self.scene, self.dice = scene, dice
        self.numbers: list[int] = []
        self.incidents: list[str] = []
        self.outage_s, self.trouble = 0.0, list[BaseException]()
        self.lock = threading.Lock()
        self.service, self.watch = Service(scene), Watch(scene, [])
        self.persist(Helper.hello)
        self._blows: queue.SimpleQueue[tuple[float, Blow] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._thread = threading.Thread(target=self._strike_all, daemon=True)
        self._thread.start()

    # What strikes.

    def plan(self, blows: tuple[Blow, ...]) -> None:
        began = time.monotonic()
        for blow in blows:
            with self.lock:
                self._waiting += 1
            self._blows.put((began + blow.after_s, blow))

    @property
    def is_calm(self) -> bool:
        with self.lock:
            return not self._waiting

    def _strike_all(self) -> None:
        while (planned := self._blows.get()) is not None:
            at_s, blow = planned
            time.sleep(max(0.0, at_s - time.monotonic()))
            try:
                {"runner": self._strike_runner, "helper": self._strike_helper, "watch": self._strike_watch}[blow.target](blow)
            except BaseException as error:
                self.trouble.append(error)
            with self.lock:
                self._waiting -= 1

    def _stop(self, pid: int, lasts_s: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(lasts_s)
            os.kill(pid, signal.SIGCONT)

    def _strike_runner(self, blow: Blow) -> None:
        for pid in self.scene.runner_pids():
            if blow.is_kill:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            else:
                self._stop(pid, blow.lasts_s)

    def _strike_helper(self, blow: Blow) -> None:
        began = time.monotonic()
        if blow.is_kill:
            self.service.kill(blow.lasts_s)
            self.persist(Helper.hello)
        else:
            for pid in self.scene.helper_pids():
                self._stop(pid, blow.lasts_s)
        with self.lock:
            self.outage_s += time.monotonic() - began

    def _strike_watch(self, blow: Blow) -> None:
        if not blow.is_kill:
            self._stop(self.watch.pid, blow.lasts_s)
            return
        self.watch.end()
        time.sleep(blow.lasts_s)
        with self.lock:  # what is handed on while there is none is in the list
            self.watch = Watch(self.scene, self.numbers)

    # What is played.

    def persist(self, work: Callable[[Helper], object]) -> object:
        """Ask the helper, again and again where it is struck meanwhile."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                with connect_helper(os.fsencode(self.scene.state)) as helper:
                    return work(helper)
            except HostError:
                assert time.monotonic() < until
                time.sleep(0.05)

    def arm(self) -> int:
        scene = self.scene
        reach = Reach(mailer=load_mailer(scene.config), channels=Channels(), advice=())
        settings = freeze(scene.config) | {"endpoints": render_endpoints(reach)}
        seen = [finding(number).id for number in self.numbers]
        store_incident_of(scene.config, scene.record)  # as `panic arm` does
        self.persist(lambda helper: helper.arm(settings, by="the test", seen=seen))
        record = scene.record
        assert record.phase is Phase.ARMED and record.armed_ns is not None
        return record.armed_ns

    def play(self, plan: Plan) -> str:
        armed_ns = self.arm()
        with self.lock:
            self.outage_s = 0.0
        self.plan(plan.blows)
        if plan.trigger_s is None:
            return self._play_quiet(armed_ns)
        time.sleep(plan.trigger_s)
        assert set(self.scene.is_up()) >= LINKS, self.words()
        with self.lock:
            number = len(self.numbers) + 1
            self.numbers.append(number)
            self.watch.hand_on(number)
        record = self._wait_cut(armed_ns, number)
        self._check_cut(record, armed_ns, number)
        assert record.triggered_ns is not None
        self.incidents.append(record.incident)
        took_s = self.scene.after_s(record.triggered_ns)
        assert took_s <= DEADLINE_S + ALLOWANCE_S + self.outage_s, (took_s, self.outage_s, self.words())
        return f"down after {took_s:.2f} s; {self._restore()}"

    def _play_quiet(self, armed_ns: int) -> str:
        wait_until(lambda: self.is_calm and self.watch.is_settled(), PATIENCE_S)
        record = self.scene.record
        assert (record.phase, record.incident, record.armed_ns) == (Phase.ARMED, "", armed_ns), self.words()
        assert not [line for line in record.log if line.time_ns > armed_ns and line.words.startswith("cut")], self.words()
        assert set(self.scene.is_up()) >= LINKS, self.words()
        return "nothing began"

    def _wait_cut(self, armed_ns: int, number: int) -> PanicRecord:
        def is_cut() -> bool:
            record = self.scene.record
            assert record.armed_ns == armed_ns, (number, self.words())
            return record.phase is Phase.CUT and not self.scene.is_up()

        until = time.monotonic() + PATIENCE_S
        while not is_cut():
            assert time.monotonic() < until, f"no cut for {number}: {self.words()}"
            time.sleep(0.02)
        looked = self.scene.links.looked_ns
        wait_until(lambda: self.scene.links.looked_ns > looked)
        return self.scene.record

    def _check_cut(self, record: PanicRecord, armed_ns: int, number: int) -> None:
        assert record.triggered_ns and record.cut_ns and armed_ns <= record.triggered_ns <= record.cut_ns, self.words()
        assert record.cut is not None and record.cut["complete"] and record.incident, self.words()
        named = {int(found) for cause in record.causes for found in re.findall(r"/sbin/program-(\d+)", cause.words)}
        assert named == {number}, (named, number, self.words())

    def _restore(self) -> str:
        self.persist(lambda helper: helper.restore(by="the test"))
        record = self.scene.record
        assert record.phase is Phase.RESTORED, self.words()
        last = record.log[-1].words
        missing = LINKS - set(self.scene.is_up())
        addresses = {one["local"] for row in ip_json("addr show dev here0") for one in row["addr_info"]}
        if missing or not {"192.0.2.1", "2001:db8::1"} <= addresses:
            # Only where the helper died before it had saved the network: and then it says so.
            assert "missing" in last or "not saved" in last or "no saved" in last, (missing, addresses, self.words())
            ip_batch([f"link set {name} up" for name in sorted(LINKS)])
            ip_batch(["-6 addr replace 2001:db8::1/64 dev here0 nodad"])
            return f"RESTORED IN PART, AND SAYS SO: {last}"
        return "restored"

    def words(self) -> str:
        said = self.scene.folder / "said"
        lines = [f"{line.time_ns / 1e9:.3f} record: {line.words}" for line in self.scene.record.log[-30:]]
        lines += said.read_text().splitlines()[-30:] if said.exists() else []
        return "\n" + "\n".join(sorted(lines)) + f"\n{self.scene.record.phase}, causes {self.scene.record.causes}"

    def end(self) -> None:
        self._blows.put(None)
        self._thread.join(60)
        self.watch.end()
        self.service.end()


@contextlib.contextmanager
def arena(scene: Scene, dice: random.Random) -> Iterator[Arena]:
    made = Arena(scene, dice)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def run_rounds(where: Namespace, folder: Path, certificates: Certificates, seed: int, rounds: int) -> None:
    dice = random.Random(seed)
    recon = toml("recon", command(folder, "recon", f"exec sleep {dice.choice((0.1, 1, 3))}"))
    with Scene(where, folder, ca_file=certificates.ca_file, panic=recon) as scene:
        open_store(os.fsencode(scene.state), create=True).close()
        check_evidence(scene, play_rounds(scene, dice, seed, rounds))


def play_rounds(scene: Scene, dice: random.Random, seed: int, rounds: int) -> list[str]:
    with arena(scene, dice) as here:
        for number in range(rounds):
            plan = plan_round(dice)
            began = time.monotonic()
            print(f"seed {seed} round {number}: trigger at {plan.trigger_s}, {list(map(tuple, plan.blows))}", flush=True)
            print(f"    {here.play(plan)} ({time.monotonic() - began:.1f} s)", flush=True)
            assert not here.trouble, here.trouble
        return here.incidents


def check_evidence(scene: Scene, incidents: list[str]) -> None:
    """Whatever was killed, in the middle of what: the store is whole, and so are the journals of the incidents that it names.

    It names each one that was cut for. One whose runner died before it was stored is stored by the next runner, from the record,
    or by who arms next; that of the last round is by this test. All that was acknowledged is in that record until then.
    """
    store_incident_of(scene.config, scene.record)
    state = os.fsencode(scene.state)
    with open_store(state) as store:
        assert store.verify() == []
        assert store.verify_chain().broken == ()
        stored = store.incidents()
    assert verify_incidents(state).broken == []
    missing = set(incidents) - {one.id for one in stored}
    assert not missing, missing
    print(f"    {len(stored)} incidents in the store, in the phases {sorted(one.phase for one in stored)}", flush=True)


@pytest.mark.parametrize("scene", range(max(1, -(-ROUNDS // A_SCENE))))
def test_kills_at_random_leave_no_trigger_uncut_and_cut_nothing_else(
    scene: int, tmp_path: Path, certificates: Certificates
) -> None:
    seed = SEED * 1000 + scene
    confined(lambda where: run_rounds(where, tmp_path, certificates, seed, min(A_SCENE, ROUNDS)))()
