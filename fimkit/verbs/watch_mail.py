"""The general mail and the channels of a live watch: new findings go to the queue, and from there beside the watch."""

import time
from collections.abc import Sequence
from dataclasses import replace

from fimkit.model.config import Config
from fimkit.model.findings import Finding
from fimkit.notify.notifier import Notifier
from fimkit.verbs.effective import effective_watches
from fimkit.verbs.panic_alarm import list_addresses

__all__ = ["WatchMail"]

_END_S = 5.0


class WatchMail:
    """One notifier, and its successor after a new configuration. Nothing here waits for a server, but the end, for a moment."""

    def __init__(self, config: Config, *, nomail: bool) -> None:
        """Prepare; the sending thread begins with the first thing that is due, when rights are given up."""
        self._nomail = nomail
        self._words: list[str] = []
        self._notifier = self._prepare(config)
        self._due_s = 0.0

    def _prepare(self, config: Config) -> Notifier:
        followed = replace(config, paths=effective_watches(config.paths))  # findings have the names behind links
        return Notifier(followed, addresses=list_addresses().value or (), nomail=self._nomail)

    def reconfigure(self, config: Config) -> None:
        """Take a configuration: what waits is on the disk, and goes out by the new one."""
        self._notifier.take(())  # what the disk refused before
        self._words += self._notifier.finish(hurry=False, patience_s=0.0)
        self._notifier, self._due_s = self._prepare(config), 0.0

    @property
    def problem(self) -> str:
        """What keeps somebody from being told."""
        return self._notifier.problem or ""

    @property
    def next_s(self) -> float:
        """When :meth:`step` is to be called next."""
        return self._due_s

    def take(self, findings: Sequence[Finding]) -> None:
        """Queue findings, durably."""
        self._notifier.take(findings)
        self._due_s = time.monotonic() + self._notifier.next_s

    def step(self) -> list[str]:
        """Have sent what is due; returns at once, with what there is to say."""
        if time.monotonic() < self._due_s:
            return []
        words = [*self._words, *self._notifier.step(time.time_ns())]
        self._words.clear()
        self._due_s = time.monotonic() + self._notifier.next_s
        return words

    def finish(self) -> list[str]:
        """Let what cannot wait go out still; the rest is in the queue, for the next watch or check."""
        return self._notifier.finish(hurry=False, patience_s=_END_S)
