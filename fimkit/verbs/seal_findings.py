"""Findings about the seal: what only tampering explains is critical, and what an administrator may have done too is not."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fimkit.evidence.connection import store_path
from fimkit.evidence.lock import lock_state
from fimkit.evidence.seal_compare import RowChange, RowFault
from fimkit.evidence.seal_folder import load_seal_texts
from fimkit.evidence.store import Store
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.findings import Finding, Tier, Verdict
from fimkit.model.paths import render_path
from fimkit.verbs.own_findings import find_tampering
from fimkit.verbs.seal_view import FaultKind, SealReport, verify_seal

__all__ = ["SealCase", "cases_of", "find_seal_cases", "find_seal_findings", "make_seal_findings", "needs_look", "render_row"]

_NAMED = 50
"""So many altered rows are a finding each; the rest are counted in one."""

_SEAL = "`fimkit baseline verify` names all of it"

# An administrator may have done these, or the store's own limits: they start no panic, whatever they weigh.
_WEIGHTS: dict[FaultKind, tuple[Tier, Verdict]] = {
    FaultKind.ROWS: (Tier.CRITICAL, Verdict.SUSPECT),
    FaultKind.ACCEPTANCES: (Tier.CRITICAL, Verdict.SUSPECT),
    FaultKind.COPY: (Tier.CRITICAL, Verdict.SUSPECT),
    FaultKind.FILE: (Tier.CRITICAL, Verdict.SUSPECT),
    FaultKind.SIGNATURE: (Tier.CRITICAL, Verdict.SUSPECT),
    FaultKind.KEY: (Tier.CRITICAL, Verdict.SUSPECT),
    FaultKind.OLDER: (Tier.CRITICAL, Verdict.SUSPECT),
    FaultKind.KEY_CHANGED: (Tier.CRITICAL, Verdict.UNEXPLAINED),
    FaultKind.KEY_FILE: (Tier.WATCH, Verdict.SUSPECT),
    FaultKind.UNREAD: (Tier.WATCH, Verdict.SUSPECT),  # a failing disk, a wrong mode, or somebody's link
    FaultKind.HOST: (Tier.WATCH, Verdict.SUSPECT),
    FaultKind.DROPPED: (Tier.WATCH, Verdict.UNEXPLAINED),
    FaultKind.WATCHES: (Tier.WATCH, Verdict.UNEXPLAINED),
}
_REQUIRED: dict[FaultKind, tuple[Tier, Verdict]] = {
    FaultKind.ACCEPTED: (Tier.CRITICAL, Verdict.UNEXPLAINED),
    FaultKind.UNSEALED: (Tier.CRITICAL, Verdict.UNEXPLAINED),
    FaultKind.WATCHES: (Tier.CRITICAL, Verdict.UNEXPLAINED),
    FaultKind.KEY_FILE: (Tier.CRITICAL, Verdict.UNEXPLAINED),
    FaultKind.UNREAD: (Tier.CRITICAL, Verdict.UNEXPLAINED),
}
_ONCE = frozenset({FaultKind.KEY_CHANGED, FaultKind.WATCHES})  # who has accepted it has seen it


@dataclass(frozen=True, slots=True, kw_only=True)
class SealCase:
    """What becomes one finding. With ``since_ns``, when it began to be so, it does not come back once it is accepted."""

    path: bytes
    key: str
    tier: Tier
    verdict: Verdict
    reasons: tuple[str, ...]
    since_ns: int | None = None


def needs_look(config: Config, store: Store, *, require: bool) -> bool:
    """Tell whether there is anything to verify: a host that was never sealed pays nothing."""
    try:
        return require or bool(store.seals()) or any(text is not None for text in load_seal_texts(config.host.state_dir))
    except HostError:
        return True


def find_seal_cases(config: Config, store: Store, *, require: bool, locked: bool) -> list[SealCase]:
    """Verify the seal, and give what is wrong with it.

    Args:
        config: The configuration.
        store: Open.
        require: Whether a baseline without a seal, and what was accepted since, are findings.
        locked: Whether the caller holds the state's lock. One who does not looks again with it before anything is said: a seal may
            just be taken.

    Raises:
        HostError: If the lock was not to be had.
    """
    if not needs_look(config, store, require=require):
        return []
    cases = cases_of(config, verify_seal(config, store, most_rows=_NAMED), require=require)
    if not cases or locked:
        return cases
    with lock_state(config.host.state_dir, wait_s=600, verb="seal verify"):
        return cases_of(config, verify_seal(config, store, most_rows=_NAMED), require=require)


def cases_of(config: Config, report: SealReport, *, require: bool) -> list[SealCase]:
    """Turn a report into the cases that become findings: a case for each named row, and one for every other fault."""
    about = store_path(config.host.state_dir)
    cases: list[SealCase] = []
    for fault in report.faults:
        weight = (_REQUIRED.get(fault.kind) if require else None) or _WEIGHTS.get(fault.kind)
        if weight is None:
            continue
        if fault.kind is FaultKind.ROWS and report.rows:
            cases += _row_cases(about, report)
            continue
        reasons = (fault.words, *map(render_row, report.rows[:_NAMED])) if fault.kind is FaultKind.DROPPED else (fault.words, _SEAL)
        cases.append(SealCase(
            path=about, key=f"seal: {fault.key}", tier=weight[0], verdict=weight[1], reasons=reasons,
            since_ns=report.statement.time_ns if report.statement is not None and fault.kind in _ONCE else None,
        ))  # fmt: skip
    return cases


def _row_cases(about: bytes, report: SealReport) -> Iterator[SealCase]:
    assert report.statement is not None
    number = report.statement.number
    for row in report.rows[:_NAMED]:
        yield SealCase(
            path=row.path, key=f"seal {number}: {row.fault.value} {row.sealed_digest} {row.now_digest}",
            tier=Tier.CRITICAL, verdict=Verdict.SUSPECT,
            reasons=(f"its row in the baseline is not what seal {number} is of, and no acceptance explains it", render_row(row)),
        )  # fmt: skip
    rest = report.row_count - min(len(report.rows), _NAMED)
    if rest:
        yield SealCase(
            path=about, key=f"seal {number}: more rows", tier=Tier.CRITICAL, verdict=Verdict.SUSPECT,
            reasons=(f"{rest} more rows of the baseline are not what seal {number} is of", _SEAL),
        )  # fmt: skip


def render_row(row: RowChange) -> str:
    """Say in words what is wrong with a row.

    >>> render_row(RowChange(path=b"/sbin/init", fault=RowFault.ALTERED, fields=(("mode", "493", "511"),), now_digest="ab" * 32))
    '/sbin/init: altered: mode was 493, is 511'
    """
    name = render_path(row.path)
    if row.fault is not RowFault.ALTERED:
        digest = row.now_digest or row.sealed_digest or ""
        return f"{name}: {'added to' if row.fault is RowFault.ADDED else 'missing from'} the baseline (row {digest[:16]}…)"
    parts = [f"{field} was {_safe(was)}, is {_safe(now)}" for field, was, now in row.fields]
    return f"{name}: altered: {'; '.join(parts)}"


def _safe(value: str | None) -> str:
    """Show a value that somebody else may have written; at most a digest's length of it."""
    if value is None:
        return "none"
    text = render_path(value.encode("utf-8", "surrogateescape")) if not value.isascii() or not value.isprintable() else value
    return text if len(text) <= 80 else text[:79] + "…"


def make_seal_findings(config: Config, cases: Sequence[SealCase], *, now_ns: int) -> list[Finding]:
    """Make the findings of cases."""
    return [
        find_tampering(
            config.host.name, case.path, key=case.key, tier=case.tier, verdict=case.verdict, reasons=case.reasons,
            time_ns=now_ns if case.since_ns is None else case.since_ns,
        )
        for case in cases
    ]  # fmt: skip


def find_seal_findings(config: Config, store: Store, *, require: bool = False, locked: bool = True) -> list[Finding]:
    """Verify the seal, and give the findings that come of it; see :func:`find_seal_cases`.

    Raises:
        HostError: If the lock was not to be had, or the store cannot be read.
        StoreError: If the store is damaged.
    """
    cases = find_seal_cases(config, store, require=require or config.seal.require, locked=locked)
    return make_seal_findings(config, cases, now_ns=time.time_ns())
