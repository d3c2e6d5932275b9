"""What a network is made of beside its links, as the kernel's own messages: what each is, and how it is asked for again. Pure.

Messages are kept as they came: nothing is lost on the way through names of our own.
"""

import struct
from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import ip_address
from typing import NamedTuple

from fimkit.panic.attributes import find_attribute, pack_attribute, split_attributes

__all__ = [
    "Kind",
    "Shape",
    "describe",
    "identity_of",
    "is_kept",
    "is_kernels_own",
    "links_of",
    "request_of",
    "shape_of",
    "slot_of",
    "stage_of",
]

# Source: linux/rtnetlink.h, linux/if_addr.h, linux/fib_rules.h, linux/neighbour.h, linux/nexthop.h.
_INET6 = 10
_FOREVER = 0xFFFFFFFF
_TICKS_S = 100  # USER_HZ
_RTPROT_REDIRECT, _RTPROT_KERNEL, _RTPROT_RA = 1, 2, 9
_IFAPROT_KERNEL_LO, _IFAPROT_KERNEL_RA, _IFAPROT_KERNEL_LL = 1, 2, 3
_IFA_TEMPORARY = 1
_IFA_STABLE = 0x2 | 0x10 | 0x100 | 0x200 | 0x400  # nodad, home, manage-temp, no-prefix-route, join: what an administrator sets
_CLONED = 0x200
_ONLINK = 4
_INVERT = 2
_PERMANENT = 0x80
_PROXY, _OFFLOADED = 8, 0x20
_NEIGHBOUR_NOISE = (2, 3, 5)  # types local, broadcast, multicast
IFA_ADDRESS, IFA_LOCAL, IFA_CACHE, IFA_FLAGS, IFA_PROTO = 1, 2, 6, 8, 11
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_MULTIPATH, RTA_CACHE, RTA_TABLE, RTA_VIA = 1, 4, 5, 6, 9, 12, 15, 18
RTA_ENCAP_TYPE, RTA_ENCAP, RTA_EXPIRES, RTA_NH_ID = 21, 22, 23, 30
NDA_DST, NDA_CACHE, NDA_PROBES = 1, 3, 4
NHA_ID, NHA_GROUP, NHA_GROUP_TYPE, NHA_OIF, NHA_GATEWAY, NHA_RES_GROUP = 1, 2, 3, 5, 6, 12
_NHA_OF_GROUP = (NHA_ID, NHA_GROUP, NHA_GROUP_TYPE)
_NHA_ENCAP = 8
_NHA_OF_ONE = (NHA_ID, 4, NHA_OIF, NHA_GATEWAY, 7, _NHA_ENCAP, 11)
_NESTED = 0x8000  # of a nexthop alone the kernel asks that what is nested says so, though it lists it without
_RES_GROUP_SETTINGS = (1, 2, 3)
FRA_PRIORITY = 6


class Kind(StrEnum):
    """The kinds of objects, in the order in which they stand on each other."""

    ADDRESS = "addresses"
    NEXTHOP = "nexthops"
    RULE = "rules"
    NEIGHBOUR = "neighbours"
    ROUTE = "routes"


class Shape(NamedTuple):
    """How a kind is asked for: message types, the size of the fixed header, and the bodies that list all of it."""

    new: int
    delete: int
    get: int
    header: int
    dumps: tuple[bytes, ...]


def _per_family(size: int, *tails: bytes) -> tuple[bytes, ...]:
    return tuple(bytes([family]) + tail + bytes(size - 1 - len(tail)) for family in (2, _INET6) for tail in tails or (b"",))


_SHAPES = {
    Kind.ADDRESS: Shape(20, 21, 22, 8, _per_family(8)),
    Kind.NEXTHOP: Shape(104, 105, 106, 8, (bytes(8),)),
    Kind.RULE: Shape(32, 33, 34, 12, _per_family(12)),
    # Proxies are listed apart, by a flag in the header.
    Kind.NEIGHBOUR: Shape(28, 29, 30, 12, _per_family(12, b"", bytes(9) + bytes([_PROXY]))),
    Kind.ROUTE: Shape(24, 25, 26, 12, _per_family(12)),
}


def shape_of(kind: Kind) -> Shape:
    """Give how a kind is asked for."""
    return _SHAPES[kind]


def _u32(raw: bytes | None, default: int = 0) -> int:
    return int(struct.unpack("=I", raw)[0]) if raw is not None and len(raw) == 4 else default


def _attributes(kind: Kind, message: bytes) -> list[tuple[int, bytes]]:
    return list(split_attributes(message, _SHAPES[kind].header))


def is_kept(kind: Kind, message: bytes) -> bool:
    """Tell whether a listed object belongs in a saved state: of the neighbours, the permanent ones and proxies; no cached route."""
    if kind is Kind.NEIGHBOUR:
        state, flags, sort = struct.unpack_from("=HBB", message, 8)
        return bool(flags & _PROXY) or bool(state & _PERMANENT and sort not in _NEIGHBOUR_NOISE)
    return kind is not Kind.ROUTE or not _u32(message[8:12]) & _CLONED


