"""A saved network put back: links, addresses, nexthops, rules and neighbours, routes. What is there already is left alone."""

import errno
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fimkit.model.errors import HostError
from fimkit.panic.cut import link_of
from fimkit.panic.links import IFF_UP, LINK_DUMP, Link, set_flags
from fimkit.panic.namespaces import Namespace
from fimkit.panic.netlink import CREATE, Answer, Netlink, Request
from fimkit.panic.objects import Kind, describe, identity_of, is_kernels_own, links_of, request_of, shape_of, slot_of, stage_of
from fimkit.panic.save import boot_id, list_objects
from fimkit.panic.state import NetworkState

__all__ = ["RestoreReport", "restore_state"]

_NEW_LINK, _GET_LINK = 16, 18
_REPLACE, _EXCLUSIVE, _APPEND = 0x100, 0x200, 0x800
_IPV4 = 2
_PAUSE_S = 0.05
_PATIENCE_S = 4.0
"""How long nothing may move before it is given up: duplicate address detection takes one to two seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What was done. ``missing`` is what could not be put back, each in words with the reason; ``notes`` what else to know."""

    raised: tuple[str, ...]
    put_back: Mapping[Kind, int]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    took_s: float

    @property
    def is_complete(self) -> bool:
        """Whether everything is back."""
        return not self.missing


def restore_state(state: NetworkState, where: Namespace, *, timeout_s: float = 20.0) -> RestoreReport:
    """Put a saved network back. Again, it changes nothing.

    Links that are up and were not, and what was added meanwhile, stay: an administrator may sit on them. What the kernel makes by
    itself (connected and link-local routes, what a router told) is left to it.

    Args:
        state: What was saved, in this boot.
        where: The namespace that it was saved in; this thread must be in it.
        timeout_s: When to give up what does not come.

    Raises:
        HostError: If the state is of another boot or namespace: nothing was changed. Or if the kernel does not answer.
    """
    _refuse_foreign(state, where)
    start = time.monotonic()
    elapsed_s = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - state.boottime_ns) / 1e9
    with Netlink(where) as netlink:
        work = _Restore(state=state, netlink=netlink, elapsed_s=elapsed_s, until=start + timeout_s)
        work.raise_links()
        work.put_back()
        work.finish()
    return RestoreReport(
        raised=tuple(work.raised), put_back=dict(work.done), missing=tuple(work.missing), notes=tuple(work.notes),
        took_s=time.monotonic() - start,
    )


def _refuse_foreign(state: NetworkState, where: Namespace) -> None:
    if state.boot_id != boot_id():
        raise HostError(
            "this network state is of another boot, whose link numbers mean nothing now: let the distribution configure the network"
        )
    if state.namespace != where.inode:
        raise HostError(f"this network state is of namespace {state.namespace}, and this is {where.inode}: nothing was done")


