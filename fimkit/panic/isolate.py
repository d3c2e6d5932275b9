"""A host on its own: only allowed peers get through, the connections of all others end; and back.

What is not held: frames that a program with CAP_NET_RAW puts on the wire itself, ARP, and what a bridge of this host passes on.
"""

import errno
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fimkit.model.errors import HostError
from fimkit.panic.namespaces import Namespace
from fimkit.panic.netlink import Answer, Netlink, Request
from fimkit.panic.ruleset import (
    TABLE,
    Peer,
    chains_listing,
    comparable,
    drops_all,
    isolation_requests,
    listed_rules,
    listing_request,
    release_requests,
    rules_of,
)
from fimkit.panic.sockets import Connection, SocketReceipt, destroy_sockets

__all__ = ["IsolationReceipt", "is_isolated", "isolate", "release"]

_NETFILTER, _NF_TABLES = 12, 10  # Source: linux/netlink.h, linux/netfilter/nfnetlink.h


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationReceipt:
    """What was done. ``isolated``: the rules are in place, as the kernel lists them; ``destroyed`` connections were ended."""

    isolated: bool
    allowed: tuple[str, ...]
    destroyed: int
    errors: tuple[str, ...]
    took_s: float


def isolate(where: Namespace, allow: Sequence[Peer]) -> IsolationReceipt:
    """Let only these peers through, and end the connections of all others. Again, it replaces what there is in one step.

    Args:
        where: The one namespace to isolate; this thread must be in it.
        allow: Who may still use which TCP port here.

    Returns:
        What was done. Errors are in it: the sockets are destroyed also where the rules are refused.

    Raises:
        HostError: If this is another namespace.
    """
    where.check()
    start = time.monotonic()
    errors: list[str] = []
    try:
        answer = _transact(where, isolation_requests(allow))
        if answer.code:
            errors.append(_words("isolate this host", answer))
        isolated = is_isolated(where, allow)
        if not isolated and not answer.code:
            errors.append("the rules of isolation were taken, and are not there when they are read back")
    except HostError as error:
        errors.append(str(error))
        isolated = False
    allowed = {(peer.address, peer.port) for peer in allow}

    def is_allowed(connection: Connection) -> bool:
        return connection.protocol == socket.IPPROTO_TCP and (connection.remote, connection.local_port) in allowed

    try:
        ended = destroy_sockets(where, is_allowed)
    except HostError as error:
        ended = SocketReceipt(destroyed=0, errors=(str(error),))
    return IsolationReceipt(
        isolated=isolated, allowed=tuple(map(str, allow)), destroyed=ended.destroyed, errors=(*errors, *ended.errors),
        took_s=time.monotonic() - start,
    )


def is_isolated(where: Namespace, allow: Sequence[Peer]) -> bool:
    """Read back whether the chains and rules in place are exactly those for these peers; needs CAP_NET_ADMIN.

    Raises:
        HostError: If this is another namespace, or the kernel refuses.
    """
    rules, chains = listing_request(), chains_listing()
    with Netlink(where, protocol=_NETFILTER) as netlink:
        try:
            bodies = [message.body for message in netlink.dump(rules.kind, rules.body)]
            if not drops_all([message.body for message in netlink.dump(chains.kind, chains.body)]):
                return False
        except HostError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
    wanted = [(chain, comparable(expressions)) for chain, expressions in rules_of(allow)]
    listed = listed_rules(bodies)
    return all([rule for rule in listed if rule[0] == chain] == [rule for rule in wanted if rule[0] == chain]
               for chain in ("input", "output", "forward"))


def release(where: Namespace) -> bool:
    """Take exactly our table away.

    Returns:
        Whether there was one.

    Raises:
        HostError: If this is another namespace, or the kernel refuses.
    """
    with Netlink(where, protocol=_NETFILTER) as netlink:
        answer = netlink.transact(_NF_TABLES, release_requests()[1:])
        if answer.code == errno.ENOENT:
            return False
    if answer.code:
        raise HostError(answer.code, _words(f"take the table {TABLE} away", answer))
    return True


def _transact(where: Namespace, requests: Sequence[Request]) -> Answer:
    with Netlink(where, protocol=_NETFILTER) as netlink:
        return netlink.transact(_NF_TABLES, requests)


def _words(what: str, answer: Answer) -> str:
    right = ", this needs CAP_NET_ADMIN" if answer.code in (errno.EPERM, errno.EACCES) else ""
    return f"the kernel would not {what}{right}: {answer}"