def is_kernels_own(kind: Kind, message: bytes) -> bool:
    """Tell whether the kernel makes it by itself: with an address, a link that comes up, or a router's word."""
    found = dict(_attributes(kind, message))
    if kind is Kind.ADDRESS:
        proto = found.get(IFA_PROTO, b"\0")[0]
        if message[0] == _INET6 and _u32(found.get(IFA_FLAGS), message[2]) & _IFA_TEMPORARY:
            return True
        return proto in (_IFAPROT_KERNEL_LO, _IFAPROT_KERNEL_RA, _IFAPROT_KERNEL_LL)
    return kind is Kind.ROUTE and message[5] in (_RTPROT_REDIRECT, _RTPROT_KERNEL, _RTPROT_RA)


def _calm_legs(legs: bytes) -> bytes:
    """Take the state (dead, without a carrier) from each leg of a multipath route, and leave what was asked for."""
    calm, start = bytearray(legs), 0
    while start + 8 <= len(legs):
        (length,) = struct.unpack_from("=H", legs, start)
        if length < 8:
            break
        calm[start + 2] &= _ONLINK
        start += (length + 3) & ~3
    return bytes(calm)


def identity_of(kind: Kind, message: bytes) -> bytes:
    """Give what makes two messages the same object: all but counters, times left and states."""
    header, found = bytearray(message[: _SHAPES[kind].header]), _attributes(kind, message)
    volatile: tuple[int, ...] = ()
    if kind is Kind.ADDRESS:
        volatile = (IFA_CACHE, IFA_FLAGS)
        flags = _u32(dict(found).get(IFA_FLAGS), header[2])
        header[2:3] = struct.pack("=I", flags & _IFA_STABLE)
    elif kind is Kind.ROUTE:
        volatile = (RTA_CACHE, RTA_EXPIRES)
        header[8:12] = struct.pack("=I", _u32(bytes(header[8:12])) & _ONLINK)
        found = [(name, _calm_legs(value) if name == RTA_MULTIPATH else value) for name, value in _of_nexthop(found)]
    elif kind is Kind.NEIGHBOUR:
        volatile = (NDA_CACHE, NDA_PROBES)
        header[10] &= ~_OFFLOADED & 0xFF
    elif kind is Kind.RULE:
        header[8:12] = struct.pack("=I", _u32(bytes(header[8:12])) & _INVERT)
    elif kind is Kind.NEXTHOP:
        header[1], header[4:8] = 0, struct.pack("=I", _u32(bytes(header[4:8])) & _ONLINK)
        found = list(_nexthop_parts(found))
    return bytes(header) + b"".join(sorted(pack_attribute(name, value) for name, value in found if name not in volatile))


