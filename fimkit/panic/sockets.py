"""Connections of others end: their sockets are destroyed here, whatever their programs do.

Listening and unconnected sockets stay: nothing reaches them, and the programs behind them are needed when the host comes back.
"""

import errno
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from fimkit.model.errors import HostError
from fimkit.panic.namespaces import Namespace
from fimkit.panic.netlink import Netlink, Request

__all__ = ["Connection", "SocketReceipt", "destroy_sockets"]

# Source: linux/sock_diag.h, linux/inet_diag.h, net/tcp_states.h.
_SOCK_DIAG = 4
_BY_FAMILY, _DESTROY = 20, 21
_REQUEST = struct.Struct("=BBBxI48s")
_ANSWER = struct.Struct("=BBBB48s")
_ESTABLISHED, _TIME_WAIT, _CLOSE, _LISTEN = 1, 6, 7, 10
_CONNECTED = {
    socket.IPPROTO_TCP: 0xFFF & ~(1 << _TIME_WAIT | 1 << _CLOSE | 1 << _LISTEN),
    socket.IPPROTO_UDP: 1 << _ESTABLISHED,
}
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Connection(NamedTuple):
    """One connected socket."""

    protocol: int
    local: IPv4Address | IPv6Address
    local_port: int
    remote: IPv4Address | IPv6Address
    remote_port: int

    @property
    def stays_here(self) -> bool:
        """Whether both ends are this host's."""
        return self.remote.is_loopback or self.remote == self.local

    def __str__(self) -> str:
        """Both ends."""
        name = "tcp" if self.protocol == socket.IPPROTO_TCP else "udp"
        return f"{name} {self.local} {self.local_port} to {self.remote} {self.remote_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketReceipt:
    """How many sockets were destroyed, and what went wrong, in words."""

    destroyed: int
    errors: tuple[str, ...]


def destroy_sockets(where: Namespace, keep: Callable[[Connection], bool]) -> SocketReceipt:
    """Destroy the connected TCP and UDP sockets of a namespace.

    Args:
        where: The namespace; this thread must be in it.
        keep: Says which ones stay; those within this host stay anyway.

    Returns:
        What was done; errors are in it, nothing is raised but for another namespace.

    Raises:
        HostError: If this is another namespace.
    """
    destroyed, errors = 0, dict[str, None]()
    with Netlink(where, protocol=_SOCK_DIAG) as netlink:
        for protocol in _CONNECTED:
            for family in _FAMILIES:
                try:
                    found = [raw for raw, connection in _listed(netlink, family, protocol) if not _stays(connection, keep)]
                    answers = netlink.batch([
                        Request(_DESTROY, _REQUEST.pack(family, protocol, 0, _CONNECTED[protocol], raw)) for raw in found
                    ])
                except HostError as error:
                    if error.errno != errno.ENOENT:  # a kernel that has no such sockets
                        errors[str(error)] = None
                    continue
                destroyed += sum(answer.code == 0 for answer in answers)
                errors |= {
                    f"a connection could not be ended: {answer}": None
                    for answer in answers if answer.code not in (0, errno.ENOENT)
                }
    return SocketReceipt(destroyed=destroyed, errors=tuple(errors))


def _stays(connection: Connection, keep: Callable[[Connection], bool]) -> bool:
    return connection.stays_here or keep(connection)


def _listed(netlink: Netlink, family: int, protocol: int) -> Iterator[tuple[bytes, Connection]]:
    request = _REQUEST.pack(family, protocol, 0, _CONNECTED[protocol], bytes(48))
    for message in netlink.dump(_BY_FAMILY, request):
        if message.kind == _BY_FAMILY and len(message.body) >= _ANSWER.size:
            raw = _ANSWER.unpack_from(message.body)[4]
            yield raw, _connection(family, protocol, raw)


def _connection(family: int, protocol: int, raw: bytes) -> Connection:
    local_port, remote_port = struct.unpack_from(">HH", raw)
    size = 4 if family == socket.AF_INET else 16
    return Connection(
        protocol, _address(raw[4 : 4 + size]), local_port, _address(raw[20 : 20 + size]), remote_port
    )


def _address(raw: bytes) -> IPv4Address | IPv6Address:
    address = ip_address(raw)
    return getattr(address, "ipv4_mapped", None) or address
