"""The lives of one inode: its number is given again at once, so it is followed only from its birth to its last name's end. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fimkit.model.changes import Action, Change
from fimkit.model.states import FileState, FileType

__all__ = ["SLACK_NS", "Life", "Origin", "Step", "life_at", "lives_of"]

SLACK_NS = 10_000_000
"""How far a record's time may be off a file's: the kernel stamps records at a call's entry, by a clock of 1 to 10 ms steps."""


class Origin(StrEnum):
    """Where a life began."""

    BASELINE = "baseline"
    BORN = "born"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change with its resolved path and its place in the total order."""

    order: int
    change: Change
    path: bytes | None


@dataclass(slots=True, kw_only=True)
class Life:
    """One file from its birth to its end, as far as it was recorded."""

    key: int
    origin: Origin
    links: int
    steps: list[Step] = field(default_factory=list)
    dead: bool = False

    @property
    def start_ns(self) -> int | None:
        """When it began, where that was recorded."""
        return self.steps[0].change.time_ns if self.origin is not Origin.BASELINE and self.steps else None

    def names(self) -> set[bytes]:
        """Every path that it was recorded to get."""
        arrivals = (Action.BORN, Action.LINKED, Action.MOVED_TO)
        return {step.path for step in self.steps if step.path is not None and step.change.action in arrivals}


def _has_no_name(change: Change) -> bool:
    """Tell a file made without a name (O_TMPFILE) from one whose name was not recorded (io_uring): that one has a folder."""
    return change.path is None and change.parent_inode is None


def lives_of(key: int, steps: Iterable[Step], known: Sequence[FileState]) -> list[Life]:
    """Cut the recorded steps of one inode into lives.

    Args:
        key: The inode's number in the table.
        steps: Audit changes of this inode, in order.
        known: Its states in the earlier snapshot (several with hard links); empty if it was not there.

    Returns:
        The lives in order; the first is the baseline's own where ``known`` is not empty.
    """
    lives: list[Life] = []
    if known:
        folder = known[0].type is FileType.DIRECTORY
        lives.append(Life(key=key, origin=Origin.BASELINE, links=1 if folder else max(known[0].nlink or 1, len(known))))
    for step in steps:
        action = step.change.action
        if action is Action.BORN:
            lives.append(Life(key=key, origin=Origin.BORN, links=0 if _has_no_name(step.change) else 1))
        elif not lives or lives[-1].dead:
            lives.append(Life(key=key, origin=Origin.ELSEWHERE, links=1))
        life = lives[-1]
        life.steps.append(step)
        if action is Action.LINKED:
            life.links += 1
        elif action is Action.UNLINKED:
            life.links -= 1
            life.dead = life.links <= 0
    return lives


def life_at(lives: Sequence[Life], state: FileState) -> Life | None:
    """Find the life that a later state belongs to: the last one that had begun by its change time.

    >>> life_at([], FileState(b"/x", FileType.FILE)) is None
    True
    """
    limit = None if state.ctime_ns is None else state.ctime_ns + SLACK_NS
    for life in reversed(lives):
        if limit is None or life.start_ns is None or life.start_ns <= limit:
            # a file without a name left cannot be seen: the number was given again, out of sight
            return life if not life.dead or state.path in life.names() else None
    return None