@dataclass(slots=True, kw_only=True)
class _Restore:
    state: NetworkState
    netlink: Netlink
    elapsed_s: float
    until: float
    raised: list[str] = field(default_factory=list)
    done: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reasons: dict[bytes, str] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    was_up: set[int] = field(default_factory=set)

    def links(self) -> dict[int, Link]:
        found = [link_of(message) for message in self.netlink.dump(_GET_LINK, LINK_DUMP)]
        return {link.index: link for link in found if link is not None}

    def raise_links(self) -> None:
        """Lower ones first: a link above one that is down cannot come up."""
        now = self.links()
        self.was_up = {index for index, link in now.items() if link.is_up}
        for link in self.state.links:
            if not _is_same(link, now.get(link.index)):
                self.gone.add(link.index)
                if link.is_up:
                    self.missing.append(f"link {link.name}: it is gone, or another device now, and so is what stood on it")
        wanted = [link for link in _lower_first(self.state.links) if link.is_up and link.index not in self.gone]
        last: set[int] | None = None
        refused: dict[int, Answer] = {}
        while todo := [link for link in wanted if not (link.index in now and now[link.index].is_up)]:
            left = {link.index for link in todo}
            if left == last or time.monotonic() > self.until:
                break
            last = left
            answers = self.netlink.batch([Request(_NEW_LINK, set_flags(link.index, IFF_UP, IFF_UP)) for link in todo])
            refused = {link.index: answer for link, answer in zip(todo, answers, strict=True) if answer.code}
            self.raised += [link.name for link in todo if link.index not in refused]
            now = self.links()
        self.missing += [f"link {link.name} does not come up: {refused.get(link.index, 'it went down again')}" for link in todo]

    def put_back(self) -> None:
        """Pass after pass: what stands on something that is still missing waits for the next one."""
        wanted = [
            (kind, message) for kind in Kind for message in self.state.objects.get(kind, ())
            if not is_kernels_own(kind, message) and not self.gone & links_of(kind, message)
        ]
        # Order is part of the state. IPv6 lists the newest address of a link first, all else is listed as it was added.
        newest_first = [each for each in wanted if each[0] is Kind.ADDRESS and each[1][0] != _IPV4]
        wanted = newest_first[::-1] + [each for each in wanted if each not in newest_first]
        wanted.sort(key=lambda each: stage_of(*each))
        moved_at, last = time.monotonic(), None
        while True:
            present = self.present()
            pending = [each for each in wanted if identity_of(*each) not in present]
            names = {identity_of(*each) for each in pending}
            if names != last:
                moved_at, last = time.monotonic(), names
            if not pending or time.monotonic() > min(self.until, moved_at + _PATIENCE_S):
                break
            if not self.one_pass(pending, present, {identity_of(*each) for each in wanted}):
                time.sleep(_PAUSE_S)
        overdue = [each for each in pending if request_of(*each, self.elapsed_s) is None]
        self.notes += [f"{describe(*each, self.state.names)}: its lifetime is over" for each in overdue]
        self.missing += [
            f"{describe(*each, self.state.names)}: {self.reasons.get(identity_of(*each), 'it does not stay')}"
            for each in pending if each not in overdue
        ]

    def present(self) -> dict[bytes, tuple[Kind, bytes]]:
        objects, _ = list_objects(self.netlink)
        return {identity_of(kind, message): (kind, message) for kind, found in objects.items() for message in found}

    def one_pass(
        self, pending: Sequence[tuple[Kind, bytes]], present: Mapping[bytes, tuple[Kind, bytes]], wanted: set[bytes]
    ) -> int:
        """Ask for all that is missing, stage by stage; give how many were taken."""
        self.clear_slots(pending, present, wanted)
        taken = 0
        for stage in sorted({stage_of(*each) for each in pending}):
            turn = [(each, body) for each in pending if stage_of(*each) == stage and (body := request_of(*each, self.elapsed_s))]
            requests = [Request(shape_of(each[0]).new, body, CREATE | _flags(*each)) for each, body in turn]
            for (each, _), answer in zip(turn, self.netlink.batch(requests), strict=True):
                if answer.code in (0, errno.EEXIST):
                    taken += answer.code == 0
                    self.done[each[0]] += answer.code == 0
                else:
                    self.reasons[identity_of(*each)] = str(answer)
        return taken

    def clear_slots(
        self, pending: Iterable[tuple[Kind, bytes]], present: Mapping[bytes, tuple[Kind, bytes]], wanted: set[bytes]
    ) -> None:
        """Take away what is left of a route of several ways: its remnant has the place of the whole one."""
        slots = {slot for each in pending if (slot := slot_of(*each)) is not None}
        strays = [
            (each, body) for name, each in present.items()
            if name not in wanted and slot_of(*each) in slots and not is_kernels_own(*each) and (body := request_of(*each, 0.0))
        ]
        requests = [Request(shape_of(each[0]).delete, body) for each, body in strays]
        for (each, _), answer in zip(strays, self.netlink.batch(requests), strict=True):
            if not answer.code:
                self.notes.append(f"{describe(*each, self.state.names)} had the place of a saved route, and was taken away")

    def finish(self) -> None:
        """Take down what only our raising brought up (the kernel raises a VLAN with its carrier); say what else is up."""
        now = self.links()
        extra = [now[link.index] for link in self.state.links if not link.is_up and _is_same(link, now.get(link.index))]
        lowered = [link for link in extra if link.is_up and link.index not in self.was_up]
        for link, answer in zip(lowered, self.netlink.batch(
            [Request(_NEW_LINK, set_flags(link.index, 0, IFF_UP)) for link in lowered]
        ), strict=True):
            if answer.code:
                self.missing.append(f"link {link.name} came up with another one and does not go down: {answer}")
        self.notes += [
            f"link {link.name} was down when this was saved and is up now: left so" for link in extra
            if link.is_up and link.index in self.was_up
        ]


def _is_same(saved: Link, present: Link | None) -> bool:
    if present is None:
        return False
    return saved.name == present.name or (saved.address == present.address and saved.kind == present.kind)


def _lower_first(links: Sequence[Link]) -> list[Link]:
    by_index = {link.index: link for link in links}

    def depth(link: Link) -> int:
        steps = 0
        while link.lower in by_index and link.lower is not None and steps < 8:  # the ends of a veth pair name each other
            link, steps = by_index[link.lower], steps + 1
        return steps

    return sorted(links, key=lambda link: (depth(link), link.index))


def _flags(kind: Kind, message: bytes) -> int:
    """How the kernel is to treat what is there: IPv4 routes are listed in their order, so each is put behind the others."""
    if kind is Kind.ROUTE:
        return _APPEND if message[0] == _IPV4 else 0
    return _EXCLUSIVE if kind is Kind.RULE else _REPLACE
