"""What the doctor finds of notifications: what would keep a mail from being sent, or somebody from hearing of it."""

import os
from collections.abc import Iterator

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.errors import HostError, StoreError
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.notify.apprise_channel import has_apprise, load_targets
from fimkit.notify.digest_text import render_count
from fimkit.notify.mail import load_mailer, probe_servers
from fimkit.notify.mutes import Mute, render_mute
from fimkit.notify.queue_file import queue_path
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.notify import QueueState, list_mutes, load_queue

__all__ = ["check_notify"]

_SOON_NS = 7 * 86_400 * 1_000_000_000
_LATE_NS = 3600 * 1_000_000_000
_NS = 1_000_000_000


def check_notify(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """Servers, recipients, channels, what waits in the queue, and the mutes. Nothing is sent."""
    now_ns = int(host.now_s() * _NS)
    yield from _mail(config)
    yield from _channels(config)
    if config.mail.smtp_server or config.channels or _has_readers(config):
        yield from _state(config, now_ns)


def _has_readers(config: Config) -> bool:
    mail = config.mail
    return bool(mail.general_recipients or mail.panic_recipients or any(watch.notify for watch in config.paths))


def _mail(config: Config) -> Iterator[Advice]:
    mail = config.mail
    if not mail.smtp_server:
        if _has_readers(config):
            problem = "there are recipients and no mail server: nobody is told."
            yield _warn("notify-no-server", "[mail]", problem, 'smtp_server = "mail.example.org:587" in [mail]')
        return
    if mail.nomail:
        problem = "nomail = true: nothing is mailed."
        yield Advice(code="notify-nomail", level=Level.NOTE, where="[mail]", problem=problem, remedy="nomail = false")
        return
    if not _has_readers(config):
        problem = "there is a mail server and no recipient: nobody is told."
        yield _warn("notify-nobody", "[mail]", problem, 'general_recipients = ["you@example.org"] in [mail]')
    try:
        outcomes = probe_servers(load_mailer(config))
    except HostError as error:
        yield _warn("notify-server", mail.smtp_server, f"{error}.", "fimkit notify test says when it works")
        return
    for outcome in outcomes:
        if not outcome.done:
            level = Level.WARNING if all(not one.done for one in outcomes) else Level.NOTE
            problem = f"no mail would go out by it now: {outcome.error}."
            yield Advice(code="notify-server-down", level=level, where=outcome.name, problem=problem, remedy="fimkit notify test")


def _channels(config: Config) -> Iterator[Advice]:
    channels = config.channels
    if channels and not has_apprise():
        problem = "channels are configured, and the package that speaks to them is not here: they are told nothing."
        yield _warn("notify-no-apprise", "[[channels]]", problem, "pip install 'fimkit[notify]'")
        return
    for channel in channels:
        try:
            load_targets((channel,))
        except HostError as error:
            problem = f"channel {channel.name} is told nothing: {error}."
            yield _warn("notify-channel", render_path(channel.url_file), problem, "one URL in a file of its own, mode 0600, root's")


def _state(config: Config, now_ns: int) -> Iterator[Advice]:
    where = render_path(queue_path(config.host.state_dir))
    try:
        state, mutes = load_queue(config), list_mutes(config)
    except (HostError, StoreError) as error:
        foreign = os.geteuid() != 0
        level = Level.NOTE if foreign else Level.WARNING
        remedy = "run fimkit doctor as root" if foreign else "mv it aside; it is made anew, without the mutes"
        yield Advice(code="notify-queue", level=level, where=where, problem=f"{error}.", remedy=remedy)
        return
    yield from _queue(state, where, now_ns)
    for mute in mutes:
        yield from _ending(mute, where, now_ns)


def _queue(state: QueueState, where: str, now_ns: int) -> Iterator[Advice]:
    late = [one for one in state.letters if one.tries and now_ns - one.made_ns > _LATE_NS]
    if late:
        oldest = late[0]
        problem = (
            f"{render_count(len(state.letters), 'letter waits', 'letters wait')}, the oldest of {render_time(oldest.made_ns)},"
            f" after {render_count(oldest.tries, 'try', 'tries')}:"
            f" {oldest.reason or 'no answer'}."
        )
        yield _warn("notify-queue-grows", where, problem, "fimkit notify queue; fimkit notify test")
    if state.failures:
        last = state.failures[-1]
        when = render_time(last.time_ns)
        count = render_count(len(state.failures), "letter was", "letters were")
        problem = f"{count} given up, the last at {when} for {last.address}: {last.reason}."
        yield Advice(code="notify-given-up", level=Level.NOTE, where=where, problem=problem, remedy="fimkit notify queue")


def _ending(mute: Mute, where: str, now_ns: int) -> Iterator[Advice]:
    left_ns = mute.until_ns - now_ns
    if left_ns > _SOON_NS:
        return
    verb = "has ended" if left_ns <= 0 else "ends"
    problem = f"mute {mute.number} on {render_mute(mute)} ({mute.reason}) {verb} at {render_time(mute.until_ns)}."
    code = "notify-mute-ended" if left_ns <= 0 else "notify-mute-ends"
    remedy = f"fimkit notify mute remove {mute.number}; or add it anew, if its reason holds"
    yield Advice(code=code, level=Level.NOTE, where=where, problem=problem, remedy=remedy)


def _warn(code: str, where: str, problem: str, remedy: str) -> Advice:
    return Advice(code=code, level=Level.WARNING, where=where, problem=problem, remedy=remedy)
