"""Sends one message to a syslog server elsewhere, by TLS, TCP or UDP; by TCP and TLS it has left this host when this returns."""

import fcntl
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from functools import partial

from fimkit.model.config import Transport
from fimkit.model.errors import HostError
from fimkit.notify.endpoint import Endpoint, resolve
from fimkit.notify.own_address import find_own_address
from fimkit.notify.race import Line, Task
from fimkit.notify.syslog_text import frame_octets

__all__ = ["SyslogTarget", "plan_syslog"]

_SIOCOUTQ = 0x5411  # bytes that the other side has not acknowledged; linux/sockios.h
_POLL_S = 0.02
_UDP_BYTES = 2048   # RFC 5424, section 6.1: what a receiver should take


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogTarget:
    """Where to, how, and for TLS whom to trust."""

    endpoint: Endpoint
    transport: Transport
    context: ssl.SSLContext


def plan_syslog(target: SyslogTarget, message: bytes) -> Task:
    """Make the task of sending one message of :func:`fimkit.notify.syslog_text.render_syslog`."""
    work = _send_datagram if target.transport is Transport.UDP else _send_stream
    return Task(name=f"syslog {target.endpoint}", work=partial(work, target, message))


def _send_datagram(target: SyslogTarget, message: bytes, line: Line) -> str:
    line.stage = "finding the address"
    addresses = target.endpoint.addresses or resolve(target.endpoint.host, deadline_s=line.left_s())
    problems = []
    for address in addresses:
        own = find_own_address(address)
        if own:
            problems.append(own)
            continue
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                line.stage = f"sending to {address}"
                out.settimeout(line.left_s())
                out.sendto(message[:_UDP_BYTES].decode("utf-8", "ignore").encode(), (address, target.endpoint.port))
        except OSError as error:
            problems.append(f"{address}: {error.strerror or error}")
            continue
        line.stage = "done"
        return "sent by UDP: nobody says whether it came there"
    raise HostError("; ".join(problems) or "it has no address")


def _send_stream(target: SyslogTarget, message: bytes, line: Line) -> str:
    connection = line.connect(target.endpoint)
    with connection:
        if target.transport is Transport.TLS:
            line.stage = "negotiating TLS"
            with target.context.wrap_socket(connection, server_hostname=target.endpoint.host) as encrypted:
                _give(encrypted, message, line)
        else:
            _give(connection, message, line)
    line.stage = "done"
    return f"received by its host, by {target.transport.value.upper()}"


def _give(connection: socket.socket, message: bytes, line: Line) -> None:
    line.stage = "sending"
    connection.sendall(frame_octets(message))
    # A cut may follow at once: what waits in this host's buffers then never leaves it.
    line.stage = "waiting for its host to acknowledge"
    while struct.unpack("=i", fcntl.ioctl(connection.fileno(), _SIOCOUTQ, b"\0\0\0\0"))[0]:
        line.left_s()
        time.sleep(_POLL_S)
