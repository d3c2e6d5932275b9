"""What a live watch found while the store refused: told and handed on once, kept until it is stored, and said for how long."""

import time
from collections.abc import Callable, Sequence

from fimkit.model.findings import Finding
from fimkit.model.time import render_time
from fimkit.verbs.watch_engine import Batch, Engine
from fimkit.verbs.watch_records import Blind

__all__ = ["Unstored"]

SAY_S = 10.0
"""A check that stores much holds the store for a moment: that is nothing to be said."""


class Unstored:
    """Keeps apart what is told before it is stored from what is told after.

    Args:
        engine: Its store is the one that refuses.
        may_change: Tells which findings are to be judged once more where they can be stored: what packages may explain.
        clock: In seconds; only ever goes on.
    """

    def __init__(
        self, engine: Engine, may_change: Callable[[Finding], bool], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing."""
        self._engine, self._may_change, self._clock = engine, may_change, clock
        self._early: set[str] = set()
        self._kept: list[Finding] = []
        self._since_s: float | None = None
        self._said = False

    def take_early(self, batch: Batch) -> list[Finding]:
        """Give what was found and not stored, each once."""
        early = [finding for finding in batch.unstored if finding.id not in self._early]
        self._early.update(finding.id for finding in early)
        return early

    def take_new(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Give what is stored now and was not told before; the store is told what was."""
        if not self._early:
            return tuple(findings)
        told = {finding.id for finding in findings if finding.id in self._early and not self._may_change(finding)}
        self._early.difference_update(finding.id for finding in findings)
        self._engine.set_shown(sorted(told))
        return tuple(finding for finding in findings if finding.id not in told)

    def add(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Store what is no change of a path, with what waits of it; give what is to be told now."""
        self._kept += findings
        if not self._kept:
            return ()
        new = self._engine.add_findings(self._kept)
        if new is None:
            return tuple(self.take_early(Batch(unstored=tuple(findings))))
        self._kept = []
        return self.take_new(new)

    def step(self) -> tuple[tuple[str, ...], Blind | None]:
        """Say it where the store refuses for long, and where it does not any more; with what was lost by it."""
        engine = self._engine
        if engine.refusal is not None:
            self._since_s = self._clock() if self._since_s is None else self._since_s
            if self._said or self._clock() - self._since_s < SAY_S:
                return (), None
            self._said = True
            return (f"{engine.trouble}; what is found is told and handed on all the same, and stored when that can be",), None
        said, self._said, self._since_s = self._said, False, None
        words = (f"what is found can be stored again; from {render_time(engine.refused_ns)} on it was not",) if said else ()
        if not engine.dropped:
            return words, None
        lost, engine.dropped = engine.dropped, 0
        return words, Blind(from_ns=engine.refused_ns, to_ns=time.time_ns(), lost=lost, source="what waited for the store")
