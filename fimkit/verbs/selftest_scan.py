"""What rescans show of one canary's two names, each scan against the one before."""

import time
from collections.abc import Iterator

from fimkit.baseline.diff import diff_states
from fimkit.baseline.scan import scan_watches
from fimkit.model.states import FileState
from fimkit.verbs.canary_file import CanaryFile, Operation

__all__ = ["CanaryScans"]


class CanaryScans:
    """``after_ms`` has what was seen, with the milliseconds from doing to seeing; ``problem`` what the scan said of the folder."""

    def __init__(self, canary: CanaryFile) -> None:
        """Take the canary, before anything is done to it."""
        self._canary = canary
        self._before: dict[bytes, FileState] = {}
        self.after_ms: dict[Operation, float] = {}
        self.problem = ""

    def look(self) -> None:
        """Scan once more, and note which operations it shows."""
        if not self._canary.done:
            return
        scan = scan_watches([self._canary.spot.narrow])
        after = {state.path: state for state in scan if state.path in self._canary.spot.paths}
        now_s = time.monotonic()
        if scan.problems:
            self.problem = scan.problems[0].text
        for operation in self._shown(after):
            done = self._canary.done.get(operation)
            if done is not None:
                self.after_ms.setdefault(operation, round((now_s - done.monotonic_s) * 1000, 1))
        self._before = after

    def _shown(self, after: dict[bytes, FileState]) -> Iterator[Operation]:
        first, second = self._canary.spot.paths
        diffs = {diff.path: diff for diff in diff_states(self._before, after)}
        old, new = diffs.get(first), diffs.get(second)
        if old is not None and old.before is None:
            yield Operation.CREATE
        if old is not None and "sha256" in old.changed:
            yield Operation.MODIFY
        if old is not None and "mode" in old.changed:
            yield Operation.CHMOD
        if old is not None and new is not None and old.before and new.after and old.before.key == new.after.key:
            yield Operation.RENAME
        if new is not None and new.after is None:
            yield Operation.REMOVE
