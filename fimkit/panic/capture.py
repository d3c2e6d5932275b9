"""Captures packets of every interface into a pcapng file, bounded in time and bytes; it goes on while interfaces go down."""

import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from fimkit.model.errors import HostError
from fimkit.panic.incident import Sink
from fimkit.panic.pcapng import encode_interface, encode_packet, encode_section, encode_statistics
from fimkit.panic.steps import Step

__all__ = ["plan_capture", "restore_vlan"]

_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8     # linux/if_packet.h
_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33
_BUFFER_BYTES = 8 << 20
_AUXDATA = struct.Struct("=IIIHHHH")   # tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6
_PACKET_OUTGOING = 4
_POLL_S = 0.2
_COUNTS_BYTES = 256   # kept free for each interface's counts at the end
_GOES_ON = frozenset({errno.ENETDOWN, errno.EAGAIN, errno.EINTR, errno.ENOBUFS})  # one interface went down: the others stay

_Ancillary = Iterable[tuple[int, int, bytes]]


def plan_capture(
    *, seconds: float, stop: threading.Event, most_bytes: int = 32 << 20, snap_bytes: int = 2048, name: str = "capture"
) -> Step:
    """Make a step that captures; to be started in the background with :func:`fimkit.panic.steps.start_steps`.

    Args:
        seconds: How long at most.
        stop: Set, it ends the capture at once, with its counts; so it may go on through the cut, and end after it.
        most_bytes: Of the file.
        snap_bytes: Most of each packet that is kept.
        name: Of the step.
    """
    return Step(
        name=name,
        subject=f"packets of every interface, {seconds:g} s at most, {snap_bytes} bytes of each",
        file=f"{name}.pcapng",
        write=lambda sink: _Capture(sink, most_bytes=most_bytes, snap_bytes=snap_bytes).run(seconds, stop),
        most_bytes=most_bytes,
        most_s=seconds + 2.0,
        share=1.0,
    )


def _open() -> socket.socket:
    """Open a socket that sees every packet of this network namespace, in both directions."""
    try:
        packets = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL)
        )
    except PermissionError as error:
        raise HostError("packets cannot be captured without the capability NET_RAW") from error
    with suppress(OSError):  # beyond the system's limit with NET_ADMIN alone
        packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    packets.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    packets.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    return packets


def restore_vlan(content: bytes, auxiliary: bytes) -> tuple[bytes, int]:
    r"""Put a VLAN tag back that the kernel took out of a packet, and tell the length that it had.

    Args:
        content: The packet without its tag.
        auxiliary: ``struct tpacket_auxdata``.

    Returns:
        The packet with its tag, and its length on the wire.

    Source: packet(7), PACKET_AUXDATA.

    >>> tagged, length = restore_vlan(b"D" * 6 + b"S" * 6 + b"IP", struct.pack("=IIIHHHH", 0x50, 14, 14, 0, 0, 7, 0x8100))
    >>> tagged[12:], length
    (b'\x81\x00\x00\x07IP', 18)
    """
    status, length, _, _, _, tag, protocol = _AUXDATA.unpack_from(auxiliary)
    if not status & _VLAN_VALID:
        return content, length
    kind = protocol if status & _VLAN_TPID_VALID else 0x8100
    return content[:12] + struct.pack("!HH", kind, tag) + content[12:], length + 4


class _Capture:
    """One run, into one file."""

    def __init__(self, sink: Sink, *, most_bytes: int, snap_bytes: int) -> None:
        self._sink, self._snap_bytes = sink, snap_bytes
        self._left = most_bytes
        self._numbers: dict[tuple[str, int], int] = {}
        self._counts: list[int] = []

    def run(self, seconds: float, stop: threading.Event) -> str:
        """Capture until the time or the room is over, or somebody says stop; then write the counts."""
        system = os.uname()
        start_ns, end = time.time_ns(), time.monotonic() + seconds
        self._put(encode_section("fimkit", f"{system.sysname} {system.release}"))
        with _open() as packets:
            full = self._follow(packets, end, stop)
            received, dropped = struct.unpack("=II", packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        end_ns = time.time_ns()
        for number, count in enumerate(self._counts):
            self._sink.write(
                encode_statistics(
                    number, start_ns=start_ns, end_ns=end_ns, delivered=count, received=received, dropped=dropped
                )
            )
        words = f"{sum(self._counts)} packets of {len(self._counts)} interfaces; {dropped} dropped of {received} received"
        return words + ("; ended early: the file is as large as it may get" if full else "")

    def _follow(self, packets: socket.socket, end: float, stop: threading.Event) -> bool:
        """Take packets; true when the room is over."""
        poll = select.poll()
        poll.register(packets, select.POLLIN)
        while not stop.is_set() and not self._sink.over and (left := end - time.monotonic()) > 0:
            if not poll.poll(min(left, _POLL_S) * 1000):
                self._sink.flush()  # a quiet moment: what there is is safe from whatever comes
                continue
            try:
                content, ancillary, _, address = packets.recvmsg(self._snap_bytes, 256)
            except OSError as error:
                if error.errno not in _GOES_ON:
                    raise
                continue
            if not self._take(content, ancillary, address):
                return True
        return False

    def _take(self, content: bytes, ancillary: _Ancillary, address: tuple[str, int, int, int, bytes]) -> bool:
        name, _, kind, hardware, _ = address
        time_ns, length = 0, len(content)
        for level, what, raw in ancillary:
            if level == _SOL_PACKET and what == _PACKET_AUXDATA:
                content, length = restore_vlan(content, raw)
            elif what == _SO_TIMESTAMPNS:
                seconds, rest = struct.unpack("=qq", raw[:16])
                time_ns = seconds * 1_000_000_000 + rest
        number = self._number_of(name, hardware)
        if number is None:
            return False
        content = content[: self._snap_bytes]
        block = encode_packet(
            number, time_ns or time.time_ns(), content, length=max(length, len(content)), outgoing=kind == _PACKET_OUTGOING
        )
        taken = self._put(block)
        self._counts[number] += taken
        return taken

    def _number_of(self, name: str, hardware: int) -> int | None:
        number = self._numbers.get((name, hardware))
        if number is not None or self._left <= _COUNTS_BYTES:
            return number
        if self._put(encode_interface(name, hardware=hardware, snap_bytes=self._snap_bytes)):
            number = self._numbers[name, hardware] = len(self._counts)
            self._counts.append(0)
            self._left -= _COUNTS_BYTES
        return number

    def _put(self, block: bytes) -> bool:
        if len(block) > self._left:
            return False
        self._left -= len(block)
        self._sink.write(block)
        return True
