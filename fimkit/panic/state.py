"""The state of a network before it was cut, and its JSON form. Pure."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fimkit.model.errors import HostError, clip
from fimkit.model.time import parse_time, render_time
from fimkit.panic.links import Link
from fimkit.panic.objects import Kind, shape_of

__all__ = ["STATE_VERSION", "NetworkState", "parse_state", "render_state"]

STATE_VERSION = 1
_TEXTS = ("boot_id", "taken")
_NUMBERS = ("namespace", "boottime_ns")
_LINK_TYPES = {"index": int, "flags": int, "name": str, "kind": str, "address": str, "lower": int | None, "master": int | None}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """Links and the kernel's own messages on all that stands on them.

    ``boot_id`` and ``namespace`` (an inode) say where it belongs: indexes mean nothing elsewhere. ``boottime_ns`` is the clock that
    goes on while the machine sleeps: lifetimes are shortened by it. ``notes`` are what could not be had, in words.
    """

    boot_id: str
    namespace: int
    boottime_ns: int
    taken_ns: int
    links: tuple[Link, ...]
    objects: Mapping[Kind, tuple[bytes, ...]]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> dict[int, str]:
        """The names of the links, by index."""
        return {link.index: link.name for link in self.links}


def render_state(state: NetworkState) -> dict[str, Any]:
    """Give the JSON object: messages in base64, as the kernel gave them."""
    return {
        "fimkit_network_state": STATE_VERSION,
        "boot_id": state.boot_id,
        "namespace": state.namespace,
        "boottime_ns": state.boottime_ns,
        "taken": render_time(state.taken_ns),
        "links": [asdict(link) for link in state.links],
        "objects": {kind.value: [base64.b64encode(each).decode("ascii") for each in state.objects.get(kind, ())] for kind in Kind},
        "notes": list(state.notes),
    }


def parse_state(row: object) -> NetworkState:
    """Read what :func:`render_state` gave.

    Raises:
        HostError: If it is no such object, of another version, or damaged.

    >>> parse_state({"fimkit_network_state": 9})
    Traceback (most recent call last):
    fimkit.model.errors.HostError: network state of version 9, and this fimkit reads 1: restore with the fimkit that saved it
    """
    if not isinstance(row, Mapping) or "fimkit_network_state" not in row:
        raise HostError(f"this is no saved network state: {clip(row)}")
    version = row["fimkit_network_state"]
    if version != STATE_VERSION:
        raise HostError(
            f"network state of version {clip(version)}, and this fimkit reads {STATE_VERSION}: "
            "restore with the fimkit that saved it"
        )
    try:
        _check_types(row)
        return NetworkState(
            boot_id=row["boot_id"], namespace=row["namespace"], boottime_ns=row["boottime_ns"], taken_ns=parse_time(row["taken"]),
            links=tuple(_parse_link(each) for each in row["links"]),
            objects={kind: tuple(_message(kind, each) for each in row["objects"][kind.value]) for kind in Kind},
            notes=tuple(str(each) for each in row.get("notes", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HostError(f"this saved network state is damaged: {type(error).__name__}: {error}") from error


def _check_types(row: Mapping[str, Any]) -> None:
    for names, wanted in ((_TEXTS, str), (_NUMBERS, int)):
        for name in names:
            if not isinstance(row[name], wanted) or isinstance(row[name], bool):
                raise TypeError(f"{name} is {clip(row[name])}")


def _parse_link(row: Mapping[str, Any]) -> Link:
    for name, wanted in _LINK_TYPES.items():
        if not isinstance(row[name], wanted) or isinstance(row[name], bool):
            raise TypeError(f"a link's {name} is {clip(row[name])}")
    known = {each.name for each in fields(Link)}
    values = {name: value for name, value in row.items() if name in known}
    return Link(**values | {"alt_names": tuple(str(name) for name in row["alt_names"])})


def _message(kind: Kind, text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"one of the {kind.value} is no base64: {clip(text)}") from error
    if len(raw) < shape_of(kind).header:
        raise ValueError(f"one of the {kind.value} is too short: {clip(text)}")
    return raw
