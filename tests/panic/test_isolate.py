"""A host, a manager and an attacker, each in a namespace of its own: only the manager's session lives, both ways."""

import ipaddress
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.errors import UsageError
from fimkit.panic.isolate import is_isolated, isolate, release
from fimkit.panic.namespaces import Namespace, Place, run_in
from fimkit.panic.netlink import Netlink
from fimkit.panic.ruleset import Peer, isolation_requests, parse_peer, rules_of
from tests.panic.confined import confined, ip, needs, nft, peer, without_rights

__all__: list[str] = []

pytestmark = needs("ip", "nft")

WAIT_S = 0.4  # how long something that must not come is waited for
GONE = (ConnectionError, TimeoutError, PermissionError, OSError)


class Ends(NamedTuple):
    """The host's own ends of two wires, and the processes at the others."""

    manager: int
    attacker: int
    family: socket.AddressFamily

    def address(self, network: int, host: int) -> str:
        return f"10.9.{network}.{host}" if self.family == socket.AF_INET else f"fd00:{network}::{host}"


@contextmanager
def three_hosts(family: socket.AddressFamily) -> Iterator[Ends]:
    with ExitStack() as stack:
        ends = Ends(stack.enter_context(peer()), stack.enter_context(peer()), family)
        ip("link set lo up")
        for network, pid in ((1, ends.manager), (2, ends.attacker)):
            ip(f"link add h{network} type veth peer name p{network}")
            ip(f"link set p{network} netns {pid}")
            size, more = (24, "") if family == socket.AF_INET else (64, "nodad")
            ip(f"addr add {ends.address(network, 1)}/{size} dev h{network} {more}")
            ip(f"link set h{network} up")
            ip(f"addr add {ends.address(network, 2)}/{size} dev p{network} {more}", pid=pid)
            ip(f"link set p{network} up", pid=pid)
        yield ends


