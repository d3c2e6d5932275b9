"""A file's bytes, searched with all rules; but for their clock, pure."""

import io
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fimkit.content.hit import DEFAULT_SEVERITY, SEVERITIES, ContentHit, line_text
from fimkit.content.keywords import KeywordRule, find_keywords
from fimkit.content.rule_files import DOOR, RuleSet, YaraPart
from fimkit.content.views import other_views
from fimkit.model.errors import clip

if TYPE_CHECKING:
    import yara_x

__all__ = ["ContentScanner", "Sought", "scan_bytes"]

_MOST_MATCHES = 10_000
_TELLING = 64
_WARM_UP = b"<?php"


class Sought(NamedTuple):
    """What was found, and what could not be looked for."""

    hits: list[ContentHit]
    problem: str | None


class ContentScanner:
    """Rules, ready to search many files."""

    def __init__(self, keywords: Sequence[KeywordRule], yara: Sequence[YaraPart], *, file_s: float = 10.0) -> None:
        """Take the parts of a :class:`fimkit.content.rule_files.RuleSet`.

        Args:
            keywords: Keyword rules.
            yara: YARA rules, those behind doors last.
            file_s: After so many seconds either kind of rule gives a file up.
        """
        self._keywords = keywords
        self._file_s = max(1, round(file_s))
        self._yara = [(part.door, _make_scanner(part.packed, self._file_s)) for part in yara]

    def search(self, content: bytes, *, path: bytes = b"") -> Sought:
        """Search one file's bytes; ``path`` decides which rules are for it."""
        sought = self._search(content, path)
        for view in other_views(content):
            again = self._search(view, path)
            known = {hit.rule for hit in sought.hits}
            # Where it stands in the view is no place in the file: the line is not known.
            further = [hit._replace(line=0, offset=0) for hit in again.hits if hit.rule not in known]
            sought = Sought(sought.hits + further, sought.problem or again.problem)
        return sought

    def _search(self, content: bytes, path: bytes) -> Sought:
        # YARA first: should a file be made to keep the keywords busy, its other hits are there.
        hits, problem = self._search_yara(content, path)
        until = time.monotonic() + self._file_s
        hits += find_keywords(content, self._keywords, path=path, goes_on=lambda: time.monotonic() < until)
        if time.monotonic() >= until:
            problem = problem or f"the keyword rules were given up after {self._file_s} s"
        return Sought(hits, problem)

    def _search_yara(self, content: bytes, path: bytes) -> tuple[list[ContentHit], str | None]:
        if not self._yara:
            return [], None
        import yara_x

        hits: list[ContentHit] = []
        opened = {""}
        until = time.monotonic() + self._file_s
        try:
            for door, scanner in self._yara:
                if door in opened:
                    scanner.set_timeout(max(1, round(until - time.monotonic())))
                    for rule in _name_to(scanner, path).scan(content).matching_rules:
                        if DOOR in rule.tags:
                            opened.add(rule.identifier)
                        else:
                            hits.append(_hit_of(rule, content, path))
        except yara_x.TimeoutError:
            return hits, f"the YARA rules were given up after {self._file_s} s"
        except yara_x.ScanError as error:
            return hits, f"the YARA rules failed: {clip(str(error))}"
        return hits, None


def _name_to(scanner: "yara_x.Scanner", path: bytes) -> "yara_x.Scanner":
    name = path.rpartition(b"/")[2]
    dot = name.rfind(b".")
    scanner.set_global("filename", name)
    scanner.set_global("filepath", path)
    scanner.set_global("extension", name[dot:] if dot >= 0 else b"")
    return scanner


def _make_scanner(yara: bytes, file_s: int) -> "yara_x.Scanner":
    import yara_x

    scanner = yara_x.Scanner(yara_x.Rules.deserialize_from(io.BytesIO(yara)))
    scanner.set_timeout(file_s)
    scanner.max_matches_per_pattern(_MOST_MATCHES)
    scanner.scan(_WARM_UP)  # starts its clock's thread: later, in confinement, there could be none
    return scanner


def _hit_of(rule: "yara_x.Rule", content: bytes, path: bytes) -> ContentHit:
    meta = {name: str(value) for name, value in rule.metadata}
    severity = meta.get("severity", DEFAULT_SEVERITY)
    spans = [(match.offset, match.length) for pattern in rule.patterns for match in pattern.matches]
    # The longest match tells most: many rules ask for `<?php` too, and nobody wants to be shown that line.
    offset, length = max(spans, key=lambda span: (min(span[1], _TELLING), -span[0]), default=(0, 0))
    matched = content[offset : offset + min(length, _TELLING)]
    # A pattern may begin with what stands before a word: the end of the line above is not the place.
    skipped = len(matched) - len(matched.lstrip())
    offset, length = offset + skipped, length - skipped
    return ContentHit(
        path, rule.identifier, severity if severity in SEVERITIES else DEFAULT_SEVERITY, meta.get("description", ""),
        meta.get("attack", ""), content.count(b"\n", 0, offset) + 1 if spans else 0, offset,
        line_text(content, offset, offset + length) if spans else "", "yara",
    )  # fmt: skip


def scan_bytes(content: bytes, rules: RuleSet, *, path: bytes = b"") -> list[ContentHit]:
    """Search bytes once; for many files make one :class:`ContentScanner`.

    >>> scan_bytes(b"anything", RuleSet())
    []
    """
    return ContentScanner(rules.keywords, rules.yara).search(content, path=path).hits
