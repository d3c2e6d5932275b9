"""Rules from folders: what is good is taken, what is not is named with its file and line, and stops nothing else.

A YARA file whose first lines say ``// door: NAME`` is tried only on what the rule NAME matches: a rule with the tag ``door``, in
another file, which is itself no hit. So what is slow on every file is for few of them.
"""

import importlib.util
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fimkit.content.keywords import KeywordRule, parse_keywords
from fimkit.model.paths import render_path

__all__ = ["BUILT_IN", "DOOR", "VARIABLES", "RuleSet", "YaraPart", "has_yara", "load_rules"]

BUILT_IN = os.fsencode(os.path.join(os.path.dirname(__file__), "rules"))
"""The rules that fimkit brings."""

VARIABLES = ("filename", "filepath", "extension")
"""What a YARA condition may ask of the file's name; the names are those that other scanners gave them."""

DOOR = "door"
"""The tag of a rule that is no hit, and opens the way to others."""

_DOOR = re.compile(r"(?:[ \t]*(?://[^\n]*)?\n)*?//[ \t]*door:[ \t]*(\w+)[ \t]*(?:\r?\n|\Z)")
_MOST_BYTES = 16 << 20
_KINDS = (b".toml", b".yar", b".yara")


class YaraPart(NamedTuple):
    """Rules that are tried together, as yara-x serialises them: on every file, or where the rule ``door`` matches."""

    door: str
    packed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules, ready for use; of ``yara`` the part without a door is the first. ``yara_count`` counts no doors."""

    keywords: tuple[KeywordRule, ...] = ()
    yara: tuple[YaraPart, ...] = ()
    yara_count: int = 0

    @property
    def count(self) -> int:
        """How many rules there are."""
        return len(self.keywords) + self.yara_count


def has_yara() -> bool:
    """Whether the ``yara-x`` package is here: ``pip install fimkit[scan]``."""
    return importlib.util.find_spec("yara_x") is not None


def load_rules(folders: Sequence[bytes] = (BUILT_IN,)) -> tuple[RuleSet, list[str]]:
    """Read all rule files below the folders.

    Args:
        folders: Each is searched to any depth for ``*.toml``, ``*.yar`` and ``*.yara``; names that begin with a dot are left out.

    Returns:
        The good rules, and what is wrong with the others in words: ``FILE:LINE: …``. Of keyword rules of one id the first counts;
        a YARA file has a namespace of its own.
    """
    keywords: dict[str, KeywordRule] = {}
    sources: list[tuple[str, str]] = []
    problems: list[str] = []
    for path, problem in _rule_paths(folders):
        shown = render_path(path)
        text, problem = (None, problem) if problem else _read(path)
        if text is None:
            problems.append(f"{shown}: {problem}")
        elif path.endswith(b".toml"):
            rules, wrong = parse_keywords(text, shown)
            problems += wrong
            twice = [rule.id for rule in rules if rule.id in keywords]
            problems += [f"{shown}: rule {name}: there is one of that id in an earlier file" for name in twice]
            keywords = {rule.id: rule for rule in rules} | keywords
        else:
            sources.append((shown, text))
    yara: tuple[YaraPart, ...] = ()
    count = 0
    if sources and has_yara():
        yara, count, wrong = _compile_parts(sources)
        problems += wrong
    return RuleSet(keywords=tuple(keywords.values()), yara=yara, yara_count=count), problems


def _rule_paths(folders: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
    """Give every rule file once, in order; or a folder, and why it cannot be listed."""
    for folder in dict.fromkeys(map(os.path.abspath, folders)):
        errors: list[OSError] = []
        for above, names, files in os.walk(folder, onerror=errors.append):
            names[:] = sorted(name for name in names if not name.startswith(b"."))
            for name in sorted(files):
                if name.endswith(_KINDS) and not name.startswith(b"."):
                    yield os.path.join(above, name), ""
        for error in errors:
            yield os.fsencode(error.filename or folder), f"cannot be listed: {error.strerror}"


def _read(path: bytes) -> tuple[str | None, str]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(file, "rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    if len(raw) > _MOST_BYTES:
        return None, f"is larger than {_MOST_BYTES >> 20} MiB"
    try:
        return raw.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return None, f"line {line} is no UTF-8"


def _compile_parts(sources: Sequence[tuple[str, str]]) -> tuple[tuple[YaraPart, ...], int, list[str]]:
    """Compile the files without a door together, and those behind each door: the matcher goes over a file's bytes once for each."""
    behind: dict[str, list[tuple[str, str]]] = {"": []}
    for name, text in sources:
        found = _DOOR.match(text)
        behind.setdefault(found[1] if found else "", []).append((name, text))
    packed, count, doors, problems = _compile(behind.pop(""))
    parts = [YaraPart("", packed)]
    for door, files in behind.items():
        packed, here, _, wrong = _compile(files)
        count += here
        problems += wrong
        if door in doors:
            parts.append(YaraPart(door, packed))
        else:  # what is behind a door that is not there would never be tried: better slow than blind
            words = f"there is no rule {door} with the tag {DOOR}: its rules are tried on every file"
            problems += [f"{name}:1: {words}" for name, _ in files]
            parts.append(YaraPart("", packed))
    return tuple(parts) if count else (), count, problems


def _compile(sources: Sequence[tuple[str, str]]) -> tuple[bytes, int, frozenset[str], list[str]]:
    """Compile files into one set; gives it, how many rules it has, the doors beside them, and what is wrong."""
    import yara_x

    # A rule that cannot be compiled is left out, with those that ask for it; the rest of its file stays.
    make: Any = yara_x.Compiler  # its type stubs are a version behind
    compiler = make(relaxed_re_syntax=True, includes_enabled=False, ignore_invalid_rules=True)
    for variable in VARIABLES:
        compiler.define_global(variable, "")
    broken: list[str] = []
    for name, text in sources:
        compiler.new_namespace(name)
        try:
            compiler.add_source(text, origin=name)
        except (yara_x.CompileError, ValueError) as error:
            broken.append(f"{name}: {str(error).splitlines()[0]}")
    broken += _complaints(compiler.errors())
    others = [rule for rule in compiler.ignored_rules() if "CompileError" not in str(rule.reason)]
    broken += [f"rule {rule.name}: left out: {rule.message}" for rule in others]
    rules = compiler.build()  # which forgets what was wrong
    doors = frozenset(rule.identifier for rule in rules if DOOR in rule.tags)
    count = sum(1 for rule in rules if DOOR not in rule.tags)
    packed = io.BytesIO()
    rules.serialize_into(packed)
    return packed.getvalue(), count, doors, broken


def _complaints(errors: Sequence[dict[str, Any]]) -> list[str]:
    words = []
    for error in errors:
        labels: list[dict[str, Any]] = [label for label in error.get("labels", ()) if label.get("level") == "error"]
        place = labels[0] if labels else {}
        detail = f": {place['text']}" if place.get("text") else ""
        where = f"{place.get('code_origin') or 'a rule file'}:{error.get('line', 1)}"
        words.append(f"{where}: {error.get('title', 'cannot be compiled')}{detail}")
    return words
