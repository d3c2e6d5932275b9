"""How selftest listens to audit: to the kernel's live records where that is allowed, and to the log that `check` reads."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from fimkit.audit.advice import advise
from fimkit.audit.changes import AuditChanges
from fimkit.audit.kernel import AuditKernel, AuditStatus
from fimkit.audit.logfile import LogCursor, find_rotations, load_events
from fimkit.audit.multicast import MulticastReader
from fimkit.audit.parser import EventAssembler
from fimkit.audit.rule_codec import FilterList, Rule, RuleAction
from fimkit.audit.rules import KEY, find_obstacles
from fimkit.model.errors import HostError
from fimkit.model.paths import is_below, render_path
from fimkit.verbs.kernel_rules import list_rules
from fimkit.verbs.log_tail import find_end
from fimkit.verbs.place import process_name
from fimkit.verbs.selftest_sightings import Sightings

__all__ = ["AuditEar", "AuditFacts", "load_audit_facts"]

_LOG_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFacts:
    """How the kernel's audit stands. ``trouble`` says why it is not known; ``advice`` is on the status, in words."""

    status: AuditStatus | None = None
    rules: tuple[Rule, ...] = ()
    obstacles: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    trouble: str = ""

    def has_rule(self, path: bytes) -> bool:
        """Tell whether a rule on system calls names the path, or a tree that it lies in."""
        for rule in self.rules:
            if rule.filter_list is FilterList.EXIT and rule.action is RuleAction.ALWAYS:
                tree, single = rule.text_of("dir"), rule.text_of("path")
                if single == path or (tree is not None and is_below(path, tree)):
                    return True
        return False


def load_audit_facts(open_kernel: Callable[[], AuditKernel] = AuditKernel) -> AuditFacts:
    """Ask the kernel; what it refuses is words."""
    try:
        with open_kernel() as kernel:
            status = kernel.status()
            rules = tuple(rule for rule, _ in list_rules(kernel))
    except HostError as error:
        return AuditFacts(trouble=str(error))
    ours = [rule for rule in rules if KEY in rule.keys]
    machine = os.uname().machine
    return AuditFacts(
        status=status,
        rules=rules,
        obstacles=tuple(find_obstacles(rules, ours, machine=machine)),
        advice=tuple(advise(status, process_name(status.pid))),
    )


class AuditEar:
    """Both readers, from the moment that it is made. ``kernel`` and ``log`` have what each saw.

    ``kernel_trouble`` and ``log_trouble`` say why one cannot be read.
    """

    def __init__(self, log: bytes, kernel: Sightings, log_seen: Sightings) -> None:
        """Begin to listen; what cannot be read is words."""
        self.kernel, self.log = kernel, log_seen
        self.kernel_trouble = self.log_trouble = ""
        self.was_lost = False
        self._path = Path(os.fsdecode(log))
        self._undo = contextlib.ExitStack()
        self._reader: MulticastReader | None = None
        self._assembler, self._changes = EventAssembler(), AuditChanges()
        try:
            self._reader = self._undo.enter_context(MulticastReader())
        except HostError as error:
            self.kernel_trouble = str(error)
        self._cursor: LogCursor | None = None
        self._log_changes = AuditChanges()
        self._next_s = 0.0
        try:
            self._cursor = find_end(self._path)
        except OSError as error:
            self.log_trouble = f"{render_path(log)} cannot be read: {error.strerror}"

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop listening."""
        self._undo.close()

    def poll(self) -> None:
        """Read what has come, from both."""
        self._poll_kernel()
        self._poll_log()

    def poll_live(self) -> None:
        """Read what the kernel has sent, while time counts; the log only where the kernel cannot be heard."""
        if self._reader is not None:
            self._poll_kernel()
        else:
            self._poll_log()

    def _poll_kernel(self) -> None:
        if self._reader is None:
            return
        lines = list(self._reader.lines(0))
        now_s, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        events = self._assembler.push(b"\n".join(lines), file="kernel") if lines else []
        for event in (*events, *self._assembler.settle(now_ms=now_ms)):
            self.kernel.take(self._changes.changes_of(event), read_s=now_s)
        self.was_lost = self._reader.lost > 0

    def _poll_log(self) -> None:
        if self.log_trouble or time.monotonic() < self._next_s or not self._path.exists():
            return
        self._next_s = time.monotonic() + _LOG_EVERY_S
        paths: Sequence[Path] = find_rotations(self._path) if self._cursor is not None else [self._path]
        events = load_events(paths, cursor=self._cursor, live=True, now_ms=time.time_ns() // 1_000_000)
        for event in events:
            self.log.take(self._log_changes.changes_of(event), read_s=time.monotonic())
        self._cursor = events.cursor

    @property
    def has_log(self) -> bool:
        """Tell whether there is a log to be read."""
        return not self.log_trouble and self._path.exists()

    @property
    def is_done(self) -> bool:
        """True once nothing more can be expected."""
        kernel = self._reader is None or self.kernel.is_complete
        return kernel and (not self.has_log or self.log.is_complete)
