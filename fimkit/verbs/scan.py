"""`scan`: content rules on the files of existing trees."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from fimkit.content.answers import Scanned
from fimkit.content.confine import Confinement
from fimkit.content.hit import ContentHit
from fimkit.content.pool import FILE_S, ContentPool
from fimkit.content.reader import DEFAULT_MOST_BYTES
from fimkit.content.rule_files import BUILT_IN, RuleSet, has_yara, load_rules
from fimkit.content.walk import open_trees
from fimkit.model.errors import UsageError
from fimkit.verbs.content_cases import hidden_marks

__all__ = ["ScanTotals", "ScanWishes", "make_pool", "prepare_rules", "scan_trees"]

_TELL_EVERY = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanWishes:
    """What was asked for. ``workers`` of ``None`` is one a core."""

    paths: tuple[bytes, ...]
    workers: int | None = None
    most_bytes: int = DEFAULT_MOST_BYTES
    file_s: float = FILE_S
    cross_mounts: bool = True


@dataclass(slots=True, kw_only=True)
class ScanTotals:
    """What a scan came to; it grows while the scan goes on.

    ``not_scanned`` counts by reason; what was searched in part is in it and in ``files``.
    """

    files: int = 0
    size_bytes: int = 0
    read_bytes: int = 0
    files_with_hits: int = 0
    hits: int = 0
    not_scanned: Counter[str] = field(default_factory=Counter)
    confinement: Confinement | None = None


def prepare_rules(folders: Sequence[bytes], *, built_in: bool) -> tuple[RuleSet, list[str]]:
    """Load the rules that a scan is to use.

    Args:
        folders: A site's own.
        built_in: Whether those that fimkit brings are used beside them.

    Returns:
        The rules, and what is to be said of them: each bad one with its place, and YARA, where it is missing.

    Raises:
        UsageError: If there is no rule at all, or a folder that is none.
    """
    for folder in folders:
        if not os.path.isdir(folder):
            raise UsageError(f"--rules {os.fsdecode(folder)!r}: no such folder")
    rules, words = load_rules(([BUILT_IN] if built_in else []) + list(folders))
    if not has_yara():
        words.append("keyword rules alone: pip install 'fimkit[scan]' adds YARA (the yara-x package)")
    if not rules.count:
        raise UsageError("; ".join(["there is no rule to search with", *words[:5]]))
    return rules, words


def make_pool(wishes: ScanWishes, rules: RuleSet | None = None) -> ContentPool:
    """Make the processes that read. Without rules they are started now, and wait for them: both take their time."""
    most = None if any(map(os.path.isdir, wishes.paths)) else len(wishes.paths)
    return ContentPool(rules, workers=wishes.workers, most=most, most_bytes=wishes.most_bytes, file_s=wishes.file_s)


def scan_trees(
    wishes: ScanWishes, pool: ContentPool, totals: ScanTotals, *, on_progress: Callable[[int, int], None] | None = None
) -> Iterator[Scanned]:
    """Search every file at and below the paths.

    Args:
        wishes: Where, and within which bounds.
        pool: From :func:`make_pool`, with its rules.
        totals: Counted up on the way.
        on_progress: Told now and then of the files done and the bytes read.

    Returns:
        What is worth a word: files with hits, with notes, and what was not scanned; in no order.

    Raises:
        HostError: If no process that reads can be started.
    """
    for count, found in enumerate(pool.scan(open_trees(wishes.paths, cross_mounts=wishes.cross_mounts)), 1):
        hidden = _hidden(found, wishes.most_bytes)
        scanned = found._replace(hits=found.hits + hidden) if hidden else found
        _count(totals, scanned)
        if on_progress is not None and count % _TELL_EVERY == 0:
            on_progress(totals.files, totals.read_bytes)
        if scanned.hits or scanned.problem or scanned.notes:
            yield scanned
    totals.confinement = pool.confinement


def _hidden(scanned: Scanned, most_bytes: int) -> tuple[ContentHit, ...]:
    if scanned.problem is None and scanned.size_bytes <= most_bytes:  # nearly every file
        return ()
    marks = hidden_marks(scanned.path, scanned.size_bytes, most_bytes=most_bytes, problem=scanned.problem)
    return tuple(
        ContentHit(scanned.path, mark.rule, "suspect", "A page's script that cannot be searched whole", mark.attack,
                   0, 0, mark.text, "bounds")
        for mark in marks
    )  # fmt: skip


def _count(totals: ScanTotals, scanned: Scanned) -> None:
    totals.files += scanned.problem is None or scanned.read_bytes > 0
    totals.size_bytes += scanned.size_bytes
    totals.read_bytes += scanned.read_bytes
    totals.files_with_hits += bool(scanned.hits)
    totals.hits += len(scanned.hits)
    if scanned.problem is not None:
        totals.not_scanned[scanned.problem] += 1
