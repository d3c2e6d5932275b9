"""Real links of a namespace made for the test go down, and stay down."""

import os
import socket
import subprocess
import threading
import time

import pytest

from fimkit.model.errors import HostError
from fimkit.panic.cut import LinkCutter, cut_places
from fimkit.panic.hold import HoldBudget, HoldEnd, HoldReceipt, hold_links
from fimkit.panic.namespaces import Namespace, Place, confined_namespace, list_namespaces, machine_namespace, run_in
from tests.panic.confined import confined, flags_of, ip, ip_batch, ip_json, needs, peer, wait_until, without_rights

__all__: list[str] = []

pytestmark = needs("ip")


def up_names() -> set[str]:
    return {each["ifname"] for each in ip_json("link show up")}


def make_links() -> None:
    ip_batch([
        "link set lo up",
        "link add v0 type veth peer name v1",
        "link add br0 type bridge",
        "link add m0 link v0 type macvlan",
        "link add t0 type ifb",
        "link set v1 master br0",
        *(f"link set {name} up" for name in ("v0", "v1", "br0", "m0", "t0")),
    ])


@confined
def test_everything_goes_down_but_loopback(where: Namespace) -> None:
    make_links()
    assert up_names() == {"lo", "v0", "v1", "br0", "m0", "t0"}
    with LinkCutter(where) as cutter:
        receipt = cutter.cut()
        again = cutter.cut()
    assert up_names() == {"lo"}
    assert receipt.is_complete and not receipt.errors
    assert set(receipt.took_down) >= {"v0", "v1", "br0", "t0"}
    assert receipt.kept == ("lo",)
    assert (again.took_down, again.is_complete) == ((), True)


@confined
def test_kept_links_stay_by_name_and_by_alternative_name(where: Namespace) -> None:
    make_links()
    ip("link property add dev v1 altname management-port")
    with LinkCutter(where, keep=["t?", "management-*"]) as cutter:
        receipt = cutter.cut()
    assert up_names() == {"lo", "t0", "v1"}
    assert receipt.kept == ("lo", "t0", "v1")
    assert receipt.is_complete


@confined
def test_a_thousand_links_go_down_in_one_cut(where: Namespace) -> None:
    ip_batch([line for number in range(500) for line in (
        f"link add v{number} type veth peer name w{number}", f"link set v{number} up", f"link set w{number} up"
    )])
    assert len(up_names()) == 1000
    with LinkCutter(where) as cutter:
        receipt = cutter.cut(deadline_s=60)
    assert up_names() == set()
    assert receipt.is_complete and len(receipt.took_down) == 1000
    assert receipt.rounds == 1


@confined
def test_without_the_right_it_says_so_at_once_and_names_what_is_up(where: Namespace) -> None:
    make_links()
    without_rights()
    with LinkCutter(where) as cutter:
        receipt = cutter.cut(deadline_s=60)
    assert receipt.rounds == 1
    assert not receipt.is_complete and receipt.took_down == ()
    assert set(receipt.still_up or ()) == {"v0", "v1", "br0", "m0", "t0"}
    assert receipt.errors == ("no right to take links down, this needs CAP_NET_ADMIN: Operation not permitted",)


class Holding:
    """A hold in a thread: the namespace is the process's, so the thread is in it too."""

    def __init__(self, cutter: LinkCutter, budget: HoldBudget | None = None) -> None:
        self._reader, self._writer = os.pipe()
        self.told: list[str] = []
        self.receipt: HoldReceipt | None = None

        def go() -> None:
            self.receipt = hold_links(cutter, budget=budget, wake=self._reader, tell=self.told.append)

        self._thread = threading.Thread(target=go, daemon=True)
        self._thread.start()

    def stop(self) -> HoldReceipt:
        os.write(self._writer, b"1")
        return self.ended()

    def ended(self) -> HoldReceipt:
        self._thread.join(60)
        assert self.receipt is not None
        return self.receipt


@confined
def test_a_link_that_comes_back_500_times_is_down_each_time_and_told_of(where: Namespace) -> None:
    make_links()
    from pyroute2 import IPRoute  # the opponent: another implementation

    follow = ["ip", "monitor", "link"]
    with LinkCutter(where) as cutter, IPRoute() as opponent, subprocess.Popen(follow, stdout=subprocess.DEVNULL) as manager:
        cutter.cut()
        holding = Holding(cutter)
        index = opponent.link_lookup(ifname="t0")[0]
        for _ in range(500):
            opponent.link("set", index=index, state="up")
            until = time.monotonic() + 30
            while opponent.get_links(index)[0]["flags"] & 1:
                assert time.monotonic() < until
                time.sleep(0.0005)
        receipt = holding.stop()
        manager.kill()
    assert up_names() == {"lo"}
    assert receipt.end is HoldEnd.WOKEN and receipt.still_up == ()
    fighters = {fighter.name: fighter for fighter in receipt.fighters}
    assert fighters["t0"].times == 500
    assert receipt.followers and all(str(manager.pid) in each for each in receipt.followers)
    assert len(holding.told) == 9  # 1, 2, 4 … 256: a fight does not fill a disk


