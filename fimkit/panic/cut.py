"""Every link down, and read back by another reader until none is up. All sockets are opened before there is a need."""

import errno
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from fimkit.model.errors import FimkitError, RecordError
from fimkit.panic.links import IFF_UP, LINK_DUMP, Link, parse_link, set_flags
from fimkit.panic.namespaces import Namespace, Place, run_in
from fimkit.panic.netlink import BATCH, Message, Netlink, Request
from fimkit.panic.plan import CutPlan, plan_cut
from fimkit.panic.readback import Readback

__all__ = ["CutReceipt", "LinkCutter", "Refusals", "cut_places", "link_of"]

# Source: linux/rtnetlink.h.
_NEW_LINK, _GET_LINK = 16, 18
_PAUSE_S = 0.002
_FLAGS = slice(8, 12)
_KNOWN = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CutReceipt:
    """What a cut did. ``still_up`` is what the other reader sees up and nobody asked to keep, ``None`` if it could not look."""

    took_down: tuple[str, ...] = ()
    still_up: tuple[str, ...] | None = None
    kept: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    rounds: int = 0
    took_s: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left up, for sure."""
        return self.still_up == ()


@dataclass(slots=True)
class Refusals:
    """What went wrong on the way, each in words and once; ``denied`` is a right that no further try will bring."""

    words: list[str]
    denied: bool = False

    def add(self, words: str) -> None:
        """Take one more."""
        if words not in self.words:
            self.words.append(words)


class LinkCutter:
    """Takes the links of one namespace down. Use it in a ``with`` block."""

    def __init__(self, where: Namespace, *, keep: Sequence[str] = ()) -> None:
        """Open what the cut needs, so that a lack of descriptors or memory cannot stop it later.

        Args:
            where: The one namespace to cut; this thread must be in it.
            keep: Patterns on names and alternative names of links that stay.

        Raises:
            HostError: If this is another namespace, or something cannot be opened.
        """
        self.keep = tuple(keep)
        self._known: dict[bytes, Link] = {}
        self._requests = Netlink(where)
        self.events = Netlink(where)
        self._readback = Readback(where)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sockets; what is down stays down."""
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        self._requests.close()
        self.events.close()
        self._readback.close()

    def plan(self) -> CutPlan:
        """Say what a cut would take down now.

        Raises:
            HostError: If the links cannot be listed.
        """
        links = [self._link(message) for message in self._requests.dump(_GET_LINK, LINK_DUMP)]
        return plan_cut([link for link in links if link is not None], self.keep)

    def _link(self, message: Message) -> Link | None:
        """Read a link, but for one that was read before and has the same name: at 1,000 links that is a tenth of the time."""
        head = message.body[4:8] + message.body[16:40]  # its index and, as every kernel has it first, its name
        known = self._known.get(head)
        if known is not None and not self.keep:  # what is kept is found by alternative names too, which may be new
            flags = int.from_bytes(message.body[_FLAGS], sys.byteorder)
            return known if known.flags == flags else replace(known, flags=flags)
        link = link_of(message)
        if link is not None:
            if len(self._known) >= _KNOWN:
                self._known.clear()  # containers come and go, and this process stays
            self._known[head] = link
        return link

    def up_beside(self, plan: CutPlan) -> tuple[str, ...]:
        """Name what the other reader sees up and the plan does not keep.

        Raises:
            HostError: If it cannot be read.
        """
        kept = plan.kept_names
        return tuple(name for name in self._readback.up() if name not in kept)

    def is_up(self, link: Link) -> bool:
        """Ask the other reader for one link: what was told of it may be old."""
        return self._readback.is_up(link.name)

    def take_down(self, links: Sequence[Link], refusals: Refusals) -> set[str]:
        """Take these down, in batches.

        Returns:
            The names of those that could not be; why is among the refusals.

        Raises:
            HostError: If the kernel does not answer.
        """
        refused = set()
        for start in range(0, len(links), BATCH):
            part = links[start : start + BATCH]
            errors = self._requests.push([Request(_NEW_LINK, set_flags(link.index, 0, IFF_UP)) for link in part])
            for position, answer in errors.items():
                if answer.code == errno.ENODEV:  # gone is as good as down
                    continue
                refused.add(part[position].name)
                if answer.code in (errno.EPERM, errno.EACCES):
                    refusals.denied = True
                    refusals.add(f"no right to take links down, this needs CAP_NET_ADMIN: {answer}")
                else:
                    refusals.add(f"{part[position].name} stays up: {answer}")
        return refused

    def cut(self, *, deadline_s: float = 10.0) -> CutReceipt:
        """Take everything down that is not kept, and look until nothing is up.

        Args:
            deadline_s: When to stop trying.

        Returns:
            What was done. Errors are in it: nothing is raised, so that whoever calls can go on to the next means.
        """
        start = time.monotonic()
        refusals, kept, rounds = Refusals([]), frozenset[str](), 0
        took: dict[str, None] = {}
        still: tuple[str, ...] | None = None
        while not rounds or time.monotonic() < start + deadline_s:
            rounds += 1
            still = None
            try:
                plan = self.plan()
                kept = plan.kept_names
                refused = self.take_down(plan.down, refusals)
                took |= dict.fromkeys(link.name for link in plan.down if link.name not in refused)
                still = self.up_beside(plan)
            except FimkitError as error:
                refusals.add(str(error))
            if still == () or refusals.denied:
                break
            if rounds > 1:
                time.sleep(min(_PAUSE_S * rounds, 0.1))
        return CutReceipt(
            took_down=tuple(name for name in took if name not in (still or ())), still_up=still, kept=tuple(sorted(kept)),
            errors=tuple(refusals.words), rounds=rounds, took_s=time.monotonic() - start,
        )


def link_of(message: Message) -> Link | None:
    """Give the link that a message tells of, or None for one that cannot be read: the other reader sees it, if it is there."""
    if message.kind != _NEW_LINK:
        return None
    try:
        return parse_link(message.body)
    except RecordError:
        return None


def cut_places(places: Iterable[Place], *, keep: Sequence[str] = (), deadline_s: float = 10.0) -> dict[Place, CutReceipt]:
    """Cut other network namespaces, one after the other: needs CAP_SYS_ADMIN.

    Args:
        places: Those to cut, as :func:`fimkit.panic.namespaces.list_namespaces` gave them.
        keep: Patterns, as for this one.
        deadline_s: For each.

    Returns:
        A receipt for each; an error to enter one is in its receipt.
    """
    return {place: _cut_place(place, keep, deadline_s) for place in places}


def _cut_place(place: Place, keep: Sequence[str], deadline_s: float) -> CutReceipt:
    def work(where: Namespace) -> CutReceipt:
        with LinkCutter(where, keep=keep) as cutter:
            return cutter.cut(deadline_s=deadline_s)

    try:
        return run_in(place, work, timeout_s=deadline_s + 1)
    except (FimkitError, OSError) as error:
        return CutReceipt(errors=(str(error),))
