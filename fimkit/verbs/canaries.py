"""Tells the canaries of `selftest` from what others do, so that none is ever a finding, and nobody hides behind one. Pure.

Nobody can guess a canary's name before it is there: it has 128 random bits, and the store knows it before the disk does. What is
left out by it is narrow: in a scan a file of that very path, in its time, with the bytes, mode and owner that `selftest` gives it;
of the audit records those of the process that planted it; of osquery's rows the first coming and going of that path, unless a
row shows other bytes. Whatever another process does to a canary is a change as any other, and then the canary's own records stay
too, for they belong to the story.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace

from fimkit.correlate.ledger import ChangeLedger
from fimkit.evidence.canary_rows import Canary
from fimkit.model.changes import Action, Change, Source, place_of
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType
from fimkit.model.time import render_time

__all__ = ["FIRST_MODE", "SECOND_MODE", "Canaries", "canary_texts"]

FIRST_MODE, SECOND_MODE = 0o600, 0o400

_STEP_NS = 20_000_000
"""The kernel stamps records and files by a clock of up to 10 ms steps, which is never ahead."""
_SECOND_NS = 1_000_000_000
_LONGEST_NS = 600 * _SECOND_NS
"""All is done to a canary within seconds: later a process of that number is another one, and osquery is not that late."""

_QUIET_XATTRS = frozenset({
    "security.selinux", "security.SMACK64", "security.ima", "security.evm", "system.posix_acl_access",
})  # fmt: skip
_DEPARTURES = (Action.UNLINKED, Action.MOVED_FROM)
_ASIDE = (Action.DENIED, Action.LOST)


def canary_texts(token: str) -> tuple[bytes, bytes, bytes]:
    """Give what a canary holds: nothing yet, its first line, both lines."""
    first = f"A canary of fimkit selftest ({token}): it is removed again at once.\n".encode()
    return b"", first, first + b"Changed once.\n"


@dataclass(slots=True)
class _Bird:
    """One canary: its rows by path, and what it may look like."""

    rows: list[Canary] = field(default_factory=list)
    hashes: frozenset[str] = frozenset()
    sizes: frozenset[int] = frozenset()

    @property
    def paths(self) -> set[bytes]:
        return {row.path for row in self.rows}

    def is_owner(self, change: Change) -> bool:
        if change.actor is None:
            return False
        return any(
            change.actor.pid == row.pid and row.planted_ns - _STEP_NS <= change.time_ns <= _last_ns(row) for row in self.rows
        )

    def in_time(self, change: Change) -> bool:
        return any(
            row.path == change.path
            and row.planted_ns - _STEP_NS <= change.time_ns
            and (row.gone_ns is None or change.time_ns <= row.gone_ns)
            for row in self.rows
        )


def _last_ns(row: Canary) -> int:
    latest = row.planted_ns + _LONGEST_NS
    return latest if row.gone_ns is None else min(row.gone_ns, latest)


class Canaries:
    """The canaries that the store remembers; load them after the look that they are held against."""

    def __init__(self, rows: Iterable[Canary]) -> None:
        """Take the store's rows."""
        self._birds: dict[str, _Bird] = defaultdict(_Bird)
        for row in rows:
            self._birds[row.token].rows.append(row)
        for token, bird in self._birds.items():
            texts = canary_texts(token)
            bird.hashes = frozenset(hashlib.sha256(text).hexdigest() for text in texts)
            bird.sizes = frozenset(map(len, texts))
        self._bird_of = {row.path: self._birds[row.token] for bird in self._birds.values() for row in bird.rows}

    def is_ours(self, state: FileState, *, began_ns: int) -> bool:
        """Tell whether a state is a canary, untouched by others, that may have been there in a look begun at ``began_ns``."""
        bird = self._bird_of.get(state.path)
        if bird is None or state.type is not FileType.FILE or state.sha256 not in bird.hashes:
            return False
        if state.mode not in (FIRST_MODE, SECOND_MODE, None) or state.uid not in (os.geteuid(), None):
            return False
        if not _QUIET_XATTRS.issuperset(state.xattrs or ()):
            return False
        changed_ns = state.ctime_ns or 0
        return any(
            row.path == state.path
            and row.planted_ns - _STEP_NS <= changed_ns
            and (row.gone_ns is None or max(began_ns, changed_ns) <= row.gone_ns)
            for row in bird.rows
        )

    def take_out(
        self, after: MutableMapping[bytes, FileState], *, began_ns: int, now_ns: int, look: Callable[[bytes], FileState | None]
    ) -> list[str]:
        """Take the canaries out of a scan.

        Args:
            after: The scan's states by path.
            began_ns: When the scan began.
            now_ns: The present.
            look: Looks at a path again: a canary is changed so quickly that a scan may not get its bytes.

        Returns:
            Words on those that an interrupted `selftest` left behind.
        """
        words = []
        for path in sorted(path for path in self._bird_of if path in after):
            state = self._looked_at_again(after.pop(path), look)
            if state is None:
                continue
            if not self.is_ours(state, began_ns=began_ns):
                after[path] = state
                continue
            planted_ns = min(row.planted_ns for row in self._bird_of[path].rows if row.path == path)
            if now_ns - planted_ns > _LONGEST_NS:
                words.append(
                    f"{render_path(path)}: a canary that a selftest of {render_time(planted_ns)} left behind, as it was made;"
                    " the next `fimkit selftest` removes it"
                )
        return words

    def without(
        self, states: Iterable[FileState], *, began_ns: int, look: Callable[[bytes], FileState | None]
    ) -> Iterator[FileState]:
        """Leave the canaries out of a scan's states on their way, as :meth:`take_out` does."""
        for state in states:
            if state.path in self._bird_of:
                again = self._looked_at_again(state, look)
                if again is None or self.is_ours(again, began_ns=began_ns):
                    continue
            yield state

    @staticmethod
    def _looked_at_again(state: FileState, look: Callable[[bytes], FileState | None]) -> FileState | None:
        return look(state.path) if state.sha256 is None and state.problem is not None else state

    def strip(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Leave out what the canaries' own process did, and osquery's rows of it; all of a canary stays that others touched."""
        if not self._birds:
            return changes
        if not isinstance(changes, ChangeLedger):
            own = self._own_rows(changes)
            return [change for place, change in enumerate(changes) if place not in own]
        near = changes.rows_near({path for bird in self._birds.values() for path in bird.paths})
        own = {near[place] for place in self._own_rows(changes.changes_at(near))}
        return changes.without(own) if own else changes

    def _own_rows(self, changes: Sequence[Change]) -> set[int]:
        own: set[int] = set()
        for bird in self._birds.values():
            own |= _own_rows(bird, changes)
        return own


def _own_rows(bird: _Bird, changes: Sequence[Change]) -> set[int]:
    """Give the places of the changes that are the canary's own; none if others were at it."""
    audit = [place for place, change in enumerate(changes) if change.source is Source.AUDIT and change.action not in _ASIDE]
    by_name = {place for place in audit if changes[place].path in bird.paths and bird.is_owner(changes[place])}
    lives = _inode_lives([changes[place] for place in by_name])
    own = set(by_name)
    for place in audit:
        change = changes[place]
        if place in by_name:
            continue
        if change.path in bird.paths and bird.in_time(change):
            return set()
        if change.action is not Action.BORN and _is_at(change, lives):
            if not bird.is_owner(change):
                return set()
            own.add(place)
    rows = {place: change for place, change in enumerate(changes) if change.source is Source.OSQUERY and change.path in bird.paths}
    if any(_shows_others(change, bird) for change in rows.values()):
        return set()
    return own | _first_lives(rows, bird)


_Moment = tuple[int, int, int]


def _inode_lives(own: Sequence[Change]) -> dict[tuple[int | None, int], tuple[_Moment, _Moment | None]]:
    """Tell from when to when an inode was the canary: its number is given to another file at once."""
    lives: dict[tuple[int | None, int], tuple[_Moment, _Moment | None]] = {}
    for change in sorted(own, key=place_of):
        if change.inode is None:
            continue
        key = change.dev, change.inode
        first, last = lives.get(key, (place_of(change), None))
        lives[key] = first, place_of(change) if change.action is Action.UNLINKED else last
    return lives


def _is_at(change: Change, lives: dict[tuple[int | None, int], tuple[_Moment, _Moment | None]]) -> bool:
    if change.inode is None or (change.dev, change.inode) not in lives:
        return False
    first, last = lives[change.dev, change.inode]
    return first <= place_of(change) and (last is None or place_of(change) <= last)


def _is_in_reach(change: Change, bird: _Bird) -> bool:
    """Tell whether osquery can have written a row of the canary then: whole seconds, and as late as it is busy."""
    return any(
        row.path == change.path
        and row.planted_ns // _SECOND_NS * _SECOND_NS <= change.time_ns
        and (row.gone_ns is None or change.time_ns <= row.gone_ns + _LONGEST_NS)
        for row in bird.rows
    )


def _shows_others(change: Change, bird: _Bird) -> bool:
    if not _is_in_reach(change, bird):
        return False
    if change.actor is not None and change.actor.pid not in {row.pid for row in bird.rows}:  # process_file_events has one
        return True
    return (change.sha256 is not None and change.sha256 not in bird.hashes) or (
        change.size is not None and change.size not in bird.sizes
    )


def _first_lives(rows: dict[int, Change], bird: _Bird) -> set[int]:
    """Give the rows of the first coming and going of each path: what comes under the name a second time is another's."""
    own: set[int] = set()
    for path in bird.paths:
        told: set[Change] = set()  # two queries tell of one event
        gone = False
        for place in sorted((place for place in rows if rows[place].path == path), key=lambda place: place_of(rows[place])):
            change = rows[place]
            plain = replace(change, serial=0, item=0, node=None)
            if not _is_in_reach(change, bird) or (gone and plain not in told):
                continue
            told.add(plain)
            own.add(place)
            gone = gone or change.action in _DEPARTURES
    return own
