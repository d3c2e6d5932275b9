"""A network of the test's own: a child process in a new network namespace, with a peer in another one, joined by a veth pair.

No link, address or route of this machine's own namespace is ever touched: the child proves where it is before anything else.
"""

import ctypes
import os
import pickle
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["HERE", "PEER", "PeerNet", "in_private_net"]

HERE, PEER = "192.0.2.1", "192.0.2.25"  # TEST-NET-1, RFC 5737
_MACHINES = "FIMKIT_TEST_MACHINES_NAMESPACES"  # for the child alone
_CLONE_NEWNET = 0x40000000


def _namespace(path: str) -> int:
    return os.stat(path).st_ino


def _machines() -> set[int]:
    """Name the namespaces that a test must never be in: that of whoever began, and init's, where it may be seen."""
    return {found for path in ("/proc/self/ns/net", "/proc/1/ns/net") if (found := _seen(path))}


def _seen(path: str) -> int | None:
    try:
        return _namespace(path)
    except PermissionError:
        return None


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        code = ctypes.get_errno()
        raise PermissionError(code, os.strerror(code))


def in_private_net(test: Callable[[], Any]) -> Any:
    """Run ``test`` in a forked child in a network namespace of its own; give what it returned, or fail as it failed."""
    reader, writer = os.pipe()
    machines = _machines()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            _unshare()
            assert machines and _namespace("/proc/thread-self/ns/net") not in machines
            os.environ[_MACHINES] = " ".join(map(str, machines))
            answer = ("ok", test())
        except PermissionError as error:
            answer = ("skip" if error.strerror == os.strerror(1) else "fail", traceback.format_exc())
        except BaseException:
            answer = ("fail", traceback.format_exc())
        try:
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:  # where nobody listens any more: else this would go on as a second test run
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    assert told, "the child ended without a word"
    kind, value = pickle.loads(told)
    if kind == "skip":
        pytest.skip(f"no network namespace of our own: {value.splitlines()[-1]}")
    if kind == "fail":
        pytest.fail(value, pytrace=False)
    return value


class PeerNet:
    """A thread in a namespace of its own, at ``PEER``; this thread's namespace, a private one, gets ``HERE``."""

    def __init__(self) -> None:
        """Make both ends and join them."""
        from pyroute2 import IPRoute

        mine = _namespace("/proc/thread-self/ns/net")
        machines = set(map(int, os.environ[_MACHINES].split()))  # no such name: this is no private network
        assert mine not in machines
        self._ready, self._wired, self._calls = threading.Event(), threading.Event(), threading.Event()
        self._call: tuple[Callable[[], Any], list[Any], threading.Event] | None = None
        self._tid = 0
        threading.Thread(target=self._live, daemon=True).start()
        assert self._ready.wait(10)
        theirs = f"/proc/self/task/{self._tid}/ns/net"
        assert _namespace(theirs) not in {mine, *machines}
        with IPRoute() as route, open(theirs) as there:
            route.link("add", ifname="here0", kind="veth", peer={"ifname": "peer0", "net_ns_fd": there.fileno()})
            self._raise(route, "here0", HERE, 1)
        self.call(self._wire)

    @staticmethod
    def _raise(route: Any, name: str, address: str, last: int) -> None:
        for link in ("lo", name):
            route.link("set", index=route.link_lookup(ifname=link)[0], state="up")
        index = route.link_lookup(ifname=name)[0]
        route.addr("add", index=index, address=address, prefixlen=24)
        route.addr("add", index=index, address=f"2001:db8::{last}", prefixlen=64, flags=2)  # IFA_F_NODAD: no wait for doubles

    def _wire(self) -> None:
        from pyroute2 import IPRoute

        with IPRoute() as route:
            self._raise(route, "peer0", PEER, 25)

    def _live(self) -> None:
        _unshare()
        self._tid = threading.get_native_id()
        self._ready.set()
        while self._calls.wait():
            self._calls.clear()
            assert self._call is not None
            work, box, done = self._call
            try:
                box.append(work())
            except BaseException as error:
                box.append(error)
            done.set()

    def call(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` in the peer's namespace; sockets that it makes, and threads that it starts, stay there."""
        box: list[Any] = []
        done = threading.Event()
        self._call = (work, box, done)
        self._calls.set()
        assert done.wait(30)
        if isinstance(box[0], BaseException):
            raise box[0]
        return box[0]
