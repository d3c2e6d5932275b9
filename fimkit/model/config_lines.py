"""Where each key of a TOML text stands: the standard parser keeps no line numbers. Pure."""

import re
from collections.abc import Iterator

__all__ = ["Place", "find_lines", "line_of", "render_place"]

Place = tuple[str | int, ...]
"""A way into the document: ``("paths", 2, "recursive")``."""

_TOKEN = re.compile(
    r'''(?P<comment>\#[^\n]*)
      | (?P<text>"""(?:\\.|[^\\])*?"{3,5} | \'\'\'.*?\'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
      | (?P<word>[A-Za-z0-9_-]+)
      | (?P<open>[\[{]) | (?P<close>[\]}]) | (?P<is>=) | (?P<end>\n) | (?P<other>.)''',
    re.VERBOSE | re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class _Tables:
    """Turns a header into a place: an array of tables counts its elements, and a later ``[a.b]`` means the last of them."""

    def __init__(self) -> None:
        self.counts: dict[Place, int] = {}

    def enter(self, parts: list[str], *, is_element: bool) -> Place:
        place: Place = ()
        for depth, part in enumerate(parts):
            place = (*place, part)
            if is_element and depth == len(parts) - 1:
                self.counts[place] = self.counts.get(place, 0) + 1
            if place in self.counts:
                place = (*place, self.counts[place] - 1)
        return place


def _statements(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """Give each key's or header's line, its brackets (0 a key, 1 a table, 2 an array's element), and its parts."""
    line, depth = 1, 0
    start, brackets, parts, in_value = 0, 0, list[str](), False
    for token in _TOKEN.finditer(text):
        kind, word = token.lastgroup, token.group()
        if kind == "end" and (depth == 0 or not in_value):
            if parts:
                yield start, brackets, parts
            start, depth, brackets, parts, in_value = 0, 0, 0, [], False
        elif kind == "open":
            depth += 1
            brackets += not in_value
            start = start or line
        elif kind == "close":
            depth -= 1
        elif kind == "is" and not brackets:
            in_value = True
        elif kind in ("word", "text") and not in_value:
            parts = [*parts, word[1:-1] if kind == "text" else word]
            start = start or line
        line += word.count("\n")
    if parts:
        yield start, brackets, parts


def find_lines(text: str) -> dict[Place, int]:
    r"""Find the line of every table and key. Keys inside inline tables stand on the line of the key that holds them.

    Args:
        text: A document that the standard parser accepts.

    >>> find_lines('[host]\nname = "a"\n\n[[paths]]\npath = "/"\n[[paths]]\n')
    {('host',): 1, ('host', 'name'): 2, ('paths',): 4, ('paths', 0): 4, ('paths', 0, 'path'): 5, ('paths', 1): 6}
    """
    tables, lines = _Tables(), dict[Place, int]()
    here: Place = ()
    for line, brackets, parts in _statements(text):
        if brackets:
            here = place = tables.enter(parts, is_element=brackets > 1)
        else:
            place = (*here, *parts)
        for depth in range(1, len(place) + 1):
            lines.setdefault(place[:depth], line)
    return lines


def line_of(lines: dict[Place, int], place: Place) -> int | None:
    """Look a place up, or else what holds it.

    >>> line_of({("paths", 0, "exclude"): 7}, ("paths", 0, "exclude", 3))
    7
    """
    for length in range(len(place), 0, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return None


def render_place(place: Place) -> str:
    """Write a place as a reader would.

    >>> render_place(("paths", 2, "recursive")), render_place(("mail", "a key"))
    ('paths[2].recursive', "mail.'a key'")
    """
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else repr(part))
    return text
