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
    """One file from its birth to its end, as far as it was recorded.

    ``first_names`` and ``seen_ns`` are of one that the earlier snapshot has: its names there, and when that was taken.
    """

    key: int
    origin: Origin
    links: int
    steps: list[Step] = field(default_factory=list)
    dead: bool = False
    first_names: frozenset[bytes] = frozenset()
    seen_ns: int = 0

    @property
    def start_ns(self) -> int | None:
        """When it began, where that was recorded."""
        return self.steps[0].change.time_ns if self.origin is not Origin.BASELINE and self.steps else None

    @property
    def end_ns(self) -> int | None:
        """When its last name went away, where it did."""
        return self.steps[-1].change.time_ns if self.dead else None

    def names(self) -> frozenset[bytes]:
        """Every path that it had in the earlier snapshot, or was recorded to get."""
        arrivals = (Action.BORN, Action.LINKED, Action.MOVED_TO)
        return self.first_names | {step.path for step in self.steps if step.path is not None and step.change.action in arrivals}

    def may_show(self, state: FileState) -> bool:
        """Tell whether a later state can be this file's: of one that is gone, only its own name, as it was until then."""
        end_ns = self.end_ns
        if end_ns is None:
            return True
        return state.path in self.names() and (state.ctime_ns is None or state.ctime_ns <= end_ns)


def _has_no_name(change: Change) -> bool:
    """Tell a file made without a name (O_TMPFILE) from one whose name was not recorded (io_uring): that one has a folder."""
    return change.path is None and change.parent_inode is None


def lives_of(key: int, steps: Iterable[Step], known: Sequence[FileState], seen_ns: int = 0) -> list[Life]:
    """Cut the recorded steps of one inode into lives.

    Args:
        key: The inode's number in the table.
        steps: Audit changes of this inode, in order.
        known: Its states in the earlier snapshot (several with hard links); empty if it was not there.
        seen_ns: When that snapshot was taken.

    Returns:
        The lives in order. The baseline's own is among them where ``known`` is not empty; what was recorded before its state (its
        birth, the links it had) is in that state already, and what had the number before it comes first.
    """
    if not known:
        return _cut(key, steps, [])
    whole = list(steps)
    taken_ns = known[0].ctime_ns
    count = 0
    while taken_ns is not None and count < len(whole) and whole[count].change.time_ns <= taken_ns:
        count += 1
    lives = _cut(key, whole[:count], [])
    earlier = lives.pop().steps if lives and not lives[-1].dead else []
    folder = known[0].type is FileType.DIRECTORY
    own = Life(
        key=key,
        origin=Origin.BASELINE,
        links=1 if folder else max(known[0].nlink or 1, len(known)),
        steps=earlier,
        first_names=frozenset(state.path for state in known),
        seen_ns=seen_ns,
    )
    return _cut(key, whole[count:], [*lives, own])


def _cut(key: int, steps: Iterable[Step], lives: list[Life]) -> list[Life]:
    """Go on cutting: a birth begins a life, and so does any step after an end."""
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
            return life if life.may_show(state) else None
    return None
