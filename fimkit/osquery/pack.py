"""The configuration as an osquery pack: file_paths by tier, excludes that hide nothing wanted, the scheduled queries. Pure.

- A file may be replaced by rename, and a watch on the file itself is then silently lost: its folder is watched, one level.
- What is missing now is not picked up when it comes: its nearest folder is watched too, so that its coming is seen.
- Patterns on names (``include``, ``exclude`` without a slash) are none that osqueryd honours: the reader of the results has them.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fimkit.model.config import Watch
from fimkit.model.findings import Tier
from fimkit.model.paths import render_path
from fimkit.osquery.pack_excludes import Exclude, plan_excludes
from fimkit.osquery.patterns import FolderPattern, make_pattern, render_pattern, settle_patterns
from fimkit.osquery.places import Place
from fimkit.osquery.queries import Query

__all__ = ["CATEGORIES", "MARK", "PackPlan", "plan_pack", "render_pack", "render_query_pack"]

CATEGORIES = {Tier.CRITICAL: "fimkit_critical", Tier.WATCH: "fimkit_watch"}
"""The category of ``file_paths`` for each tier. It tells by which pattern an event came; the tier is the watches' to tell."""

MARK = "Written by `fimkit install`"
"""Stands in every file of ours that an uninstall must know again."""

_OLDEST = "4.0.0"  # excludes and packs work as told here since then (read); seen with 5.23


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPlan:
    """What the pack watches: patterns by category, and words for the user."""

    file_paths: dict[str, tuple[str, ...]]
    exclude_paths: dict[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()


class _Want(NamedTuple):
    pattern: FolderPattern
    tier: Tier
    note: str | None = None


class _Wants:
    """Collects the folders that the watches need."""

    def __init__(self, look: Callable[[bytes], Place]) -> None:
        self.look = look
        self.rows: list[_Want] = []

    def add(self, folder: bytes, watch: Watch, *, recursive: bool, note: str | None = None) -> None:
        pattern = make_pattern(folder, recursive=recursive, real_of=lambda path: self.look(path).real)
        if pattern.is_wild or pattern.parts != tuple(part for part in folder.split(b"/") if part):
            words = "osquery has no way to write this name; it watches all that fits"
            note = note or f"{render_path(watch.path)}: {words} {render_pattern(pattern)}, and fimkit takes what is meant"
        self.rows.append(_Want(pattern, watch.tier, note))

    def add_watch(self, watch: Watch) -> None:
        place = self.look(watch.path)
        if place.is_link:
            self.add(os.path.dirname(place.name_at), watch, recursive=False)
        if place.exists and not place.is_folder:
            self.add(os.path.dirname(place.real), watch, recursive=False)
            return
        if place.exists:
            self.add(place.real, watch, recursive=watch.recursive)
            return
        shown = render_path(watch.path)
        words = f"does not exist: osquery tells when it comes, from {render_path(place.nearest)}, and not yet what is in it"
        self.add(place.real, watch, recursive=watch.recursive, note=f"{shown} {words}; run install again then")
        self.add(place.nearest, watch, recursive=False)


def plan_pack(watches: Sequence[Watch], look: Callable[[bytes], Place], *, others: Sequence[bytes] = ()) -> PackPlan:
    """Choose what osqueryd is to watch for a configuration.

    Args:
        watches: All, with those for the real places of links.
        look: What a path is on the host.
        others: The patterns of ``file_paths`` that are not fimkit's.
    """
    wants = _Wants(look)
    for watch in watches:
        wants.add_watch(watch)
    chosen = settle_patterns((want.pattern, want.tier) for want in wants.rows)
    notes = [want.note for want in wants.rows if want.note and want.pattern in chosen]
    excludes, refused = plan_excludes(watches, look, others=others)
    notes += [f"{render_path(path)} is excluded by fimkit and not by osquery: it {words}" for path, words in refused]
    by_category: dict[str, list[str]] = {CATEGORIES[tier]: [] for tier in Tier if tier in chosen.values()}
    for pattern, tier in chosen.items():
        by_category[CATEGORIES[tier]].append(render_pattern(pattern))
    return PackPlan(
        file_paths={category: tuple(sorted(patterns)) for category, patterns in by_category.items()},
        exclude_paths=_by_category(excludes, chosen),
        notes=tuple(dict.fromkeys(notes)),
    )


def _by_category(excludes: Iterable[Exclude], chosen: dict[FolderPattern, Tier]) -> dict[str, tuple[str, ...]]:
    """Put each exclude beside the pattern whose events it is for; where there is none, it is of no use.

    A category without any has an empty list: osqueryd keeps an earlier configuration's until the same category has others.
    """
    found: dict[str, list[str]] = {CATEGORIES[tier]: [] for tier in Tier if tier in chosen.values()}
    for exclude in excludes:
        above = FolderPattern(tuple(part for part in os.path.dirname(exclude.path).split(b"/") if part), False)
        tier = next((tier for pattern, tier in chosen.items() if pattern.holds(above)), None)
        if tier is not None:
            found[CATEGORIES[tier]].append(exclude.pattern)
    return {category: tuple(sorted(patterns)) for category, patterns in found.items()}


def render_pack(plan: PackPlan, queries: Iterable[Query], *, interval_s: int) -> bytes:
    """Write the pack: JSON in ASCII, the same for the same plan.

    Args:
        plan: What to watch.
        queries: What to schedule, as ``queries/pack`` has it.
        interval_s: How often, where a query does not say so itself.
    """
    lists = {"file_paths": plan.file_paths, "exclude_paths": plan.exclude_paths}
    return _render({**_head(queries, interval_s), **lists})


def render_query_pack(queries: Iterable[Query], *, interval_s: int) -> bytes:
    """Write a pack of queries alone, as :func:`render_pack` does."""
    return _render(_head(queries, interval_s))


def _head(queries: Iterable[Query], interval_s: int) -> dict[str, Any]:
    return {"platform": "linux", "version": _OLDEST, "queries": {query.name: _query(query, interval_s) for query in queries}}


def _query(query: Query, interval_s: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "description": f"{query.description}. {MARK}",
        "query": query.sql,
        "interval": query.interval_s or interval_s,
        "platform": query.platform,
        "version": query.version or _OLDEST,
    }
    return {**row, "snapshot": True} if query.snapshot else {**row, "removed": query.removed}


def _render(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode("ascii") + b"\n"
