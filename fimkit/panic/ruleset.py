"""The rules of isolation as one nftables batch: only the allowed peers get through, in both directions. Pure.

Encoded here, with the attributes of netlink, and not by pyroute2, each of whose calls is a transaction of its own.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from fimkit.model.errors import UsageError, clip
from fimkit.panic.attributes import pack_attribute, split_attributes
from fimkit.panic.netlink import CREATE, Request

__all__ = [
    "TABLE",
    "Peer",
    "chains_listing",
    "comparable",
    "drops_all",
    "isolation_requests",
    "listed_rules",
    "listing_request",
    "parse_peer",
    "release_requests",
    "rules_of",
]

TABLE = "fimkit_isolation"

# Source: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h, linux/netfilter.h.
_SUBSYSTEM = 10 << 8
_NEW_TABLE, _DEL_TABLE, _NEW_CHAIN, _GET_CHAIN, _NEW_RULE, _GET_RULE = 0, 2, 3, 4, 6, 7
_APPEND = 0x800
_INET = 1
_INPUT, _FORWARD, _OUTPUT = 1, 2, 3
_HOOKS = {"input": _INPUT, "output": _OUTPUT, "forward": _FORWARD}
_PRIORITY = -300  # before everyone else's: what is dropped here, no later chain can accept
_DROP, _ACCEPT = 0, 1
_IIFNAME, _OIFNAME, _NFPROTO, _L4PROTO = 6, 7, 15, 16
_NETWORK, _TRANSPORT = 1, 2
_TCP, _ICMPV6 = 6, 58
_IPV4, _IPV6 = 2, 10
# Source: RFC 4861. Redirects are left out: nobody needs to be told another way.
_SOLICIT_ROUTER, _ROUTER, _SOLICIT, _NEIGHBOUR = 133, 134, 135, 136
_COMMENT = b"fimkit panic: all but the allowed peers is cut off; fimkit panic restore takes this away\0"

Expression = bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who may still use one TCP port of this host: an address, and the port here."""

    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        """As it is configured."""
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


def parse_peer(text: str) -> Peer:
    """Read one entry of ``allow``.

    Raises:
        UsageError: If it is no address and port.

    >>> str(parse_peer("192.0.2.10:22")), str(parse_peer("[2001:db8::10]:22")), str(parse_peer("[::ffff:192.0.2.10]:22"))
    ('192.0.2.10:22', '[2001:db8::10]:22', '192.0.2.10:22')
    """
    host, _, port = text.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        peer = Peer(address=getattr(address, "ipv4_mapped", None) or address, port=int(port))
    except ValueError:
        peer = None
    if peer is None or not 1 <= peer.port <= 65535:
        raise UsageError(f"{clip(text)} is no address and port, expected 192.0.2.10:22 or [2001:db8::10]:22")
    return peer


def _nested(kind: int, *parts: bytes) -> bytes:
    return pack_attribute(kind, b"".join(parts))  # without the flag for it, as the kernel lists it


def _number(kind: int, value: int) -> bytes:
    return pack_attribute(kind, struct.pack(">i" if value < 0 else ">I", value))


def _text(kind: int, text: str) -> bytes:
    return pack_attribute(kind, text.encode("ascii") + b"\0")


def _expression(name: str, *parts: bytes) -> Expression:
    return _nested(1, _text(1, name), _nested(2, *parts))


def _meta(key: int, value: bytes) -> Sequence[Expression]:
    return _expression("meta", _number(1, 1), _number(2, key)), _equals(value)


def _payload(base: int, offset: int, value: bytes) -> Sequence[Expression]:
    load = _expression("payload", _number(1, 1), _number(2, base), _number(3, offset), _number(4, len(value)))
    return load, _equals(value)


def _equals(value: bytes) -> Expression:
    return _expression("cmp", _number(1, 1), _number(2, 0), _nested(3, pack_attribute(1, value)))


_TAKE = _expression("immediate", _number(1, 0), _nested(2, _nested(2, _number(1, _ACCEPT))))


def _peer_rule(peer: Peer, chain: str) -> Sequence[Expression]:
    is_input = chain == "input"
    is_v4 = peer.address.version == 4
    far = (12 if is_input else 16) if is_v4 else (8 if is_input else 24)
    return (
        *_meta(_NFPROTO, bytes([_IPV4 if is_v4 else _IPV6])),
        *_payload(_NETWORK, far, peer.address.packed),
        *_meta(_L4PROTO, bytes([_TCP])),
        *_payload(_TRANSPORT, 2 if is_input else 0, struct.pack(">H", peer.port)),
        _TAKE,
    )


