"""What a panic is told, and what it tells of itself afterwards. Pure."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

from fimkit.model.config import Config
from fimkit.model.findings import Finding
from fimkit.notify.channels import Channels
from fimkit.notify.endpoint import Endpoint
from fimkit.notify.mail import Mailer
from fimkit.panic.helper_client import BeginReply, CutReply
from fimkit.panic.incident import Status
from fimkit.verbs.panic_switch import Switch

__all__ = ["JOURNAL_STEP", "KEPT_RIGHTS", "HelperLine", "PanicOrder", "PanicReport", "StepTime", "name_incident", "render_step"]

JOURNAL_STEP = "journal_head"
"""The step that says how far the folder's index had come: with the incident's row it is in the evidence chain."""
KEPT_RIGHTS = ("NET_RAW", "SYS_PTRACE", "DAC_READ_SEARCH")
"""What a panic's runner keeps: to capture packets, to see other users' processes, to read what is copied."""


class HelperLine(Protocol):
    """What a panic asks of the helper: :class:`fimkit.panic.helper_client.Helper` has it."""

    def begin(self, incident: str, cause: str, *, nokill: bool, armed_ns: int | None = None) -> BeginReply:
        """Write down durably that a panic has begun, and start the helper's own clock."""
        ...

    def add(self, cause: str, *, armed_ns: int | None = None) -> object:
        """Add a cause to it."""
        ...

    def cut(self) -> CutReply:
        """Cut now."""
        ...

    def finish(self, words: str) -> object:
        """End a panic that cuts nothing."""
        ...

    def close(self) -> None:
        """Let go; once a panic has begun the helper cuts by itself then."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PanicOrder:
    """One panic to be run.

    ``config`` is the one frozen at arming. ``incident`` names the folder. ``cause`` is in words. A ``mailer`` or ``channels`` that
    are ``None`` are read from the configuration within the panic, in the time of the mail; ``endpoints`` are the servers with the
    addresses that they had at arming. ``switch`` runs the killswitch; without one this process does. ``armed_ns`` is
    that arming: by another one, this panic does not begin.
    """

    config: Config
    incident: str
    cause: str
    findings: tuple[Finding, ...] = ()
    nomail: bool = False
    nokill: bool = False
    test: bool = False
    mailer: Mailer | None = None
    channels: Channels | None = None
    endpoints: tuple[Endpoint, ...] = ()
    switch: Switch | None = None
    armed_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """One step: when it began after the trigger, how long it took, and what came of it."""

    name: str
    began_s: float
    took_s: float
    status: Status
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PanicReport:
    """What came of a panic.

    ``folder`` is empty where none could be made. ``mail`` says in words what came of the mail. ``complete``: all that was ordered
    was done: the cut, the mail to everybody, the evidence.
    """

    incident: str
    folder: bytes
    steps: tuple[StepTime, ...]
    cut: CutReply | None
    mail: str
    complete: bool


def name_incident(time_ns: int) -> str:
    """Name an incident by its time.

    >>> name_incident(1_795_343_400_000_000_000)
    '2026-11-22T103000Z'
    """
    return time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(time_ns // 1_000_000_000))


def render_step(step: StepTime) -> dict[str, Any]:
    """Give a step as an object for JSON."""
    return {
        "step": step.name,
        "began_s": round(step.began_s, 3),
        "took_s": round(step.took_s, 3),
        "status": step.status.value,
        "words": step.words,
    }
