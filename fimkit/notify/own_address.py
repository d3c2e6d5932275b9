"""Asks the kernel whether an address is this host's own: what is sent there never leaves it."""

import errno
import ipaddress
import os
import socket
import struct

from fimkit.model.errors import HostError, clip

__all__ = ["find_own_address"]

_NLMSG = struct.Struct("=IHHII")    # nlmsghdr: length, type, flags, sequence, port
_RTMSG = struct.Struct("=8BI")      # rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
_ATTRIBUTE = struct.Struct("=HH")
_NLMSG_ERROR, _RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REQUEST = 2, 24, 26, 1
_RTA_DST = 1
_ROUTE_TYPES = {2: "local", 3: "broadcast"}  # RTN_LOCAL, RTN_BROADCAST; linux/rtnetlink.h
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES, errno.EAFNOSUPPORT})
_PATIENCE_S = 2.0


def find_own_address(address: str) -> str | None:
    """Tell why nothing that is sent to ``address`` would leave this host.

    The kernel's own route lookup decides, in the network namespace of whoever asks. An address without a route is not this
    host's; one that is behind an address translation of this host's cannot be told.

    Args:
        address: IPv4 or IPv6, as ``getaddrinfo`` gives it; a zone (``%eth0``) is not looked at.

    Returns:
        The reason in words, or ``None`` for an address elsewhere.

    Raises:
        ValueError: If it is no address.
        HostError: If the kernel does not answer.

    Source: rtnetlink(7); linux/rtnetlink.h.

    >>> find_own_address("::ffff:127.0.0.1"), find_own_address("0.0.0.0"), find_own_address("224.0.0.1")
    ('127.0.0.1 is a loopback address', '0.0.0.0 is the unspecified address', '224.0.0.1 is a multicast address')
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        raise ValueError(f"{clip(address)} is no address") from None
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback:
        return f"{ip} is a loopback address"
    if ip.is_unspecified:
        return f"{ip} is the unspecified address"
    if ip.is_multicast:
        return f"{ip} is a multicast address"
    kind = _ROUTE_TYPES.get(_route_type(ip.packed))
    return f"{ip} is an address of this host (the kernel's route to it is {kind})" if kind else None


def _route_type(packed: bytes) -> int:
    """Give the type of the route to an address; 0 where there is none."""
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    body = _RTMSG.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _RTA_DST) + packed
    request = _NLMSG.pack(_NLMSG.size + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0) + body
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(_PATIENCE_S)
            netlink.sendto(request, (0, 0))
            answer = netlink.recv(65536)
    except OSError as error:
        raise HostError(f"the kernel does not tell the route to an address: {error}") from error
    kind = _NLMSG.unpack_from(answer)[1]
    if kind == _NLMSG_ERROR:
        code = -struct.unpack_from("=i", answer, _NLMSG.size)[0]
        if code in _NO_WAY:
            return 0
        raise HostError(code, f"the kernel does not tell the route to an address: {os.strerror(code)}")
    if kind != _RTM_NEWROUTE:
        raise HostError(f"the kernel answers a question for a route with message type {kind}")
    return int(_RTMSG.unpack_from(answer, _NLMSG.size)[7])
