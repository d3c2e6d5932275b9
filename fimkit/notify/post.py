"""From the queue to people: mails and alerts are made when they are due, letters tried until a server or channel takes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from email import policy

from fimkit.evidence.heads import head_lines
from fimkit.evidence.kept_diff import load_diffs
from fimkit.model.channels import Channel, Gets, channels_for
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.findings import Finding, Severity
from fimkit.notify.apprise_channel import load_targets, plan_apprise
from fimkit.notify.chat import compose_chat, parse_chat, render_chat, with_chat_head
from fimkit.notify.digest import Digest, plan_digests
from fimkit.notify.digest_text import Beside, compose_digest, told_in_full
from fimkit.notify.mail import Mailer, MailReceipt, send_mail, sender_of
from fimkit.notify.message import build_message, parse_message, with_lines
from fimkit.notify.mute_book import MuteBook
from fimkit.notify.mutes import MuteSet
from fimkit.notify.outbox import Draft, Outbox, QueuedLetter, Waiting
from fimkit.notify.pace import HOUR_NS, Fold, Hour, Lane, alert_due_ns, count_alert, due_ns, find_fold
from fimkit.notify.race import Outcome, run_side_by_side
from fimkit.notify.unseen import unseen_lines

__all__ = ["lane_due_ns", "make_alerts", "make_digests", "mute_waiting", "send_channels", "send_due"]

_MUTES_ALONE_NS = 24 * HOUR_NS  # that findings were muted is said in the next mail; without one, once a day
_NS = 1_000_000_000
_DIFF_LINES, _DIFF_S = 80, 3.0
_GETS = {Lane.GENERAL: Gets.GENERAL, Lane.ALERTS: Gets.ALERTS}
# The server spoke, and only some or all recipients were refused: it is not down.
_REACHED = ("naming the recipient", "sending the message", "done")


def lane_due_ns(outbox: Outbox, config: Config, lane: Lane, *, hurry: bool = False) -> int | None:
    """Tell when the next mail of a lane is due; ``None`` where nothing is to be told.

    Args:
        outbox: The queue.
        config: Its ``[mail]``.
        lane: Which.
        hurry: Do not wait for what else may come, as at the end of a nightly check; at most one mail in ``digest_s`` holds too.
    """
    down = bool(config.mail.smtp_server) and outbox.mail_down_ns() is not None
    if down and not channels_for(config.channels, _GETS[lane]):
        return None  # what comes meanwhile is one mail, when there is a server again
    count, oldest_ns, last_ns = outbox.glance(lane, unknown=down)
    if lane is Lane.ALERTS:
        most, critical = config.mail.alerts_per_h, outbox.has_critical()
        return alert_due_ns(outbox.hour(), oldest_ns=oldest_ns, last_ns=last_ns, most=most, critical=critical)
    if not count:
        first_ns = None if down else outbox.first_muted_ns()
        return None if first_ns is None else max(first_ns, last_ns or 0) + _MUTES_ALONE_NS
    if hurry:
        return (last_ns + config.mail.digest_s * _NS) if last_ns is not None else 0
    return due_ns(oldest_ns=oldest_ns, last_ns=last_ns, digest_s=config.mail.digest_s)


def make_digests(outbox: Outbox, config: Config, *, addresses: Sequence[str], now_ns: int, hurry: bool = False) -> int:
    """Make general mails of the findings that wait, if it is time.

    Args:
        outbox: The queue.
        config: Its ``[mail]``, the channels, and the ``notify`` of the paths.
        addresses: Of this host, for the subject.
        now_ns: The time.
        hurry: As in :func:`lane_due_ns`.

    Returns:
        How many letters were made. Findings that nobody is to hear of leave the queue too. While no mail server is reached, the
        channels alone are told, and one mail tells it all when there is a server again.
    """
    due = lane_due_ns(outbox, config, Lane.GENERAL, hurry=hurry)
    if due is None or now_ns < due:
        return 0
    waiting = outbox.waiting(Lane.GENERAL)
    return _seal(outbox, config, addresses, waiting, _beside(waiting, None), now_ns=now_ns)


def make_alerts(outbox: Outbox, config: Config, *, addresses: Sequence[str], now_ns: int) -> int:
    """Make an alert of what cannot wait, unless the hour has had enough of them.

    Args:
        outbox: The queue.
        config: As in :func:`make_digests`.
        addresses: Of this host.
        now_ns: The time.

    Returns:
        How many letters were made.
    """
    due = lane_due_ns(outbox, config, Lane.ALERTS)
    if due is None or now_ns < due:
        return 0
    waiting, hour = outbox.waiting(Lane.ALERTS), outbox.hour()
    if not waiting.findings:  # another process was faster
        return 0
    fold = find_fold(hour, waiting.added_ns, now_ns=now_ns, most=config.mail.alerts_per_h)
    critical = any(one.severity is Severity.CRITICAL for one in waiting.findings)
    counted = count_alert(hour, now_ns=now_ns, critical=critical)
    return _seal(outbox, config, addresses, waiting, _beside(waiting, fold), now_ns=now_ns, hour=counted)


def _beside(waiting: Waiting, fold: Fold | None) -> Beside:
    undelivered = tuple((one.address, one.reason) for one in waiting.failures)
    return Beside(overflow=waiting.folded, fold=fold, muted=waiting.muted, undelivered=undelivered)


def _seal(outbox: Outbox, config: Config, addresses: Sequence[str], waiting: Waiting, beside: Beside, *, now_ns: int,
          hour: Hour | None = None) -> int:
    """Make the letters, and queue them; while mail is down, those for the channels alone, of what they do not know yet."""
    mail_waits = bool(config.mail.smtp_server) and outbox.mail_down_ns() is not None
    drafts = _channel_drafts(config, addresses, waiting, beside)
    if mail_waits and not drafts:
        return 0
    if config.mail.smtp_server and not mail_waits:
        drafts += _mail_drafts(config, addresses, waiting, beside, now_ns)
    return len(drafts) if outbox.seal(drafts, waiting, now_ns=now_ns, hour=hour, mail_waits=mail_waits) else 0


def _channel_drafts(config: Config, addresses: Sequence[str], waiting: Waiting, beside: Beside) -> list[Draft]:
    news = [finding for finding, known in zip(waiting.findings, waiting.known, strict=True) if not known]
    if not news and waiting.findings:
        return []
    told = channels_for(config.channels, _GETS[waiting.lane])
    if not told:
        return []
    composed = compose_chat(config.host.name, addresses, news, beside)
    text = render_chat(with_chat_head(composed, head_lines(config.host.state_dir)))
    return [Draft(message=text, recipients=(one.name,), channel=one.name) for one in told]


def _mail_drafts(config: Config, addresses: Sequence[str], waiting: Waiting, beside: Beside, now_ns: int) -> list[Draft]:
    general = tuple(dict.fromkeys(config.mail.general_recipients))
    digests = plan_digests(waiting.findings, config)
    if not waiting.findings and general:
        digests = (Digest(recipients=general, findings=(), general=True),)
    drafts, heads = [], head_lines(config.host.state_dir)
    for digest in digests:
        said = beside if digest.general else _for_some(beside, digest.findings, waiting)
        # What not everyone may read on the host does not leave it in a mail.
        kept = load_diffs(
            config.host.state_dir, told_in_full(digest.findings), public_only=True, most_lines=_DIFF_LINES, budget_s=_DIFF_S
        )
        unseen = unseen_lines(config.host.state_dir, now_ns=now_ns) if digest.general else ()
        said = replace(said, notes=(*said.notes, *kept.words, *unseen))
        letter = with_lines(compose_digest(config.host.name, addresses, digest.findings, said, kept.texts), heads)
        message = build_message(letter, sender=sender_of(config), recipients=digest.recipients, time_ns=now_ns)
        drafts.append(Draft(message=message.as_bytes(policy=policy.SMTP), recipients=digest.recipients))
    return drafts


def _for_some(beside: Beside, findings: Sequence[Finding], waiting: Waiting) -> Beside:
    """Give what those of one path hear beside their findings: of the rest of the host, nothing."""
    if beside.fold is None:
        return Beside()
    mine = {finding.id for finding in findings}
    times = [added for finding, added in zip(waiting.findings, waiting.added_ns, strict=True) if finding.id in mine]
    return Beside(fold=replace(beside.fold, count=len(times), since_ns=min(times)))


def mute_waiting(outbox: Outbox, book: MuteBook, *, now_ns: int) -> int:
    """Take out of the queue what has been muted since it came, and count it.

    Returns:
        How many findings.
    """
    mutes = MuteSet(book.mutes(), now_ns=now_ns)
    if not mutes.mutes:
        return 0
    count = 0
    for lane in Lane:
        waiting = outbox.waiting(lane)
        muted = mutes.split(waiting.findings)[1]
        gone = {finding.id for _, finding in muted}
        numbers = [number for number, one in zip(waiting.numbers, waiting.findings, strict=True) if one.id in gone]
        count += outbox.withdraw(numbers, [mute for mute, _ in muted], now_ns=now_ns)
    return count


def send_due(outbox: Outbox, load: Callable[[], Mailer], *, now_ns: int) -> list[MailReceipt]:
    """Send the mails whose time has come, each at most for the mailer's deadline, and note what came of each.

    Args:
        outbox: The queue.
        load: Gives the servers; asked only where there is something to send.
        now_ns: The time.

    Returns:
        A receipt for each mail that was tried. After one for which no server was reached the rest waits.

    Raises:
        HostError: If the servers cannot be used at all; the mail is noted as tried.
    """
    receipts: list[MailReceipt] = []
    mailer: Mailer | None = None
    while letter := outbox.take_letter(now_ns=now_ns):
        try:
            mailer = mailer or load()
        except HostError as error:
            outbox.settle(letter, taken=(), refused=dict.fromkeys(letter.recipients, str(error)), now_ns=now_ns, down=True)
            raise
        receipt = send_mail(mailer, parse_message(letter.message), letter.recipients)
        down = not receipt.taken and not any(one.stage.startswith(_REACHED) for one in receipt.outcomes)
        outbox.settle(letter, taken=tuple(receipt.taken), refused=receipt.refused, now_ns=now_ns, down=down)
        receipts.append(receipt)
        if down:
            break
    return receipts


def send_channels(outbox: Outbox, channels: Sequence[Channel], *, now_ns: int, deadline_s: float) -> list[Outcome]:
    """Tell the channels what waits for them, side by side, and note what came of it.

    Args:
        outbox: The queue.
        channels: All that are configured.
        now_ns: The time.
        deadline_s: For each round: one message to every channel.

    Returns:
        An outcome for each message that was tried. A channel that did not take one is left alone until it is time again.
    """
    outcomes: list[Outcome] = []
    left = list(channels)
    while left:
        letters = {one.name: letter for one in left if (letter := outbox.take_letter(now_ns=now_ns, channel=one.name))}
        round_ = _tell([one for one in left if one.name in letters], letters, deadline_s=deadline_s)
        for name, outcome in round_.items():
            taken = (name,) if outcome.done else ()
            refused = {} if outcome.done else {name: outcome.error or ""}
            outbox.settle(letters[name], taken=taken, refused=refused, now_ns=now_ns)
        outcomes += round_.values()
        left = [one for one in left if one.name in round_ and round_[one.name].done]
    return outcomes


def _tell(channels: Sequence[Channel], letters: Mapping[str, QueuedLetter], *, deadline_s: float) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    tasks = {}
    for channel in channels:
        try:
            (target,) = load_targets((channel,))
        except HostError as error:
            outcomes[channel.name] = Outcome(
                name=f"channel {channel.name}", words=None, error=str(error), stage="loading", took_s=0.0
            )  # fmt: skip
            continue
        tasks[channel.name] = plan_apprise(target, parse_chat(letters[channel.name].message))
    told = run_side_by_side(list(tasks.values()), deadline_s=deadline_s) if tasks else []
    return outcomes | dict(zip(tasks, told, strict=True))
