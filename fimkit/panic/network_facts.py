"""What the network looks like at the moment of a panic: connections with their processes, neighbours, routes, interfaces."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
from pyroute2 import IPRoute

from fimkit.model.paths import render_path

__all__ = ["list_connections", "list_interfaces", "list_neighbours", "list_routes"]

_FAMILIES = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6", socket.AF_UNIX: "unix"}
_TYPES = {socket.SOCK_STREAM: "stream", socket.SOCK_DGRAM: "datagram", socket.SOCK_SEQPACKET: "seqpacket"}


def list_connections() -> Iterator[dict[str, Any]]:
    """Give every IP socket of this network namespace, with its process where that may be seen."""
    names: dict[int, dict[str, Any]] = {}
    for one in psutil.net_connections(kind="inet"):
        row: dict[str, Any] = {
            "family": _FAMILIES.get(one.family, str(one.family)),
            "type": _TYPES.get(one.type, str(one.type)),
            "state": one.status,
            "local": [*one.laddr],
            "remote": [*one.raddr],
            "pid": one.pid,
        }
        if one.pid is not None:
            if one.pid not in names:
                names[one.pid] = _name_process(one.pid)
            row |= names[one.pid]
        yield row


def _name_process(pid: int) -> dict[str, Any]:
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        with process.oneshot():
            exe = render_path(process.exe().encode("utf-8", "surrogateescape"))
            return {"exe": exe, "uid": process.uids().real, "started": process.create_time()}
    return {}


def _plain(value: Any) -> Any:
    """Make what netlink gave fit for JSON."""
    if isinstance(value, dict):
        attributes = {name: _plain(inner) for name, inner in value.get("attrs", [])}
        return attributes | {name: _plain(inner) for name, inner in value.items() if name not in ("attrs", "header")}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def list_neighbours() -> Iterator[dict[str, Any]]:
    """Give the neighbours that the kernel knows, of every family, as netlink has them."""
    with IPRoute() as route:
        for family in (socket.AF_INET, socket.AF_INET6):
            yield from map(_plain, route.get_neighbours(family=family))


def list_routes() -> Iterator[dict[str, Any]]:
    """Give the routes and rules of every table and family, as netlink has them."""
    with IPRoute() as route:
        for family in (socket.AF_INET, socket.AF_INET6):
            yield from ({"what": "rule"} | _plain(one) for one in route.get_rules(family=family))
            yield from ({"what": "route"} | _plain(one) for one in route.get_routes(family=family))


def list_interfaces() -> Iterator[dict[str, Any]]:
    """Give the links with their counters, and their addresses, as netlink has them."""
    with IPRoute() as route:
        yield from ({"what": "link"} | _plain(one) for one in route.get_links())
        yield from ({"what": "address"} | _plain(one) for one in route.get_addr())
