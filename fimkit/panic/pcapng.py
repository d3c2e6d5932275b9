"""Blocks of a pcapng file. Pure.

Source: draft-ietf-opsawg-pcapng; linktypes: tcpdump.org/linktypes.html.

What is written here is read back by another reader in the tests.
"""

import struct

__all__ = ["encode_interface", "encode_packet", "encode_section", "encode_statistics", "link_type_of"]

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_MAGIC = 0x1A2B3C4D
_NANOSECONDS = b"\x09"  # if_tsresol: ten to the minus nine
_OPT_COMMENT, _SHB_OS, _SHB_APPLICATION = 1, 3, 4
_IF_NAME, _IF_TSRESOL = 2, 9
_EPB_FLAGS = 2
_ISB_START, _ISB_END, _ISB_RECEIVED, _ISB_DROPPED_BY_SYSTEM, _ISB_DELIVERED = 2, 3, 4, 7, 8

# ARPHRD_* of if_arp.h -> LINKTYPE_*: Ethernet and loopback; PPP; 802.11; radiotap; what has no header of its own is RAW.
_LINK_TYPES = {1: 1, 772: 1, 512: 9, 801: 105, 803: 127, 519: 101, 65534: 101, 768: 101, 769: 101, 776: 101}
_LINK_USER0 = 147


def link_type_of(hardware: int) -> int:
    """Give the link type for the kernel's hardware type; one that has none here is ``USER0``, which readers show as bytes.

    >>> link_type_of(1), link_type_of(65534), link_type_of(4711)
    (1, 101, 147)
    """
    return _LINK_TYPES.get(hardware, _LINK_USER0)


def _pad(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)


def _option(code: int, content: bytes) -> bytes:
    return struct.pack("<HH", code, len(content)) + _pad(content)


def _block(kind: int, body: bytes, *options: bytes) -> bytes:
    body = _pad(body) + (b"".join(options) + _option(0, b"") if options else b"")
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def encode_section(application: str, system: str) -> bytes:
    """Write the block that begins a file."""
    body = struct.pack("<IHHq", _MAGIC, 1, 0, -1)  # version 1.0, of unknown length
    return _block(_SECTION, body, _option(_SHB_OS, system.encode()), _option(_SHB_APPLICATION, application.encode()))


def encode_interface(name: str, *, hardware: int, snap_bytes: int) -> bytes:
    """Write the block of an interface; its number is how many came before it.

    Args:
        name: As the kernel has it.
        hardware: ARPHRD_*.
        snap_bytes: Most of a packet that is kept.
    """
    body = struct.pack("<HHI", link_type_of(hardware), 0, snap_bytes)
    words = f"hardware type {hardware}" if hardware not in _LINK_TYPES else ""
    options = [_option(_OPT_COMMENT, words.encode())] if words else []
    options += [_option(_IF_NAME, name.encode("utf-8", "replace")), _option(_IF_TSRESOL, _NANOSECONDS)]
    return _block(_INTERFACE, body, *options)


def encode_packet(interface: int, time_ns: int, content: bytes, *, length: int, outgoing: bool) -> bytes:
    """Write the block of one packet.

    Args:
        interface: Its number.
        time_ns: When the kernel saw it.
        content: What is kept of it.
        length: What it had on the wire.
        outgoing: Whether this host sent it.
    """
    body = struct.pack("<IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, len(content), length)
    return _block(_PACKET, body + content, _option(_EPB_FLAGS, struct.pack("<I", 2 if outgoing else 1)))


def encode_statistics(interface: int, *, start_ns: int, end_ns: int, delivered: int, received: int, dropped: int) -> bytes:
    """Write the block of an interface's counts. ``received`` and ``dropped`` are of one socket for all interfaces, and it says so.

    Args:
        interface: Its number.
        start_ns: When the capture began.
        end_ns: When it ended.
        delivered: Packets of this interface in the file.
        received: Packets of all interfaces that the kernel had for the capture.
        dropped: Those of them that the capture was too slow for.
    """
    body = struct.pack("<III", interface, end_ns >> 32, end_ns & 0xFFFFFFFF)
    times = [struct.pack("<II", time >> 32, time & 0xFFFFFFFF) for time in (start_ns, end_ns)]
    comment = "received and dropped are counted over all interfaces together"
    return _block(
        _STATISTICS, body, _option(_OPT_COMMENT, comment.encode()), _option(_ISB_START, times[0]), _option(_ISB_END, times[1]),
        _option(_ISB_RECEIVED, struct.pack("<Q", received)), _option(_ISB_DROPPED_BY_SYSTEM, struct.pack("<Q", dropped)),
        _option(_ISB_DELIVERED, struct.pack("<Q", delivered)),
    )
