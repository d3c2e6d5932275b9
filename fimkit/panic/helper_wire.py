"""What a helper and those who ask it say to each other: JSON objects, in packets of a local socket."""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from fimkit.model.errors import RecordError, clip
from fimkit.panic.record import Phase

__all__ = [
    "PATH_MOST",
    "SOCKET_NAME",
    "BeginReply",
    "CutReply",
    "Hello",
    "PacketReader",
    "PlanReply",
    "RestoreReply",
    "parse_reply",
    "split_packets",
]

SOCKET_NAME = "helper.sock"
PATH_MOST = 107
"""Bytes of a local socket's address. Source: unix(7)."""
_PACKET = 32_768  # well below what a socket's buffer takes at once, everywhere
_MOST_BYTES = 64 << 20
_MORE, _LAST = b"+", b"."

Reply = TypeVar("Reply", bound="Hello | PlanReply | BeginReply | CutReply | RestoreReply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who answers.

    ``can_cut`` is whether it has the right; ``namespace`` the inode of the one that it would cut; ``problem`` what keeps it from
    doing its work, in words, or nothing.
    """

    pid: int
    phase: Phase
    can_cut: bool
    rights: tuple[str, ...]
    namespace: int
    since_ns: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReply:
    """What a cut would do now. ``namespaces`` are the others; ``warnings`` say whether they would be cut."""

    action: str
    text: str
    down: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginReply:
    """That a panic has begun. ``again``: it had before. ``saved``: the network is; ``errors`` are what could not be stored."""

    triggered_ns: int
    again: bool
    saved: bool
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CutReply:
    """What a cut did.

    ``action`` is what was done in the end: ``down`` also where isolating failed. ``still_up`` ``None`` is not known. ``namespaces``
    has an object for each other one that was to be cut (complete, took_down, still_up, errors). ``words`` are what else happened.
    """

    action: str
    complete: bool
    took_down: tuple[str, ...] = ()
    still_up: tuple[str, ...] | None = None
    kept: tuple[str, ...] = ()
    isolated: bool = False
    errors: tuple[str, ...] = ()
    took_s: float = 0.0
    namespaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReply:
    """What a restore did; ``complete`` is false where something is missing, which ``words`` name."""

    complete: bool
    words: tuple[str, ...] = ()


def parse_reply(kind: type[Reply], row: Mapping[str, Any]) -> Reply:
    """Read a reply from its JSON object.

    >>> parse_reply(RestoreReply, {"complete": True, "words": ["one"]})
    RestoreReply(complete=True, words=('one',))
    """
    known = {each.name for each in fields(kind)}
    values: dict[str, Any] = {}
    for name in known & row.keys():
        values[name] = tuple(row[name]) if isinstance(row[name], list) else row[name]
    if kind is Hello:
        values["phase"] = Phase(values["phase"])
    make: Callable[..., Reply] = kind
    return make(**values)


def split_packets(message: Mapping[str, Any]) -> list[bytes]:
    """Write an object as packets: each begins with a sign that says whether more come.

    >>> split_packets({"do": "hello"})
    [b'.{"do": "hello"}']
    """
    text = json.dumps(message).encode("ascii")
    parts = [text[start : start + _PACKET] for start in range(0, len(text), _PACKET)]
    return [_MORE + part for part in parts[:-1]] + [_LAST + parts[-1]]


class PacketReader:
    """Puts packets together again, for one connection."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._parts = bytearray()

    def receive(self, connection: socket.socket) -> dict[str, Any] | None:
        """Take one packet; give the object if it is whole now.

        Raises:
            RecordError: If it is no object of ours, or too large.
            EOFError: If the other side is gone.
            OSError: As the socket has it.
        """
        packet = connection.recv(_PACKET + 1)
        if not packet:
            raise EOFError("the other side is gone")
        self._parts += packet[1:]
        if packet[:1] == _MORE and len(self._parts) <= _MOST_BYTES:
            return None
        whole, self._parts = bytes(self._parts), bytearray()
        try:
            found = json.loads(whole) if packet[:1] == _LAST else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise RecordError(f"no message: {clip(packet[:100])}")
        return found
