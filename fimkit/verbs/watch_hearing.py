"""Tells whether the kernel records at all: auditing may be switched off, or rules taken out, under a watch that goes on listening.

Nothing is lost then that anybody counts, for nothing is made: the silence of a deaf watch is that of a quiet host. So it is asked.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fimkit.audit.advice import inspect_status
from fimkit.audit.kernel import AuditKernel, AuditStatus
from fimkit.audit.rule_codec import Rule
from fimkit.audit.rules import plan_rules
from fimkit.model.changes import Note, NoteKind
from fimkit.model.config import Config
from fimkit.model.coverage import Cause
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.verbs.coverage_host import never_task
from fimkit.verbs.kernel_rules import list_rules
from fimkit.verbs.place import list_mounts, look_at, process_name
from fimkit.verbs.watch_records import Blind

__all__ = ["DEAF_RESCAN_S", "Hearing", "Heeded"]

RULES_S = 10.0
"""How often the rules are looked at, beside the time when a record says that they are others."""
PLAN_S = 60.0
"""How often the rules that should be there are worked out: paths come and go."""
DEAF_RESCAN_S = 60.0
"""How often everything is looked at by metadata while nothing is recorded."""
_TELLING = frozenset({NoteKind.AUDIT_DISABLED, NoteKind.AUDIT_ENABLED, NoteKind.RULES_CHANGED, NoteKind.LOG_ENDED})
_OFF = frozenset({"audit-off"})
_NO_LOG = frozenset({"audit-off", "audit-no-owner", "audit-other-owner"})


class Heeded(NamedTuple):
    """What is new: words, a time in which nothing was recorded, and that everything is to be looked at."""

    words: tuple[str, ...] = ()
    blind: Blind | None = None
    rescan: bool = False


class Hearing:
    """Asks the kernel each second whether it records, and each ten whether fimkit's rules are in place.

    Args:
        config: Its paths are those that need rules; a later one may be put in its place by :meth:`reconfigure`.
        needs_log: The records come from auditd's log: somebody must write it.
        open_kernel: Opens the kernel's audit.
    """

    def __init__(self, config: Config, *, needs_log: bool, open_kernel: Callable[[], AuditKernel] = AuditKernel) -> None:
        """Begin with nothing known; the first :meth:`ask` says what is wrong."""
        self._remedy = ""
        self._codes = _NO_LOG if needs_log else _OFF
        self._open_kernel = open_kernel
        self.problem = ""
        self.cause: Cause | None = None
        """Which kind of problem that is, for the ledger."""
        self._since_ns = 0
        self._heard_ns = time.time_ns()
        self.lost: int | None = None
        """The kernel's count of records that it dropped, as of the last time that it said one."""
        self._off = self._off_now = self._missing = self._unasked = ""
        self._rescan_s = 0.0
        self._silenced = False
        self.reconfigure(config)

    @property
    def since_ns(self) -> int:
        """Since when the problem lasts."""
        return self._since_ns

    def reconfigure(self, config: Config) -> None:
        """Take another configuration, and ask for its rules the next time."""
        self._config = config
        self._plan: Sequence[Rule] = ()
        self._plan_s = self._rules_s = 0.0

    def note(self, notes: Sequence[Note]) -> None:
        """Take what the records say of auditing: the rules are looked at soon then."""
        if any(note.kind in _TELLING for note in notes):
            self._rules_s = 0.0

    def ask(self) -> Heeded:
        """Ask, and say what is new of it: when it begins, while it lasts, and when it is over."""
        now_s, now_ns = time.monotonic(), time.time_ns()
        try:
            problem = self._ask(now_s)
        except HostError as error:
            self.lost = None
            self._rules_s = now_s + RULES_S
            words = f"whether auditing is on cannot be asked: {error}"
            first, self._unasked = words != self._unasked, words
            return Heeded(words=(words,) if first else ())
        off, self._off = self._off, self._off_now
        was, self.problem = self.problem, problem
        if problem and (not was or self._off != off):  # how many rules are missing may change with each that is put in
            return self._deaf(problem, was, now_s, now_ns)
        if was and not problem:
            self._heard_ns = now_ns
            blind = Blind(from_ns=self._since_ns, to_ns=now_ns, lost=0, source=was)
            return Heeded((f"what is done is recorded again; from {render_time(self._since_ns)} on it was not",), blind, True)
        if not problem:
            self._heard_ns = now_ns
        elif now_s >= self._rescan_s:
            self._rescan_s = now_s + DEAF_RESCAN_S
            return Heeded(rescan=True)
        return Heeded()

    def _deaf(self, problem: str, was: str, now_s: float, now_ns: int) -> Heeded:
        if not was:
            self._since_ns = self._heard_ns
        self._rescan_s = now_s + DEAF_RESCAN_S
        looks = f"changes are seen by inotify and a look at all each {DEAF_RESCAN_S:.0f} s"
        how = f"until that is mended, {looks}, and there will be no who"
        blind = Blind(from_ns=self._since_ns, to_ns=now_ns, lost=0, source=problem)
        return Heeded((f"{problem}; {how}: {self._remedy}",), blind, True)

    def _ask(self, now_s: float) -> str:
        with self._open_kernel() as kernel:
            status = kernel.status()
            self.lost = status.lost
            if now_s >= self._rules_s:
                self._rules_s = now_s + RULES_S
                self._missing = self._missing_rules({rule for rule, _ in list_rules(kernel)}, now_s)
        self._off_now = self._deafness(status)
        problem = self._off_now or self._missing
        off = Cause.AUDIT_OFF if status.enabled == 0 else Cause.AUDITD
        self.cause = None if not problem else off if self._off_now else Cause.NEVER_TASK if self._silenced else Cause.RULES
        return problem

    def _deafness(self, status: AuditStatus) -> str:
        found = [one for one in inspect_status(status, process_name(status.pid)) if one.code in self._codes]
        rules = "take it out of /etc/audit/rules.d, load the rules, and reboot" if self._silenced else "fimkit install"
        self._remedy = found[0].remedy if found else rules
        return "; ".join(one.problem.removesuffix(".") for one in found)

    def _missing_rules(self, present: set[Rule], now_s: float) -> str:
        if now_s >= self._plan_s:
            self._plan_s = now_s + PLAN_S
            self._plan = plan_rules(self._config.paths, look_at, mounts=list_mounts(), machine=os.uname().machine).rules
        self._silenced = never_task(present)
        if self._silenced:
            return "a rule never,task keeps every process that starts now from being recorded"
        missing = [rule for rule in self._plan if rule not in present]
        if not missing:
            return ""
        first = next((name for rule in missing if (name := rule.text_of("dir") or rule.text_of("path"))), b"")
        place = f", as for {render_path(first)}" if first else ""
        return f"{len(missing)} of fimkit's {len(self._plan)} audit rules are not in the kernel{place}"
