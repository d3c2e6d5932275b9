"""Mutes: what is not mailed for a time, by path pattern, content rule or hash, with a reason. Pure.

A mute is for mails and channels alone. What it matches is stored and shown as ever, and whatever alarms a panic never asks it.
"""

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fimkit.model.errors import UsageError, clip
from fimkit.model.findings import Finding, Severity

__all__ = ["Mute", "MuteBy", "MuteSet", "MutedCount", "check_mute", "render_mute", "rules_of"]

_RULE = re.compile(r"rule ([^\s:]+)")  # how a reason begins that a content rule gave
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_NS = 366 * 86_400 * 1_000_000_000
_MOST_CHARS = 1000


class MuteBy(StrEnum):
    """What a mute goes by."""

    PATH = "path"
    RULE = "rule"
    SHA256 = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """One mute: ``what`` is the pattern, rule or hash; ``number`` is its name, which is never given again."""

    number: int
    by: MuteBy
    what: str
    until_ns: int
    reason: str
    who: str
    made_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MutedCount:
    """How many findings a mute kept out of the mails since the last one that said so; ``words`` are the mute's own."""

    number: int
    words: str
    count: int
    first_ns: int


def rules_of(finding: Finding) -> tuple[str, ...]:
    """Give the content rules that a finding's reasons name, in their order: ``rule NAME: …``."""
    return tuple(dict.fromkeys(found[1] for reason in finding.reasons if (found := _RULE.match(reason))))


def render_mute(mute: Mute) -> str:
    """Write what a mute goes by.

    >>> render_mute(Mute(number=3, by=MuteBy.PATH, what="*.log", until_ns=0, reason="x", who="eve", made_ns=0))
    'path *.log'
    """
    return f"{mute.by.value} {mute.what}"


def check_mute(by: MuteBy, what: str, *, until_ns: int, reason: str, now_ns: int) -> None:
    """Refuse a mute that can match nothing, or everything, or that has no end, or no reason.

    Raises:
        UsageError: With what is wrong.
    """
    if by is MuteBy.SHA256 and not _SHA256.fullmatch(what):
        raise UsageError(f"{clip(what)} is no SHA-256, expected 64 hexadecimal digits")
    if by is MuteBy.PATH:
        _check_pattern(what)
    if by is MuteBy.RULE and (not what or re.search(r"[\s:]", what)):
        raise UsageError(f"{clip(what)} is no rule's name, expected one word")
    if not reason.strip() or len(reason) > _MOST_CHARS or not reason.isprintable():
        raise UsageError(f"{clip(reason)} is no reason, expected one line of words for those who ask later")
    if until_ns <= now_ns:
        raise UsageError("the end of the mute is over already, expected a time to come")
    if until_ns - now_ns > _MOST_NS:
        raise UsageError("the end of the mute is more than a year away: what is to be silent for ever is an exclude")


def _check_pattern(pattern: str) -> None:
    if not pattern or "\0" in pattern or len(pattern) > _MOST_CHARS:
        raise UsageError(f"{clip(pattern)} is no pattern of paths")
    if not pattern.strip("*?/[]!"):
        raise UsageError(f"{clip(pattern)} would silence every mail; [mail] nomail = true is how that is said")
    if "/" in pattern and pattern[0] not in "/*?[":
        raise UsageError(f"{clip(pattern)} can never match: with a slash it is for the whole path, so it begins with / or *")


class _PathRule:
    """A pattern on the name, or on the whole path when it has a slash; one that matches a folder matches what is in it."""

    def __init__(self, pattern: str) -> None:
        self._whole = "/" in pattern
        self._compiled = re.compile(os.fsencode(fnmatch.translate(pattern.rstrip("/") or pattern)))

    def matches(self, path: bytes) -> bool:
        return any(map(self._compiled.match, _folders(path) if self._whole else path.split(b"/")))


def _folders(path: bytes) -> Iterator[bytes]:
    yield path
    end = path.rfind(b"/")
    while end > 0:
        yield path[:end]
        end = path.rfind(b"/", 0, end)


class MuteSet:
    """The mutes that hold at a time, ready to be asked of many findings."""

    def __init__(self, mutes: Iterable[Mute], *, now_ns: int) -> None:
        """Take those that have not ended."""
        self.mutes = tuple(mute for mute in mutes if mute.until_ns > now_ns)
        self._paths = {mute.number: _PathRule(mute.what) for mute in self.mutes if mute.by is MuteBy.PATH}
        self._muted_rules = {mute.what for mute in self.mutes if mute.by is MuteBy.RULE}

    def mute_of(self, finding: Finding) -> Mute | None:
        """Give the first mute that matches a finding.

        By path, where a file went to must match too: a move out of a muted folder is told.
        """
        return next((mute for mute in self.mutes if self._matches(mute, finding)), None)

    def _matches(self, mute: Mute, finding: Finding) -> bool:
        if mute.by is MuteBy.PATH:
            paths = [path for path in (finding.path, finding.moved_to) if path is not None]
            return all(map(self._paths[mute.number].matches, paths))
        if mute.by is MuteBy.SHA256:
            return finding.after is not None and finding.after.sha256 == mute.what
        rules = rules_of(finding)
        # A rule's false alarm makes no change of a critical path harmless, and another rule that it hit as well is not muted.
        return mute.what in rules and finding.severity is not Severity.CRITICAL and self._muted_rules.issuperset(rules)

    def split(self, findings: Sequence[Finding]) -> tuple[list[Finding], list[tuple[Mute, Finding]]]:
        """Part findings into those that are told, and those that are muted, each with its mute."""
        told: list[Finding] = []
        muted: list[tuple[Mute, Finding]] = []
        for finding in findings:
            mute = self.mute_of(finding)
            if mute is None:
                told.append(finding)
            else:
                muted.append((mute, finding))
        return told, muted
