"""What a live watch tells: to the sinks and the report file each finding, to people in groups where there are many."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fimkit.model.errors import HostError
from fimkit.model.findings import Finding
from fimkit.verbs.report_file import append_lines, render_report_line
from fimkit.verbs.watch_groups import FindingGroup, Grouper
from fimkit.verbs.watch_outlet import Outlet
from fimkit.verbs.watch_records import Blind

__all__ = ["Sink", "Telling", "Told"]

Sink = Callable[[Sequence[Finding]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is to be shown now: findings, bursts of them, blind intervals, how many differences are no more, and words."""

    findings: tuple[Finding, ...] = ()
    groups: tuple[FindingGroup, ...] = ()
    blind: tuple[Blind, ...] = ()
    gone: int = 0
    words: tuple[str, ...] = ()


class Telling:
    """The way out of one watch. What is shown goes out by a thread of its own: make it after rights are dropped."""

    def __init__(
        self, tell: Callable[[Told], None], sinks: Sequence[Sink], report_file: bytes, stack: contextlib.ExitStack
    ) -> None:
        """Start the thread.

        Args:
            tell: Shows; may take as long as it likes.
            sinks: Given new findings, whole and at once; they must not wait.
            report_file: The plain text log; empty: none. A later one may be put in its place.
            stack: Ends it.
        """
        self.report_file = report_file
        self.outlet: Outlet[Told] = stack.enter_context(Outlet(tell))
        self._sinks, self._groups = sinks, Grouper(time.monotonic)
        self._unshown_said = 0

    @property
    def next_s(self) -> float | None:
        """When :meth:`release` should be called next."""
        return self._groups.next_s

    @property
    def held(self) -> int:
        """How many findings wait for others like them."""
        return self._groups.held

    def show(self, told: Told, ids: Sequence[str] = ()) -> None:
        """Show something; ``ids`` count as told then."""
        if told != Told():
            self.outlet.put(told, ids, size=1 + len(told.findings) + len(told.groups))

    def say(self, words: Iterable[str]) -> None:
        """Show words."""
        self.show(Told(words=tuple(words)))

    def tell_new(self, findings: Sequence[Finding]) -> None:
        """Tell new findings."""
        for sink in self._sinks:
            sink(findings)
        at_once = self._groups.take(findings)
        if at_once:
            self.show(Told(findings=tuple(at_once)), [finding.id for finding in at_once])
        self._report([render_report_line(finding, now_ns=time.time_ns()) for finding in findings])

    def release(self, *, everything: bool = False) -> None:
        """Tell the groups that are due."""
        for group in self._groups.release(everything=everything):
            self.show(Told(groups=(group,)), group.ids)

    def take_shown(self) -> list[str]:
        """Take the ids of what was shown, to be noted in the store; say how much was not for want of a reader."""
        ids = self.outlet.shown()
        unshown = self.outlet.unshown - self._unshown_said
        if unshown and not self.outlet.held_up_s():
            words = f"{unshown} findings were not shown, for nobody read the output in time: `fimkit check` prints them"
            if self.outlet.put(Told(words=(words,))):
                self._unshown_said += unshown
        return ids

    def _report(self, lines: Sequence[str]) -> None:
        try:
            append_lines(self.report_file, lines)
        except HostError as error:
            self.say((str(error),))
