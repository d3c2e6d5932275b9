"""Which SSH connections come in here, and which of them is the one that this process is sitting on: a cut ends it."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

import psutil

__all__ = ["SshSession", "find_ssh_sessions", "own_session", "parse_ssh_connection"]

_SERVERS = frozenset({"sshd", "sshd-session", "sshd-auth", "dropbear"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSession:
    """One connection to this host's SSH server.

    ``interface`` is the link that has the local address, empty where none has. ``own`` says that this process came by it.
    """

    peer: str
    peer_port: int
    local: str
    local_port: int
    interface: str = ""
    own: bool = False

    def __str__(self) -> str:
        """For people: from where, and by which link.

        >>> print(SshSession(peer="192.0.2.10", peer_port=40000, local="192.0.2.1", local_port=22, interface="eth0"))
        the SSH connection from 192.0.2.10, by eth0
        """
        by = f"by {self.interface}" if self.interface else f"to {self.local}"
        return f"{'your' if self.own else 'the'} SSH connection from {self.peer}, {by}"


def _plain(address: str) -> str:
    """Write an address as the kernel means it: without a zone, and IPv4 as such.

    >>> _plain("::ffff:192.0.2.1"), _plain("fe80::1%eth0")
    ('192.0.2.1', 'fe80::1')
    """
    ip = ip_address(address.partition("%")[0])
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def parse_ssh_connection(text: str) -> SshSession | None:
    """Read what sshd puts into the environment: ``SSH_CONNECTION``; nothing where it is none.

    Source: ssh(1), ENVIRONMENT.

    >>> parse_ssh_connection("192.0.2.10 40000 192.0.2.1 22").local_port
    22
    >>> parse_ssh_connection("here and there"), parse_ssh_connection("")
    (None, None)
    """
    words = text.split()
    try:
        peer, peer_port, local, local_port = words
        return SshSession(peer=_plain(peer), peer_port=int(peer_port), local=_plain(local), local_port=int(local_port), own=True)
    except ValueError:
        return None


def find_ssh_sessions(environment: Mapping[str, str] | None = None) -> tuple[SshSession, ...]:
    """List the connections of this host's SSH servers, the own one first.

    The own one is that of the server among the processes that this one descends from (also through sudo, which drops the
    variable), and what ``SSH_CONNECTION`` says (also through tmux, whose processes descend from nobody). Which connections other
    users' processes have is asked of the kernel; without the right to know, they are not listed.

    Args:
        environment: Of this process, unless another one is given.
    """
    interfaces = _interfaces()
    found: dict[tuple[str, int, str, int], SshSession] = {}
    said = parse_ssh_connection((os.environ if environment is None else environment).get("SSH_CONNECTION", ""))
    ancestors = _ancestors()
    for own, session in ([(True, said)] if said else []) + list(_connections(ancestors)):
        key = (session.peer, session.peer_port, session.local, session.local_port)
        known = found.get(key)
        if known is None or (own and not known.own):
            found[key] = SshSession(
                peer=session.peer, peer_port=session.peer_port, local=session.local, local_port=session.local_port,
                interface=interfaces.get(session.local, ""), own=own,
            )
    return tuple(sorted(found.values(), key=lambda each: (not each.own, each.peer, each.peer_port)))


def own_session(sessions: Iterable[SshSession]) -> SshSession | None:
    """Give the one that this process came by, if it is among them."""
    return next((session for session in sessions if session.own), None)


def _ancestors() -> frozenset[int]:
    with suppress(psutil.Error):
        return frozenset(process.pid for process in psutil.Process().parents())
    return frozenset()


def _listening() -> frozenset[int]:
    with suppress(psutil.Error, OSError):
        connections = psutil.net_connections(kind="tcp")
        return frozenset(one.laddr.port for one in connections if one.laddr and one.status == psutil.CONN_LISTEN)
    return frozenset()


def _connections(ancestors: frozenset[int]) -> Iterator[tuple[bool, SshSession]]:
    listening = _listening()
    for process in psutil.process_iter():
        try:
            if process.name() not in _SERVERS:
                continue
            connections = process.net_connections(kind="tcp")
        except (psutil.Error, OSError):
            continue  # it ended, or is not for this user to look at
        for one in connections:
            # Not what a session forwards: that goes out from a port where nobody listens.
            if one.status == psutil.CONN_ESTABLISHED and one.laddr and one.raddr and one.laddr.port in listening:
                session = SshSession(
                    peer=_plain(one.raddr.ip), peer_port=one.raddr.port, local=_plain(one.laddr.ip), local_port=one.laddr.port
                )
                yield process.pid in ancestors, session


def _interfaces() -> dict[str, str]:
    """Which link has which address."""
    found = {}
    for name, addresses in psutil.net_if_addrs().items():
        for address in addresses:
            with suppress(ValueError):  # a hardware address
                found[_plain(address.address)] = name
    return found
