"""Where a helper works: the one namespace that it may cut, and which others count as beside it."""

import os
from dataclasses import dataclass
from typing import Self

from fimkit.model.errors import HostError
from fimkit.panic.namespaces import Namespace, OtherNamespaces, list_namespaces, machine_namespace

__all__ = ["Ground"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A namespace, and for a trial the process below which the others must live: a trial cuts nobody else's."""

    where: Namespace
    near: int | None = None

    @classmethod
    def of_this_process(cls, *, confined: bool) -> Self:
        """Take the namespace that this process is in.

        Args:
            confined: This is a trial: the machine's own is refused, which is that of the first process that this one comes from.

        Raises:
            HostError: If it is refused, or cannot be told.
        """
        where = machine_namespace()
        if not confined:
            return cls(where=where)
        known = [found for pid in _line_of(os.getpid()) if (found := _namespace_of(pid)) is not None]
        if not known:
            raise HostError("no process that this one comes from can be seen: this may be the machine's network; nothing was done")
        if known[-1] == where:
            raise HostError(f"network namespace {where.inode} is the machine's own, and a trial is not for it: nothing was done")
        return cls(where=where, near=os.getppid())

    def others(self) -> OtherNamespaces:
        """List the other network namespaces that count."""
        found = list_namespaces()
        if self.near is None:  # no trial
            return found
        near = tuple(
            place for place in found.places if self.near > 1 and any(_descends(pid, self.near) for pid in place.pids)
        )
        return OtherNamespaces(places=near, unreadable=found.unreadable, machine_known=found.machine_known)


def _descends(pid: int, ancestor: int) -> bool:
    return pid == ancestor or ancestor in _line_of(pid)


def _line_of(pid: int) -> list[int]:
    """The processes that one comes from, up to process 1."""
    found: list[int] = []
    while pid > 1:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        found.append(pid)
    return found


def _namespace_of(pid: int) -> Namespace | None:
    try:
        return Namespace.of(f"/proc/{pid}/ns/net")
    except OSError:
        return None  # another user's
