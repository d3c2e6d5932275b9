"""What the checkpoints of the evidence chain say was dropped on purpose, and where the chain begins since."""

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fimkit.evidence.chain_subjects import CHECKPOINT

__all__ = ["Dropped", "load_dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Subjects by kind: ranges of numbers in order, and names. ``first`` is the first link, ``before`` the hash before it."""

    ranges: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)
    names: frozenset[tuple[str, str]] = frozenset()
    first: int | None = None
    before: bytes = b""

    def has(self, kind: str, subject: object) -> bool:
        """Tell whether a subject was dropped on purpose."""
        if not isinstance(subject, int):
            return (kind, str(subject)) in self.names
        ranges = self.ranges.get(kind, [])
        place = bisect_right(ranges, (subject, 1 << 63)) - 1
        return place >= 0 and ranges[place][0] <= subject <= ranges[place][1]


def load_dropped(connection: sqlite3.Connection) -> Dropped:
    """Load what all checkpoints say together; one that cannot be read says nothing: verifying names it."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    names: set[tuple[str, str]] = set()
    first, before = None, b""
    for (parts,) in connection.execute("SELECT parts FROM chain WHERE kind = ? ORDER BY seq", (CHECKPOINT,)):
        said = _parse(parts)
        for kind, some in dict(said.get("dropped", {})).items():
            for low, high in some:
                if isinstance(low, int):
                    ranges.setdefault(kind, []).append((low, int(high)))
                else:
                    names.add((kind, str(low)))
        if "first" in said:
            first, before = int(said["first"]), bytes.fromhex(said["before"])
    merged = {kind: _merge(sorted(some)) for kind, some in ranges.items()}
    return Dropped(ranges=merged, names=frozenset(names), first=first, before=before)


def _merge(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that overlap, so that one look finds the right one."""
    merged: list[tuple[int, int]] = []
    for low, high in ranges:
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    return merged


def _parse(parts: Any) -> dict[str, Any]:
    try:
        said = json.loads(parts)
        return {
            "dropped": {
                str(kind): [(low, high) for low, high in some if type(low) is type(high)]
                for kind, some in said.get("dropped", {}).items()
            },
            **({"first": int(said["first"]), "before": bytes.fromhex(said["before"]).hex()} if "first" in said else {}),
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
