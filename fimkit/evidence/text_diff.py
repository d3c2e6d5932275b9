"""The unified diff of two kept texts: bounded in time, in lines and in their length, and safe to show. Pure.

By Eugene Myers' greedy method. Texts made to take long (and any that differ in more than some hundred lines) are given as what was
taken out and what was put in, without a search for what they share between.
Source: Myers, An O(ND) Difference Algorithm and Its Variations, Algorithmica 1 (1986), 251-266.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fimkit.evidence.masking import render_masked
from fimkit.model.paths import render_terminal

__all__ = ["MOST_CHARS", "MOST_LINES", "diff_lines", "render_diff"]

MOST_LINES = 400
"""Of a diff; what is beyond is counted."""
MOST_CHARS = 400
"""Of a line; of a longer one the part around its first difference is shown."""
_AROUND = 3
_BEFORE_CHARS = 60
_MOST_EDITS = 600
_MOST_STEPS = 2_000_000
_UNENDED = "\0\0"
"""Stands behind a last line without a line feed, which differs from one with it; no masked text ends so."""
_TOKEN = re.compile("\0[0-9a-f]{4}\0")


class Block(NamedTuple):
    """Lines ``old_from`` to ``old_to`` of the old text became ``new_from`` to ``new_to`` of the new one."""

    old_from: int
    old_to: int
    new_from: int
    new_to: int


def diff_lines(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """Find the blocks of lines that differ, in their order.

    >>> diff_lines(["a", "b", "c"], ["a", "x", "c", "d"])
    [Block(old_from=1, old_to=2, new_from=1, new_to=2), Block(old_from=3, old_to=3, new_from=3, new_to=4)]
    """
    start, shorter = 0, min(len(old), len(new))
    while start < shorter and old[start] == new[start]:
        start += 1
    end = 0
    while end < shorter - start and old[-1 - end] == new[-1 - end]:
        end += 1
    inner_old, inner_new = old[start : len(old) - end], new[start : len(new) - end]
    if not inner_old and not inner_new:
        return []
    matches = _matches(inner_old, inner_new)
    if matches is None:
        return [Block(start, len(old) - end, start, len(new) - end)]
    return [Block(*(place + start for place in block)) for block in _gaps(matches, len(inner_old), len(inner_new))]


def _matches(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]] | None:
    """Give the pairs of a longest common subsequence; nothing where it would take too long."""
    numbers: dict[str, int] = {}
    a = [numbers.setdefault(line, len(numbers)) for line in old]
    b = [numbers.setdefault(line, len(numbers)) for line in new]
    furthest = {1: 0}
    trace: list[dict[int, int]] = []
    steps = 0
    for edits in range(min(len(a) + len(b), _MOST_EDITS) + 1):
        trace.append(furthest.copy() if edits <= 1 else {k: furthest[k] for k in range(-edits, edits + 1) if k in furthest})
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1])
            x = furthest[k + 1] if down else furthest[k - 1] + 1
            y = x - k
            was = x
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            furthest[k] = x
            steps += 1 + x - was
            if x >= len(a) and y >= len(b):
                return _walk_back(trace, len(a), len(b))
        if steps > _MOST_STEPS:
            return None
    return None


def _walk_back(trace: Sequence[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for edits in range(len(trace) - 1, -1, -1):
        furthest, k = trace[edits], x - y
        down = k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1])
        last_k = k + 1 if down else k - 1
        last_x = furthest[last_k] if edits else 0
        last_y = last_x - last_k if edits else 0
        while x > last_x and y > last_y:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = last_x, last_y
    return pairs[::-1]


def _gaps(pairs: Sequence[tuple[int, int]], old: int, new: int) -> Iterator[Block]:
    at_old = at_new = 0
    for x, y in [*pairs, (old, new)]:
        if x > at_old or y > at_new:
            yield Block(at_old, x, at_new, y)
        at_old, at_new = x + 1, y + 1


def render_diff(old: str, new: str, *, most_lines: int = MOST_LINES) -> str:
    r"""Write the unified diff of two masked texts, without the two lines of names.

    Args:
        old: Masked by :class:`fimkit.evidence.masking.Masker`.
        new: The same, by the same key.
        most_lines: Of the diff.

    Returns:
        Lines with their ends, each without control characters; bytes that were no text are ``%XX``. Empty where nothing differs.

    >>> print(render_diff("a\nb\n", "a\nc\n"), end="")
    @@ -1,2 +1,2 @@
     a
    -b
    +c
    """
    was, now = _split(old), _split(new)
    blocks = diff_lines(was, now)
    old_tokens = frozenset(_TOKEN.findall(old))
    lines: list[str] = []
    for hunk in _hunks(blocks):
        lines += _render_hunk(hunk, was, now, old_tokens, most_lines - len(lines) + 1)
        if len(lines) > most_lines:
            break
    if len(lines) > most_lines:
        taken, put = sum(one.old_to - one.old_from for one in blocks), sum(one.new_to - one.new_from for one in blocks)
        lines[most_lines:] = [f"… cut here; in all {taken} lines were taken out, and {put} put in"]
    return "".join(line + "\n" for line in lines)


def _split(text: str) -> list[str]:
    """Split at line feeds alone: another character that ends a line elsewhere is shown, and hides nothing."""
    lines = text.split("\n")
    if lines[-1]:
        lines[-1] += _UNENDED
    else:
        lines.pop()
    return lines


def _hunks(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    hunk: list[Block] = []
    for block in blocks:
        if hunk and block.old_from - hunk[-1].old_to > 2 * _AROUND:
            yield hunk
            hunk = []
        hunk.append(block)
    if hunk:
        yield hunk


def _render_hunk(
    hunk: Sequence[Block], was: Sequence[str], now: Sequence[str], old_tokens: frozenset[str], most: int
) -> list[str]:
    first, last = hunk[0], hunk[-1]
    lead = min(_AROUND, first.old_from)
    trail = min(_AROUND, len(was) - last.old_to)
    ranges = (_range(first.old_from - lead, last.old_to + trail), _range(first.new_from - lead, last.new_to + trail))
    lines = [f"@@ -{ranges[0]} +{ranges[1]} @@"]
    at = first.old_from - lead
    for block in hunk:
        lines += [" " + _show(line) for line in was[at : block.old_from]]
        taken, put = was[block.old_from : block.old_to][:most], now[block.new_from : block.new_to][:most]
        places = [_first_difference(one, other) for one, other in zip(taken, put, strict=False)]
        places += [0] * (max(len(taken), len(put)) - len(places))
        lines += ["-" + _show(line, place) for line, place in zip(taken, places, strict=False)]
        lines += ["+" + _show(line, place, old_tokens) for line, place in zip(put, places, strict=False)]
        at = block.old_to
        if len(lines) > most:
            return lines
    return lines + [" " + _show(line) for line in was[at : at + trail]]


def _range(start: int, stop: int) -> str:
    length = stop - start
    return f"{start + 1 if length else start}" + ("" if length == 1 else f",{length}")


def _first_difference(one: str, other: str) -> int:
    if max(len(one), len(other)) <= MOST_CHARS:
        return 0
    low, high = 0, min(len(one), len(other))
    while low < high:  # the longest common beginning, by halves: comparing slices is quick
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _show(line: str, place: int = 0, old_tokens: frozenset[str] | None = None) -> str:
    """Make a line safe, and cut a long one around a place; a token that the old text has not is said to be another value."""
    has_end = not line.endswith(_UNENDED)
    line = line.removesuffix(_UNENDED)
    total, cut = len(line), ""
    if total > MOST_CHARS:
        start = max(0, min(place - _BEFORE_CHARS, total - MOST_CHARS))
        start = max(0, start - 5) if "\0" in line[max(0, start - 5) : start] else start
        cut, line = f"  [{total} characters, cut to those from {start + 1}]", line[start : start + MOST_CHARS]
        line = re.sub("\\A[0-9a-f]{0,4}\0|\0[0-9a-f]{0,4}\\Z", "", line) if line.count("\0") % 2 else line
    text = render_masked(line, changed=lambda token: old_tokens is not None and token not in old_tokens)
    shown = render_terminal("".join(_visible(char) for char in text.expandtabs(4)))
    return shown + cut + ("" if has_end else "  [no line feed at the end]")


def _visible(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that was no UTF-8
        return f"%{ord(char) - 0xDC00:02X}"
    return "?" if "\ud800" <= char <= "\udfff" else char
