"""What the reading process gives up, tried out by one that gave it up."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fimkit.content.confine import find_user

__all__: list[str] = []

ROOT = Path(__file__).parents[2]

TRIAL = """
import ctypes, json, os, resource, socket, sys
sys.path.insert(0, sys.argv[2])
from fimkit.content.confine import confine, find_user
peer = socket.socket(fileno=int(sys.argv[1]))
given = os.open("/etc/hostname", os.O_RDONLY) if os.path.exists("/etc/hostname") else os.open("/etc/passwd", os.O_RDONLY)
libc = ctypes.CDLL(None, use_errno=True)
made = confine(find_user())
tries = {
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "create": lambda: os.open("/tmp/fimkit-never", os.O_CREAT | os.O_WRONLY),
    "stat": lambda: os.stat("/etc/passwd"),
    "list": lambda: os.listdir("/"),
    "socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "pair": lambda: socket.socketpair(),
    "fork": lambda: os.fork(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
    "write": lambda: os.write(1, b"x"),
    "limit": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 1)),
    "root": lambda: os.setuid(0),
    "chmod": lambda: os.fchmod(given, 0o777),
    "memory": lambda: bytearray(4 << 30),
}
said = {"uids": None, "user": made.user, "filtered": made.filtered, "lacks": made.lacks, "read": len(os.pread(given, 10, 0))}
for name, attempt in tries.items():
    try:
        attempt()
        said[name] = "done"
    except BaseException as error:
        said[name] = type(error).__name__
peer.send(json.dumps(said).encode())
"""


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        done = subprocess.Popen(
            [sys.executable, "-I", "-c", TRIAL, str(theirs.fileno()), str(ROOT)], pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        theirs.close()
        packet = ours.recv(1 << 16)
        _, errors = done.communicate()
    assert packet, errors.decode()
    answer: dict[str, Any] = json.loads(packet)
    if not answer["filtered"]:
        pytest.skip(f"this kernel or architecture filters no system calls: {answer['lacks']}")
    return answer


def test_what_was_handed_over_can_be_read(said: dict[str, Any]) -> None:
    assert said["read"] > 0
    assert said["lacks"] == []


@pytest.mark.parametrize(
    "attempt", ["open", "create", "stat", "list", "socket", "pair", "fork", "exec", "kill", "write", "root", "chmod"]
)
def test_it_can_do_nothing_else(said: dict[str, Any], attempt: str) -> None:
    assert said[attempt] == "PermissionError"


def test_neither_its_limits_nor_its_memory_can_be_raised(said: dict[str, Any]) -> None:
    assert said["limit"] in ("PermissionError", "ValueError")
    assert said["memory"] == "MemoryError"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_root_becomes_a_user_without_rights(said: dict[str, Any]) -> None:
    user = find_user()
    assert user is not None
    assert user[1] != 0
    assert said["user"] == user[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become another user")
def test_without_root_there_is_nobody_to_become() -> None:
    assert find_user() is None
