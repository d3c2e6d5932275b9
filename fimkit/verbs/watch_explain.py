"""Has packages explain what a watch found before it is told: in a process of its own, and within a bound.

What no package can have done is told at once. The rest is in the store already and waits here: mostly a second, while a package
manager is at work until what it put there is proved, and never longer than ``[panic] package_hold_s``. Anybody can hold a package
manager's lock; nobody can hold a finding back longer than that.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fimkit.evidence.store import Store
from fimkit.model.changes import Change
from fimkit.model.config import Config
from fimkit.model.errors import HostError, clip
from fimkit.model.findings import Finding, Verdict
from fimkit.model.own_process import own_command
from fimkit.packages.at_work import find_package_managers
from fimkit.packages.sources import gather_package_sources
from fimkit.verbs.explain import UNPINNED, Explanation, explain, keep_pins, may_be_explained
from fimkit.verbs.explain_form import Question, parse_answer, parse_question, render_answer, render_question
from fimkit.verbs.package_backups import is_backup, replaced_name

__all__ = ["Explained", "PackageHold", "main"]

_LOOK_S = 0.02
_AGAIN_S = 2.0
_FIRST_S = 0.05
"""What comes together is asked together: an upgrade is one question and not a thousand."""


class Explained(NamedTuple):
    """Findings that are to be told now, as they are judged, and words."""

    findings: list[Finding]
    words: list[str]


class PackageHold:
    """New findings that packages may explain. All calls are made by one thread, and none of them waits.

    Args:
        config: The configuration; a later one may be put in its place.
        store: Open; the findings are in it, not told yet.
        clock: Seconds that only grow.
    """

    def __init__(self, config: Config, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing."""
        self.config, self._store, self._clock = config, store, clock
        self._held: dict[str, tuple[Finding, float]] = {}
        self._asked: frozenset[str] = frozenset()
        self._process: subprocess.Popen[bytes] | None = None
        self._answer = b""
        self._began_s = self._due_s = 0.0
        self._was_at_work = False
        self._said: set[str] = set()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._held)

    @property
    def next_s(self) -> float | None:
        """When :meth:`read` should be called next."""
        if self._process is not None:
            return self._clock() + _LOOK_S
        return self._due_s if self._held else None

    def take(self, findings: Sequence[Finding]) -> Explained:
        """Hold back what packages may explain, and give the rest, to be told at once."""
        config = self.config
        candidates = {finding.id for finding in findings if may_be_explained(config, finding)}
        if not candidates:
            return Explained(list(findings), [])
        sources = gather_package_sources(config.sources.package_root)
        if sources.dpkg is None and sources.rpm is None:
            return Explained(list(findings), [])
        if self._store.pins() is None:
            return Explained(list(findings), self._new_words([UNPINNED]))
        now_s = self._clock()
        if not self._held:
            self._due_s = now_s + _FIRST_S
        self._held |= {finding.id: (finding, now_s) for finding in findings if finding.id in candidates}
        return Explained([finding for finding in findings if finding.id not in candidates], [])

    def read(self) -> Explained:
        """Ask where it is time to, and give what was answered or has waited too long."""
        now_s = self._clock()
        if self._process is None:
            if self._held and now_s >= self._due_s:
                try:
                    self._ask()
                except OSError as error:
                    words = f"asking the packages cannot be begun: {error.strerror}: what they may explain is told unexplained"
                    return self._release(Explanation([self._held[one][0] for one in self._asked if one in self._held], (words,)))
            return Explained([], [])
        done = self._take_answer()
        if done is not None:
            return self._release(done)
        if now_s - self._began_s <= self.config.panic.package_hold_s:
            return Explained([], [])
        self.end()
        words = f"the packages gave no answer in {self.config.panic.package_hold_s} s: what they may explain is told unexplained"
        return self._release(Explanation([self._held[one][0] for one in self._asked if one in self._held], (words,)))

    def _ask(self) -> None:
        findings = [finding for finding, _ in self._held.values()]
        self._asked, self._answer, self._began_s = frozenset(self._held), b"", self._clock()
        self._was_at_work = self.at_work()  # one that ends while the question is worked on has shown a half-done database
        was_open, changes = self._beside(findings)
        asked = Question(
            config=self.config, findings=tuple(findings), pins=self._store.pins(), was_open=tuple(was_open), changes=tuple(changes)
        )
        question = os.memfd_create("fimkit-question")  # a pipe would make this wait until the other side has begun to read
        with open(question, "w+b") as file:
            file.write(render_question(asked))
            file.seek(0)
            self._process = subprocess.Popen(
                own_command("fimkit.verbs.watch_explain"),
                stdin=file, stdout=subprocess.PIPE, process_group=0,
            )  # fmt: skip
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def _beside(self, findings: Iterable[Finding]) -> tuple[list[Finding], list[Change]]:
        """Load what bears on dpkg's passing names: the files that they were of, and what was recorded of them."""
        passing = {finding.path: finding.first_seen_ns for finding in findings if is_backup(finding)}
        if not passing:
            return [], []
        names = {replaced_name(path) for path in passing}
        was_open = [one for one in self._store.findings() if one.verdict is Verdict.EXPECTED and one.path in names]
        return was_open, self._store.changes_about(passing, (), since_ns=min(passing.values()) - 1_000_000_000)

    def _take_answer(self) -> Explanation | None:
        assert self._process is not None
        assert self._process.stdout is not None
        while (part := self._process.stdout.read(1 << 20)) is not None:
            if part:
                self._answer += part
                continue
            status = self._process.wait()
            self._process.stdout.close()
            self._process = None
            problem = f"ended with status {status}"
            if status == 0 and self._answer:
                try:
                    return parse_answer(self._answer)
                except ValueError as error:
                    problem = f"gave {clip(str(error))}"
            words = f"asking the packages {problem}: what they may explain is told unexplained"
            return Explanation([self._held[one][0] for one in self._asked if one in self._held], (words,))
        return None

    def _release(self, done: Explanation) -> Explained:
        """Store what is proved, and give it, and all that is not to wait any longer."""
        now_s = self._clock()
        try:
            judged = self._keep(done)
        except HostError:  # said where the findings themselves could not be stored
            judged = [finding for finding in done.findings if finding.id in self._held]
        waits = self._was_at_work or self.at_work()
        told = []
        for finding in judged:
            _, since_s = self._held[finding.id]
            is_early = now_s - since_s < self.config.panic.package_hold_s
            if not (waits and is_early and finding.verdict is not Verdict.EXPECTED):
                told.append(finding)
        kept = {finding.id for finding in judged} - {finding.id for finding in told}
        self._held = {one: held for one, held in self._held.items() if one in kept or one not in self._asked}
        self._due_s = now_s + (_AGAIN_S if kept else _FIRST_S)
        return Explained(told, self._new_words(done.words))

    def _keep(self, done: Explanation) -> list[Finding]:
        with self._store.transaction():
            # What came to be something else meanwhile, or was told by a check beside the watch, is nothing of ours any more.
            mine = self._store.untold_of([finding.id for finding in done.findings])
            judged = [finding for finding in done.findings if finding.id in mine]
            keep_pins(self._store, done)
            self._store.add_findings(judged, now_ns=max((finding.last_seen_ns for finding in judged), default=0))
        return judged

    def at_work(self) -> bool:
        """Tell whether a package manager is at work: what it has not finished cannot be proved yet."""
        return bool(find_package_managers(gather_package_sources(self.config.sources.package_root)))

    def _new_words(self, words: Iterable[str]) -> list[str]:
        """Say each thing once in a run, and nothing of locks: that is the usual course of an upgrade."""
        new = [text for text in dict.fromkeys(words) if text not in self._said and "lock is held" not in text]
        self._said.update(new)
        return new

    def end(self) -> None:
        """Stop asking. What waits is in the store, not told: the next look, at the start of a watch or by a check, tells it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None


def main() -> None:
    """Ask the packages, and answer."""
    asked = parse_question(sys.stdin.buffer.read())
    os.nice(5)  # the records come first
    sys.stdout.buffer.write(render_answer(explain(asked.config, asked.findings, asked.pins, asked.was_open, asked.changes)))
