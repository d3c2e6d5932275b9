"""Network namespaces: which one may be changed, which others there are, and work done inside another one.

Whatever changes a network takes a :class:`Namespace` and refuses to work in any other: nothing is cut by mistake.
"""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

from fimkit.model.errors import HostError

__all__ = ["Namespace", "OtherNamespaces", "Place", "confined_namespace", "list_namespaces", "machine_namespace", "run_in"]

_CLONE_NEWNET = 0x40000000
_NAMED = "/run/netns"

T = TypeVar("T")


class Namespace(NamedTuple):
    """The identity of a network namespace. Whoever hands one over says: this is the one that may be changed."""

    device: int
    inode: int

    @classmethod
    def of(cls, path: str) -> Self:
        """Say which namespace a file of nsfs stands for."""
        status = os.stat(path)
        return cls(status.st_dev, status.st_ino)

    def check(self) -> None:
        """Make sure that this thread is in it.

        Raises:
            HostError: If it is in another one: nothing was changed.
        """
        present = machine_namespace()
        if present != self:
            raise HostError(f"this is network namespace {present.inode}, and only {self.inode} may be changed: nothing was done")


def machine_namespace() -> Namespace:
    """Give the namespace that this thread is in, whichever it is. For the program; a trial takes :func:`confined_namespace`.

    Raises:
        HostError: Without /proc.
    """
    try:
        return Namespace.of("/proc/thread-self/ns/net")
    except OSError as error:
        raise HostError(f"the network namespace of this process cannot be told: {error}") from error


def confined_namespace(*outside: Namespace) -> Namespace:
    """Give the namespace that this thread is in, if it is one made for a trial.

    Args:
        outside: Namespaces that it must not be, beside that of process 1 and that of the parent process.

    Raises:
        HostError: If it is one of those, or if none of those can be told apart from it.
    """
    present, known = machine_namespace(), set(outside)
    for pid in (1, os.getppid()):
        try:
            known.add(Namespace.of(f"/proc/{pid}/ns/net"))
        except OSError:
            continue  # another user's process, or none: then the others must do
    if not known:
        raise HostError("no other network namespace can be seen from here, so this one may be the machine's: nothing was done")
    if present in known:
        raise HostError(f"network namespace {present.inode} is the machine's own, and a trial is not for it: nothing was done")
    return present


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Another network namespace: a file that stands for it, its name if it has one, and a few processes that live in it."""

    namespace: Namespace
    path: str
    name: str = ""
    pids: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Its name and inode, for a plan."""
        who = ", ".join(f"process {pid}" for pid in self.pids[:3])
        return f"{self.name or 'network namespace'} {self.namespace.inode}" + (f" ({who})" if who else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherNamespaces:
    """What was found, by inode; ``unreadable`` processes may be in further ones.

    ``machine_known`` is false where the namespace of process 1 may not be looked at: then one of the places may be the machine's.
    """

    places: tuple[Place, ...]
    unreadable: int = 0
    machine_known: bool = True


def list_namespaces(proc: str = "/proc", named: str = _NAMED) -> OtherNamespaces:
    """List the network namespaces beside this one: those of processes, and the named ones of ``ip netns``.

    Those of process 1 and of the processes that this one comes from are never among them: seen from within a container, they are
    the machine's own, and no part of the container.
    """
    own, machine_known = {machine_namespace()}, False
    for pid in (1, *_ancestors(proc)):
        with contextlib.suppress(OSError):
            own.add(Namespace.of(f"{proc}/{pid}/ns/net"))
            machine_known = machine_known or pid == 1
    names, processes, unreadable = _named_ones(named), *_processes(proc)
    places = []
    for namespace in sorted((names.keys() | processes.keys()) - own, key=lambda each: each.inode):
        pids = tuple(sorted(processes.get(namespace, [])))
        name = names.get(namespace, "")
        path = f"{named}/{name}" if name else f"{proc}/{pids[0]}/ns/net"
        places.append(Place(namespace=namespace, path=path, name=name, pids=pids[:10]))
    return OtherNamespaces(places=tuple(places), unreadable=unreadable, machine_known=machine_known)


def _ancestors(proc: str) -> list[int]:
    found, pid = [], os.getpid()
    while pid > 1:
        try:
            with open(f"{proc}/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        found.append(pid)
    return found


def _named_ones(folder: str) -> dict[Namespace, str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return {}
    found = {}
    for name in names:
        try:
            namespace = Namespace.of(f"{folder}/{name}")
        except OSError:
            continue
        if namespace.device == machine_namespace().device:  # else a plain file, whose mount is gone
            found[namespace] = name
    return found


def _processes(proc: str) -> tuple[dict[Namespace, list[int]], int]:
    found: dict[Namespace, list[int]] = {}
    unreadable = 0
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            found.setdefault(Namespace.of(f"{proc}/{name}/ns/net"), []).append(int(name))
        except PermissionError:
            unreadable += 1
        except OSError:
            continue  # it ended meanwhile
    return found, unreadable


def run_in(place: Place, work: Callable[[Namespace], T], *, timeout_s: float = 30.0) -> T:
    """Do work inside another network namespace, in a thread that enters it and ends: this one stays where it is.

    Args:
        place: Where to go.
        work: Is given the namespace, checked: the file may stand for another one by now.
        timeout_s: After this the thread is left to itself.

    Raises:
        HostError: Without CAP_SYS_ADMIN, if the namespace is gone, or if the work is not done in time.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def go() -> None:
        try:
            _enter(place)
            answers.append(work(place.namespace))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=go, name=f"netns-{place.namespace.inode}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if not answers:
        raise HostError(f"the work in {place} was not done within {timeout_s:g} s")
    return answers[0]


def _enter(place: Place) -> None:
    try:
        handle = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"{place} is gone, or not to be seen: {error}") from error
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, _CLONE_NEWNET):
            code = ctypes.get_errno()
            raise HostError(code, f"{place} cannot be entered, which needs CAP_SYS_ADMIN: {os.strerror(code)}")
    finally:
        os.close(handle)
    place.namespace.check()
