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

MOST_WAYS = 100_000

_parser: Any = re._parser  # type: ignore[attr-defined]  # undocumented, and what the re module itself compiles from
_LOOKS = {"ASSERT", "ASSERT_NOT", "ATOMIC_GROUP"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}


def count_ways(pattern: bytes) -> int:
    r"""Count, from above, the ways in which the pattern can be tried at one place of a text.

    Raises:
        re.error: If it is none.

    >>> count_ways(rb"touch\s{1,8}/tmp"), count_ways(rb"(wget|curl)\s{0,9}-\w{1,50}")
    (8, 1000)
    >>> count_ways(rb"(a+)+$") > MOST_WAYS, count_ways(rb"x(?>a+)b")
    (True, 4097)
    """
    return _of_sequence(_parser.parse(pattern, re.IGNORECASE))


def _of_sequence(nodes: Iterable[tuple[Any, Any]]) -> int:
    ways = 1
    for kind, argument in nodes:
        ways = min(ways * _of_node(str(kind), argument), MOST_WAYS * 1000)
    return ways


def _of_node(kind: str, argument: Any) -> int:
    if kind == "BRANCH":
        return sum(map(_of_sequence, argument[1]))
    if kind == "SUBPATTERN":
        return _of_sequence(argument[-1])
    if kind in _LOOKS:
        # No way leads back into it, but each way through it costs: counted as if it were tried once more.
        inner = argument if kind == "ATOMIC_GROUP" else argument[1]
        return 1 if (ways := _of_sequence(inner)) == 1 else 1 + ways
    if kind in _REPEATS:
        return _of_repeat(kind, *argument)
    if kind == "GROUPREF_EXISTS":
        return sum(_of_sequence(part) for part in argument[1:] if part)
    return 1


def _of_repeat(kind: str, least: int, most: int, body: Any) -> int:
    most = min(int(most), WINDOW)
    inner = _of_sequence(body)
    if kind == "POSSESSIVE_REPEAT":
        return 1 if inner == 1 else inner * most
    if inner == 1:
        return max(most - least + 1, 1)
    ways, power = 0, inner**least if least < 64 else MOST_WAYS
    for _ in range(least, most + 1):
        ways += power
        power *= inner
        if ways > MOST_WAYS:
            return MOST_WAYS * 1000
    return max(ways, 1)


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