def _neighbour_rule(message: int) -> Sequence[Expression]:
    # Hop limit 255: it came from this very network, and through no router.
    return (
        *_meta(_NFPROTO, bytes([_IPV6])), *_meta(_L4PROTO, bytes([_ICMPV6])), *_payload(_NETWORK, 7, b"\xff"),
        *_payload(_TRANSPORT, 0, bytes([message])), _TAKE,
    )


def rules_of(peers: Iterable[Peer]) -> list[tuple[str, bytes]]:
    """Give each rule's chain and expressions, in their order.

    Established connections of others have no rule: they are cut like new ones.
    """
    peers = sorted(set(peers), key=str)
    rules: list[tuple[str, Sequence[Expression]]] = []
    for chain, name in (("input", _IIFNAME), ("output", _OIFNAME)):
        rules.append((chain, (*_meta(name, b"lo".ljust(16, b"\0")), _TAKE)))
        rules += [(chain, _peer_rule(peer, chain)) for peer in peers]
        if any(peer.address.version == 6 for peer in peers):
            router = _ROUTER if chain == "input" else _SOLICIT_ROUTER
            rules += [(chain, _neighbour_rule(message)) for message in (_SOLICIT, _NEIGHBOUR, router)]
    return [(chain, b"".join(expressions)) for chain, expressions in rules]


def _request(kind: int, flags: int, *parts: bytes) -> Request:
    return Request(_SUBSYSTEM | kind, struct.pack(">BBH", _INET, 0, 0) + b"".join(parts), flags)


def isolation_requests(peers: Iterable[Peer]) -> list[Request]:
    """Write the batch that puts isolation in place of whatever isolation there was: all of it, or nothing."""
    table = _text(1, TABLE)
    comment = pack_attribute(6, bytes([0, len(_COMMENT)]) + _COMMENT)
    requests = [*release_requests(), _request(_NEW_TABLE, CREATE, table, comment)]
    for name, hook in _HOOKS.items():
        hooked = _nested(4, _number(1, hook), _number(2, _PRIORITY))
        requests.append(_request(_NEW_CHAIN, CREATE, table, _text(3, name), hooked, _number(5, _DROP), _text(7, "filter")))
    for chain, expressions in rules_of(peers):
        requests.append(_request(_NEW_RULE, CREATE | _APPEND, table, _text(2, chain), _nested(4, expressions)))
    return requests


def release_requests() -> list[Request]:
    """Write the batch that takes exactly our table away, also where there is none."""
    table = _text(1, TABLE)
    return [_request(_NEW_TABLE, CREATE, table), _request(_DEL_TABLE, 0, table)]


def listing_request() -> Request:
    """Write the request for the rules of our table."""
    return _request(_GET_RULE, 0, _text(1, TABLE))


def listed_rules(bodies: Iterable[bytes]) -> list[tuple[str, object]]:
    """Read rules as the kernel lists them: chain and expressions, in a form that :func:`comparable` gives too."""
    rules = []
    for body in bodies:
        found = dict(split_attributes(body, 4))
        chain = found.get(2, b"").rstrip(b"\0").decode("ascii", "replace")
        rules.append((chain, comparable(found.get(4, b""))))
    return rules


def comparable(expressions: bytes) -> object:
    """Give expressions as tuples, the attributes of each in order: the kernel lists them in another one than they came in."""
    found = []
    for _, raw in split_attributes(expressions):
        parts = dict(split_attributes(raw))
        found.append((parts.get(1, b""), tuple(sorted(split_attributes(parts.get(2, b""))))))
    return tuple(found)


def chains_listing() -> Request:
    """Write the request for all chains."""
    return _request(_GET_CHAIN, 0)


def drops_all(bodies: Iterable[bytes]) -> bool:
    """Tell whether our chains, among those listed, are where they belong and drop what no rule takes."""
    found = set()
    for body in bodies:
        chain = dict(split_attributes(body, 4))
        if chain.get(1, b"").rstrip(b"\0") == TABLE.encode():
            hook = dict(split_attributes(chain.get(4, b"")))
            found.add((chain.get(3, b"").rstrip(b"\0"), hook.get(1), hook.get(2), chain.get(5)))
    return found == {
        (name.encode(), struct.pack(">I", hook), struct.pack(">i", _PRIORITY), struct.pack(">I", _DROP))
        for name, hook in _HOOKS.items()
    }
