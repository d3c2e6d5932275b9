"""Rows of any columns for a terminal: a table within the width, or one value a line where the columns do not fit. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from fimkit.model.paths import render_path, render_terminal
from fimkit.report.text import display_width, fit

__all__ = ["render_cell", "render_rows"]

_GAP = 2
_NARROWEST = 8
_NUMBERS = frozenset({"INTEGER", "BIGINT", "UNSIGNED BIGINT", "DOUBLE"})


def render_cell(value: str) -> str:
    r"""Escape a value that the host made: nothing in it reaches the terminal but what can be seen.

    >>> render_cell("/tmp/a\x1b[2Jb\udcff")
    '/tmp/a%1B[2Jb%FF'
    """
    return render_terminal(render_path(value.encode("utf-8", "surrogateescape")))


def _widths(natural: Sequence[int], least: int, room: int) -> list[int] | None:
    """Share the room: narrow columns get what they need, wide ones the same; ``None`` where that is less than ``least``."""
    room -= _GAP * (len(natural) - 1)
    most, narrow = max(natural, default=0), sorted(natural)
    for place, width in enumerate(narrow):
        share = (room - sum(narrow[:place])) // (len(narrow) - place)
        if share < width:
            if share < least:
                return None
            most = share
            break
    return [min(width, most) for width in natural]


def _fold(text: str, width: int) -> Iterator[str]:
    line, used = "", 0
    for char in text:
        wide = display_width(char)
        if used + wide > width:
            yield line
            line, used = "", 0
        line, used = line + char, used + wide
    yield line


def render_rows(
    columns: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, str]], *, width: int = 80
) -> Iterator[str]:
    r"""Write rows as lines.

    Args:
        columns: Name and osquery's type, in order. Numbers stand to the right.
        rows: A text for each column; a missing one is empty.
        width: Columns of the terminal, at least 40. Too long a value is shortened in its middle; where columns would get too
            narrow, each value has a line of its own and is folded instead.

    >>> print("\n".join(render_rows([("pid", "BIGINT"), ("name", "TEXT")], [{"pid": "1", "name": "init"}])))
    pid  name
      1  init
    """
    names = [render_cell(name) for name, _ in columns]
    cells = [[render_cell(row.get(name, "")) for name, _ in columns] for row in rows]
    natural = [max(map(display_width, column)) for column in zip(names, *cells, strict=True)]
    widths = _widths(natural, max([_NARROWEST, *map(display_width, names)]), width)  # a name that is cut names nothing
    if widths is None:
        yield from _render_records(names, cells, width)
        return
    right = [kind in _NUMBERS for _, kind in columns]
    for line in (names, *cells):
        yield (" " * _GAP).join(
            _align(fit(cell, room), room, to_right) for cell, room, to_right in zip(line, widths, right, strict=True)
        ).rstrip()


def _align(cell: str, room: int, to_right: bool) -> str:
    space = " " * (room - display_width(cell))
    return space + cell if to_right else cell + space


def _render_records(names: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    label = min(max(map(display_width, names)), width // 3)
    for number, row in enumerate(cells, 1):
        yield f"--- {number}"
        for name, cell in zip(names, row, strict=True):
            head = _align(fit(name, label), label, False)
            for line in _fold(cell, width - label - _GAP):
                yield f"{head}{' ' * _GAP}{line}".rstrip()
                head = " " * label