def _of_nexthop(found: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """A route by a nexthop object is listed with that one's words too; only its number is asked for."""
    if not any(name == RTA_NH_ID for name, _ in found):
        return found
    words = (RTA_OIF, RTA_GATEWAY, RTA_MULTIPATH, RTA_VIA, RTA_ENCAP_TYPE, RTA_ENCAP)
    return [(name, value) for name, value in found if name not in words]


def _nexthop_parts(found: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    is_group = any(name == NHA_GROUP for name, _ in found)
    for name, value in found:
        if name in (_NHA_OF_GROUP if is_group else _NHA_OF_ONE):
            yield (name | _NESTED if name == _NHA_ENCAP else name), value
        elif is_group and name == NHA_RES_GROUP:
            settings = [each for each in split_attributes(value) if each[0] in _RES_GROUP_SETTINGS]
            yield name | _NESTED, b"".join(pack_attribute(*each) for each in settings)


def request_of(kind: Kind, message: bytes, elapsed_s: float) -> bytes | None:
    """Write the request that makes an object anew.

    Args:
        kind: What it is.
        message: As it was listed.
        elapsed_s: How long ago that was: what had a lifetime has that much less.

    Returns:
        The request's body, or None if its lifetime is over.
    """
    header, found = bytearray(message[: _SHAPES[kind].header]), _attributes(kind, message)
    if kind is Kind.ADDRESS:
        parts = _address_parts(found, elapsed_s)
    elif kind is Kind.ROUTE:
        header[8:12] = struct.pack("=I", _u32(bytes(header[8:12])) & _ONLINK)
        parts = _route_parts(found, elapsed_s)
    elif kind is Kind.NEXTHOP:
        header[1], header[4:8] = 0, struct.pack("=I", _u32(bytes(header[4:8])) & _ONLINK)
        parts = list(_nexthop_parts(found))
    elif kind is Kind.RULE:
        header[8:12] = struct.pack("=I", _u32(bytes(header[8:12])) & _INVERT)
        parts = found
    else:
        parts = [(name, value) for name, value in found if name not in (NDA_CACHE, NDA_PROBES)]
    return None if parts is None else bytes(header) + b"".join(pack_attribute(*part) for part in parts)


def _address_parts(found: list[tuple[int, bytes]], elapsed_s: float) -> list[tuple[int, bytes]] | None:
    parts = []
    for name, value in found:
        if name == IFA_CACHE:
            preferred, valid = struct.unpack_from("=II", value)
            valid, preferred = (left if left == _FOREVER else max(0, left - int(elapsed_s)) for left in (valid, preferred))
            if valid == 0:
                return None
            value = struct.pack("=IIII", preferred, valid, 0, 0)
        parts.append((name, value))
    return parts


def _route_parts(found: list[tuple[int, bytes]], elapsed_s: float) -> list[tuple[int, bytes]] | None:
    parts = []
    for name, value in _of_nexthop(found):
        if name == RTA_MULTIPATH:
            parts.append((name, _calm_legs(value)))
        elif name == RTA_CACHE:
            # struct rta_cacheinfo: clntref, lastuse, expires …
            ticks = int(struct.unpack_from("=i", value, 8)[0]) if len(value) >= 12 else 0
            if ticks and (left := ticks // _TICKS_S - int(elapsed_s)) <= 0:
                return None
            if ticks:
                parts.append((RTA_EXPIRES, struct.pack("=I", left)))
        elif name != RTA_EXPIRES:
            parts.append((name, value))
    return parts


def stage_of(kind: Kind, message: bytes) -> int:
    """Say when its turn is: what others stand on comes first."""
    names = {name for name, _ in _attributes(kind, message)}
    if kind is Kind.ADDRESS:
        return 0
    if kind is Kind.NEXTHOP:
        return 2 if NHA_GROUP in names else 1
    return 4 if kind is Kind.ROUTE and names & {RTA_GATEWAY, RTA_MULTIPATH, RTA_VIA, RTA_NH_ID} else 3


def slot_of(kind: Kind, message: bytes) -> bytes | None:
    """Give what only one route can have: where it leads, from which table, and how dear it is. None for other kinds."""
    if kind is not Kind.ROUTE:
        return None
    found = dict(_attributes(kind, message))
    table = _u32(found.get(RTA_TABLE), message[4])
    place = struct.pack("=BBBII", message[0], message[1], message[3], table, _u32(found.get(RTA_PRIORITY)))
    return place + found.get(RTA_DST, b"")


def _text(raw: bytes | None) -> str:
    return str(ip_address(raw)) if raw is not None and len(raw) in (4, 16) else "?"


def describe(kind: Kind, message: bytes, names: Mapping[int, str]) -> str:
    """Say in words what an object is; ``names`` are those of the links, by index."""
    found = dict(_attributes(kind, message))

    def device(index: int) -> str:
        return names.get(index, f"link {index}")

    if kind is Kind.ADDRESS:
        return f"address {_text(found.get(IFA_LOCAL, found.get(IFA_ADDRESS)))}/{message[1]} on {device(_u32(message[4:8]))}"
    if kind is Kind.NEXTHOP:
        return f"nexthop {'group ' if NHA_GROUP in found else ''}{_u32(found.get(NHA_ID))}"
    if kind is Kind.RULE:
        return f"{'IPv6' if message[0] == _INET6 else 'IPv4'} rule {_u32(found.get(FRA_PRIORITY))}"
    if kind is Kind.NEIGHBOUR:
        proxy = "proxy " if message[10] & _PROXY else ""
        return f"{proxy}neighbour {_text(found.get(NDA_DST))} on {device(_u32(message[4:8]))}"
    words = [f"route {_text(found[RTA_DST])}/{message[1]}" if RTA_DST in found else "route default"]
    words += [f"via {_text(found[RTA_GATEWAY])}"] if RTA_GATEWAY in found else []
    words += [f"dev {device(_u32(found[RTA_OIF]))}"] if RTA_OIF in found else []
    words += [f"nexthop {_u32(found[RTA_NH_ID])}"] if RTA_NH_ID in found else []
    words += ["by several ways"] if RTA_MULTIPATH in found else []
    return " ".join([*words, f"table {_u32(found.get(RTA_TABLE), message[4])}"])


def links_of(kind: Kind, message: bytes) -> set[int]:
    """The links that an object stands on, as far as its own words go."""
    if kind in (Kind.ADDRESS, Kind.NEIGHBOUR):
        return {_u32(message[4:8])}
    name = {Kind.ROUTE: RTA_OIF, Kind.NEXTHOP: NHA_OIF}.get(kind)
    raw = None if name is None else find_attribute(message, _SHAPES[kind].header, name)
    return set() if raw is None else {_u32(raw)}
