"""What a look could not see: where nothing may be concluded from what it did not find."""

import copy
import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Self

from fimkit.baseline.problems import UNLISTED, VANISHED
from fimkit.baseline.scan import Scan
from fimkit.model.changes import StateDiff
from fimkit.model.config import Watch
from fimkit.model.findings import Finding
from fimkit.model.state_index import troubled_of
from fimkit.model.states import FileState, compare_states

__all__ = ["Sight", "recall_states"]


class Sight:
    """The blind spots of one finished scan.

    Below a folder where another file system is mounted, one that could not be listed, or a configured path that could not be looked
    at, nothing is known; of a file that could not be read, only a part.
    """

    def __init__(self, watches: Sequence[Watch], scan: Scan, after: Mapping[bytes, FileState]) -> None:
        """Take the scan at its end, with its states by path."""
        self._roots = frozenset(watch.path for watch in watches)
        self._after = after
        unlisted = {state.path for state in troubled_of(after) if UNLISTED in (state.problem or "")}
        self._unreached = {problem.path for problem in scan.problems if problem.path not in after and not _is_absent(problem.path)}
        self._closed = {*scan.mounts, *unlisted, *self._unreached}

    def as_of(self, after: Mapping[bytes, FileState]) -> Self:
        """Give the same blind spots over later states."""
        other = copy.copy(self)
        other._after = after
        return other

    def is_hidden(self, path: bytes) -> bool:
        """Tell whether nothing can be said of a path: neither that it is there nor that it is not."""
        if path in self._unreached or _is_bare(self._after.get(path)):
            return True
        if not self._closed:
            return False
        while path not in self._roots and path != b"/":  # a configured path has a walk of its own
            path = path[: path.rfind(b"/")] or b"/"
            if path in self._closed:
                return True
        return False

    def is_undone(self, finding: Finding) -> bool:
        """Tell whether an open difference that the look did not find is surely no more."""
        if any(self.is_hidden(path) for path in (finding.path, finding.moved_to) if path is not None):
            return False
        state = self._after.get(finding.path)
        if state is None or state.problem in (None, VANISHED):
            return True
        return bool(finding.changed) and all(getattr(state, name) is not None for name in finding.changed)

    def visible(self, diffs: Iterable[StateDiff]) -> list[StateDiff]:
        """Leave out what only seems to differ, because it could not be looked at."""
        return [diff for diff in diffs if diff.before is None or not self.is_hidden(diff.path)]


def _is_bare(state: FileState | None) -> bool:
    """Tell whether a row says nothing but that there is something."""
    return state is not None and state.mode is None and state.problem not in (None, VANISHED)


def _is_absent(path: bytes) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def recall_states(after: MutableMapping[bytes, FileState], findings: Iterable[Finding]) -> None:
    """Fill in what could not be read this time, where an earlier look read it and nothing was done to the file since.

    A change time cannot be set back: as long as it and all else that is known are those of the finding, so are the bytes.
    """
    for finding in findings:
        known = finding.after
        if known is None:
            continue
        state = after.get(known.path)
        if state is None or state.problem in (None, VANISHED) or state.ctime_ns is None or known.problem is not None:
            continue
        if state.key == known.key and not compare_states(known, state):
            after[known.path] = known._replace(problem=state.problem)
