"""Links stay down: what comes back, or is new, is taken down again within a budget; and it is told who fights."""

import errno
import os
import select
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fimkit.model.errors import FimkitError, HostError
from fimkit.panic.cut import LinkCutter, Refusals, link_of
from fimkit.panic.links import Link
from fimkit.panic.plan import matching_pattern

__all__ = ["Fighter", "HoldBudget", "HoldEnd", "HoldReceipt", "hold_links"]

_LINK_GROUP = 1  # Source: linux/rtnetlink.h, RTNLGRP_LINK
_RECHECK_S = 1.0
_PAUSE_S = 0.002
_PID_BITS = (1 << 22) - 1

Tell = Callable[[str], None]


class HoldEnd(StrEnum):
    """Why a hold ended."""

    WOKEN = "woken"
    TIME = "time"
    TIMES = "times"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldBudget:
    """How long, and how often in all, links are taken down again; ``seconds`` None is until woken."""

    seconds: float | None = None
    times: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fighter:
    """A link that came back, and how often."""

    name: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReceipt:
    """How a hold ended.

    ``followers`` are the programs that are told of links here: who brings them up is likely among them. ``still_up`` None is not
    known; ``lost`` counts how often the kernel told more than was read.
    """

    end: HoldEnd
    fighters: tuple[Fighter, ...]
    followers: tuple[str, ...]
    still_up: tuple[str, ...] | None
    errors: tuple[str, ...]
    lost: int
    took_s: float


def hold_links(
    cutter: LinkCutter, *, budget: HoldBudget | None = None, wake: int | None = None, tell: Tell | None = None,
    lowered: Tell | None = None,
) -> HoldReceipt:
    """Take each link down again that is up, or comes, and is not kept.

    Args:
        cutter: Has the sockets and knows what is kept.
        budget: When to give up.
        wake: A descriptor; when there is something to be read, the hold ends.
        tell: Is given words on who fights: at the first time of each link, and at each power of two.
        lowered: Is given the name of each link that was taken down, at its first time.

    Returns:
        How it ended, with what is up then. Errors are in it: nothing is raised.
    """
    budget, start = budget or HoldBudget(), time.monotonic()
    hold = _Hold(cutter=cutter, tell=tell or (lambda _: None), lowered=lowered or (lambda _: None))
    try:
        cutter.events.join(_LINK_GROUP)
    except HostError as error:
        hold.refusals.add(f"{error}: links are looked at once a second")
    end = hold.run(float("inf") if budget.seconds is None else start + budget.seconds, budget.times, wake)
    still = None
    try:
        still = cutter.up_beside(cutter.plan())
    except FimkitError as error:
        hold.refusals.add(str(error))
    return HoldReceipt(
        end=end, fighters=hold.fighters(), followers=hold.followers, still_up=still, errors=tuple(hold.refusals.words),
        lost=hold.lost, took_s=time.monotonic() - start,
    )


@dataclass(slots=True, kw_only=True)
class _Hold:
    cutter: LinkCutter
    tell: Tell
    lowered: Tell
    times: Counter[str] = field(default_factory=Counter)
    followers: tuple[str, ...] = ()
    refusals: Refusals = field(default_factory=lambda: Refusals([]))
    lost: int = 0

    def fighters(self) -> tuple[Fighter, ...]:
        return tuple(Fighter(name=name, times=times) for name, times in self.times.most_common())

    def run(self, until: float, times: int, wake: int | None) -> HoldEnd:
        waiting = select.poll()
        for handle in (self.cutter.events.fileno(), wake):
            if handle is not None:
                waiting.register(handle, select.POLLIN)
        look_at = 0.0
        while True:
            # A whole look at the beginning and once a second: no event is needed for what is up already, or was lost.
            whole = time.monotonic() >= look_at
            if whole:
                look_at = time.monotonic() + _RECHECK_S
            try:
                self.again(self.came())
                if whole:
                    self.again(self.cutter.plan().down)
            except FimkitError as error:
                self.refusals.add(str(error))
                time.sleep(_PAUSE_S)
            if self.times.total() >= times:
                return HoldEnd.TIMES
            ready = waiting.poll(max(0.0, min(look_at, until) - time.monotonic()) * 1000)
            if any(handle == wake for handle, _ in ready):
                return HoldEnd.WOKEN
            if time.monotonic() >= until:
                return HoldEnd.TIME

    def came(self) -> list[Link]:
        """The links that came up and are still."""
        try:
            told = self.cutter.events.told()
        except HostError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self.lost += 1
            return list(self.cutter.plan().down)
        last: dict[int, Link] = {}
        for message in told:
            if link := link_of(message):
                last[link.index] = link
        return [
            link for link in last.values()
            if link.is_up and not link.is_loopback and not matching_pattern(link, self.cutter.keep) and self.cutter.is_up(link)
        ]

    def again(self, came: Sequence[Link]) -> None:
        if not came:
            return
        self.cutter.take_down(came, self.refusals)
        if not self.followers:
            self.followers = _followers()
        for link in came:
            self.times[link.name] += 1
            times = self.times[link.name]
            if times == 1:
                self.lowered(link.name)
            if times & (times - 1) == 0:
                who = ", ".join(self.followers) or "nobody that listens"
                self.tell(f"{link.name} was up and is taken down, {times} times so far; who follows links here: {who}")


def _followers() -> tuple[str, ...]:
    """Name the programs that are told of links here: whoever configures networks is among them. The kernel names no culprit.

    A program's first socket has its process id for number; libnl and pyroute2 count their sockets in the bits above.
    """
    try:
        with open("/proc/thread-self/net/netlink", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
    except OSError:
        return ()
    pids = {int(row[2]) & _PID_BITS for row in rows if int(row[1]) == 0 and int(row[3], 16) & _LINK_GROUP}
    return tuple(f"{name} (process {pid})" for pid in sorted(pids - {os.getpid()}) if (name := _program(pid)))


def _program(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().strip().decode("ascii", "backslashreplace")
    except OSError:
        return ""
