"""Tells people of a panic: the letter is written, kept beside the evidence, and sent by every way that there is."""

import time
from collections.abc import Sequence
from dataclasses import replace
from email import policy

import psutil

from fimkit.model.config import Config
from fimkit.model.paths import render_path
from fimkit.notify.alarm import Alarm, AlarmReceipt, plan_alarm, send_alarm
from fimkit.notify.channels import Channels, load_channels
from fimkit.notify.compose import PanicNews
from fimkit.notify.endpoint import Endpoint
from fimkit.notify.mail import Mailer, load_mailer, sender_of
from fimkit.notify.message import render_word
from fimkit.panic.incident import Incident, Status
from fimkit.panic.steps import run_step
from fimkit.verbs.panic_clock import Done
from fimkit.verbs.panic_folder import write_lines
from fimkit.verbs.panic_order import PanicOrder, StepTime
from fimkit.verbs.panic_words import done_words, mail_words, next_words

__all__ = ["keep_letter", "list_addresses", "load_senders", "plan_letter", "send_letter"]

_NS = 1_000_000_000
_WRITE_S = 2.0
_LOAD_S = 5.0
_LOAD_SHARE = 3
_FAMILIES = (2, 10)  # AF_INET, AF_INET6


def list_addresses() -> Done[tuple[str, ...]]:
    """Give this host's addresses: those that others may know it by."""
    rows = [row for rows in psutil.net_if_addrs().values() for row in rows if int(row.family) in _FAMILIES]
    found = [row.address.partition("%")[0] for row in sorted(rows, key=lambda row: int(row.family))]
    outside = tuple(dict.fromkeys(one for one in found if not one.startswith(("127.", "fe80:")) and one != "::1"))
    return Done(value=outside, words=", ".join(outside) or "this host has no address")


def plan_letter(
    order: PanicOrder, *, addresses: tuple[str, ...], folder: bytes, triggered_ns: int, steps: Sequence[StepTime], can_cut: bool,
    heads: tuple[str, ...] = (),
) -> Alarm:
    """Write what people are told.

    Args:
        order: The panic, with all findings that there are by now.
        addresses: Of this host.
        folder: Where the evidence is.
        triggered_ns: When it began.
        steps: What was done by now.
        can_cut: Whether a helper has answered.
        heads: Lines on the evidence chain.
    """
    config = order.config
    news = PanicNews(
        host=config.host.name, addresses=addresses, incident=order.incident, cause=render_word(order.cause),
        triggered_ns=triggered_ns, findings=order.findings, done=done_words(steps), folder=folder, test=order.test,
        heads=heads,
        next_steps=next_words(order, can_cut=can_cut, due_ns=triggered_ns + config.panic.deadline_s * _NS),
    )
    return plan_alarm(news, sender=sender_of(config), recipients=config.mail.panic_recipients, time_ns=time.time_ns())


def keep_letter(incident: Incident, alarm: Alarm) -> Done[None]:
    """Keep the letter beside the evidence, as it would be sent."""
    text = alarm.message.as_bytes(policy=policy.SMTP)
    step = replace(write_lines("letter", [], file="letter.eml"), write=lambda sink: sink.write(text))
    entry = run_step(incident, step, patience_s=_WRITE_S)
    return Done(value=None, words=entry.note or f"kept in {render_path(incident.folder)}/letter.eml", status=entry.status)


def load_senders(
    config: Config, *, deadline_s: float, known: Sequence[Endpoint] = ()
) -> tuple[Mailer | None, Channels | None, list[str]]:
    """Make ready what sends: secrets are read, certificates and names.

    Args:
        config: Its ``[mail]``, ``[syslog]`` and ``[webhook]``.
        deadline_s: For each server's name.
        known: Servers with the addresses that they had at arming.

    Returns:
        The mailer, ``None`` where no server is configured or it cannot be had; the channels; and words on what cannot be had.
    """
    mailer, channels, problems = None, None, list[str]()
    if config.mail.smtp_server:
        try:
            mailer = load_mailer(config, deadline_s=deadline_s, known=known)
        except (OSError, ValueError) as error:
            problems.append(f"no mail: {error}")
    try:
        channels = load_channels(config, deadline_s=deadline_s, known=known)
    except (OSError, ValueError) as error:
        problems.append(f"no other channel: {error}")
    return mailer, channels, problems


def send_letter(order: PanicOrder, alarm: Alarm, *, deadline_s: float) -> Done[AlarmReceipt]:
    """Send it; what was not made ready before the panic is now.

    Args:
        order: The panic.
        alarm: From :func:`plan_letter`.
        deadline_s: For all of it.
    """
    began, problems = time.monotonic(), list[str]()
    mailer, channels = order.mailer, order.channels
    if channels is None or (mailer is None and order.config.mail.smtp_server):
        patience_s = min(_LOAD_S, deadline_s / _LOAD_SHARE)
        late_mailer, late_channels, problems = load_senders(order.config, deadline_s=patience_s, known=order.endpoints)
        mailer, channels = mailer or late_mailer, channels or late_channels
    left_s = max(0.1, deadline_s - (time.monotonic() - began))
    mailer = replace(mailer, deadline_s=left_s) if mailer else None
    receipt = send_alarm(alarm, mailer=mailer, channels=channels or Channels(), deadline_s=left_s)
    words = "; ".join([*map(render_word, problems), mail_words(receipt, asked=len(alarm.recipients))])
    return Done(value=receipt, words=words, status=_judge(receipt, problems))


def _judge(receipt: AlarmReceipt, problems: Sequence[str]) -> Status:
    reached = bool(receipt.mail and receipt.mail.taken) or any(one.done for one in receipt.others)
    whole = bool(receipt.mail is None or receipt.mail.complete) and all(one.done for one in receipt.others)
    if reached and whole and not problems:
        return Status.OK
    return Status.TRUNCATED if reached else Status.FAILED
