"""What a YARA condition cannot be true without, as far as the conditions of our rules go. Pure."""

import re
from typing import NamedTuple

__all__ = ["Clause", "needed"]

_TOKEN = re.compile(r"for any i in|any of|all of|\band\b|\bor\b|\bnot\b|[$#][\w*]+|\w+|[()]|[^\s\w$#()]+")


class Clause(NamedTuple):
    """Of these patterns at least one must be there, so many times."""

    names: frozenset[str]
    least: int = 1


def needed(condition: str, names: list[str]) -> list[Clause]:
    """Give the clauses that all must be met; what is not understood asks for nothing.

    >>> clauses = needed("filesize < 4KB and $a and ($b or #c > 2) and not $d", ["a", "b", "c", "d"])
    >>> [(sorted(clause.names), clause.least) for clause in clauses]
    [(['a'], 1), (['b', 'c'], 1)]
    """
    reader = _Reader(_TOKEN.findall(re.sub(r"//.*", "", condition)), names)
    found = reader.either()
    assert reader.at == len(reader.tokens), reader.tokens[reader.at :]
    return sorted(found, key=lambda clause: sorted(clause.names))


class _Reader:
    def __init__(self, tokens: list[str], names: list[str]) -> None:
        self.tokens, self.names, self.at = tokens, names, 0

    def either(self) -> list[Clause]:
        found = self.both()
        while self._is("or"):
            self.at += 1
            other = self.both()
            found = [Clause(a.names | b.names, min(a.least, b.least)) for a in found for b in other]
        return found

    def both(self) -> list[Clause]:
        found = self.one()
        while self._is("and"):
            self.at += 1
            found = found + self.one()
        return found

    def one(self) -> list[Clause]:
        word = self.tokens[self.at]
        if word == "not":
            self.at += 1
            self.one()
            return []
        if word in ("any of", "all of"):
            self.at += 1
            names = self._set()
            return [Clause(frozenset(names))] if word == "any of" else [Clause(frozenset([name])) for name in names]
        if word == "(":
            self.at += 1
            found = self.either()
            self._skip_one(")")
            return found
        begin = self.at
        self._skip()
        text = " ".join(self.tokens[begin : self.at])
        if word == "for any i in":  # it goes over the places of one pattern
            return [Clause(frozenset(re.findall(r"#(\w+)", text)[:1]))]
        count = re.match(r"#(\w+) > (\d+)$", text)
        if count:
            return [Clause(frozenset([count[1]]), int(count[2]) + 1)]
        return [Clause(frozenset([word[1:]]))] if word.startswith("$") else []

    def _set(self) -> list[str]:
        if self._is("them"):
            self.at += 1
            return self.names
        begin = self.at
        self._skip()
        return [name[1:] for name in self.tokens[begin : self.at] if name.startswith("$")]

    def _skip(self) -> None:
        depth = 0
        while self.at < len(self.tokens) and (depth or self.tokens[self.at] not in ("and", "or", ")")):
            depth += (self.tokens[self.at] == "(") - (self.tokens[self.at] == ")")
            self.at += 1

    def _skip_one(self, word: str) -> None:
        assert self._is(word), self.tokens[self.at :]
        self.at += 1

    def _is(self, word: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] == word
