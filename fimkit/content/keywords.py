"""Keyword rules: words in a context, one line at a time. Pure.

A rule file is TOML: ``[[rule]]`` with ``id``, ``pattern`` (Python's ``re`` on bytes, case is ignored, ``^`` and ``$`` are those of
a line) and, if wanted, ``description``, ``severity``, ``attack``, ``files`` (patterns on the name; empty takes all), ``positive``
and ``negative`` (examples that must match, and must not).

Python's matcher can be made to go back for ever, so the cost is bounded twice: :mod:`fimkit.content.bounded` refuses patterns with
too many ways, and a line is looked at in windows of 4 KiB. What is left is linear in the file.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from fimkit.content.bounded import MOST_WAYS, WINDOW, count_ways, required_words
from fimkit.content.hit import DEFAULT_SEVERITY, SEVERITIES, ContentHit, line_text
from fimkit.model.errors import clip

__all__ = ["MOST_PER_RULE", "KeywordRule", "compile_names", "find_keywords", "parse_keywords"]

MOST_PER_RULE = 10
"""Hits of one rule in one file: who reads them has understood by then."""

_OVERLAP = 1024
_TEXTS = ("id", "pattern", "description", "severity", "attack")
_LISTS = ("files", "positive", "negative", "words")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordRule:
    """One rule; ``words`` are in lower case, and a line without any of them is not looked at."""

    id: str
    pattern: str
    description: str = ""
    severity: str = DEFAULT_SEVERITY
    attack: str = ""
    files: tuple[str, ...] = ()
    words: tuple[bytes, ...] = ()
    compiled: re.Pattern[bytes]
    names: re.Pattern[str] | None = None


def parse_keywords(text: str, source: str) -> tuple[list[KeywordRule], list[str]]:
    r"""Read a rule file.

    Args:
        text: TOML.
        source: What problems call it.

    Returns:
        The good rules, and what is wrong with the others, each with its line.

    >>> parse_keywords('[[rule]]\nid = "a"\npattern = "(x+)+y"', "k.toml")[1][0]
    'k.toml:1: rule a: its pattern can be tried in too many ways at one place (more than 200000): bound and flatten the repetitions'
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+)", str(error))
        return [], [f"{source}:{place[1] if place else 1}: {error}"]
    rows = table.get("rule", [])
    problems = [f"{source}:1: unknown: {clip(name)}; expected [[rule]]" for name in table if name != "rule"]
    if not isinstance(rows, list):
        return [], [f"{source}:1: expected [[rule]], seen: {clip(rows)}"]
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
    rules: dict[str, KeywordRule] = {}
    for position, row in enumerate(rows):
        where = f"{source}:{lines[position] if position < len(lines) else 1}"
        rule, wrong = _parse_rule(row)
        if rule is not None and rule.id in rules:
            wrong = [f"rule {rule.id}: there is one of that id above"]
        elif rule is not None:
            rules[rule.id] = rule
        problems += [f"{where}: {words}" for words in wrong]
    return list(rules.values()), problems


def _parse_rule(row: Any) -> tuple[KeywordRule | None, list[str]]:
    if not isinstance(row, Mapping):
        return None, [f"expected a table, seen: {clip(row)}"]
    wrong = [f"{name} is {clip(row[name])}, expected text" for name in _TEXTS if not isinstance(row.get(name, ""), str)]
    wrong += [f"{name} is {clip(row[name])}, expected a list of texts" for name in _LISTS if not _is_texts(row.get(name, []))]
    wrong += [f"unknown key {clip(name)}" for name in row if name not in _TEXTS + _LISTS]
    if wrong:
        return None, [f"rule {clip(row.get('id'))}: {words}" for words in wrong]
    name, pattern = row.get("id", ""), row.get("pattern", "")
    if not _ID.fullmatch(name):
        return None, [f"id is {clip(name)}, expected up to 64 letters, digits, '.', '_', '-'"]
    severity = row.get("severity", DEFAULT_SEVERITY)
    if severity not in SEVERITIES:
        return None, [f"rule {name}: severity is {clip(severity)}, expected one of {', '.join(SEVERITIES)}"]
    compiled, problem = _compile(pattern)
    if compiled is None:
        return None, [f"rule {name}: {problem}"]
    files = tuple(row.get("files", ()))
    rule = KeywordRule(
        id=name, pattern=pattern, description=row.get("description", ""), severity=severity, attack=row.get("attack", ""),
        files=files, words=_words_of(row, compiled.pattern), compiled=compiled, names=compile_names(files),
    )  # fmt: skip
    return rule, [f"rule {name}: {words}" for words in _against_examples(rule, row)]


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _words_of(row: Mapping[str, Any], pattern: bytes) -> tuple[bytes, ...]:
    return required_words(pattern) or tuple(sorted({word.lower().encode() for word in row.get("words", ()) if word}))


