"""Looks after notifications: tries every way to people, shows what waits, and keeps the mutes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fimkit.evidence.folder import make_state_dir
from fimkit.evidence.heads import head_lines
from fimkit.model.channels import Gets, channels_for
from fimkit.model.config import Config
from fimkit.model.config_checks import split_servers
from fimkit.model.errors import HostError, UsageError, clip
from fimkit.model.paths import render_terminal
from fimkit.model.time import render_time
from fimkit.notify.apprise_channel import load_targets
from fimkit.notify.channels import Channels, load_channels, plan_test, tell
from fimkit.notify.compose import compose_notice
from fimkit.notify.endpoint import Endpoint
from fimkit.notify.mail import load_mailer, send_mail, sender_of
from fimkit.notify.message import build_message, with_lines
from fimkit.notify.mute_book import MuteBook
from fimkit.notify.mutes import Mute, MuteBy
from fimkit.notify.outbox import Failure, Outbox, Queued
from fimkit.notify.pace import Lane
from fimkit.notify.queue_file import queue_exists
from fimkit.notify.race import Task

__all__ = [
    "LaneState", "QueueState", "Tried", "add_mute", "list_mutes", "load_queue", "remove_mute", "render_mute_row", "render_queue",
    "render_tried", "say_untried", "try_everybody",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one server or channel did with the trial."""

    name: str
    taken: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """What waits for the next mail of a lane."""

    lane: Lane
    count: int
    oldest_ns: int | None
    last_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The queue: findings for the next mails, letters that nobody took yet, and letters that were given up."""

    lanes: tuple[LaneState, ...] = ()
    letters: tuple[Queued, ...] = ()
    failures: tuple[Failure, ...] = ()
    down_ns: int | None = None


def try_everybody(config: Config, gets: Gets, *, addresses: Sequence[str] = (), time_ns: int | None = None) -> list[Tried]:
    """Send a trial by every server and every channel, each for itself: with several servers everybody gets several mails.

    Args:
        config: The configuration.
        gets: Whose ways are tried: those who hear of digests, of alerts, of a panic.
        addresses: Of this host.
        time_ns: The time; by default the clock's.

    Returns:
        What each did, in the order of the configuration.

    Raises:
        UsageError: If nobody is to hear of it.
    """
    now_ns = time.time_ns() if time_ns is None else time_ns
    mail = config.mail
    recipients = mail.panic_recipients if gets is Gets.PANIC else mail.general_recipients
    tried = [
        _try_server(config, host, port, recipients, gets, addresses, now_ns)
        for host, port in (split_servers(mail.smtp_server) if recipients else ())
    ]  # fmt: skip
    tried += _try_channels(config, gets, now_ns)
    if recipients and not mail.smtp_server:
        tried.append(Tried(name="mail", taken=False, words="there are recipients and no server; remedy: [mail] smtp_server"))
    if not tried:
        key = "panic_recipients" if gets is Gets.PANIC else "general_recipients"
        raise UsageError(f"nobody is to hear of {gets.value}; expected [mail] {key} with smtp_server, or [[channels]]")
    return tried


def say_untried(config: Config, gets: Gets) -> list[str]:
    """Name the channels that a trial leaves out, for they get other news: who tries one thing must not think that all was tried.

    >>> from fimkit.model.config import Host
    >>> from fimkit.model.channels import Channel
    >>> config = Config(host=Host(name="web01"), channels=(Channel(name="pager", url_file=b"/etc/fimkit/pager"),))
    >>> say_untried(config, Gets.GENERAL), say_untried(config, Gets.PANIC)
    (['not tried: channel pager, which gets alerts and panic: fimkit notify test --to alerts'], [])
    """
    return [
        f"not tried: channel {render_terminal(one.name)}, which gets {' and '.join(gets.value for gets in one.gets)}:"
        f" fimkit notify test --to {one.gets[0].value}"
        for one in config.channels if gets not in one.gets and one.gets
    ]  # fmt: skip


def _words(gets: Gets, now_ns: int) -> str:
    return f"This is a trial of the way that {gets.value} news takes, asked for at {render_time(now_ns)}. Nothing has happened."


def _try_server(
    config: Config, host: str, port: int, recipients: Sequence[str], gets: Gets, addresses: Sequence[str], now_ns: int
) -> Tried:
    endpoint = Endpoint(host=host, port=port)
    name = f"mail by {endpoint}"
    alone = replace(config, mail=replace(config.mail, smtp_server=str(endpoint)))
    lines = [_words(gets, now_ns), f"Sent by {endpoint} for {', '.join(recipients)}; addresses of the host: {', '.join(addresses)}"]
    try:
        mailer = load_mailer(alone)
    except HostError as error:
        return Tried(name=name, taken=False, words=str(error))
    message = build_message(
        with_lines(compose_notice(config.host.name, "test", lines), head_lines(config.host.state_dir)),
        sender=sender_of(config), recipients=recipients, time_ns=now_ns
    )
    receipt = send_mail(mailer, message, recipients)
    refused = [f"{address}: {words}" for address, words in receipt.refused.items()]
    words = "; ".join([*dict.fromkeys(receipt.taken.values()), *refused])
    return Tried(name=name, taken=receipt.complete, words=words)


def _try_channels(config: Config, gets: Gets, now_ns: int) -> list[Tried]:
    patience_s = config.mail.deadline_s
    tried: list[Tried] = []
    tasks: list[Task] = []
    for name, load in _loaders(config, gets, patience_s):
        try:
            tasks += plan_test(load(), host=config.host.name, words=_words(gets, now_ns), time_ns=now_ns)
        except HostError as error:
            tried.append(Tried(name=name, taken=False, words=str(error)))
    outcomes = tell(tasks, deadline_s=patience_s)
    told = [Tried(name=one.name, taken=one.done, words=one.words if one.words is not None else one.error or "") for one in outcomes]
    return tried + told


def _loaders(config: Config, gets: Gets, patience_s: float) -> list[tuple[str, Any]]:
    """Give each channel alone, so that one that is broken keeps no other from its trial."""
    loaders: list[tuple[str, Any]] = []
    if gets is Gets.PANIC and config.syslog.server:
        alone = Config(host=config.host, syslog=config.syslog)
        loaders.append((f"syslog {config.syslog.server}", lambda one=alone: load_channels(one, deadline_s=patience_s)))
    if gets is Gets.PANIC and config.webhook.url:
        alone = Config(host=config.host, webhook=config.webhook)
        loaders.append(("webhook", lambda one=alone: load_channels(one, deadline_s=patience_s)))
    for channel in channels_for(config.channels, gets):
        loaders.append((f"channel {channel.name}", lambda one=channel: Channels(others=load_targets((one,)))))
    return loaders


def render_tried(tried: Tried) -> dict[str, Any]:
    """Give it as an object for JSON."""
    return {"name": tried.name, "taken": tried.taken, "said": tried.words}


def load_queue(config: Config) -> QueueState:
    """Look at the queue; one that was never needed is empty, and is not made.

    Raises:
        HostError: If the host refuses it.
        StoreError: If it is damaged.
    """
    if not queue_exists(config.host.state_dir):
        return QueueState()
    with Outbox(config.host.state_dir) as outbox:
        lanes = []
        for lane in Lane:
            count, oldest_ns, last_ns = outbox.glance(lane)
            lanes.append(LaneState(lane=lane, count=count, oldest_ns=oldest_ns, last_ns=last_ns))
        return QueueState(
            lanes=tuple(lanes), letters=outbox.letters(), failures=outbox.failures(), down_ns=outbox.mail_down_ns()
        )  # fmt: skip


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else render_time(time_ns)


def render_queue(state: QueueState) -> list[dict[str, Any]]:
    """Give it as objects for JSON: a lane, letter or failure each."""
    lanes = [
        {
            "what": "lane", "lane": one.lane.value, "findings": one.count, "oldest": _time(one.oldest_ns),
            "last_mail": _time(one.last_ns),
        }
        for one in state.lanes
    ]  # fmt: skip
    letters = [
        {
            "what": "letter", "by": one.channel or "mail", "waits_for": list(one.recipients), "made": render_time(one.made_ns),
            "next_try": render_time(one.next_ns), "tries": one.tries, "bytes": one.size_bytes, "last_error": one.reason,
        }
        for one in state.letters
    ]  # fmt: skip
    failures = [
        {"what": "given up", "time": render_time(one.time_ns), "recipient": one.address, "reason": one.reason}
        for one in state.failures
    ]
    return [*lanes, *letters, *failures]


def add_mute(config: Config, by: MuteBy, what: str, *, until_ns: int, reason: str, who: str, now_ns: int | None = None) -> Mute:
    """Mute something from now on.

    Raises:
        UsageError: If it makes no sense, or has no end within a year, or no reason.
        HostError: If the state folder refuses it.
    """
    make_state_dir(config.host.state_dir)
    with MuteBook(config.host.state_dir) as book:
        return book.add(by, what, until_ns=until_ns, reason=reason, who=who, now_ns=time.time_ns() if now_ns is None else now_ns)


def list_mutes(config: Config) -> tuple[Mute, ...]:
    """Give the mutes, those that ended within a month too."""
    if not queue_exists(config.host.state_dir):
        return ()
    with MuteBook(config.host.state_dir) as book:
        return book.mutes()


def remove_mute(config: Config, number: int) -> Mute:
    """Take a mute away.

    Raises:
        UsageError: If there is none of that number.
    """
    found = None
    if queue_exists(config.host.state_dir):
        with MuteBook(config.host.state_dir) as book:
            found = book.remove(number)
    if found is None:
        raise UsageError(f"there is no mute {clip(number)}; fimkit notify mute list shows those there are")
    return found


def render_mute_row(mute: Mute, *, now_ns: int) -> dict[str, Any]:
    """Give a mute as an object for JSON."""
    return {
        "id": mute.number, "by": mute.by.value, "what": mute.what, "until": render_time(mute.until_ns),
        "ended": mute.until_ns <= now_ns, "reason": mute.reason, "who": mute.who, "made": render_time(mute.made_ns),
    }  # fmt: skip
