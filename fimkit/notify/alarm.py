"""Tells everybody of a panic at once: mail and the other channels side by side, under one deadline, with a receipt."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from fimkit.notify.channels import Channels, plan_news, tell
from fimkit.notify.compose import PanicNews, compose_panic
from fimkit.notify.mail import Mailer, MailReceipt, render_receipt, send_mail
from fimkit.notify.message import build_message
from fimkit.notify.race import Outcome

__all__ = ["Alarm", "AlarmReceipt", "plan_alarm", "render_alarm", "send_alarm"]

_GRACE_S = 1.0  # for the threads to say what they have


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What would be sent to whom: rendered, and not sent yet."""

    news: PanicNews
    message: EmailMessage
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmReceipt:
    """What came of an alarm; ``mail`` is ``None`` where there was no mail to send, with ``note`` on why."""

    mail: MailReceipt | None
    others: tuple[Outcome, ...]
    took_s: float
    note: str = ""


def plan_alarm(news: PanicNews, *, sender: str, recipients: Sequence[str], time_ns: int) -> Alarm:
    """Render an alarm; with ``nomail`` that is all that is done.

    Args:
        news: What there is to tell.
        sender: An address.
        recipients: ``[mail].panic_recipients``.
        time_ns: The time.
    """
    message = build_message(compose_panic(news), sender=sender, recipients=recipients, time_ns=time_ns)
    return Alarm(news=news, message=message, recipients=tuple(recipients))


def send_alarm(alarm: Alarm, *, mailer: Mailer | None, channels: Channels, deadline_s: float) -> AlarmReceipt:
    """Send an alarm by every way that there is.

    Args:
        alarm: From :func:`plan_alarm`.
        mailer: The mail servers; ``None`` where there are none.
        channels: The others.
        deadline_s: For the other channels; the mailer has its own.

    Returns:
        The receipt, no later than the longer deadline and a moment. Nothing raises.
    """
    started = time.monotonic()
    tasks, others = plan_news(channels, alarm.news), list[Outcome]()
    beside = threading.Thread(target=lambda: others.extend(tell(tasks, deadline_s=deadline_s)), name="fimkit alarm", daemon=True)
    note = "" if mailer and alarm.recipients else "no mail: no server is ready" if alarm.recipients else "no mail: no recipients"
    try:
        beside.start()
    except RuntimeError as error:  # no more threads: the mail first
        note = "; ".join(filter(None, (note, f"only mail was tried: {error}")))
    mail = send_mail(mailer, alarm.message, alarm.recipients) if mailer and alarm.recipients else None
    if beside.ident is not None:
        beside.join(max(0.0, started + deadline_s + _GRACE_S - time.monotonic()))
    return AlarmReceipt(mail=mail, others=tuple(others), took_s=time.monotonic() - started, note=note)


def render_alarm(receipt: AlarmReceipt) -> dict[str, Any]:
    """Give a receipt as an object for JSON."""
    return {
        "mail": render_receipt(receipt.mail) if receipt.mail else None,
        "others": [
            {"channel": one.name, "said": one.words, "error": one.error, "stage": one.stage, "took_s": round(one.took_s, 3)}
            for one in receipt.others
        ],
        "note": receipt.note,
        "took_s": round(receipt.took_s, 3),
    }
