"""From a TOML value to the type that a field of the configuration has. Pure."""

import difflib
from collections.abc import Callable, Iterable

from fimkit.model.channels import Gets
from fimkit.model.errors import clip
from fimkit.model.findings import Tier

__all__ = ["ITEM_READERS", "READERS", "render_meant", "wrong_type"]

_KINDS: dict[type, str] = {
    str: "text", bool: "a boolean", int: "an integer", float: "a number", list: "a list", dict: "a table",
}


def render_meant(word: str, known: Iterable[str]) -> str:
    """Guess what a misspelt word was to be: words for the end of a message, or nothing.

    >>> render_meant("recursiv", ["path", "recursive"])
    "; did you mean 'recursive'?"
    """
    close = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a date or time")


def wrong_type(value: object, expected: str) -> ValueError:
    """Say what was seen and what was expected; a list's or table's content is not repeated."""
    if isinstance(value, dict | list):
        shown = ""
    elif isinstance(value, str):
        shown = f"{clip(value)} "
    else:
        shown = f"{str(value).lower()} "
    return ValueError(f"{shown}is {_kind(value)}, expected {expected}")


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(value, "text")
    return value


def _read_path(value: object) -> bytes:
    # Not os.fsencode: a path in the file is UTF-8, whatever the locale of whoever runs this.
    return _read_text(value).encode("utf-8")


def _read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(value, "true or false")
    return value


def _read_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(value, "an integer")
    if value.bit_length() > 63:
        raise ValueError("is out of range: no integer of 64 bits")
    return value


def _read_tier(value: object) -> Tier:
    text, names = _read_text(value), [tier.value for tier in Tier]
    if text not in names:
        raise ValueError(f"{clip(text)} is no tier, expected {' or '.join(map(repr, names))}{render_meant(text, names)}")
    return Tier(text)


def _read_gets(value: object) -> Gets:
    text, names = _read_text(value), [one.value for one in Gets]
    if text not in names:
        raise ValueError(f"{clip(text)} is unknown, expected {', '.join(map(repr, names))}{render_meant(text, names)}")
    return Gets(text)


def _read_words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise wrong_type(value, "a list of texts") if not isinstance(value, list) else ValueError("is no list of texts alone")
    return tuple(value)


READERS: dict[object, Callable[[object], object]] = {
    str: _read_text, bytes: _read_path, bool: _read_bool, int: _read_int, Tier: _read_tier,
}
ITEM_READERS: dict[object, Callable[[object], object]] = {
    tuple[bytes, ...]: _read_path,
    tuple[str, ...]: _read_text, tuple[tuple[str, ...], ...]: _read_words, tuple[Gets, ...]: _read_gets,
}
