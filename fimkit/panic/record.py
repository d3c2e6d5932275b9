"""The record of a host's panic: armed or not, begun, cut, restored, and why; a file that outlives a crash and a reboot.

disarmed → armed → triggered → cut → restored. Restored is not armed: somebody has looked, and arms again. Who finds ``triggered``
or ``cut`` when it starts cuts before anything else.
"""

import itertools
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple, Self

from fimkit.model.errors import HostError, clip
from fimkit.model.paths import render_path
from fimkit.panic.cut_settings import parse_cut_settings

__all__ = [
    "PANIC_FOLDER", "RECORD_NAME", "Cause", "LogLine", "PanicRecord", "Phase", "load_record", "parse_record", "render_record"
]

PANIC_FOLDER = b"panic"
"""In the state folder: the record and all that goes with it, mode 0700."""
RECORD_NAME = "record.json"
_VERSION = 1
_MOST_BYTES = 64 << 20
_LOG_LINES, _CAUSES, _WORDS = 300, 100, 2000


class Phase(StrEnum):
    """How far it has come."""

    DISARMED = "disarmed"
    ARMED = "armed"
    TRIGGERED = "triggered"
    CUT = "cut"
    RESTORED = "restored"


class Cause(NamedTuple):
    """Why a panic began, or what was added to one that had begun."""

    time_ns: int
    words: str


class LogLine(NamedTuple):
    """What happened, for people."""

    time_ns: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PanicRecord:
    """What is known of this host's panic.

    ``settings`` is the configuration frozen at arming; ``armed_ns`` names the arming: what was judged by one starts nothing by
    another. ``boot_id`` is the boot of the last change, ``begun_boot_id`` that of the
    trigger: in that one alone there is a network to go back to. ``seen`` are ids of findings that were open at arming or have been
    judged: never judged again; ``counted`` those that count towards the threshold. ``cut`` is the receipt, as JSON.
    ``restore_boottime_ns`` is when the cut ends by itself, on the clock of ``boot_id``. ``lowered`` are links that were taken down
    in that boot and that the saved network may not know.
    """

    phase: Phase = Phase.DISARMED
    changed_ns: int = 0
    by: str = ""
    boot_id: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    armed_ns: int | None = None
    incident: str = ""
    causes: tuple[Cause, ...] = ()
    triggered_ns: int | None = None
    begun_boot_id: str = ""
    deadline_s: int = 0
    nokill: bool = False
    cut_ns: int | None = None
    cut: Mapping[str, Any] | None = None
    restore_boottime_ns: int | None = None
    lowered: tuple[str, ...] = ()
    restored_ns: int | None = None
    seen: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    log: tuple[LogLine, ...] = ()

    @property
    def has_begun(self) -> bool:
        """Whether a panic goes on: it has begun, and nobody has restored."""
        return self.phase in (Phase.TRIGGERED, Phase.CUT)

    @property
    def must_be_cut(self) -> bool:
        """Whether this host is to be off the network."""
        return self.phase is Phase.CUT or (self.phase is Phase.TRIGGERED and not self.nokill)

    def said(self, time_ns: int, words: str) -> Self:
        """Add a line to the log; the oldest go.

        >>> PanicRecord().said(1, "armed by root").log
        (LogLine(time_ns=1, words='armed by root'),)
        """
        return replace(self, log=(*self.log, LogLine(time_ns, words[:_WORDS]))[-_LOG_LINES:])

    def because(self, time_ns: int, words: str) -> Self:
        """Add a cause; the first ones stay."""
        if len(self.causes) >= _CAUSES:
            return self
        return replace(self, causes=(*self.causes, Cause(time_ns, words[:_WORDS])))

    def without(self, ids: Collection[str]) -> Self:
        """Forget that findings were judged, as what they tell of was undone: done again, it is new, and counts once more.

        >>> PanicRecord(seen=("a", "b"), counted=("a",)).without({"a"}).counted
        ('a~1',)
        """
        there = set(self.counted)
        counted = tuple(
            next(name for number in itertools.count(1) if (name := f"{each}~{number}") not in there) if each in ids else each
            for each in self.counted
        )
        return replace(self, seen=tuple(each for each in self.seen if each not in ids), counted=counted)


def render_record(record: PanicRecord) -> dict[str, Any]:
    """Give the JSON object."""
    row = {each.name: getattr(record, each.name) for each in fields(record)}
    return {"fimkit_panic_record": _VERSION} | row | {"phase": record.phase.value}


def parse_record(row: object) -> PanicRecord:
    """Read what :func:`render_record` gave, as JSON has it.

    Raises:
        HostError: If it is no such object, of another version, or damaged.

    >>> parse_record(json.loads(json.dumps(render_record(PanicRecord(by="root"))))).by
    'root'
    >>> parse_record({"fimkit_panic_record": 1, "phase": "cut"})
    Traceback (most recent call last):
    fimkit.model.errors.HostError: this panic record is damaged: its panic settings are None, expected an object
    """
    if not isinstance(row, Mapping) or row.get("fimkit_panic_record") != _VERSION:
        raise HostError(f"this is no panic record of version {_VERSION}: {clip(row)}")
    try:
        record = _record(row)
        if record.phase is not Phase.DISARMED and (record.settings or record.phase is not Phase.RESTORED):
            parse_cut_settings(record.settings)
    except (KeyError, TypeError, ValueError, HostError) as error:
        raise HostError(f"this panic record is damaged: {error}") from error
    return record


def _record(row: Mapping[str, Any]) -> PanicRecord:
    values: dict[str, Any] = {}
    empty = PanicRecord()
    for each in fields(PanicRecord):
        value = row.get(each.name, getattr(empty, each.name))
        _check(each.name, value)
        values[each.name] = value
    values["phase"] = Phase(values["phase"])
    for name, kind in (("causes", Cause), ("log", LogLine)):
        values[name] = tuple(kind(int(time_ns), str(words)) for time_ns, words in values[name])
    for name in ("lowered", "seen", "counted"):
        values[name] = tuple(map(str, values[name]))
    return PanicRecord(**values)


def _check(name: str, value: object) -> None:
    if name in ("changed_ns", "deadline_s"):
        wanted: Any = int
    elif name.endswith("_ns"):
        wanted = int | None
    elif name in ("phase", "by", "boot_id", "begun_boot_id", "incident"):
        wanted = str
    else:
        wanted = {"settings": Mapping, "cut": Mapping | None, "nokill": bool}.get(name, list | tuple)
    if not isinstance(value, wanted) or (isinstance(value, bool) and name != "nokill"):
        raise TypeError(f"{name} is {clip(value)}")


def load_record(state_dir: bytes) -> PanicRecord:
    """Read the record of a state folder; where there is none, the host is disarmed.

    Raises:
        HostError: If it cannot be read, or is damaged.
    """
    path = os.path.join(state_dir, PANIC_FOLDER, RECORD_NAME.encode())
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return PanicRecord()
    except OSError as error:
        raise HostError(error.errno, f"cannot read the panic record {render_path(path)}: {error.strerror}") from error
    try:
        return parse_record(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise HostError(f"the panic record {render_path(path)} is damaged: {error}") from error
    except HostError as error:
        raise HostError(f"{render_path(path)}: {error}") from error
