r"""JSON as osqueryd reads it, and as people write it for it. Pure.

osqueryd takes out whole lines that begin with ``#`` or ``//``, joins lines that end in a backslash, and gives the rest to a strict
parser: a ``/* */``, a comment after a value or a comma too many makes it refuse the file. Those are read here all the same, so that
something can be said of the rest, and are told as what they are.

Source: osquery, config/config.cpp, stripConfigComments(), updateSource(), validateConfig().
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

__all__ = ["MOST_BYTES", "JsonProblem", "parse_config_json"]

MOST_BYTES = 1 << 20
"""osqueryd refuses a configuration that is longer without its comments."""

_DEEPEST = 32
_LINE_COMMENT = re.compile(r"^[ \t\r\f\v]*(?:#|//)[^\n]*", re.MULTILINE)
# A string, which stays; else a comment or a comma before a closing bracket, which become blanks of the same length.
_LENIENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|/\*.*?\*/|//[^\n]*|#[^\n]*', re.DOTALL)
_COMMA = re.compile(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


class JsonProblem(NamedTuple):
    """What is wrong, and where; line and column count from 1. ``refused``: osqueryd does not take the file."""

    words: str
    line: int | None
    column: int | None
    refused: bool


class _BadConstant(ValueError):
    """NaN and the like, which are no JSON."""


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _blank_unless_string(match: re.Match[str]) -> str:
    return match[0] if match[1] is not None else _blank(match)


def parse_config_json(text: str) -> tuple[dict[str, Any] | None, list[JsonProblem]]:
    r"""Read a configuration or a pack.

    Of a key that is there twice the first counts, and lists of both are joined, as osqueryd does with categories.

    Args:
        text: The file's.

    Returns:
        The object, ``None`` where nothing can be read; and all problems.

    >>> parse_config_json('{\n // the schedule\n "schedule": {}}')
    ({'schedule': {}}, [])
    >>> parse_config_json('{"a": 1, /* b */ }')[1][0].line
    1
    """
    problems: list[JsonProblem] = []
    stripped = _LINE_COMMENT.sub(_blank, text.replace("\\\n", ""))
    found, problem = _try(_loader(problems), stripped)
    still = problem
    if problem is not None:
        problems = [problem]
        lenient = _COMMA.sub(_blank_unless_string, _LENIENT.sub(_blank_unless_string, stripped))
        found, still = _try(_loader(problems), lenient)
        if still is None:
            problems[0] = problem._replace(
                words=f"{problem.words}: comments go on lines of their own (# or //), and no comma stands before a bracket"
            )
    if still is None and not isinstance(found, dict):
        return None, [*problems, JsonProblem("it is no JSON object", 1, 1, True)]
    if len(stripped.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        problems.append(JsonProblem(f"it is longer than {MOST_BYTES} bytes, the most that osqueryd takes", None, None, True))
    if found is not None and _is_deeper(found):
        problems.append(JsonProblem(f"it is nested deeper than {_DEEPEST} levels, the most that osqueryd takes", None, None, True))
    return found, problems


def _loader(problems: list[JsonProblem]) -> Callable[[str], Any]:
    def take_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key not in found:
                found[key] = value
                continue
            problems.append(JsonProblem(f"the key {key[:80]!r} is there twice; osqueryd takes the first", None, None, False))
            if isinstance(value, list) and isinstance(found[key], list):
                found[key] = [*found[key], *value]
        return found

    def refuse(constant: str) -> Any:
        raise _BadConstant(f"{constant} is no JSON")

    return lambda text: json.loads(text, object_pairs_hook=take_pairs, parse_constant=refuse)


def _try(loads: Callable[[str], Any], text: str) -> tuple[Any, JsonProblem | None]:
    try:
        return loads(text), None
    except json.JSONDecodeError as error:
        return None, JsonProblem(f"no JSON ({error.msg})", error.lineno, error.colno, True)
    except RecursionError:
        return None, JsonProblem("it is nested deeper than can be read", None, None, True)
    except ValueError as error:  # NaN, or a number of thousands of digits
        return None, JsonProblem(f"no JSON ({error})", None, None, True)


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _is_deeper(value: Any) -> bool:
    level, depth = [value], 0
    while level and depth < _DEEPEST:
        level = [child for one in level for child in _children(one)]
        depth += 1
    return bool(level)
