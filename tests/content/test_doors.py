"""Doors lose nothing: wherever a rule behind one matches, its door is open.

Shown in two ways. Every file of the corpus, whole and cut, goes through all rules in one set and through the set with doors. And
of each rule behind a door the condition is read: what it cannot match without is made of its own patterns, piece by piece, and put
to the door.
"""

import os
import random
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

yara_x = pytest.importorskip("yara_x", reason="the content rules need the extra [scan]")

from fimkit.content.rule_files import BUILT_IN, DOOR, load_rules  # noqa: E402
from fimkit.content.scan import ContentScanner  # noqa: E402
from tests.content.shapes import SHAPES, load_shapes, scanner  # noqa: E402
from tests.content.yara_condition import needed  # noqa: E402

RULES = Path(os.fsdecode(BUILT_IN))
FILES = {path: path.read_text() for path in sorted(RULES.glob("*.yar"))}
DOORS = {path: found[1] for path, text in FILES.items() if (found := re.search(r"^// door: (\w+)$", text, re.MULTILINE))}
SHAPES_TO_TRY = [*load_shapes(SHAPES), *load_shapes(Path(__file__).parent / "near")]


def _rules_behind() -> dict[str, tuple[str, dict[str, str], str]]:
    """Give each rule behind a door: the door, its patterns, its condition."""
    found = {}
    for path, door in DOORS.items():
        for name, strings, condition in re.findall(
            r"^rule (\w+) \{.*?strings:\n(.*?)  condition:\n(.*?)^\}", FILES[path], re.MULTILINE | re.DOTALL
        ):
            found[name] = door, dict(re.findall(r"^    \$(\w+) = (.*?)(?: +// .*)?$", strings, re.MULTILINE)), condition
    return found


BEHIND = _rules_behind()


@pytest.fixture(scope="module")
def all_in_one(tmp_path_factory: pytest.TempPathFactory) -> ContentScanner:
    """Give the same rules, all of them tried on every file."""
    folder = tmp_path_factory.mktemp("rules")
    for path, text in FILES.items():
        (folder / path.name).write_text(re.sub(r"^// door: .*\n", "", text, flags=re.MULTILINE))
    rules, problems = load_rules([os.fsencode(folder)])
    assert problems == []
    assert len(rules.yara) == 1
    return ContentScanner((), rules.yara)


def _yara_hits(one: ContentScanner, content: bytes, name: str) -> set[str]:
    return {hit.rule for hit in one.search(content, path=name.encode()).hits if hit.kind == "yara"}


def test_there_are_doors_and_each_has_rules_behind_it() -> None:
    assert set(DOORS.values()) == {rule.identifier for text in FILES.values() for rule in yara_x.compile(text) if DOOR in rule.tags}
    assert set(BEHIND) == {rule.identifier for path in DOORS for rule in yara_x.compile(FILES[path])}


def test_no_file_of_the_corpus_has_another_hit_with_doors_than_without(all_in_one: ContentScanner) -> None:
    for shape in SHAPES_TO_TRY:
        half = len(shape.content) // 2
        for content in (shape.content, shape.content[:half], shape.content[half:], shape.content.swapcase()):
            assert _yara_hits(scanner(), content, shape.file) == _yara_hits(all_in_one, content, shape.file), shape.name


@cache
def _door(name: str) -> Any:
    return yara_x.compile(next(text for text in FILES.values() if re.search(rf"^rule {name} : door", text, re.MULTILINE)))


def _make(pattern: str, chance: random.Random) -> bytes:
    """Make a match of a YARA pattern: Python reads the same regular expressions."""
    if pattern.startswith('"'):
        return pattern[1 : pattern.rindex('"')].encode("latin-1")
    body, _, flags = pattern[1:].rpartition("/")
    compiled = re.compile(body.encode("latin-1").replace(rb"\/", b"/"), re.IGNORECASE if "i" in flags else 0)
    parsed = re._parser.parse(compiled.pattern)  # type: ignore[attr-defined]
    for _ in range(1000):
        made = b"".join(_pieces(parsed, chance))
        if compiled.search(made):  # what it says of its surroundings may not be met
            return made
    raise AssertionError(pattern)


def _pieces(nodes: Iterable[tuple[Any, Any]], chance: random.Random) -> Iterator[bytes]:
    for kind, argument in nodes:
        match str(kind):
            case "LITERAL":
                yield bytes([argument])
            case "NOT_LITERAL" | "ANY" | "IN":
                yield bytes([chance.choice(_bytes_of(str(kind), argument))])
            case "BRANCH":
                yield from _pieces(chance.choice(argument[1]), chance)
            case "SUBPATTERN":
                yield from _pieces(argument[-1], chance)
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, body = argument
                for _ in range(chance.randint(int(least), min(int(most), int(least) + 3))):
                    yield from _pieces(body, chance)
            case other:
                assert other == "AT", other


@cache
def _choice(source: bytes) -> list[int]:
    return [byte for byte in range(256) if re.fullmatch(source, bytes([byte]), re.DOTALL)]


def _bytes_of(kind: str, argument: Any) -> list[int]:
    if kind == "ANY":
        return _choice(rb"[^\n]")
    if kind == "NOT_LITERAL":
        return _choice(rb"[^\x%02x]" % argument)
    names = {"DIGIT": rb"\d", "NOT_DIGIT": rb"\D", "SPACE": rb"\s", "NOT_SPACE": rb"\S", "WORD": rb"\w", "NOT_WORD": rb"\W"}
    inside = b""
    for what, value in argument:
        match str(what):
            case "NEGATE":
                inside += b"^"
            case "LITERAL":
                inside += rb"\x%02x" % value
            case "RANGE":
                inside += rb"\x%02x-\x%02x" % value
            case _:
                inside += names[str(value).removeprefix("CATEGORY_")]
    return _choice(b"[" + inside + b"]")


@pytest.mark.parametrize("name", sorted(BEHIND))
def test_what_a_rule_cannot_match_without_opens_its_door(name: str) -> None:
    door, patterns, condition = BEHIND[name]
    clauses = needed(condition, list(patterns))
    assert clauses
    chance = random.Random(name)
    door_open = yara_x.Scanner(_door(door))
    for _ in range(200):
        pieces = [
            _make(patterns[one], chance) for clause in clauses for one in [chance.choice(sorted(clause.names))] * clause.least
        ]
        content = b"\n".join(pieces)
        assert door in {rule.identifier for rule in door_open.scan(content).matching_rules}, content
