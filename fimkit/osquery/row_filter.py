"""Leaves out rows that a query does not want, as SQLite would itself, before they travel to osquery. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence

from fimkit.osquery.tables import Limits, Operator, Pattern

__all__ = ["row_filter"]

Test = Callable[[str | None], bool]

_MOST_WILDCARDS = 6  # each one more can multiply the time that a pattern takes


def row_filter(columns: Sequence[str], limits: Mapping[str, Limits]) -> Callable[[Sequence[str | None]], bool] | None:
    """Make a test of whole rows.

    Args:
        columns: What the values of a row are, in order.
        limits: What is asked for; columns that are not among ``columns`` limit nothing.

    Returns:
        Tells whether a row can be wanted; nothing if all can.

    >>> keep = row_filter(["path"], {"path": Limits(patterns=(Pattern(Operator.LIKE, "%.PHP"),))})
    >>> keep(["/srv/a.php"]), keep(["/srv/a.txt"])
    (True, False)
    """
    tests = [(place, test) for place, name in enumerate(columns) if name in limits for test in _tests(limits[name])]
    if not tests:
        return None
    if len(tests) == 1:
        place, test = tests[0]
        return lambda row: test(row[place])
    return lambda row: all(test(row[place]) for place, test in tests)


def _tests(limits: Limits) -> list[Test]:
    tests: list[Test] = []
    if limits.texts is not None:
        tests.append(limits.texts.__contains__)
    if limits.numbers is not None:
        tests.append(frozenset(map(str, limits.numbers)).__contains__)
    if limits.low is not None or limits.high is not None:
        tests.append(_within(limits.low, limits.high))
    tests.extend(test for pattern in limits.patterns if (test := _matches(pattern)))
    return tests


def _within(low: int | None, high: int | None) -> Test:
    def within(value: str | None) -> bool:
        if value is None:
            return False
        number = int(value)
        return (low is None or number >= low) and (high is None or number <= high)

    return within


def _matches(pattern: Pattern) -> Test | None:
    expression = _like(pattern.text) if pattern.operator is Operator.LIKE else _glob(pattern.text)
    if expression is None:
        return None
    fullmatch = expression.fullmatch
    return lambda value: fullmatch(value or "") is not None


def _like(text: str) -> re.Pattern[str] | None:
    """LIKE takes the letters of ASCII, and no others, for the same in both cases."""
    parts = re.split(r"(%+|_)", text)
    if len(parts[1::2]) > _MOST_WILDCARDS:
        return None
    whole = (
        re.escape(part) if place % 2 == 0 else "." if part == "_" else ".*"
        for place, part in enumerate(parts)
    )  # fmt: skip
    return re.compile("".join(whole), re.DOTALL | re.IGNORECASE | re.ASCII)


def _glob(text: str) -> re.Pattern[str] | None:
    """A set in brackets lets in whatever follows: SQLite knows better what is in it."""
    plain, bracket, _ = text.partition("[")
    parts = re.split(r"(\*+|\?)", plain)
    if len(parts[1::2]) > _MOST_WILDCARDS:
        return None
    whole = "".join(
        re.escape(part) if place % 2 == 0 else "." if part == "?" else ".*"
        for place, part in enumerate(parts)
    )  # fmt: skip
    return re.compile(whole + ".*" if bracket else whole, re.DOTALL)
