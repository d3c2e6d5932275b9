"""The channels beside mail: what the configuration names, made ready before it is needed, and told side by side."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fimkit.model.channels import Gets, channels_for
from fimkit.model.config import Config, Transport
from fimkit.model.config_checks import split_servers
from fimkit.model.json_form import render_finding
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.notify.apprise_channel import AppriseTarget, plan_apprise, prepare_targets
from fimkit.notify.chat import ChatText, compose_chat_panic
from fimkit.notify.compose import PanicNews, render_counts, weigh
from fimkit.notify.endpoint import Endpoint, load_endpoint
from fimkit.notify.message import render_word
from fimkit.notify.race import Outcome, Task, run_side_by_side
from fimkit.notify.secrets import load_secret
from fimkit.notify.syslog import SyslogTarget, plan_syslog
from fimkit.notify.syslog_text import SyslogSeverity, render_syslog
from fimkit.notify.tls import make_context
from fimkit.notify.webhook import WebhookTarget, plan_webhook, split_url

__all__ = ["Channels", "load_channels", "plan_news", "plan_test", "render_news", "tell"]

_FINDINGS = 50  # in a webhook's object; the mail has them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Those that are configured."""

    syslog: SyslogTarget | None = None
    webhook: WebhookTarget | None = None
    others: tuple[AppriseTarget, ...] = ()


def load_channels(config: Config, *, deadline_s: float, known: Sequence[Endpoint] = ()) -> Channels:
    """Read secrets and certificates and resolve the servers.

    Args:
        config: Its ``[syslog]``, ``[webhook]`` and the ``[[channels]]`` that are told of a panic.
        deadline_s: For each server's name.
        known: Servers with the addresses that they had at arming: their names are not asked again.

    Raises:
        HostError: If a server is this host, or has no address, or a file is not as it must be. Of ``[[channels]]`` one that
            cannot be told says so in its own outcome.
    """
    syslog, webhook = None, None
    for host, port in split_servers(config.syslog.server):
        syslog = SyslogTarget(
            endpoint=load_endpoint(host, port, deadline_s=deadline_s, known=known),
            transport=Transport(config.syslog.transport),
            context=make_context(config.syslog.ca_file),
        )
    if config.webhook.url:
        host, port, path = split_url(config.webhook.url)
        webhook = WebhookTarget(
            endpoint=load_endpoint(host, port, deadline_s=deadline_s, known=known),
            path=path,
            context=make_context(config.webhook.ca_file),
            token=load_secret(config.webhook.token_file) if config.webhook.token_file else "",
        )
    return Channels(syslog=syslog, webhook=webhook, others=prepare_targets(channels_for(config.channels, Gets.PANIC)))


def _mark(news: PanicNews) -> str:
    return "[TEST] " if news.test else ""


def render_news(news: PanicNews) -> bytes:
    """Write a panic as one JSON object; ``text`` is a line for people, which chat servers show."""
    ordered = weigh(news.findings)
    words = render_counts(ordered) if ordered else news.cause
    return json.dumps({
        "kind": "panic",
        "test": news.test,
        "text": render_word(f"{_mark(news)}[fimkit] {news.host} PANIC {words}"),
        "host": news.host,
        "addresses": list(news.addresses),
        "incident": news.incident,
        "cause": news.cause,
        "time": render_time(news.triggered_ns),
        "folder": render_path(news.folder),
        "evidence": list(news.heads),
        "done": list(news.done),
        "next": list(news.next_steps),
        "count": len(ordered),
        "findings": [render_finding(finding) for finding in ordered[:_FINDINGS]],
    }).encode("ascii")


def plan_news(channels: Channels, news: PanicNews) -> tuple[Task, ...]:
    """Make a task of a panic's news for each channel."""
    tasks: list[Task] = []
    ordered = weigh(news.findings)
    if channels.syslog:
        fields = {"incident": news.incident, "findings": str(len(ordered)), "cause": news.cause}
        if news.heads:
            fields["head"] = news.heads[0].rpartition(" ")[2]
        if ordered:
            fields |= {"path": render_path(ordered[0].path), "kind": ordered[0].kind.value, "finding": ordered[0].id}
        message = render_syslog(
            f"{_mark(news)}PANIC {render_counts(ordered)}: {news.cause}", severity=SyslogSeverity.ALERT, host=news.host,
            kind="panic", time_ns=news.triggered_ns, fields=fields,
        )
        tasks.append(plan_syslog(channels.syslog, message))
    if channels.webhook:
        tasks.append(plan_webhook(channels.webhook, render_news(news)))
    text = compose_chat_panic(news)
    return (*tasks, *(plan_apprise(target, text) for target in channels.others))


def plan_test(channels: Channels, *, host: str, words: str, time_ns: int) -> tuple[Task, ...]:
    """Make a task of a trial for each channel: what arrives says that it is one."""
    tasks: list[Task] = []
    if channels.syslog:
        message = render_syslog(
            words, severity=SyslogSeverity.INFO, host=host, kind="test", time_ns=time_ns, fields={}
        )  # fmt: skip
        tasks.append(plan_syslog(channels.syslog, message))
    if channels.webhook:
        row = {"kind": "test", "text": f"[fimkit] {host} test", "host": host, "words": words, "time": render_time(time_ns)}
        tasks.append(plan_webhook(channels.webhook, json.dumps(row).encode("ascii")))
    text = ChatText(title=f"[fimkit] {host} test", body=words, kind="info")
    return (*tasks, *(plan_apprise(target, text) for target in channels.others))


def tell(tasks: Sequence[Task], *, deadline_s: float) -> list[Outcome]:
    """Tell every channel, side by side, and wait no longer than the deadline.

    Args:
        tasks: From :func:`plan_news`.
        deadline_s: For all of them.

    Returns:
        An outcome for each, in order. None of them raises.
    """
    return run_side_by_side(tasks, deadline_s=deadline_s) if tasks else []
