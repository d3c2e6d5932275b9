"""What a regular expression can cost, and what stands in every match of it. Pure.

Python's matcher goes back: nested repetition lets a short file keep it busy for years. Before a keyword rule is taken, the ways
in which it can be tried at one place are counted, from above, on the parsed pattern; what has too many is refused.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["MOST_WAYS", "WINDOW", "count_ways", "required_words"]

WINDOW = 4096
"""Bytes of a line that are looked at together. A repetition without a bound has this one."""

MOST_WAYS = 200_000

_parser: Any = re._parser  # type: ignore[attr-defined]  # undocumented, and what the re module itself compiles from
_ALL = frozenset(range(256))
_NOTHING: frozenset[int] = frozenset()
_CATEGORIES = {
    name: frozenset(byte for byte in _ALL if re.match(pattern, bytes([byte])))
    for name, pattern in [
        ("DIGIT", rb"\d"), ("NOT_DIGIT", rb"\D"), ("SPACE", rb"\s"), ("NOT_SPACE", rb"\S"), ("WORD", rb"\w"), ("NOT_WORD", rb"\W"),
    ]
}  # fmt: skip
_TOO_MANY = MOST_WAYS * 1000
_LOOKS = {"ASSERT", "ASSERT_NOT", "ATOMIC_GROUP"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}


def count_ways(pattern: bytes) -> int:
    r"""Count, from above, the ways in which the pattern can be tried at one place of a text.

    A repetition of single bytes counts once where what follows cannot begin with one of them: there is one place to end it.

    Raises:
        re.error: If it is none.

    >>> count_ways(rb"touch\s{1,8}/tmp"), count_ways(rb"(wget|curl)\s{0,9}-\w{1,50}[a-f]"), count_ways(rb"x.{0,80}y.{0,80}z")
    (1, 50, 6561)
    >>> count_ways(rb"(a+)+$") > MOST_WAYS, count_ways(rb"x(?>a+)b")
    (True, 1)
    """
    return _of_sequence(_parser.parse(pattern, re.IGNORECASE), _NOTHING)


def _of_sequence(nodes: Iterable[tuple[Any, Any]], follow: frozenset[int]) -> int:
    """Count from the right: what may follow a node is what the next ones may begin with, and ``follow`` behind them all."""
    ways = 1
    for kind, argument in reversed(list(nodes)):
        ways = min(ways * _of_node(str(kind), argument, follow), _TOO_MANY)
        first, may_be_empty = _first_of(str(kind), argument)
        follow = first | follow if may_be_empty else first
    return ways


def _of_node(kind: str, argument: Any, follow: frozenset[int]) -> int:
    if kind == "BRANCH":
        parts = [(_firsts(part), _of_sequence(part, follow)) for part in argument[1]]
        # Of the branches only those are tried to their end that can begin with the byte that is there.
        return max(sum(ways for (first, empty), ways in parts if empty or byte in first) for byte in range(256))
    if kind == "SUBPATTERN":
        return _of_sequence(argument[-1], follow)
    if kind in _LOOKS:
        return _of_sequence(argument if kind == "ATOMIC_GROUP" else argument[1], _NOTHING)
    if kind in _REPEATS:
        return _of_repeat(kind, argument, follow)
    if kind == "GROUPREF_EXISTS":
        return sum(_of_sequence(part, follow) for part in argument[1:] if part)
    return 1


def _of_repeat(kind: str, argument: Any, follow: frozenset[int]) -> int:
    least, most, body = min(int(argument[0]), WINDOW), min(int(argument[1]), WINDOW), argument[2]
    first, may_be_empty = _firsts(body)
    inner = _of_sequence(body, first | follow)
    if kind == "POSSESSIVE_REPEAT":
        return inner if inner == 1 else min(inner * most, _TOO_MANY)
    if inner == 1 and not may_be_empty:
        return 1 if not first & follow else max(most - least + 1, 1)
    ways = 0
    for times in range(least, most + 1):
        ways += max(inner, 2) ** times
        if ways > MOST_WAYS:
            return _TOO_MANY
    return max(ways, 1)


def _firsts(nodes: Iterable[tuple[Any, Any]]) -> tuple[frozenset[int], bool]:
    """Give the bytes that a match of a sequence can begin with, and whether it can be empty."""
    union: frozenset[int] = frozenset()
    for kind, argument in nodes:
        first, may_be_empty = _first_of(str(kind), argument)
        union |= first
        if not may_be_empty:
            return union, False
    return union, True


def _first_of(kind: str, argument: Any) -> tuple[frozenset[int], bool]:
    if kind in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
        return _bytes_of(kind, argument), False
    if kind == "BRANCH":
        parts = [_firsts(part) for part in argument[1]]
        return frozenset().union(*(first for first, _ in parts)), any(empty for _, empty in parts)
    if kind == "SUBPATTERN":
        return _firsts(argument[-1])
    if kind == "ATOMIC_GROUP":
        return _firsts(argument)
    if kind in _REPEATS:
        first, may_be_empty = _firsts(argument[2])
        return first, may_be_empty or argument[0] == 0
    if kind in ("AT", "ASSERT", "ASSERT_NOT"):
        return _NOTHING, True
    return _ALL, True  # a reference to a group, or what a later Python has: anything


def _bytes_of(kind: str, argument: Any) -> frozenset[int]:
    if kind == "LITERAL":
        return frozenset(bytes([argument]).lower() + bytes([argument]).upper())
    if kind == "NOT_LITERAL":
        return _ALL - frozenset(bytes([argument]))
    if kind == "ANY":
        return _ALL - {10}
    found: set[int] = set()
    for name, value in argument:
        if str(name) == "LITERAL":
            found |= _bytes_of("LITERAL", value)
        elif str(name) == "RANGE":
            found.update(*(_bytes_of("LITERAL", byte) for byte in range(value[0], value[1] + 1)))
        elif str(name) == "CATEGORY":
            found |= _CATEGORIES.get(str(value).removeprefix("CATEGORY_"), _ALL)
    return _ALL - found if argument and str(argument[0][0]) == "NEGATE" else frozenset(found)


def required_words(pattern: bytes) -> tuple[bytes, ...]:
    r"""Give words in lower case of which each match of the pattern has at least one; none, if none can be told.

    >>> required_words(rb"['\"]\s{0,9}(wget|curl)\s{1,9}https?://")
    (b'http',)
    >>> required_words(rb"\b(?:sh|perl)\s{1,9}-[ce]")
    (b'perl', b'sh')
    >>> required_words(rb"\d+"), required_words(rb"(?!eval)x?"), required_words(rb"[Tt]ouch[,;]")
    ((), (), (b'ouch',))
    """
    return tuple(sorted(set(_words(_parser.parse(pattern, re.IGNORECASE)))))


def _words(nodes: Iterable[tuple[Any, Any]]) -> Sequence[bytes]:
    """Take the best part of a sequence: the one whose shortest word is the longest."""
    choices: list[Sequence[bytes]] = []
    run = b""
    for kind, argument in nodes:
        name = str(kind)
        if name == "LITERAL" and argument < 128:
            run += bytes([argument]).lower()
            continue
        if run:
            choices.append([run])
            run = b""
        if name == "BRANCH":
            parts = [_words(part) for part in argument[1]]
            choices.append([word for part in parts for word in part] if all(parts) else [])
        elif name == "SUBPATTERN":
            choices.append(_words(argument[-1]))
        elif name == "ATOMIC_GROUP":
            choices.append(_words(argument))
        elif name in _REPEATS and argument[0] >= 1:
            choices.append(_words(argument[2]))
    if run:
        choices.append([run])
    return max(choices, key=lambda words: (min(map(len, words), default=0), -len(words)), default=[])
