"""A finding in the making: the facts, the causes by attribute, the steps that matter. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from fimkit.correlate.causes import Cause, distinct_processes
from fimkit.correlate.lives import Step
from fimkit.model.changes import Actor, Source
from fimkit.model.findings import Attribution, Kind
from fimkit.model.states import FileState

__all__ = ["Draft"]

_WEAKEST_FIRST = list(Attribution)


@dataclass(slots=True, kw_only=True)
class Draft:
    """One path's finding before it is judged. ``makers`` are the steps of who goes to the head of the actors."""

    path: bytes
    kind: Kind
    before: FileState | None
    after: FileState | None
    moved_to: bytes | None = None
    changed: tuple[str, ...] = ()
    causes: dict[str, Cause] = field(default_factory=dict)
    makers: list[Step] = field(default_factory=list)
    others: list[Step] = field(default_factory=list)
    denied: list[Step] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    sources: set[Source] = field(default_factory=set)

    @property
    def attribution(self) -> Attribution:
        """The weakest of the causes; unattributed without any."""
        found = [cause.attribution for cause in self.causes.values()]
        return next((level for level in _WEAKEST_FIRST if level in found), Attribution.UNATTRIBUTED)

    def steps(self) -> list[Step]:
        """Give every step that the finding stands on, in order, each once."""
        causes = (cause.steps for cause in self.causes.values())
        found = {step.order: step for step in chain(self.makers, *causes, self.others, self.denied)}
        return [found[order] for order in sorted(found)]

    def actors(self, steps: Sequence[Step]) -> tuple[Actor, ...]:
        """Give one actor a process: the makers first, then the others in time; ``steps`` are all that the finding stands on."""
        makers = {step.order for step in self.makers}
        return tuple(distinct_processes([*self.makers, *(step for step in steps if step.order not in makers)]))

    def doubt(self, words: str) -> None:
        """Say that it is not sure who did it, for a reason that names nobody else."""
        for name, cause in self.causes.items():
            self.causes[name] = Cause(attribution=Attribution.AMBIGUOUS, steps=cause.steps, reasons=cause.reasons)
        self.say([words])

    def say(self, words: Iterable[str]) -> None:
        """Add reasons that are not there yet."""
        self.reasons.extend(word for word in words if word not in self.reasons)
