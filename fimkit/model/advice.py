"""What on a host keeps a change from being seen, or a panic from working: each with what it concerns and its remedy. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fimkit.model.meanings import meaning_of
from fimkit.model.paths import render_path

__all__ = ["Advice", "Level", "render_advice"]


class Level(StrEnum):
    """How bad it is: a trap is one that changes fall into unseen, a warning may come to that, a note is good to know."""

    TRAP = "trap"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing found.

    ``code`` is its stable name, as ``osquery-leaf-pattern``; ``where`` is the file, flag or path concerned, as text for people;
    ``path`` is the watched path concerned, where it is one; ``problem`` and ``remedy`` are sentences.
    """

    code: str
    level: Level
    where: str
    problem: str
    remedy: str
    path: bytes | None = None


def render_advice(advice: Advice) -> dict[str, Any]:
    """Give it as an object for JSON.

    >>> render_advice(Advice(code="a-b", level=Level.NOTE, where="x", problem="P.", remedy="R.", path=b"/a%"))["path"]
    '/a%25'
    """
    return {
        "code": advice.code,
        "level": advice.level.value,
        "where": advice.where,
        "path": None if advice.path is None else render_path(advice.path),
        "problem": advice.problem,
        "meaning": meaning_of(advice.code),
        "remedy": advice.remedy,
    }
