"""What a look must know to find what was done to fimkit's own means: the install's rules and the kernel's, the boot, the ledger."""

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fimkit.audit.kernel import AuditKernel
from fimkit.audit.logfile import LogCursor, find_rotations
from fimkit.audit.logproof import LogProof, find_altered, prove_log
from fimkit.evidence.store import Store
from fimkit.model.changes import Note
from fimkit.model.config import Config
from fimkit.model.coverage import Cause, Gap, Sense
from fimkit.model.errors import HostError
from fimkit.model.findings import Finding, Tier, Verdict
from fimkit.model.time import render_time
from fimkit.verbs.coverage import COVERAGE_STATE
from fimkit.verbs.coverage_judge import GapsNow, gaps_of_watch
from fimkit.verbs.installed import load_memory
from fimkit.verbs.kernel_rules import list_rules
from fimkit.verbs.old_processes import load_boot_time
from fimkit.verbs.own_findings import find_tampering
from fimkit.verbs.self_watch import Meddling, find_meddling, gaps_that_meddle
from fimkit.verbs.watch_status import WatchStatus

__all__ = ["find_altered_logs", "find_killed_watch", "find_own_meddling", "lasting_kinds"]

_RULES_FILE = "/etc/audit/rules.d/40-fimkit.rules"


def lasting_kinds(store: Store) -> frozenset[tuple[Sense, Cause]]:
    """Give the kinds of what lasts, as it was told of."""
    return frozenset((gap.source, gap.cause) for gap in store.gaps() if gap.to_ns is None)


def find_own_meddling(
    config: Config,
    store: Store,
    judged: Iterable[GapsNow],
    notes: Sequence[Note],
    *,
    lasted: Collection[tuple[Sense, Cause]],
    now_ns: int,
) -> list[Finding]:
    """Find what was done to the means since the look before; the caller has not stored this look's judgement yet.

    Args:
        config: The configuration.
        store: Open; nothing is written.
        judged: What could not be seen.
        notes: What the sources have said since the look before.
        lasted: The kinds that were told of before.
        now_ns: The present.
    """
    every = list(judged)
    opened, over = [gap for one in every for gap in one.open], [gap for one in every for gap in one.over]
    gaps = gaps_that_meddle(opened, over, notes, lasted=lasted, until_ns=now_ns)
    return find_meddling(_look(config, store, gaps), gaps) if gaps else []


def find_killed_watch(config: Config, store: Store, before: WatchStatus | None, *, now_ns: int) -> list[Finding]:
    """Find that the watch before the one that begins was killed."""
    if before is None or before.stopped_ns:
        return []
    before.running = False  # its lock is the new one's by now
    gaps = gaps_of_watch(before, now_ns=now_ns)
    return find_meddling(_look(config, store, gaps), gaps) if gaps else []


def find_altered_logs(
    config: Config, store: Store, cursors: Mapping[str, LogCursor | None], *, now_ns: int
) -> tuple[list[Finding], dict[tuple[str, bytes], dict[str, Any]]]:
    """Find the logs that were altered where they had been read.

    Args:
        config: The configuration.
        store: Open; nothing is written.
        cursors: Where the reading of each source's log stands now.
        now_ns: The present.

    Returns:
        The findings, and what is to be stored as cursors for the next look.
    """
    found, proofs = list[Finding](), dict[tuple[str, bytes], dict[str, Any]]()
    for source, cursor in cursors.items():
        log = config.sources.audit_log if source == "audit" else config.sources.osquery_log
        place, paths = (f"{source} proof", log), find_rotations(log)
        with contextlib.suppress(TypeError):  # of another version's
            saved = store.cursor(*place)
            before = None if saved is None else LogProof(**saved)
            if before is not None and (words := find_altered(paths, before)):
                found.append(_altered(config, log, before, words, now_ns))
        if cursor is not None and (now := prove_log(paths, cursor, time_ns=now_ns)) is not None:
            proofs[place] = asdict(now)
    return found, proofs


def _altered(config: Config, log: bytes, before: LogProof, words: str, now_ns: int) -> Finding:
    """A host that went down may have lost what was not on the disk yet: that is not suspect by itself."""
    boot_s = load_boot_time()
    is_crash = boot_s is not None and boot_s * 1_000_000_000 > before.time_ns
    down = ["the host was started anew since: what was not on its disk when it went down is lost, too"] if is_crash else []
    return find_tampering(
        config.host.name, log, key=f"log {before.offset} {before.digest}", tier=Tier.WATCH,
        verdict=Verdict.UNEXPLAINED if is_crash else Verdict.SUSPECT,
        reasons=(f"the log was altered where it had been read: {words}", *down, f"it was read at {render_time(before.time_ns)}"),
        time_ns=now_ns,
    )  # fmt: skip


def _look(config: Config, store: Store, gaps: Sequence[Gap]) -> Meddling:
    boot_s, meta = load_boot_time(), store.baseline_meta()
    rules, missing = _count_rules(config) if any(gap.cause is Cause.RULES for gap in gaps) else (0, 0)
    return Meddling(
        host=config.host.name, audit_log=config.sources.audit_log, state_dir=config.host.state_dir,
        was=store.cursor(*COVERAGE_STATE) or {}, rules=rules, missing=missing,
        boot_ns=None if boot_s is None else int(boot_s * 1_000_000_000),
        since_ns=0 if meta is None else meta.time_ns,
    )  # fmt: skip


def _count_rules(config: Config) -> tuple[int, int]:
    """Count the rules that an install remembers to have added, and those of them that the kernel does not list."""
    with contextlib.suppress(HostError):
        memory = load_memory(Path(os.fsdecode(config.host.state_dir)), rules_file=_RULES_FILE)
        if memory is not None and memory.rules:
            with contextlib.suppress(HostError), AuditKernel() as kernel:
                listed = {rule for rule, _ in list_rules(kernel)}
                return len(memory.rules), sum(rule not in listed for rule in memory.rules)
            return len(memory.rules), 0
    return 0, 0
