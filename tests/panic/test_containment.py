"""A containment whose first means fails in one way or another: the next one does it, and it is said."""

import errno
from collections.abc import Callable, Sequence

from fimkit.model.errors import HostError
from fimkit.panic.containment import Containment
from fimkit.panic.cut import CutReceipt, LinkCutter, Refusals
from fimkit.panic.cut_settings import CutSettings
from fimkit.panic.ground import Ground
from fimkit.panic.hold import HoldBudget
from fimkit.panic.isolate import IsolationReceipt, isolate
from fimkit.panic.links import Link
from fimkit.panic.namespaces import Namespace
from fimkit.panic.ruleset import Peer, parse_peer
from fimkit.panic.second_means import cut_by_all_means, cut_by_pyroute2
from tests.panic.confined import confined, flags_of, ip, needs, nft, wait_until, without_rights
from tests.panic.helping import make_links, up_names

__all__: list[str] = []

pytestmark = needs("ip")


class Refused(LinkCutter):
    """A cutter to which the kernel takes nothing."""

    def take_down(self, links: Sequence[Link], refusals: Refusals) -> set[str]:
        refusals.denied = True
        refusals.add("refused, for the test")
        return {link.name for link in links}


class Blind(LinkCutter):
    """A cutter whose other reader cannot look."""

    def up_beside(self, plan: object) -> tuple[str, ...]:
        raise HostError(errno.EIO, "blind, for the test")

    def cut(self, *, deadline_s: float = 10.0) -> CutReceipt:
        return super().cut(deadline_s=0.1)


def contained(where: Namespace, settings: CutSettings, **more: object) -> tuple[Containment, list[str]]:
    told: list[str] = []
    return Containment(Ground(where=where), settings, tell=told.append, **more), told  # type: ignore[arg-type]


@confined
def test_what_the_first_means_does_not_take_down_the_second_does_at_once(where: Namespace) -> None:
    makers: tuple[Callable[..., LinkCutter], ...] = (Refused, Blind)
    make_links()
    for make, words in zip(makers, ("refused, for the test", "blind, for the test"), strict=True):
        for name in ("v0", "v1", "t0"):
            ip("link set", name, "up")
        with make(where, keep=("t?",)) as first:
            receipt = cut_by_all_means(where, first)
        assert up_names() == {"lo", "t0"}
        assert receipt.is_complete and set(receipt.kept) == {"lo", "t0"}
        assert any(words in each for each in receipt.errors) and any("by pyroute2" in each for each in receipt.errors)
        assert {"v0", "v1"} <= set(receipt.took_down)


@confined
def test_the_second_means_keeps_what_is_kept_by_another_name_and_says_what_it_may_not(where: Namespace) -> None:
    make_links()
    ip("link property add dev v1 altname management-port")
    assert set(cut_by_pyroute2(where, ["management-*"]).took_down) == {"v0", "t0"}
    assert up_names() == {"lo", "v1"}
    without_rights()
    receipt = cut_by_pyroute2(where, [])
    assert receipt.still_up == ("v1",) and not receipt.is_complete and "v1 stays up" in receipt.errors[0]
    other = cut_by_pyroute2(Namespace(where.device, 1), [])
    assert other.still_up is None and "only 1 may be changed: nothing was done" in other.errors[0]


@confined
def test_where_nothing_could_be_opened_before_it_is_opened_at_the_cut_and_held(where: Namespace) -> None:
    make_links()
    held, told = contained(where, CutSettings())
    first = held.cut()
    assert first.complete and held.cut() is first
    ip("link set t0 up")
    wait_until(lambda: "UP" not in flags_of("t0"))
    wait_until(lambda: any("t0 was up and is taken down" in words for words in told))
    assert set(held.lowered) == {"v0", "v1", "t0"}
    assert held.release() == []
    held.close()
    ip("link set t0 up")
    assert "UP" in flags_of("t0")


@confined
def test_a_hold_whose_budget_is_used_up_goes_on_after_a_pause(where: Namespace) -> None:
    make_links()
    held, told = contained(where, CutSettings(), budget=HoldBudget(times=2))
    held.cut()
    for _ in range(5):
        ip("link set t0 up")
        wait_until(lambda: "UP" not in flags_of("t0"))
    assert any("links came back 2 times: after a pause of 1 s they are held down again" in words for words in told)
    assert held.release() == []


class Isolation:
    """A means that works so many times, and then no more."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self, where: Namespace, allow: Sequence[Peer]) -> IsolationReceipt:
        self._left -= 1
        if self._left < 0:
            raise HostError(errno.EPROTONOSUPPORT, "no nftables, for the test")
        return isolate(where, allow)


PEERS = (parse_peer("192.0.2.10:22"),)


@confined
def test_a_host_that_cannot_be_isolated_loses_every_link_instead(where: Namespace) -> None:
    make_links()
    held, _ = contained(where, CutSettings(action="isolate", allow=PEERS, keep=("v*",)), isolation=Isolation(0))
    reply = held.cut()
    assert (reply.action, reply.isolated, reply.complete, reply.still_up) == ("down", False, True, ())
    assert up_names() == {"lo"}
    assert "cannot be isolated: every link but loopback goes down instead" in reply.words[0]
    assert any("no nftables, for the test" in words for words in reply.errors) and held.action == "down"
    ip("link set t0 up")
    wait_until(lambda: "UP" not in flags_of("t0"))
    assert held.release() == []


@needs("nft")
@confined
def test_an_isolation_that_does_not_come_back_is_replaced_by_every_link_down(where: Namespace) -> None:
    make_links()
    held, told = contained(where, CutSettings(action="isolate", allow=PEERS), isolation=Isolation(1))
    assert held.cut().isolated and up_names() == {"lo", "v0", "v1", "t0"}
    nft("delete", "table", "inet", "fimkit_isolation")
    wait_until(lambda: up_names() == {"lo"})
    wait_until(lambda: any("the isolation does not hold: every link but loopback goes down" in words for words in told))
    wait_until(lambda: set(held.lowered) == {"v0", "v1", "t0"})
    assert held.action == "down" and held.release() == []


@confined
def test_without_the_right_neither_is_done_and_both_are_said(where: Namespace) -> None:
    make_links()
    held, _ = contained(where, CutSettings(action="isolate", allow=PEERS))
    without_rights()
    reply = held.cut()
    assert (reply.action, reply.isolated, reply.complete) == ("down", False, False)
    assert any("isolate this host" in words for words in reply.errors) and set(reply.still_up or ()) == {"v0", "v1", "t0"}


@needs("nft")
@confined
def test_an_isolation_that_is_taken_away_comes_back_and_its_release_is_repeatable(where: Namespace) -> None:
    make_links()
    held, told = contained(where, CutSettings(action="isolate", allow=PEERS))
    reply = held.cut()
    assert reply.isolated and reply.complete and held.lowered == ()
    nft("delete", "table", "inet", "fimkit_isolation")
    wait_until(lambda: "fimkit_isolation" in nft("list", "tables"))
    wait_until(lambda: bool(told))
    assert held.release() == [] == held.release()
    assert "fimkit_isolation" not in nft("list", "tables") and up_names() == {"lo", "v0", "v1", "t0"}
