"""One containment: a host taken off the network by all means there are, and kept off until it is let go."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fimkit.model.errors import FimkitError, HostError
from fimkit.panic.cut import CutReceipt, LinkCutter
from fimkit.panic.cut_settings import CutSettings
from fimkit.panic.ground import Ground
from fimkit.panic.helper_wire import CutReply
from fimkit.panic.hold import HoldBudget, HoldEnd, hold_links
from fimkit.panic.isolate import IsolationReceipt, is_isolated, isolate, release
from fimkit.panic.namespaces import Namespace
from fimkit.panic.other_networks import OtherNetworks
from fimkit.panic.ruleset import Peer
from fimkit.panic.second_means import Cuts, cut_by_all_means, cut_by_pyroute2

__all__ = ["Containment"]

_LOOK_S = 1.0
_JOIN_S = 10.0

Tell = Callable[[str], None]
Isolation = Callable[[Namespace, Sequence[Peer]], IsolationReceipt]


class Containment:
    """A cut, made once, by whoever asks first; then held by threads of its own."""

    def __init__(
        self, ground: Ground, settings: CutSettings, *, tell: Tell, first: Cuts | None = None, budget: HoldBudget | None = None,
        isolation: Isolation = isolate,
    ) -> None:
        """Make ready.

        Args:
            ground: What may be cut.
            settings: How.
            tell: Is given words on what happens while it is held, by any thread.
            first: The first means, opened while all was well; without it, a :class:`LinkCutter` is opened when it is needed.
            budget: How often links are taken down again before there is a pause.
            isolation: The means for ``isolate``.
        """
        self._ground, self._settings, self._tell = ground, settings, tell
        self._first, self._budget, self._isolation = first, budget or HoldBudget(), isolation
        self._others = OtherNetworks(ground, tell=tell)
        self._lock = threading.Lock()
        self._reply: CutReply | None = None
        self._ended = threading.Event()
        self._wake, self._waker = os.pipe()
        self._thread: threading.Thread | None = None
        self._lowered: dict[str, None] = {}
        self.began = threading.Event()
        """Set when the network begins to be changed: what is saved later is no state to go back to."""
        self.action = settings.action

    @property
    def reply(self) -> CutReply | None:
        """What the cut did, when it has been made."""
        return self._reply

    @property
    def lowered(self) -> tuple[str, ...]:
        """The links of the host that were taken down, by the cut and while it was held."""
        return tuple(self._lowered)

    def cut(self) -> CutReply:
        """Cut and begin to hold; where that is done, give what was done. Nothing is raised."""
        self.began.set()
        with self._lock:
            if self._reply is None and self._ended.is_set():  # the deadline came while a restore was at work
                return CutReply(action=self.action, complete=False, errors=("nothing is cut: it was let go before",))
            if self._reply is None:
                self._reply = self._cut()
            return self._reply

    def _cut(self) -> CutReply:
        start = time.monotonic()
        reply = self._isolate() if self._settings.action == "isolate" else self._down(self._settings.keep)
        if self._settings.include_namespaces:
            others = self._others.cut()
            reply = replace(reply, namespaces=others, complete=reply.complete and all(row["complete"] for row in others.values()))
            self._others.hold()
        return replace(reply, took_s=time.monotonic() - start)

    def _isolate(self) -> CutReply:
        try:
            receipt = self._isolation(self._ground.where, self._settings.allow)
            errors, words = receipt.errors, (f"{receipt.destroyed} connections of others were ended",)
            isolated = receipt.isolated
        except Exception as error:  # the next means comes next
            errors, words, isolated = (f"{type(error).__name__}: {error}",), ("",), False
        if isolated:
            self._start(self._hold_isolation)
            return CutReply(action="isolate", complete=True, isolated=True, still_up=None, errors=errors, words=words)
        reply = self._down(())
        return replace(
            reply, errors=(*errors, *reply.errors),
            words=("the host cannot be isolated: every link but loopback goes down instead", *reply.words),
        )

    def _down(self, keep: tuple[str, ...]) -> CutReply:
        self.action = "down"
        receipt = self._cut_links(keep)
        self._lowered |= dict.fromkeys(receipt.took_down)
        self._start(lambda: self._hold_down(keep))
        return CutReply(
            action="down", complete=receipt.is_complete, took_down=receipt.took_down, still_up=receipt.still_up, kept=receipt.kept,
            errors=receipt.errors,
        )

    def _cut_links(self, keep: tuple[str, ...]) -> CutReceipt:
        try:
            if self._first is None or self._first.keep != keep:
                self._first = LinkCutter(self._ground.where, keep=keep)
            return cut_by_all_means(self._ground.where, self._first)
        except Exception as error:  # the sockets cannot be opened, or what nobody thought of: the other means needs none of it
            receipt = cut_by_pyroute2(self._ground.where, keep)
            return replace(receipt, errors=(f"{type(error).__name__}: {error}", *receipt.errors))

    def _start(self, hold: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=hold, name="fimkit hold", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads: what is down is down, and that it is not held is told
            self._thread = None
            self._tell(f"the cut is not held: {error}")

    def _hold_down(self, keep: tuple[str, ...]) -> None:
        """Hold for ever: a budget that is used up makes a pause, not an end."""
        said: set[str] = set()
        ready: Any = self._first
        while not self._ended.is_set():
            try:
                # The sockets of the cut, if it had any: to open others may fail by now. After that, others.
                with ready if isinstance(ready, LinkCutter) else LinkCutter(self._ground.where, keep=keep) as cutter:
                    ready = None
                    receipt = hold_links(
                        cutter, budget=self._budget, wake=self._wake, tell=self._tell,
                        lowered=lambda name: self._lowered.update({name: None}),
                    )
            except Exception as error:  # nothing ends a hold but who ends it
                if str(error) not in said and len(said) < 100:
                    said.add(str(error))
                    self._tell(f"links cannot be held down: {error}; tried again once a second")
                receipt = None
            if receipt is not None and receipt.end is HoldEnd.TIMES:
                times = sum(fighter.times for fighter in receipt.fighters)
                self._tell(f"links came back {times} times: after a pause of {_LOOK_S:g} s they are held down again")
            self._ended.wait(_LOOK_S)

    def _hold_isolation(self) -> None:
        times = 0
        while not self._ended.wait(_LOOK_S):
            try:
                if is_isolated(self._ground.where, self._settings.allow):
                    continue
                times += 1
                receipt = self._isolation(self._ground.where, self._settings.allow)
                isolated, why = receipt.isolated, "; ".join(receipt.errors)
            except Exception as error:  # nothing ends a hold but who ends it
                isolated, why = False, f"{type(error).__name__}: {error}"
            if not isolated:
                self._fall_back(why)
                return
            if times & (times - 1) == 0:
                self._tell(f"the isolation was taken away or changed, and is put in place again, {times} times so far")

    def _fall_back(self, why: str) -> None:
        self._tell(f"the isolation does not hold: every link but loopback goes down instead: {why}")
        self.action = "down"
        receipt = self._cut_links(())
        self._lowered |= dict.fromkeys(receipt.took_down)
        self._tell(f"down: {', '.join(receipt.took_down) or 'nothing'}; still up: {_names(receipt.still_up)}")
        self._hold_down(())

    def release(self) -> list[str]:
        """Let go, and take the isolation away. Again, it does nothing.

        Returns:
            What did not work, in words.
        """
        with self._lock:  # a cut that is being made is made first
            self._ended.set()
        os.write(self._waker, b"1")
        self._others.release()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            if self._thread.is_alive():
                return ["the hold does not end: links may be taken down again"]
        if self._settings.action != "isolate":
            return []
        try:
            release(self._ground.where)
        except FimkitError as error:
            if isinstance(error, HostError) and self.action == "down":
                return []  # where there is no nftables, there is no isolation
            return [f"the isolation cannot be taken away: {error}"]
        return []

    def close(self) -> None:
        """Close what is open; only after a release that worked."""
        for handle in (self._wake, self._waker):
            os.close(handle)


def _names(still_up: tuple[str, ...] | None) -> str:
    return "not known" if still_up is None else ", ".join(still_up) or "nothing"
