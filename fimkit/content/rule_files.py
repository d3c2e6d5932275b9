"""Rules from folders: what is good is taken, what is not is named with its file and line, and stops nothing else."""

import importlib.util
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fimkit.content.keywords import KeywordRule, parse_keywords
from fimkit.model.paths import render_path

__all__ = ["BUILT_IN", "VARIABLES", "RuleSet", "has_yara", "load_rules"]

BUILT_IN = os.fsencode(os.path.join(os.path.dirname(__file__), "rules"))
"""The rules that fimkit brings."""

VARIABLES = ("filename", "filepath", "extension")
"""What a YARA condition may ask of the file's name; the names are those that other scanners gave them."""

_MOST_BYTES = 16 << 20
_KINDS = (b".toml", b".yar", b".yara")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules, ready for use; ``yara`` is what yara-x made of its files, serialised, and ``None`` where there is nothing of it."""

    keywords: tuple[KeywordRule, ...] = ()
    yara: bytes | None = None
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
    yara, count = None, 0
    if sources and has_yara():
        yara, count, wrong = _compile(sources)
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


def _compile(sources: Sequence[tuple[str, str]]) -> tuple[bytes | None, int, list[str]]:
    """Compile all files into one set: the matcher then goes over a file's bytes once, however many rule files there are."""
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
    count = sum(1 for _ in rules)
    packed = io.BytesIO()
    rules.serialize_into(packed)
    return packed.getvalue() if count else None, count, broken


def _complaints(errors: Sequence[dict[str, Any]]) -> list[str]:
    words = []
    for error in errors:
        labels: list[dict[str, Any]] = [label for label in error.get("labels", ()) if label.get("level") == "error"]
        place = labels[0] if labels else {}
        detail = f": {place['text']}" if place.get("text") else ""
        where = f"{place.get('code_origin') or 'a rule file'}:{error.get('line', 1)}"
        words.append(f"{where}: {error.get('title', 'cannot be compiled')}{detail}")
    return words
