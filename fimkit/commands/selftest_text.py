"""The table of `selftest` for people. Pure."""

import textwrap
from collections.abc import Iterator, Sequence

from fimkit.model.changes import Source
from fimkit.model.paths import render_path, render_terminal
from fimkit.verbs.selftest_report import RootSeen, SourceSeen

__all__ = ["render_selftest"]

_ORDER = (Source.AUDIT, Source.OSQUERY, Source.SCAN)
_CELL = 12
_MOST_WIDTH = 100


def render_selftest(roots: Sequence[RootSeen], *, width: int = 80) -> Iterator[str]:
    """Give the lines: a root a line with the time that each source took, and below it what that means.

    Args:
        roots: What was found out.
        width: Columns, of which at most 100 are used.
    """
    width = min(width, _MOST_WIDTH)
    name = width - 9 - _CELL * len(_ORDER)
    yield f"{'TIER':9}{'PATH':{name}}" + "".join(f"{source.value.upper():>{_CELL}}" for source in _ORDER)
    for root in roots:
        path = render_terminal(render_path(root.path))
        cells = "".join(f"{_cell(root.sources[source]):>{_CELL}}" for source in _ORDER)
        if len(path) < name:
            yield f"{root.tier.value:9}{path:{name}}{cells}"
        else:
            yield f"{root.tier.value:9}{'':{name}}{cells}"
            yield f"  {path}"
        if root.why:
            yield from _wrap("- ", root.why, width)
        for source in _ORDER:
            seen = root.sources[source]
            if seen.why and not (source is Source.OSQUERY and seen.seen is None):
                yield from _wrap(f"{source.value}: ", seen.why, width)
    for why in dict.fromkeys(root.sources[Source.OSQUERY].why for root in roots if root.sources[Source.OSQUERY].seen is None):
        if why:  # once for all: it is not on this host
            yield from _wrap("osquery: ", why, width)


def _wrap(head: str, words: str, width: int) -> Iterator[str]:
    yield from textwrap.wrap(
        head + render_terminal(words), width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )


def _cell(seen: SourceSeen) -> str:
    """Give the time until everything was seen, or in a word what is wrong.

    >>> _cell(SourceSeen()), _cell(SourceSeen(seen=False, ok=False))
    ('-', 'NOT SEEN')
    """
    if seen.seen is None:
        return "-" if seen.ok is None else "NO RULE"
    if not seen.seen:
        return "NOT SEEN"
    if any(ms is None for ms in seen.operations.values()):
        return "IN PART"
    if not seen.ok:
        return "NOT LOGGED"
    after_ms = seen.after_ms or 0.0
    return f"{after_ms:.1f} ms" if after_ms < 100 else f"{after_ms / 1000:.1f} s"
