"""The corpus: malicious shapes written for these tests, kept as inert text in TOML, and the rules put to them.

A shape is text that a rule must recognise. Nothing here is taken from anywhere, nothing names a real address (192.0.2.0/24 and
example.org are nobody's), and no file can be run or served as it stands.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fimkit.content.rule_files import load_rules
from fimkit.content.scan import ContentScanner

__all__ = ["SHAPES", "Shape", "load_shapes", "scan", "scanner"]

SHAPES = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One malicious shape: what a file of its name would hold, and the rules that must say so."""

    name: str
    source: str
    file: str
    content: bytes
    rules: tuple[str, ...]


def load_shapes(folder: Path = SHAPES) -> list[Shape]:
    """Read the corpus; each name is used once."""
    files = {path.name: tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))}
    shapes = [_shape(entry, name) for name, table in files.items() for entry in table["shape"]]
    assert len({shape.name for shape in shapes}) == len(shapes)
    return shapes


def _shape(entry: dict[str, Any], source: str) -> Shape:
    """A shape of its entry: `head` and `tail` are bytes in hexadecimal around the text, `repeat` makes long what is long."""
    text = entry["text"]
    for word, (piece, count) in entry.get("repeat", {}).items():
        text = text.replace("{" + word + "}", piece * count)
    content = bytes.fromhex(entry.get("head", "")) + text.encode("latin-1") + bytes.fromhex(entry.get("tail", ""))
    return Shape(
        name=entry["name"], source=source, file=entry.get("file", "x.php"), content=content, rules=tuple(entry.get("rules", ()))
    )


@cache
def scanner() -> ContentScanner:
    """Give the rules that fimkit brings, ready to search."""
    rules, problems = load_rules()
    assert not problems
    return ContentScanner(rules.keywords, rules.yara)


def scan(content: bytes, name: str) -> set[str]:
    """Name the rules that hit these bytes under this name."""
    sought = scanner().search(content, path=name.encode())
    assert sought.problem is None
    return {hit.rule for hit in sought.hits}
