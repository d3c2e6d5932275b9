"""What selftest found out: for each root and each source, seen or not, after how long, and what that means. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fimkit.model.changes import Source
from fimkit.model.findings import Tier
from fimkit.model.paths import render_path
from fimkit.verbs.canary_file import Operation

__all__ = ["RootSeen", "SelfTest", "SourceSeen", "render_root"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSeen:
    """One source at one root.

    ``seen``: it saw something of the canary; ``None`` where nothing was tried. ``operations`` has milliseconds from doing to
    reading, ``None`` for what it did not see. ``logged``: its log, which `check` reads, has them too; ``None`` for a source without
    one. ``ok``: all was seen, and logged; ``None`` where nothing was tried. ``why`` is words, with the remedy.
    """

    seen: bool | None = None
    operations: Mapping[Operation, float | None] = field(default_factory=dict)
    logged: bool | None = None
    ok: bool | None = None
    why: str = ""

    @property
    def after_ms(self) -> float | None:
        """The longest time of what was seen."""
        return max((ms for ms in self.operations.values() if ms is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSeen:
    """One configured path. ``folder`` is where its canary was, if there was one; ``ok`` is ``None`` where it could not be tried."""

    path: bytes
    tier: Tier
    folder: bytes | None
    sources: Mapping[Source, SourceSeen]
    ok: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """All roots, and words on what an earlier selftest left, or this one could not put away."""

    roots: tuple[RootSeen, ...]
    words: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if every root that could be tried was seen by every source, and there was one."""
        tried = [root.ok for root in self.roots if root.ok is not None]
        return bool(tried) and all(tried)


def render_root(root: RootSeen) -> dict[str, Any]:
    """Give it as an object for JSON."""
    return {
        "path": render_path(root.path),
        "tier": root.tier.value,
        "folder": None if root.folder is None else render_path(root.folder),
        "sources": {source.value: _render_source(seen) for source, seen in root.sources.items()},
        "ok": root.ok,
        "why": root.why,
    }


def _render_source(seen: SourceSeen) -> dict[str, Any]:
    return {
        "seen": seen.seen,
        "after_ms": seen.after_ms,
        "operations": {operation.value: ms for operation, ms in seen.operations.items()},
        "logged": seen.logged,
        "ok": seen.ok,
        "why": seen.why,
    }
