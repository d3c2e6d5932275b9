"""Tells the panic recipients what an intruder would do before a tampering: a host disarmed, a baseline accepted, a watch stopped.

What no server takes now waits on the disk, in the queue of the mails, and goes out with the next check or watch.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email import policy
from typing import TYPE_CHECKING, Any

from fimkit.model.config import Config
from fimkit.model.config_json import thaw
from fimkit.model.errors import FimkitError
from fimkit.panic.record import PanicRecord, Phase, load_record

if TYPE_CHECKING:  # ssl and smtplib come with them: for who has something to say
    from fimkit.notify.endpoint import Endpoint
    from fimkit.notify.mail import Mailer
    from fimkit.notify.message import Letter
    from fimkit.notify.race import Outcome

__all__ = ["is_armed", "load_endpoints", "notify_if_armed", "send_notice", "send_waiting"]

_NOTICE = 5  # as syslog's priority
_SLACK_S = 1.0
_MOST_S = 30  # whoever stops a service has not more patience than 90 s for all


def is_armed(record: PanicRecord) -> bool:
    """Tell whether this host is armed, or in the middle of a panic: what is done to its defence now is told elsewhere."""
    return record.phase is Phase.ARMED or record.has_begun


def notify_if_armed(config: Config, subject: str, lines: Sequence[str], *, nomail: bool = False) -> str | None:
    """Send a notice if this host is armed.

    Args:
        config: As its file has it.
        subject: What happened, in a few words.
        lines: What there is to say, a sentence each.
        nomail: Write it to the host's own log alone.

    Returns:
        What came of it, in words; ``None`` where the host is not armed.
    """
    try:
        record = load_record(config.host.state_dir)
    except FimkitError as error:
        return f"nobody was told: {error}"
    return send_notice(config, record, subject, lines, nomail=nomail) if is_armed(record) else None


def send_notice(
    config: Config, record: PanicRecord, subject: str, lines: Sequence[str], *, nomail: bool = False, mailer: "Mailer | None" = None
) -> str:
    """Tell the panic recipients something, by mail and the other channels side by side; the frozen settings count.

    Takes ``[mail].deadline_s``, 30 s at most, and a moment. Nothing raises.

    Args:
        config: As its file has it.
        record: With the settings and the addresses of the time of arming.
        subject: What happened, in a few words.
        lines: What there is to say, a sentence each.
        nomail: Write it to the host's own log alone.
        mailer: One that is ready; else it is made ready now.

    Returns:
        What came of it, in words.
    """
    from fimkit.notify.journal import log_locally

    problems: list[str] = []
    try:
        config = thaw(config, record.settings)
    except FimkitError as error:
        problems.append(f"the settings of the time of arming cannot be read: {error}")
    log_locally(f"{subject}: {' '.join(lines)}", priority=_NOTICE, fields={"FIMKIT_KIND": "notice"})
    if nomail or config.mail.nomail:
        return "; ".join([*problems, "nobody was told: nomail"])
    return "; ".join([*problems, *_send(config, load_endpoints(record.settings), subject, lines, mailer)])


def send_waiting(config: Config, *, nomail: bool = False) -> tuple[str, ...]:
    """Send the letters that wait in the queue and whose time has come, each within ``[mail].deadline_s``.

    Args:
        config: As its file has it.
        nomail: Leave them there.

    Returns:
        What came of it, in words; nothing where nothing waits.
    """
    if nomail or config.mail.nomail or not os.path.exists(os.path.join(config.host.state_dir, b"outbox.sqlite3")):
        return ()
    from fimkit.notify.mail import load_mailer
    from fimkit.notify.outbox import Outbox
    from fimkit.notify.post import send_due

    now_ns = time.time_ns()
    try:
        with Outbox(config.host.state_dir) as outbox:
            next_ns = outbox.next_letter_ns()
            receipts = send_due(outbox, lambda: load_mailer(config), now_ns=now_ns) if next_ns and next_ns <= now_ns else []
    except (FimkitError, OSError) as error:
        return (f"mails wait, and cannot be sent: {error}",)
    sent = sum(receipt.complete for receipt in receipts)
    words = [f"mails that waited: {sent} sent"] if sent else []
    return (*words, *(f"a mail still waits: {why}" for one in receipts for why in dict.fromkeys(one.refused.values())))


def load_endpoints(settings: Mapping[str, Any]) -> "tuple[Endpoint, ...]":
    """Give the servers with the addresses that they had at arming; what is damaged is left out, and resolved anew."""
    from fimkit.notify.endpoint import parse_endpoint

    rows = settings.get("endpoints", ())
    return tuple(parse_endpoint(row) for row in rows if isinstance(row, Mapping) and {"host", "port", "addresses"} <= row.keys())


def _send(
    config: Config, known: "Sequence[Endpoint]", subject: str, lines: Sequence[str], mailer: "Mailer | None"
) -> list[str]:
    from fimkit.evidence.heads import head_lines
    from fimkit.notify.channels import load_channels
    from fimkit.notify.compose import compose_notice
    from fimkit.notify.message import with_lines
    from fimkit.notify.notice import plan_notice
    from fimkit.notify.race import Task, run_side_by_side

    deadline_s = min(config.mail.deadline_s, _MOST_S)
    until, host, time_ns, words = time.monotonic() + deadline_s, config.host.name, time.time_ns(), list[str]()
    tasks: list[Task] = []
    try:
        channels = load_channels(config, deadline_s=deadline_s / 2, known=known)
        tasks += plan_notice(channels, host, subject, lines, time_ns=time_ns)
    except (OSError, ValueError) as error:
        words.append(f"no other channel: {error}")
    mailing = None
    if config.mail.panic_recipients:
        letter = with_lines(compose_notice(host, subject, lines), head_lines(config.host.state_dir))
        mailing = _Mailing(config, known, letter, time_ns, until, mailer)
        tasks.append(mailing.task)
    if not tasks:
        return [*words, "nobody was told: no recipients"]
    outcomes = run_side_by_side(tasks, deadline_s=max(0.0, until - time.monotonic()) + _SLACK_S)
    words += [_outcome(one) for one in outcomes if mailing is None or one.name != mailing.task.name]
    return words if mailing is None else [*mailing.finish(), *words]


def _outcome(outcome: "Outcome") -> str:
    return f"{outcome.name}: {outcome.words if outcome.error is None else outcome.error}"


class _Mailing:
    """The letter: to whom a server gives it now, and for whom it waits."""

    def __init__(
        self, config: Config, known: "Sequence[Endpoint]", letter: "Letter", time_ns: int, until: float, mailer: "Mailer | None"
    ) -> None:
        from fimkit.notify.mail import sender_of
        from fimkit.notify.message import build_message
        from fimkit.notify.race import Task

        self._config, self._known, self._until, self._time_ns = config, known, until, time_ns
        self._mailer = mailer
        self._recipients = tuple(dict.fromkeys(config.mail.panic_recipients))
        self._message = build_message(letter, sender=sender_of(config), recipients=self._recipients, time_ns=time_ns)
        self._left, self._why = self._recipients, "no server took it in time"
        self.task: Task = Task(name="mail", work=lambda line: self._work())

    def _work(self) -> str:
        from fimkit.notify.mail import load_mailer, send_mail

        try:
            left_s = self._until - time.monotonic()
            mailer = self._mailer or load_mailer(self._config, deadline_s=left_s / 2, known=self._known)
        except (OSError, ValueError) as error:
            self._why = str(error)
            raise
        mailer = replace(mailer, deadline_s=max(0.1, self._until - time.monotonic()))
        receipt = send_mail(mailer, self._message, self._recipients)
        if receipt.refused:
            self._why = "; ".join(dict.fromkeys(receipt.refused.values()))
        self._left = tuple(receipt.refused)
        return "done"

    def finish(self) -> list[str]:
        """Queue it for who has not got it, and say what came of it."""
        left = self._left
        told = [one for one in self._recipients if one not in left]
        words = [f"told by mail: {', '.join(told)}"] if told else []
        if left:
            words.append(f"no mail yet for {', '.join(left)} ({self._why}): {self._queue(left)}")
        return words

    def _queue(self, recipients: Sequence[str]) -> str:
        from fimkit.notify.outbox import Draft, Outbox

        draft = Draft(message=self._message.as_bytes(policy=policy.SMTP), recipients=tuple(recipients))
        try:
            with Outbox(self._config.host.state_dir) as outbox:
                outbox.post([draft], now_ns=self._time_ns)
        except (FimkitError, OSError) as error:
            return f"it is lost, for it cannot be queued: {error}"
        return "it is in the queue, and is tried again"
