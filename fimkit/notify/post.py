"""The general mail from the queue to the servers: digests are made when they are due, letters sent until somebody takes them."""

from collections.abc import Sequence
from email import policy

from fimkit.model.config import Config
from fimkit.notify.digest import compose_digest, due_ns, plan_digests
from fimkit.notify.mail import Mailer, MailReceipt, send_mail, sender_of
from fimkit.notify.message import build_message, parse_message
from fimkit.notify.outbox import Outbox

__all__ = ["make_digests", "send_due"]


def make_digests(outbox: Outbox, config: Config, *, addresses: Sequence[str], now_ns: int, hurry: bool = False) -> int:
    """Make letters of the findings that wait, if it is time.

    Args:
        outbox: The queue.
        config: Its ``[mail]``, and the ``notify`` of the paths.
        addresses: Of this host, for the subject.
        now_ns: The time.
        hurry: Do not wait for what else may come, as at the end of a nightly check; at most one mail in ``digest_s`` holds too.

    Returns:
        How many letters were made. Findings that nobody is to hear of leave the queue too.
    """
    waiting = outbox.waiting()
    since_ns = (waiting.last_ns or 0) if hurry and waiting.findings else waiting.oldest_ns
    due = due_ns(oldest_ns=since_ns, last_ns=waiting.last_ns, digest_s=config.mail.digest_s)
    if due is None or now_ns < due:
        return 0
    letters = []
    for digest in plan_digests(waiting.findings, config):
        letter = compose_digest(config.host.name, addresses, digest.findings, folded=waiting.folded)
        message = build_message(letter, sender=sender_of(config), recipients=digest.recipients, time_ns=now_ns)
        letters.append((message.as_bytes(policy=policy.SMTP), digest.recipients))
    return len(letters) if outbox.seal(letters, waiting, now_ns=now_ns) else 0


def send_due(outbox: Outbox, mailer: Mailer, *, now_ns: int) -> list[MailReceipt]:
    """Send the letters whose time has come, each at most for the mailer's deadline, and note what came of each.

    Args:
        outbox: The queue.
        mailer: The servers.
        now_ns: The time.

    Returns:
        A receipt for each letter that was tried. After one that nobody takes the rest waits: the servers are out of reach.
    """
    receipts = []
    while letter := outbox.take_letter(now_ns=now_ns):
        receipt = send_mail(mailer, parse_message(letter.message), letter.recipients)
        outbox.settle(letter, taken=tuple(receipt.taken), refused=receipt.refused, now_ns=now_ns)
        receipts.append(receipt)
        if not receipt.taken:
            break
    return receipts