def compile_names(files: Sequence[str]) -> re.Pattern[str] | None:
    """Make patterns on names one; ``None`` takes all."""
    return re.compile("|".join(map(translate, files)), re.IGNORECASE) if files else None


def _compile(pattern: str) -> tuple[re.Pattern[bytes] | None, str]:
    try:
        raw = pattern.encode()
        compiled = re.compile(raw, re.IGNORECASE | re.MULTILINE)
        ways = count_ways(raw)
    except (re.error, OverflowError, RecursionError) as error:
        return None, f"its pattern is none: {error}"
    if not pattern or compiled.search(b""):
        return None, "its pattern matches where there is nothing"
    if ways > MOST_WAYS:
        return None, (
            f"its pattern can be tried in too many ways at one place (more than {MOST_WAYS}): bound and flatten the repetitions"
        )
    return compiled, ""


def _against_examples(rule: KeywordRule, row: Mapping[str, Any]) -> list[str]:
    """The rule stays: it may find what was meant all the same; its author hears of it."""
    wrong = [f"its positive example {clip(text)} does not match" for text in row.get("positive", ()) if not _matches(rule, text)]
    return wrong + [f"its negative example {clip(text)} matches" for text in row.get("negative", ()) if _matches(rule, text)]


def _matches(rule: KeywordRule, text: str) -> bool:
    content = text.encode()
    return next(_matches_of(rule, content, content.lower(), lambda: True), None) is not None


def find_keywords(
    content: bytes, rules: Sequence[KeywordRule], *, path: bytes = b"", goes_on: Callable[[], bool] = lambda: True
) -> list[ContentHit]:
    """Search a file's bytes.

    Args:
        content: The bytes.
        rules: What to search for.
        path: The file's; rules may be for some names alone.
        goes_on: Asked before every line that is looked at; once it says no, the search is over.

    Returns:
        Hits in the order of the rules, at most one a line and ten a rule.
    """
    folded = content.lower()
    name = path.rpartition(b"/")[2].decode("utf-8", "surrogateescape")
    hits = []
    for rule in rules:
        if rule.names is not None and not rule.names.match(name):
            continue
        for count, match in enumerate(_matches_of(rule, content, folded, goes_on), 1):
            hits.append(ContentHit(
                path, rule.id, rule.severity, rule.description, rule.attack,
                content.count(b"\n", 0, match.start()) + 1, match.start(), line_text(content, *match.span()), "keyword",
            ))  # fmt: skip
            if count == MOST_PER_RULE:
                break
    return hits


def _matches_of(
    rule: KeywordRule, content: bytes, folded: bytes, goes_on: Callable[[], bool]
) -> Iterator[re.Match[bytes]]:
    """Give at most one match a line."""
    places = _Places(rule.words, folded)
    at = 0
    while (at := places.next(at)) >= 0 and goes_on():
        line = folded.rfind(b"\n", max(at - WINDOW, 0), at) + 1
        start = line if line or at <= WINDOW else at - _OVERLAP
        end = folded.find(b"\n", at, at + WINDOW)
        is_line = end >= 0
        end = end if is_line else min(at + WINDOW, len(content))
        match = rule.compiled.search(content, start, end)
        if match is not None:
            yield match
            end = folded.find(b"\n", match.start())
            if end < 0:
                return
            at = end + 1
        elif is_line or end == len(content):
            at = end + 1
        else:
            at = end - _OVERLAP


class _Places:
    """Where words stand. What was found is remembered: a word that is nowhere is searched for once, not once a line."""

    __slots__ = ("_content", "_found")

    def __init__(self, words: Sequence[bytes], folded: bytes) -> None:
        self._content = folded
        self._found = dict.fromkeys(words, -1)

    def next(self, at: int) -> int:
        """Give the first place from ``at`` on, or -1. Without words every place is one."""
        content, found = self._content, self._found
        if not found:
            # Nothing can be told of such a pattern's matches: every line is looked at.
            return at if at < len(content) else -1
        for word, place in list(found.items()):
            if place < at:
                place = content.find(word, at)
                if place < 0:
                    del found[word]
                    continue
                found[word] = place
        if found:
            return min(found.values())
        self._content = b""
        return -1
