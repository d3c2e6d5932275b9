"""What columns a simple SELECT gives, by their names. Pure. No parser of SQL: what it cannot tell, it says so."""

import re
from typing import NamedTuple

__all__ = ["Selected", "parse_select"]

_SELECT = re.compile(r"\bselect\s+(?:distinct\s+|all\s+)?(?P<list>.*?)\s+from\s+(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"('(?:[^']|'')*')|--[^\n]*|/\*.*?\*/", re.DOTALL)
_ALIAS = re.compile(r"(?P<expression>.*?)\s+(?:as\s+)?[\"'`\[]?(?P<alias>[A-Za-z_]\w*)[\"'`\]]?", re.IGNORECASE | re.DOTALL)
_COLUMN = re.compile(r"(?:\w+\.)?[\"`\[]?(?P<name>[A-Za-z_]\w*)[\"`\]]?")
_PART = re.compile(
    r"\b(where|limit|group\s+by|having)\b\s*(.*?)(?=\b(?:where|limit|group\s+by|having|order\s+by)\b|;|\Z)",
    re.IGNORECASE | re.DOTALL,
)


class Selected(NamedTuple):
    """``columns`` maps a name in the result to the expression that it stands for; ``has_star`` takes all columns.

    ``narrowed`` are the parts that leave rows out (WHERE, LIMIT, GROUP BY), as they are written.
    """

    columns: dict[str, str]
    has_star: bool
    narrowed: tuple[str, ...]


def _split(text: str) -> list[str]:
    """Split at commas outside of brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [part.strip() for part in (*parts, text[start:])]


def parse_select(sql: str) -> Selected | None:
    """Read the select list.

    Returns:
        ``None`` where there is no plain ``SELECT … FROM`` (a union, a common table).

    >>> parse_select("SELECT target_path AS path, action FROM file_events WHERE time > 5")
    Selected(columns={'path': 'target_path', 'action': 'action'}, has_star=False, narrowed=('WHERE time > 5',))
    >>> parse_select("select * from file_events;").has_star
    True
    """
    text = _COMMENT.sub(lambda match: match[1] or " ", sql).strip()
    match = _SELECT.match(text)
    if match is None or re.search(r"\b(union|intersect|except)\b", text, re.IGNORECASE):
        return None
    columns: dict[str, str] = {}
    has_star = False
    for item in _split(match["list"]):
        alias, column = _ALIAS.fullmatch(item), _COLUMN.fullmatch(item)
        if item == "*" or item.endswith(".*"):
            has_star = True
        elif column is not None:
            columns[column["name"]] = column["name"]
        elif alias is not None:
            inner = _COLUMN.fullmatch(alias["expression"].strip())
            columns[alias["alias"]] = inner["name"] if inner is not None else alias["expression"].strip()
        else:
            columns[item] = item
    narrowed = tuple(f"{word.upper()} {' '.join(rest.split())}" for word, rest in _PART.findall(match["rest"]))
    return Selected(columns, has_star, narrowed)
