"""A whole look in a process of its own, beside the watch: it only names paths, which are then looked at again one by one.

So nothing that it saw can overwrite what changed while it went on. It compares with the stored baseline and gives the paths that
differ; those that the watch holds to differ, and that it does not name, are looked at again too. It is asked in JSON, and answers
with marshalled lists of bytes and words: a hundred thousand paths must not hold up the watch, which reads them.
"""

import contextlib
import json
import marshal
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from fimkit.baseline.diff import diff_states
from fimkit.baseline.scan import scan_watches
from fimkit.evidence.store import open_store
from fimkit.model.config import Config, Host, Scanning, Watch
from fimkit.model.config_json import parse_config_row, render_config
from fimkit.model.own_process import own_command
from fimkit.model.paths import render_path
from fimkit.verbs.sight import Sight

__all__ = ["Rescan", "RescanResult", "main"]


class RescanResult:
    """What a rescan found: the paths that differ from the baseline, those that it could not see, and words."""

    def __init__(self, differing: Sequence[bytes], hidden: Sequence[bytes], words: Sequence[str], *, is_whole: bool = True) -> None:
        """Take plain values; of one that failed nothing may be concluded."""
        self.differing, self.hidden, self.words, self.is_whole = frozenset(differing), frozenset(hidden), tuple(words), is_whole


class Rescan:
    """One rescan under way. Its descriptor becomes readable at its end."""

    def __init__(self, state_dir: bytes, watches: Sequence[Watch], *, quick: bool, limits: Scanning) -> None:
        """Start the process.

        Args:
            state_dir: Where the baseline is.
            watches: What is scanned.
            quick: The hash of a file whose times did not move from the baseline is taken from there.
            limits: What it may take from the host; a quick one, of which somebody waits for the answer, heeds no rate.

        Raises:
            OSError: If it cannot be started.
        """
        self.quick, self.began_ns = quick, time.time_ns()
        self._answer = b""
        self._process = subprocess.Popen(
            own_command("fimkit.verbs.watch_rescan"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        limits = Scanning(nice=limits.nice) if quick else limits
        asked = Config(host=Host(name="", state_dir=state_dir), paths=tuple(watches), scan=limits)
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stream:  # it has ended, and its status says so
            stream.write(json.dumps({"config": render_config(asked), "quick": quick}).encode())

    def fileno(self) -> int:
        """The descriptor of its answer."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def read(self) -> RescanResult | None:
        """Take what has come; at the end, the result.

        Returns:
            ``None`` while it goes on. One that failed gives nothing but words.
        """
        assert self._process.stdout is not None
        while (part := self._process.stdout.read(1 << 20)) is not None:
            if part:
                self._answer += part
                continue
            status = self._process.wait()
            try:
                if status == 0:
                    return RescanResult(*marshal.loads(self._answer))
            except (EOFError, ValueError, TypeError):  # nothing, or half of it
                pass
            words = f"the rescan ended with status {status} and says nothing: another one is made at its time, or on SIGUSR1"
            return RescanResult((), (), [words], is_whole=False)
        return None

    def end(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def main() -> None:
    """Look, compare, answer."""
    asked = json.loads(sys.stdin.buffer.read())
    config, quick = parse_config_row(asked["config"]), bool(asked["quick"])
    os.nice(5)  # the records come first
    with open_store(config.host.state_dir) as store:
        before = store.baseline()
    scan = scan_watches(config.paths, known=before if quick else None, limits=config.scan)
    after = {state.path: state for state in scan}
    sight = Sight(config.paths, scan, after)
    diffs = diff_states(before, after)
    hidden = [diff.path for diff in diffs if diff.before is not None and sight.is_hidden(diff.path)]
    unseen = frozenset(hidden)
    differing = [diff.path for diff in diffs if diff.path not in unseen]
    words = [f"{render_path(problem.path)} {problem.text}" for problem in scan.problems]
    sys.stdout.buffer.write(marshal.dumps((differing, hidden, words)))
