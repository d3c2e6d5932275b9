"""Packets are captured into a file that another reader reads; it goes on while a link goes down, and says what it lost."""

import hashlib
import json
import os
import socket
import struct
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription, InterfaceStatistics, SectionHeader

from fimkit.panic.capture import plan_capture, restore_vlan
from fimkit.panic.incident import Entry, Status, make_incident
from fimkit.panic.pcapng import encode_interface, encode_packet, encode_section, encode_statistics
from fimkit.panic.steps import start_steps
from tests.private_net import PEER, PeerNet, in_private_net

__all__: list[str] = []

pytestmark = pytest.mark.filterwarnings("ignore:Field type should not be:DeprecationWarning")  # of the reader's own tables


def blocks_of(path: Path) -> list[Any]:
    with path.open("rb") as file:
        return list(FileScanner(file))


def payloads(blocks: list[Any]) -> list[bytes]:
    return [block.packet_data for block in blocks if isinstance(block, EnhancedPacket)]


@given(st.lists(st.tuples(st.binary(max_size=100), st.integers(0, 2**63 - 1), st.booleans()), max_size=20))
def test_what_is_written_another_reader_reads_back(packets: list[tuple[bytes, int, bool]]) -> None:
    raw = encode_section("fimkit", "Linux 6") + encode_interface("eth0", hardware=1, snap_bytes=2048)
    raw += b"".join(encode_packet(0, time_ns, one, length=len(one) + 5, outgoing=out) for one, time_ns, out in packets)
    raw += encode_statistics(0, start_ns=5, end_ns=7, delivered=len(packets), received=9, dropped=3)
    section, interface, *rest, counts = FileScanner(BytesIO(raw))
    assert isinstance(section, SectionHeader) and section.options["shb_userappl"] == "fimkit"
    assert isinstance(interface, InterfaceDescription) and interface.options["if_name"] == "eth0"
    assert (interface.link_type, interface.timestamp_resolution) == (1, pytest.approx(1e-9))
    assert [(one.packet_data, (one.timestamp_high << 32) + one.timestamp_low, one.packet_len) for one in rest] == [
        (data, time_ns, len(data) + 5) for data, time_ns, _ in packets
    ]
    assert isinstance(counts, InterfaceStatistics)
    assert (counts.options["isb_osdrop"], counts.options["isb_usrdeliv"], counts.options["isb_ifrecv"]) == (3, len(packets), 9)


def test_an_interface_of_an_unknown_kind_says_its_hardware_type() -> None:
    _, interface = FileScanner(BytesIO(encode_section("f", "L") + encode_interface("x0", hardware=4711, snap_bytes=64)))
    assert (interface.link_type, interface.options["opt_comment"]) == (147, "hardware type 4711")


def test_a_packet_without_a_tag_keeps_its_bytes_and_its_length() -> None:
    assert restore_vlan(b"x" * 20, struct.pack("=IIIHHHH", 1, 1500, 20, 0, 0, 0, 0)) == (b"x" * 20, 1500)


def _send(count: int, first: int = 0) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(first, first + count):
            sender.sendto(b"fimkit-%06d" % number, (PEER, 9))


def _captured(folder: Path, act: Any, **options: Any) -> tuple[Entry, list[Any]]:
    incident, stop = make_incident(str(folder / "incidents").encode(), "x"), threading.Event()
    running = start_steps(incident, [plan_capture(seconds=30, stop=stop, **options)], deadline_s=60)
    path = folder / "incidents/x/capture.pcapng"
    while True:  # until its socket is there: a packet of our own is in the file
        _send(1, 999_999)
        time.sleep(0.3)
        if path.exists() and b"fimkit-999999" in path.read_bytes():
            break
    act()
    stop.set()
    (entry,) = running.wait()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256
    assert json.loads((folder / "incidents/x/index.json").read_text())["entries"][0]["sha256"] == entry.sha256
    return entry, blocks_of(path)


def test_every_packet_is_kept_and_the_capture_goes_on_through_the_cut(tmp_path: Path) -> None:
    def run() -> None:
        from pyroute2 import IPRoute

        PeerNet()

        def act() -> None:
            _send(60)
            time.sleep(0.3)
            with IPRoute() as route:
                route.link("set", index=route.link_lookup(ifname="here0")[0], state="down")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"after the cut", ("127.0.0.1", 9))
            time.sleep(0.5)

        entry, blocks = _captured(tmp_path, act)
        assert entry.status is Status.OK and "; 0 dropped of" in entry.note
        told = b"".join(payloads(blocks))
        assert all(b"fimkit-%06d" % number in told for number in range(60)) and b"after the cut" in told
        names = [block.options["if_name"] for block in blocks if isinstance(block, InterfaceDescription)]
        assert sorted(names) == ["here0", "lo"]
        counts = [block.options["isb_usrdeliv"] for block in blocks if isinstance(block, InterfaceStatistics)]
        assert len(counts) == 2 and sum(counts) == len(payloads(blocks))

    in_private_net(run)


def test_a_flood_ends_at_the_bound_and_the_file_is_whole(tmp_path: Path) -> None:
    def run() -> None:
        PeerNet()
        entry, blocks = _captured(tmp_path, lambda: _send(5000), most_bytes=50_000, snap_bytes=64)
        assert entry.status is Status.OK and "as large as it may get" in entry.note
        assert 45_000 < entry.size_bytes <= 50_000
        assert isinstance(blocks[-1], InterfaceStatistics)
        assert all(len(one) <= 64 for one in payloads(blocks))

    in_private_net(run)


def test_without_the_right_it_says_so_and_nothing_else_happens(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    incident = make_incident(str(tmp_path / "i").encode(), "x")
    os.chown(incident.folder, 65534, 65534)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            (entry,) = start_steps(incident, [plan_capture(seconds=5, stop=threading.Event())], deadline_s=20).wait()
            code = 0 if entry.status is Status.FAILED and "NET_RAW" in entry.note else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
