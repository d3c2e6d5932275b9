"""What the linter is told of a host: where patterns lead, what a tree costs, the kernel's limits. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fimkit.model.config import Watch
from fimkit.osquery.coverage import Base
from fimkit.osquery.places import Place

__all__ = ["ASSUMED_ROWS_PER_S", "InotifyLimits", "LintFacts", "TreeCount"]

ASSUMED_ROWS_PER_S = 100.0
"""A package manager at work, three rows a file; a host that was measured has its own."""


class TreeCount(NamedTuple):
    """What lies below the folders that osqueryd watches. ``big`` are files that it does not hash, ``biggest`` the first of them.

    ``is_whole`` is false where the count was broken off.
    """

    folders: int = 0
    big: int = 0
    biggest: bytes | None = None
    biggest_size: int = 0
    is_whole: bool = True


class InotifyLimits(NamedTuple):
    """``/proc/sys/fs/inotify``, and what root's other processes hold now; ``None`` where it is not known."""

    max_user_watches: int | None = None
    max_user_instances: int | None = None
    max_queued_events: int | None = None
    other_watches: int | None = None
    other_instances: int | None = None
    osqueryd_watches: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFacts:
    """One host. ``watches`` are what fimkit is to observe, links followed; ``bases`` are by pattern, as written.

    ``osquery_log`` is where fimkit reads results; ``rows_per_s`` was measured, or is ``None``.
    """

    watches: tuple[Watch, ...] = ()
    bases: Mapping[bytes, tuple[Base, ...]] = field(default_factory=dict)
    look: Callable[[bytes], Place]
    count: TreeCount = field(default_factory=TreeCount)
    limits: InotifyLimits = field(default_factory=InotifyLimits)
    osquery_log: bytes = b"/var/log/osquery/osqueryd.results.log"
    rows_per_s: float | None = None