def made_in(pid: int | None, family: socket.AddressFamily, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket belongs to the namespace that it was made in, whoever uses it."""
    def make(_: object = None) -> socket.socket:
        return socket.socket(family, kind)

    made = make() if pid is None else run_in(Place(namespace=Namespace.of(f"/proc/{pid}/ns/net"), path=f"/proc/{pid}/ns/net"), make)
    made.settimeout(10)
    return made


def serve(family: socket.AddressFamily, port: int, pid: int | None = None) -> socket.socket:
    server = made_in(pid, family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    server.listen()
    return server


def dial(pid: int | None, family: socket.AddressFamily, address: str, port: int, wait_s: float = 10) -> socket.socket:
    made = made_in(pid, family)
    made.settimeout(wait_s)
    try:
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


def session(client: socket.socket, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    accepted, _ = server.accept()
    accepted.settimeout(10)
    assert talks(client, accepted) and talks(accepted, client)
    return client, accepted


def talks(one: socket.socket, other: socket.socket) -> bool:
    """Whether a word gets through."""
    try:
        one.sendall(b"word")
        return other.recv(16) == b"word"
    except GONE:
        return False


def is_cut(one: socket.socket, other: socket.socket) -> bool:
    one.settimeout(WAIT_S)
    other.settimeout(WAIT_S)
    return not talks(one, other) and not talks(other, one)


def refused(pid: int | None, ends: Ends, address: str, port: int) -> bool:
    try:
        dial(pid, ends.family, address, port, WAIT_S).close()
    except GONE:
        return True
    return False


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@confined
def test_the_managers_session_lives_and_all_else_dies_in_both_directions(
    family: socket.AddressFamily, where: Namespace
) -> None:
    with three_hosts(family) as ends:
        ssh, web, theirs = serve(family, 22), serve(family, 8080), serve(family, 9000, ends.attacker)
        management = session(dial(ends.manager, family, ends.address(1, 1), 22), ssh)
        attack = session(dial(ends.attacker, family, ends.address(2, 1), 8080), web)
        outward = session(dial(None, family, ends.address(2, 2), 9000), theirs)
        inner = session(dial(None, family, "::1" if family == socket.AF_INET6 else "127.0.0.1", 8080), web)
        datagrams = made_in(None, family, socket.SOCK_DGRAM), made_in(ends.attacker, family, socket.SOCK_DGRAM)
        for number, each in enumerate(datagrams, 1):
            each.bind((ends.address(2, number), 5000))
        datagrams[0].connect((ends.address(2, 2), 5000))
        datagrams[1].connect((ends.address(2, 1), 5000))
        assert talks(*datagrams)
        nft("add table inet theirs")
        others = nft("list ruleset")

        peers = [parse_peer(f"[{ends.address(1, 2)}]:22")]
        receipt = isolate(where, peers)
        assert (receipt.isolated, receipt.errors, receipt.destroyed) == (True, (), 3)  # two TCP, one UDP
        ip("neigh flush all")  # the neighbours must still be found

        assert talks(*management) and talks(*reversed(management))
        assert talks(*inner)
        dial(ends.manager, family, ends.address(1, 1), 22).close()
        assert is_cut(*attack) and is_cut(*outward) and is_cut(*datagrams)
        assert refused(ends.attacker, ends, ends.address(2, 1), 22)
        assert refused(ends.attacker, ends, ends.address(2, 1), 8080)
        assert refused(ends.manager, ends, ends.address(1, 1), 8080)
        assert refused(None, ends, ends.address(2, 2), 9000)

        assert release(where) and not release(where)
        assert nft("list ruleset") == others
        dial(ends.attacker, family, ends.address(2, 1), 8080).close()
        dial(None, family, ends.address(2, 2), 9000).close()


@confined
def test_again_it_replaces_what_there_is_and_other_tables_are_left_alone(where: Namespace) -> None:
    nft("add table inet theirs")
    first, second = [parse_peer("192.0.2.10:22")], [parse_peer("192.0.2.11:22"), parse_peer("[2001:db8::1]:2222")]
    assert isolate(where, first).isolated
    once = nft("list table inet fimkit_isolation")
    assert isolate(where, first).isolated
    assert nft("list table inet fimkit_isolation") == once
    assert isolate(where, second).isolated
    assert is_isolated(where, second) and not is_isolated(where, first)
    text = nft("list ruleset")
    assert "192.0.2.10" not in text and "192.0.2.11" in text and "2001:db8::1" in text and "table inet theirs" in text
    assert "ct state" not in text
    assert "fimkit panic restore takes this away" in text


@confined
def test_nft_reads_in_the_rules_what_was_meant(where: Namespace) -> None:
    isolate(where, [parse_peer("192.0.2.10:22"), parse_peer("[2001:db8::10]:2222")])
    chains = [each["chain"] for each in json.loads(nft("-j", "list", "ruleset"))["nftables"] if "chain" in each]
    assert {(each["hook"], each["prio"], each["policy"]) for each in chains} == {
        (hook, -300, "drop") for hook in ("input", "output", "forward")
    }
    text = nft("list", "ruleset")
    for rule in (
        'iifname "lo" accept', 'oifname "lo" accept',
        "ip saddr 192.0.2.10 tcp dport 22 accept", "ip daddr 192.0.2.10 tcp sport 22 accept",
        "ip6 saddr 2001:db8::10 tcp dport 2222 accept", "ip6 daddr 2001:db8::10 tcp sport 2222 accept",
        "ip6 hoplimit 255 icmpv6 type nd-neighbor-solicit accept", "ip6 hoplimit 255 icmpv6 type nd-router-advert accept",
    ):
        assert rule in text, text


@confined
def test_a_batch_with_one_bad_request_changes_nothing(where: Namespace) -> None:
    good = [parse_peer("192.0.2.10:22")]
    isolate(where, good)
    before = nft("list ruleset")
    worse = isolation_requests([parse_peer("198.51.100.1:22")])
    worse[-1] = worse[-1]._replace(body=worse[-1].body.replace(b"output", b"nochan"))
    with Netlink(where, protocol=12) as netlink:
        assert netlink.transact(10, worse).code
    assert nft("list ruleset") == before


@confined
def test_rules_that_someone_flushed_are_noticed(where: Namespace) -> None:
    allow = [parse_peer("192.0.2.10:22")]
    assert not is_isolated(where, allow)
    isolate(where, allow)
    nft("flush chain inet fimkit_isolation input")
    assert not is_isolated(where, allow)
    isolate(where, allow)
    nft("chain inet fimkit_isolation output { policy accept; }")
    assert not is_isolated(where, allow)
    nft("flush ruleset")
    assert not is_isolated(where, allow)
    isolate(where, allow)
    assert is_isolated(where, allow)


@confined
def test_without_the_right_it_says_so_and_is_not_isolated(where: Namespace) -> None:
    without_rights()
    receipt = isolate(where, [])
    assert not receipt.isolated
    assert "CAP_NET_ADMIN" in receipt.errors[0]


def test_an_entry_that_is_no_peer_is_refused() -> None:
    for text in ("", "host:22", "192.0.2.1", "192.0.2.1:0", "192.0.2.1:65536", "2001:db8::1"):
        with pytest.raises(UsageError, match="no address and port"):
            parse_peer(text)


ADDRESSES = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address) | st.integers(2**64, 2**128 - 1).map(ipaddress.IPv6Address)
PEERS = st.builds(Peer, address=ADDRESSES, port=st.integers(1, 65535))


@given(st.lists(PEERS, max_size=5))
def test_the_rules_are_the_same_in_whatever_order_peers_are_named(peers: list[Peer]) -> None:
    assert rules_of(peers) == rules_of([*reversed(peers), *peers])
    assert all(parse_peer(str(each)) == each for each in peers)
