"""Every test that touches a network does so in a namespace of its own, in a child process, and proves it first.

``@confined`` runs a test so and gives it the one :class:`Namespace` that it may change; ``peer()`` is a further one beside it.
"""

import ctypes
import functools
import inspect
import itertools
import json
import os
import pickle
import select
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.errors import HostError
from fimkit.panic.namespaces import Namespace, confined_namespace, machine_namespace

__all__ = [
    "confined",
    "enter_new_namespace",
    "flags_of",
    "ip",
    "ip_batch",
    "ip_json",
    "needs",
    "nft",
    "peer",
    "wait_until",
    "without_rights",
]

_NEWNET, _NEWUSER = 0x40000000, 0x10000000
_PATIENCE_S = 180.0
_NET_ADMIN = 12
_MACHINE = machine_namespace()  # asked when this is imported: before any child goes elsewhere


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def enter_new_namespace() -> Namespace:
    """Go into a namespace made for this process, with no link but lo; skip where that is not allowed."""
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(_NEWNET | (_NEWUSER if uid else 0)):
        pytest.skip(f"no network namespace can be made here: {os.strerror(ctypes.get_errno())}")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    where = confined_namespace(_MACHINE)
    # The library's own word is not enough for a test of the library.
    own, machine = os.stat("/proc/self/ns/net"), (_MACHINE.device, _MACHINE.inode)
    assert (own.st_dev, own.st_ino) == (where.device, where.inode) != machine
    return where


def confined(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a child in a namespace of its own; it is given that namespace as ``where``."""

    @functools.wraps(test)
    def run(*words: Any, **named: Any) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _child(writer, lambda: test(*words, where=enter_new_namespace(), **named))
        os.close(writer)
        try:
            kind, text = _outcome(reader)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reader)
        if kind == "skip":
            pytest.skip(text)
        if kind != "ok":
            pytest.fail(text, pytrace=False)

    del run.__wrapped__  # type: ignore[attr-defined]  # pytest would ask for a fixture named "where"
    run.__signature__ = _without_where(test)  # type: ignore[attr-defined]
    return run


def _without_where(test: Callable[..., None]) -> Any:
    signature = inspect.signature(test)
    return signature.replace(parameters=[each for name, each in signature.parameters.items() if name != "where"])


def _child(writer: int, work: Callable[[], None]) -> None:
    outcome = ("ok", "")
    try:
        work()
    except pytest.skip.Exception as skipped:
        outcome = ("skip", str(skipped))
    except BaseException:
        outcome = ("fail", traceback.format_exc()[-30_000:])
    try:
        os.write(writer, pickle.dumps(outcome))
    finally:  # where nobody listens any more: else this would go on as a second test run
        os._exit(0)


def _outcome(reader: int) -> tuple[str, str]:
    raw, until = b"", time.monotonic() + _PATIENCE_S
    while select.select([reader], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(reader, 1 << 16)
        if not part:
            return pickle.loads(raw) if raw else ("fail", "the child died without a word")
        raw += part
    return "fail", f"not done after {_PATIENCE_S:g} s"


@contextmanager
def peer() -> Iterator[int]:
    """Give the process id of a child that only is: in a further namespace of its own. It ends with the block."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            enter_new_namespace()
            os.write(writer, b"1")
            signal.pause()
        finally:  # whatever wakes it: else this would go on as a second test run
            os._exit(0)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"1"
        yield child
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _prove_confined() -> None:
    if machine_namespace() == _MACHINE:
        raise HostError("a test would change the machine's own network: nothing was done")


def _run(words: Sequence[str], **more: Any) -> str:
    _prove_confined()
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def ip(*words: str, pid: int | None = None) -> str:
    """Run ip in this namespace, or in that of a peer; a line with several words may be given as one."""
    inside = [] if pid is None else ["nsenter", "-t", str(pid), "-n"]
    return _run([*inside, "ip", *(part for word in words for part in word.split())])


def ip_batch(lines: Sequence[str]) -> None:
    """Run many lines of ip in one process, or a few: a line may begin with ``-6``."""
    for is_v6, part in itertools.groupby(lines, key=lambda line: line.startswith("-6 ")):
        text = "\n".join(line.removeprefix("-6 ") for line in part) + "\n"
        _run(["ip", *(["-6"] if is_v6 else []), "-batch", "-"], input=text)


def ip_json(*words: str) -> Any:
    """What ip prints, read."""
    return [each for each in json.loads(ip("-j", *words) or "[]") if each]  # what it leaves out, it prints as {}


def nft(*words: str) -> str:
    """Run nft in this namespace."""
    return _run(["nft", *words])


def flags_of(name: str) -> list[str]:
    """What ip says of a link: UP among it or not."""
    return list(ip_json("link show", name)[0]["flags"])


def wait_until(true: Callable[[], object], patience_s: float = 30.0) -> None:
    """Wait for something that must come."""
    until = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def without_rights() -> None:
    """Give up CAP_NET_ADMIN for good, in this process."""
    libc = ctypes.CDLL(None, use_errno=True)

    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

    sets = (ctypes.c_uint32 * 6)()
    header = Header(0x20080522, 0)  # Source: linux/capability.h, version 3
    assert libc.capget(ctypes.byref(header), sets) == 0
    for word in range(3):
        sets[word] &= ~(1 << _NET_ADMIN)
    assert libc.capset(ctypes.byref(header), sets) == 0, os.strerror(ctypes.get_errno())
