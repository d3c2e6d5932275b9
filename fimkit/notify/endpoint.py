"""A server and the addresses it had when it was asked for: names are resolved before the panic, not in it."""

import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fimkit.model.errors import HostError, clip
from fimkit.notify.own_address import find_own_address

__all__ = ["Endpoint", "load_endpoint", "parse_endpoint", "render_endpoint", "resolve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect to. Without ``addresses`` the name is resolved when it is needed.

    ``host`` is the name that the certificate must have.
    """

    host: str
    port: int
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``host:port``, as the configuration has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def resolve(host: str, *, deadline_s: float) -> tuple[str, ...]:
    """Give the addresses of a name, in the order that the system prefers.

    Args:
        host: A name, or an address, which stands for itself.
        deadline_s: The system's resolver knows none of its own: it is asked in a thread, which is left behind.

    Raises:
        HostError: If there is none, or no answer in time.

    >>> resolve("192.0.2.25", deadline_s=5.0)
    ('192.0.2.25',)
    """
    found: list[tuple[str, ...] | OSError | UnicodeError] = []
    ended = threading.Event()

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.append(tuple(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:  # a label of over 63 bytes is a UnicodeError
            found.append(error)
        ended.set()

    threading.Thread(target=ask, name="fimkit resolve", daemon=True).start()
    if not ended.wait(deadline_s):
        raise HostError(f"the name {clip(host)} is not resolved within {deadline_s:g} s")
    if isinstance(found[0], tuple):
        return found[0]
    raise HostError(f"the name {clip(host)} has no address: {found[0]}")


def load_endpoint(host: str, port: int, *, deadline_s: float, known: Sequence[Endpoint] = ()) -> Endpoint:
    """Resolve a server, and refuse it where it is this host.

    Args:
        host: Its name or address.
        port: Its port.
        deadline_s: For the resolver.
        known: Servers with the addresses that they had before: of one that is among them no name is asked.

    Raises:
        HostError: If it has no address, or one of them is this host's.
    """
    before = [one.addresses for one in known if (one.host, one.port) == (host, port) and one.addresses]
    addresses = before[0] if before else resolve(host, deadline_s=deadline_s)
    for address in addresses:
        own = find_own_address(address)
        if own:
            raise HostError(f"{clip(host)}: {own}; expected a server elsewhere: an intruder reads and holds up what stays here")
    return Endpoint(host=host, port=port, addresses=addresses)


def render_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Give it as an object for JSON, to be kept while armed."""
    return {"host": endpoint.host, "port": endpoint.port, "addresses": list(endpoint.addresses)}


def parse_endpoint(row: Mapping[str, Any]) -> Endpoint:
    """Read what :func:`render_endpoint` gave.

    >>> parse_endpoint({"host": "mail.example.org", "port": 587, "addresses": ["192.0.2.25"]}).addresses
    ('192.0.2.25',)
    """
    return Endpoint(host=row["host"], port=row["port"], addresses=tuple(row["addresses"]))
