"""Tells the channels beside mail of what is no panic, and what an intruder would do before one: disarmed, accepted, stopped."""

import json
from collections.abc import Sequence

from fimkit.model.time import render_time
from fimkit.notify.channels import Channels
from fimkit.notify.message import render_word
from fimkit.notify.race import Task
from fimkit.notify.syslog import plan_syslog
from fimkit.notify.syslog_text import SyslogSeverity, render_syslog
from fimkit.notify.webhook import plan_webhook

__all__ = ["plan_notice", "render_notice"]


def render_notice(host: str, subject: str, lines: Sequence[str], *, time_ns: int) -> bytes:
    """Write a notice as one JSON object; ``text`` is a line for people, which chat servers show.

    >>> json.loads(render_notice("web01", "disarmed", ["by root"], time_ns=0))["text"]
    '[fimkit] web01 disarmed: by root'
    """
    return json.dumps({
        "kind": "notice",
        "text": _text(host, subject, lines),
        "host": host,
        "subject": render_word(subject),
        "lines": list(map(render_word, lines)),
        "time": render_time(time_ns),
    }).encode("ascii")


def _text(host: str, subject: str, lines: Sequence[str]) -> str:
    return render_word(f"[fimkit] {host} {subject}" + (f": {' '.join(lines)}" if lines else ""))


def plan_notice(channels: Channels, host: str, subject: str, lines: Sequence[str], *, time_ns: int) -> tuple[Task, ...]:
    """Make a task of a notice for each channel.

    Args:
        channels: Those that are configured.
        host: Who speaks.
        subject: What happened, in a few words.
        lines: What there is to say, a sentence each.
        time_ns: When it happened.
    """
    tasks: list[Task] = []
    if channels.syslog:
        words = f"{subject}: {' '.join(lines)}"
        message = render_syslog(words, severity=SyslogSeverity.NOTICE, host=host, kind="notice", time_ns=time_ns, fields={})
        tasks.append(plan_syslog(channels.syslog, message))
    if channels.webhook:
        tasks.append(plan_webhook(channels.webhook, render_notice(host, subject, lines, time_ns=time_ns)))
    return tuple(tasks)