@confined
def test_links_made_during_the_cut_go_down_too(where: Namespace) -> None:
    make_links()
    stop = threading.Event()
    made: list[str] = []

    def keep_making() -> None:
        while not stop.is_set() and len(made) < 200:
            name = f"n{len(made)}"
            ip_batch([f"link add {name} type ifb", f"link set {name} up"])
            made.append(name)

    maker = threading.Thread(target=keep_making, daemon=True)
    with LinkCutter(where) as cutter:
        maker.start()
        wait_until(lambda: len(made) > 2)
        cutter.cut()
        holding = Holding(cutter)
        before = len(made)
        wait_until(lambda: len(made) > before + 5)
        stop.set()
        maker.join(60)
        wait_until(lambda: up_names() == {"lo"})
        receipt = holding.stop()
    assert receipt.still_up == ()
    assert {fighter.name for fighter in receipt.fighters} & set(made)


@confined
def test_a_hold_ends_with_its_budget_and_says_what_is_up(where: Namespace) -> None:
    make_links()
    with LinkCutter(where) as cutter:
        cutter.cut()
        timed = hold_links(cutter, budget=HoldBudget(seconds=0.05))
        holding = Holding(cutter, HoldBudget(times=3))
        for _ in range(3):
            ip("link set t0 up")
            wait_until(lambda: "UP" not in flags_of("t0"))
        counted = holding.ended()
        ip("link set t0 up")  # nobody holds any more
        again = hold_links(cutter, budget=HoldBudget(times=0))
    assert (timed.end, timed.fighters) == (HoldEnd.TIME, ())
    assert (counted.end, counted.still_up) == (HoldEnd.TIMES, ())
    assert (again.end, [fighter.name for fighter in again.fighters]) == (HoldEnd.TIMES, ["t0"])


@confined
def test_events_that_were_lost_lead_to_a_whole_look(where: Namespace) -> None:
    make_links()
    with LinkCutter(where) as cutter:
        cutter.cut()
        cutter.events._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        cutter.events.join(1)
        ip_batch([*(f"link set {name} {state}" for _ in range(200) for name in ("t0", "br0") for state in ("up", "down")),
                  "link set br0 up"])
        receipt = hold_links(cutter, budget=HoldBudget(seconds=0.05))
    assert receipt.lost == 1
    assert up_names() == {"lo"}


@confined
def test_another_namespace_is_never_touched(where: Namespace) -> None:
    make_links()
    with pytest.raises(HostError, match="only 1 may be changed: nothing was done"):
        LinkCutter(Namespace(where.device, 1))
    assert "v0" in up_names()


def test_the_machines_own_namespace_is_refused_to_a_trial() -> None:
    with pytest.raises(HostError, match="a trial is not for it: nothing was done"):
        confined_namespace(machine_namespace())


@confined
def test_a_container_beside_is_listed_and_cut_when_asked(where: Namespace) -> None:
    make_links()
    with peer() as pid:
        ip("link set v0 netns", str(pid))
        ip("link set v0 up", pid=pid)
        theirs = Namespace.of(f"/proc/{pid}/ns/net")
        [place] = [each for each in list_namespaces().places if each.namespace == theirs]
        assert place.pids == (pid,) and str(pid) in str(place)
        receipts = cut_places([place])
        assert receipts[place].is_complete and receipts[place].took_down == ("v0",)
        assert "UP" not in ip("link show v0", pid=pid).split("<")[1].split(">")[0].split(",")
    assert machine_namespace() == where  # only a thread went there
    assert {"br0", "t0"} <= up_names()


@confined
def test_neither_this_namespace_nor_that_of_where_it_comes_from_is_another_one(where: Namespace) -> None:
    found = {place.namespace for place in list_namespaces().places}
    assert where not in found
    assert Namespace.of(f"/proc/{os.getppid()}/ns/net") not in found


@confined
def test_a_namespace_that_is_another_one_by_now_is_not_entered(where: Namespace) -> None:
    with peer() as pid:
        place = Place(namespace=Namespace(where.device, 1), path=f"/proc/{pid}/ns/net")
        receipts = cut_places([place])
        assert "only 1 may be changed" in receipts[place].errors[0]
        assert not receipts[place].is_complete
    with pytest.raises(HostError, match="is gone, or not to be seen"):
        run_in(Place(namespace=where, path="/proc/0/ns/net"), lambda _: None)
