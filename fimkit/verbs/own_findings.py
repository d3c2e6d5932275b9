"""Findings about the means themselves: what sees or proves was tampered with, an announced change never came. Pure."""

import hashlib
import json
from collections.abc import Sequence

from fimkit.model.changes import Actor, Source
from fimkit.model.findings import Attribution, Finding, Kind, Tier, Verdict, severity_of
from fimkit.model.paths import render_path

__all__ = ["find_overdue", "find_tampering"]


def find_tampering(
    host: str,
    path: bytes,
    *,
    key: str,
    tier: Tier,
    reasons: Sequence[str],
    time_ns: int,
    last_ns: int | None = None,
    verdict: Verdict = Verdict.SUSPECT,
    actors: Sequence[Actor] = (),
    sources: Sequence[Source] = (Source.SCAN,),
    evidence: Sequence[str] = (),
) -> Finding:
    """Make the finding that something was tampered with.

    Critical weighs as a critical change does, and can start a panic: it is for what only tampering explains (a sealed row that is
    another one now). What an administrator or a crash may have done too is the watch tier's: high where it is suspect, else medium.

    Args:
        host: The host's name.
        path: What it is about: the store, a log, a file of rules.
        key: Names this one case, so that it is the same finding whenever it is found again: ``"seal 7: rows"``.
        tier: How much it weighs.
        reasons: What was seen, in words.
        time_ns: When it was, or was first seen.
        last_ns: When it was last seen. What is accepted comes back once it is seen later than that.
        verdict: Suspect, unless something speaks for a harmless cause.
        actors: Who did it, where it is recorded.
        sources: What saw it.
        evidence: The ids of recorded events.
    """
    return _make(
        host, path, Kind.TAMPERED, key, tier, verdict, tuple(reasons), time_ns, last_ns, tuple(actors), tuple(sources),
        tuple(evidence),
    )  # fmt: skip


def find_overdue(host: str, path: bytes, *, key: str, tier: Tier, reasons: Sequence[str], time_ns: int) -> Finding:
    """Make the finding that an announced change never came; ``time_ns`` is when the time for it was over."""
    return _make(host, path, Kind.OVERDUE, key, tier, Verdict.UNEXPLAINED, tuple(reasons), time_ns, None, (), (Source.SCAN,), ())


def _make(
    host: str, path: bytes, kind: Kind, key: str, tier: Tier, verdict: Verdict, reasons: tuple[str, ...], time_ns: int,
    last_ns: int | None, actors: tuple[Actor, ...], sources: tuple[Source, ...], evidence: tuple[str, ...],
) -> Finding:  # fmt: skip
    name = json.dumps([host, render_path(path), kind.value, key], separators=(",", ":"))
    return Finding(
        id=hashlib.sha256(name.encode()).hexdigest()[:32],
        host=host, path=path, kind=kind, tier=tier, severity=severity_of(tier, kind, verdict, ()), verdict=verdict, changed=(),
        before=None, after=None, moved_to=None, actors=actors,
        attribution=Attribution.EXACT if actors else Attribution.UNATTRIBUTED,
        reasons=reasons, sources=sources, first_seen_ns=time_ns, last_seen_ns=time_ns if last_ns is None else last_ns,
        evidence=evidence,
    )  # fmt: skip
