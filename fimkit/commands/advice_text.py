"""Advice as text for people: worst first, each with its place and its remedy, never wider than asked. Pure."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from fimkit.model.advice import Advice, Level
from fimkit.model.paths import render_terminal

__all__ = ["render_advice_lines"]

_HEADINGS = {
    Level.TRAP: "TRAPS: changes go unseen or unnamed, or a panic fails",
    Level.WARNING: "WARNINGS: it may come to that",
    Level.NOTE: "NOTES",
}


def render_advice_lines(
    advice: Iterable[Advice], *, width: int, headings: Mapping[Level, str] = _HEADINGS
) -> Iterator[str]:
    r"""Write advice, grouped by level.

    Args:
        advice: In the order in which it is to stand within its level.
        width: The columns of the widest line.
        headings: One for each level.

    >>> one = Advice(code="a-b", level=Level.WARNING, where="/etc/x", problem="It is so.", remedy="do that")
    >>> print("\n".join(render_advice_lines([one], width=60)))
    WARNINGS: it may come to that
      a-b  /etc/x
        It is so.
        > do that
    """
    rows = list(advice)
    first = True
    for level in Level:
        group = [one for one in rows if one.level is level]
        if not group:
            continue
        if not first:
            yield ""
        first = False
        yield headings[level]
        for one in group:
            yield from _wrap(f"{one.code}  {one.where}", "  ", "    ", width)
            yield from _wrap(one.problem, "    ", "    ", width)
            yield from _wrap(one.remedy, "    > ", "      ", width)


def _wrap(text: str, first: str, rest: str, width: int) -> list[str]:
    return textwrap.wrap(
        render_terminal(text),
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )
