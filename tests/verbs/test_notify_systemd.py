import os
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fimkit.verbs import notify_systemd


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        if request.param == "path":
            own.bind(str(tmp_path / "notify"))
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        else:
            name = f"fimkit-test-{uuid.uuid4().hex}"
            own.bind("\0" + name)
            monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        own.settimeout(5)
        yield own


def test_ready_carries_the_status(listener: socket.socket) -> None:
    assert notify_systemd.ready("watching 7 paths")
    assert listener.recv(1000) == b"READY=1\nSTATUS=watching 7 paths"


@pytest.mark.parametrize(
    ("say", "text"),
    [
        (notify_systemd.alive, b"WATCHDOG=1"),
        (notify_systemd.stopping, b"STOPPING=1"),
        (lambda: notify_systemd.status("ünï"), "STATUS=ünï".encode()),
    ],
)
def test_each_sign_is_one_datagram(listener: socket.socket, say: Callable[[], bool], text: bytes) -> None:
    assert say()
    assert listener.recv(1000) == text


def test_reloading_says_when_by_the_monotonic_clock(listener: socket.socket) -> None:
    assert notify_systemd.reloading()
    first, second = listener.recv(1000).split(b"\n")
    assert first == b"RELOADING=1"
    assert second.startswith(b"MONOTONIC_USEC=") and int(second.partition(b"=")[2]) > 0


def test_a_newline_in_a_status_makes_no_assignment_of_its_own(listener: socket.socket) -> None:
    assert notify_systemd.status("modified /tmp/a\nMAINPID=1")
    assert listener.recv(1000) == b"STATUS=modified /tmp/a MAINPID=1"


@pytest.mark.parametrize("name", [None, "", "relative", "vsock:2:1234", "/nonexistent/socket", "@fimkit-nobody-listens"])
def test_nobody_to_tell_is_no_error(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if name is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert not notify_systemd.ready("x")
    assert not notify_systemd.alive()


@pytest.mark.parametrize(
    ("interval", "pid", "seconds"),
    [
        ("30000000", None, 30.0),
        ("1500000", str(os.getpid()), 1.5),
        ("30000000", "1", None),
        ("0", None, None),
        ("", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_watchdog_interval(monkeypatch: pytest.MonkeyPatch, interval: str | None, pid: str | None, seconds: float | None) -> None:
    for name, value in (("WATCHDOG_USEC", interval), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert notify_systemd.watchdog_s() == seconds
