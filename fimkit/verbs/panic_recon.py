"""What a panic gathers: this host's facts, osqueryd's answers, the configured commands, copies of what was changed; and packets."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from fimkit.model.config import Config
from fimkit.model.errors import FimkitError, OsqueryAbsentError, OsqueryDeniedError, OsqueryQueryError
from fimkit.model.findings import Finding, Kind
from fimkit.model.paths import render_path
from fimkit.notify.compose import weigh
from fimkit.osquery.answer import ask
from fimkit.osquery.client import OsqueryClient
from fimkit.osquery.queries import Query
from fimkit.osquery.recon import plan_recon
from fimkit.panic.capture import plan_capture
from fimkit.panic.commands import plan_commands
from fimkit.panic.incident import Entry, Incident, Status
from fimkit.panic.recon import plan_copies, plan_facts, plan_rows
from fimkit.panic.steps import Background, Step, StepAbsent, start_steps

__all__ = ["Lanes", "Packets", "plan_questions", "start_packets", "start_recon", "worst"]

_QUESTION_S = 5.0
_COMMAND_S = 5.0
_THROUGH_S = 3.0  # so long after the latest cut packets are still taken


class Lanes:
    """Recon under way, in lanes side by side: in each one step after the other, so that what hangs holds its own lane alone."""

    def __init__(self, lanes: Sequence[Background]) -> None:
        """Take what was begun."""
        self._lanes = lanes

    def wait(self) -> tuple[Entry, ...]:
        """Wait for all of them: their deadline, and a moment for the disk."""
        return tuple(entry for lane in self._lanes for entry in lane.wait())


def start_recon(incident: Incident, config: Config, findings: Sequence[Finding], *, deadline_s: float) -> Lanes:
    """Begin to gather, what is lost first at first.

    Args:
        incident: Where it goes.
        config: Its ``[panic]`` and ``[sources]``.
        findings: What was changed is copied.
        deadline_s: For all of it.
    """
    plans = (
        plan_facts(),
        plan_copies(_changed_paths(config, findings)),
        plan_commands("recon", config.panic.recon, most_s=_COMMAND_S),
        plan_questions(config.sources.osquery_socket, plan_recon(config.panic.recon_queries)),
    )
    return Lanes([start_steps(incident, plan, deadline_s=deadline_s) for plan in plans if plan])


def _changed_paths(config: Config, findings: Sequence[Finding]) -> list[bytes]:
    """Name what to copy, the weightiest first: never a file with a secret of fimkit's own in it."""
    secrets = {config.mail.password_file, config.webhook.token_file}
    paths = dict.fromkeys(
        finding.moved_to or finding.path for finding in weigh(findings) if finding.kind is not Kind.DELETED or finding.moved_to
    )
    return [path for path in paths if path not in secrets]


def plan_questions(socket: bytes, queries: Sequence[Query]) -> tuple[Step, ...]:
    """Give a step for each question to osqueryd. One that does not answer twice is asked no more.

    Args:
        socket: Its extensions socket; empty is a host without osquery.
        queries: What to ask, in order.
    """
    if not socket or not os.path.exists(socket):
        where = f"no osqueryd listens at {render_path(socket)}" if socket else "no osqueryd is configured"
        return (Step(name="osquery", file="osquery.jsonl", write=_absent(where)),)
    strikes: list[str] = []
    return tuple(
        plan_rows(f"osquery_{query.name}", _asking(socket, query, strikes), subject=query.description, most_s=_QUESTION_S)
        for query in queries
    )


def _absent(words: str) -> Callable[[object], str | None]:
    def write(_: object) -> str | None:
        raise StepAbsent(words)

    return write


def _asking(socket: bytes, query: Query, strikes: list[str]) -> Callable[[], Iterator[dict[str, str]]]:
    def rows() -> Iterator[dict[str, str]]:
        if len(strikes) > 1:
            raise StepAbsent(f"not asked: {strikes[-1]}")
        strikes.append("osqueryd did not answer what it was asked before")  # taken back below: a step that hangs is left behind
        with OsqueryClient(socket, deadline_s=_QUESTION_S) as client:
            try:
                answer = ask(client, query.sql)
            except OsqueryQueryError as error:
                strikes.clear()
                raise StepAbsent(f"osqueryd refuses it: {error.message}") from error
            except (OsqueryAbsentError, OsqueryDeniedError) as error:
                strikes.append(str(error))
                raise StepAbsent(str(error)) from error
            except FimkitError as error:
                strikes[-1] = str(error)
                raise
        strikes.clear()
        yield from answer.rows

    return rows


class Packets:
    """The capture under way, built in or by configured commands."""

    def __init__(self, lane: Background, stop: threading.Event, end_s: float) -> None:
        """Take what was begun; ``end_s`` is on the monotonic clock."""
        self._lane, self._stop, self._end_s = lane, stop, end_s

    def finish(self, *, least_s: float) -> tuple[Entry, ...]:
        """Let it go on until its time is over, and ``least_s`` more at least; then end it, and give what came of it."""
        self._stop.wait(max(least_s, self._end_s - time.monotonic()))
        self._stop.set()
        return tuple(self._lane.wait())


def start_packets(incident: Incident, config: Config, *, cut_s: float) -> Packets | None:
    """Begin to capture: for ``capture_s``, and in any case through the cut. ``capture_s = 0`` is none.

    Args:
        incident: Where it goes; configured commands run in its folder.
        config: Its ``[panic]``.
        cut_s: How long from now the cut is at the latest.
    """
    panic, stop = config.panic, threading.Event()
    if panic.capture_s == 0:
        return None
    seconds = max(float(panic.capture_s), cut_s + _THROUGH_S)
    if panic.packetgrab:
        steps = plan_commands("packetgrab", panic.packetgrab, most_s=seconds, share=1.0, folder=incident.folder, stop=stop)
    else:
        steps = (plan_capture(seconds=seconds, stop=stop),)
    lane = start_steps(incident, steps, deadline_s=seconds + _THROUGH_S, side_by_side=len(steps))
    return Packets(lane, stop, time.monotonic() + panic.capture_s)


def worst(entries: Sequence[Entry]) -> Status:
    """Give how several steps went, as one word: in full, in part, or not at all."""
    if not entries or all(entry.status is Status.OK or entry.status is Status.ABSENT for entry in entries):
        return Status.OK
    return Status.FAILED if all(entry.status is Status.FAILED for entry in entries) else Status.TRUNCATED
