"""Groups findings for people: a burst of the same in one folder by one program is told once, with its number and a sample. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fimkit.model.findings import Finding
from fimkit.model.json_form import render_finding
from fimkit.model.paths import render_path

__all__ = ["FindingGroup", "Grouper", "render_group"]

FEW = 20
"""So many of one kind that come at once are told one by one; more are a burst."""
MOST = 200
"""And so many within a window, however they come: who reads along could not follow more."""
WINDOW_S = 1.0
QUIET_S = 1.0
LONGEST_S = 60.0
_SAMPLE = 10

_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingGroup:
    """Several findings of one kind, in one folder, by one program: the most severe one, how many, and a sample of their paths."""

    worst: Finding
    count: int
    sample: tuple[bytes, ...]
    ids: tuple[str, ...]


def render_group(group: FindingGroup) -> dict[str, Any]:
    """Give it as an object for JSON: the fields of its most severe finding, and ``group`` with the number and a sample of paths."""
    return {**render_finding(group.worst), "group": {"count": group.count, "sample": [render_path(path) for path in group.sample]}}


@dataclass(slots=True)
class _Burst:
    """What was told and is held back of one kind: ids and a few paths, never the findings themselves."""

    opened_s: float
    told: int = 0
    last_s: float = 0.0
    held_s: float = 0.0
    worst: Finding | None = None
    count: int = 0
    sample: list[bytes] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def hold(self, finding: Finding, now_s: float) -> None:
        if self.worst is None:
            self.held_s = now_s
        if self.worst is None or finding.severity.rank > self.worst.severity.rank:
            self.worst = finding
        self.count += 1
        self.ids.append(finding.id)
        if len(self.sample) < _SAMPLE:
            self.sample.append(finding.path)


class Grouper:
    """Takes findings as they come; gives those to be told at once, and bursts when they end, or have gone on for a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the clock, in seconds."""
        self._clock = clock
        self._bursts: dict[_Key, _Burst] = {}

    def take(self, findings: Sequence[Finding]) -> list[Finding]:
        """Take findings in, and give those that are told one by one."""
        now_s = self._clock()
        by_key: dict[_Key, list[Finding]] = {}
        for finding in findings:
            by_key.setdefault(_key_of(finding), []).append(finding)
        at_once: list[Finding] = []
        for key, same in by_key.items():
            burst = self._bursts.get(key)
            if burst is None or (burst.worst is None and now_s - burst.opened_s > WINDOW_S):
                burst = self._bursts[key] = _Burst(now_s)
            burst.last_s = now_s
            if burst.worst is None and len(same) <= FEW and burst.told + len(same) <= MOST:
                burst.told += len(same)
                at_once += same
                continue
            for finding in same:
                burst.hold(finding, now_s)
        return at_once

    def release(self, *, everything: bool = False) -> list[FindingGroup]:
        """Give the bursts that have ended, or have been held for long; at the end all of them."""
        now_s = self._clock()
        done: list[FindingGroup] = []
        for key, burst in list(self._bursts.items()):
            ended = now_s - burst.last_s >= QUIET_S
            if burst.worst is None:
                if everything or now_s - burst.opened_s > WINDOW_S:
                    del self._bursts[key]
            elif everything or ended or now_s - burst.held_s >= LONGEST_S:
                done.append(
                    FindingGroup(worst=burst.worst, count=burst.count, sample=tuple(burst.sample), ids=tuple(burst.ids))
                )
                del self._bursts[key]
                if not ended and not everything:
                    self._bursts[key] = _Burst(now_s, told=MOST, last_s=now_s)
        return done

    @property
    def next_s(self) -> float | None:
        """When :meth:`release` is due."""
        return min((burst.last_s + QUIET_S for burst in self._bursts.values() if burst.worst is not None), default=None)

    @property
    def held(self) -> int:
        """How many findings wait to be told."""
        return sum(burst.count for burst in self._bursts.values())


def _key_of(finding: Finding) -> _Key:
    actor = finding.actors[0] if finding.actors else None
    who = () if actor is None else (actor.auid, actor.uid, actor.exe)
    return finding.kind, finding.tier, finding.path.rpartition(b"/")[0], who


