"""What of the frozen configuration a cut goes by. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fimkit.model.errors import HostError, UsageError, clip
from fimkit.panic.ruleset import Peer, parse_peer

__all__ = ["CutSettings", "parse_cut_settings"]

_ACTIONS = ("down", "isolate")


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSettings:
    """The part of ``[panic]`` that the helper acts on; it keeps no other file's word in mind."""

    action: str = "down"
    keep: tuple[str, ...] = ()
    allow: tuple[Peer, ...] = ()
    deadline_s: int = 30
    restore_after_s: int = 0
    include_namespaces: bool = False


def parse_cut_settings(settings: Mapping[str, Any]) -> CutSettings:
    """Read the frozen settings' ``panic`` object; what is not in it has its default.

    Raises:
        HostError: If it is not there, or a value makes no sense.

    >>> parse_cut_settings({"panic": {"action": "isolate", "allow": ["192.0.2.10:22"]}}).allow[0].port
    22
    """
    panic = settings.get("panic")
    if not isinstance(panic, Mapping):
        raise HostError(f"its panic settings are {clip(panic)}, expected an object")
    action, include = panic.get("action", "down"), panic.get("include_namespaces", False)
    if action not in _ACTIONS or not isinstance(include, bool):
        raise HostError(f"its panic settings are damaged: action {clip(action)}, include_namespaces {clip(include)}")
    try:
        allow = tuple(parse_peer(text) for text in _texts(panic, "allow"))
    except UsageError as error:
        raise HostError(f"its panic settings are damaged: {error}") from error
    return CutSettings(
        action=action, keep=_texts(panic, "keep_interfaces"), allow=allow, deadline_s=_number(panic, "deadline_s", 30),
        restore_after_s=_number(panic, "restore_after_s", 0), include_namespaces=include,
    )


def _texts(panic: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = panic.get(name, ())
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(each, str) for each in value):
        raise HostError(f"its panic settings are damaged: {name} is {clip(value)}")
    return tuple(value)


def _number(panic: Mapping[str, Any], name: str, default: int) -> int:
    value = panic.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise HostError(f"its panic settings are damaged: {name} is {clip(value)}")
    return value
