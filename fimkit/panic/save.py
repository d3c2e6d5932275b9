"""Take down what a network is, so that it can be put back: links, addresses, routes, rules, neighbours, nexthops."""

import errno
import time

from fimkit.model.errors import HostError
from fimkit.panic.cut import link_of
from fimkit.panic.links import LINK_DUMP
from fimkit.panic.namespaces import Namespace
from fimkit.panic.netlink import Netlink
from fimkit.panic.objects import Kind, is_kept, shape_of
from fimkit.panic.state import NetworkState

__all__ = ["boot_id", "list_objects", "save_state"]

_GET_LINK = 18
_INTERRUPTED = 0x10
# A kernel without this kind (nexthops before 5.3, policy rules left out), or without IPv6.
_ABSENT = (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


def boot_id() -> str:
    """Give the name of this boot.

    Raises:
        HostError: Without /proc.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise HostError(f"this boot cannot be told from another one: {error}") from error


def save_state(where: Namespace, *, now_ns: int) -> NetworkState:
    """Save the network of one namespace; needs no right.

    Args:
        where: The namespace; this thread must be in it.
        now_ns: The time, for people.

    Raises:
        HostError: If this is another namespace, or the kernel refuses to list.
    """
    with Netlink(where) as netlink:
        # The clock first: a lifetime that is shortened by a moment too much is no harm.
        boottime_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        links = [link_of(message) for message in netlink.dump(_GET_LINK, LINK_DUMP)]
        objects, notes = list_objects(netlink)
    return NetworkState(
        boot_id=boot_id(), namespace=where.inode, boottime_ns=boottime_ns, taken_ns=now_ns,
        links=tuple(link for link in links if link is not None), objects=objects, notes=tuple(notes),
    )


def list_objects(netlink: Netlink) -> tuple[dict[Kind, tuple[bytes, ...]], list[str]]:
    """List all objects of all kinds, and say in words what could not be had."""
    objects: dict[Kind, tuple[bytes, ...]] = {}
    notes = []
    for kind in Kind:
        found: dict[bytes, None] = {}
        for body in shape_of(kind).dumps:
            part, unsettled = _list_part(netlink, kind, body)
            found |= dict.fromkeys(part)
            if unsettled:
                notes.append(f"{kind.value} changed while they were listed: some may be missing")
        objects[kind] = tuple(found)
    return objects, notes


def _list_part(netlink: Netlink, kind: Kind, body: bytes) -> tuple[list[bytes], bool]:
    shape = shape_of(kind)
    try:
        messages = netlink.dump(shape.get, body)
    except HostError as error:
        if error.errno in _ABSENT:
            return [], False
        raise
    # Where a family is not there, the kernel lists all the others instead.
    bodies = [
        message.body for message in messages
        if message.kind == shape.new and len(message.body) >= shape.header and body[0] in (0, message.body[0])
    ]
    return [each for each in bodies if is_kept(kind, each)], any(message.flags & _INTERRUPTED for message in messages)
