"""Sends a mail by whichever of several servers takes it, under a real deadline, and gives a receipt."""

import contextlib
import smtplib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from functools import partial
from typing import Any

from fimkit.model.config import Config
from fimkit.model.config_checks import split_servers
from fimkit.model.errors import HostError
from fimkit.model.time import render_time
from fimkit.notify.endpoint import Endpoint, load_endpoint
from fimkit.notify.race import Line, Outcome, Task, run_side_by_side
from fimkit.notify.secrets import load_secret
from fimkit.notify.smtp import Delivery, SmtpLogin, deliver, greet
from fimkit.notify.tls import make_context

__all__ = ["MailReceipt", "Mailer", "load_mailer", "probe_servers", "render_receipt", "send_mail", "sender_of"]

_TURN_SHARE = 3  # of the deadline at most: then the next server has its turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """All that sending needs, read before it is needed: servers with their addresses, and how to speak to them."""

    servers: tuple[Endpoint, ...]
    login: SmtpLogin
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReceipt:
    """What came of a mail.

    ``taken`` says for each recipient which server took it, in words with its reply (the queue id); ``refused`` why not, for the
    others; ``outcomes`` is what every server did.
    """

    message_id: str
    taken: dict[str, str]
    refused: dict[str, str]
    outcomes: tuple[Outcome, ...]
    ended_ns: int
    took_s: float

    @property
    def complete(self) -> bool:
        """Whether everybody got it."""
        return not self.refused


def load_mailer(config: Config, *, deadline_s: float | None = None, known: Sequence[Endpoint] = ()) -> Mailer:
    """Read the password and certificates and resolve the servers: what arming keeps for the panic.

    Args:
        config: Its ``[mail]``.
        deadline_s: For each server's name; by default ``[mail].deadline_s``.
        known: Servers with the addresses that they had at arming: their names are not asked again.

    Raises:
        HostError: If no server is configured or one is this host, or a file is not as it must be.
    """
    mail = config.mail
    pairs = split_servers(mail.smtp_server)
    if not pairs:
        raise HostError("no mail server is configured; remedy: [mail] smtp_server = \"mail.example.org:587\"")
    login = SmtpLogin(
        own_name=config.host.name if config.host.name.isascii() else "[127.0.0.1]",
        context=make_context(mail.ca_file),
        starttls=mail.starttls,
        username=mail.username,
        password=load_secret(mail.password_file) if mail.username else "",
    )
    patience_s = mail.deadline_s if deadline_s is None else deadline_s
    servers = tuple(load_endpoint(host, port, deadline_s=patience_s, known=known) for host, port in pairs)
    return Mailer(servers=servers, login=login, deadline_s=mail.deadline_s)


def sender_of(config: Config) -> str:
    """Give the address that fimkit writes from: ``[mail].sender``, or fimkit at this host's name."""
    return config.mail.sender or f"fimkit@{config.host.name}"


def probe_servers(mailer: Mailer) -> list[Outcome]:
    """Connect to every server, encrypt and log in, and send nothing: whether a mail would go out now.

    Returns:
        One outcome for each server, in order.
    """

    def probe(endpoint: Endpoint, line: Line) -> str:
        with contextlib.closing(greet(endpoint, line, mailer.login)) as smtp:
            line.stage = "done"
            with contextlib.suppress(OSError):
                smtp.quit()
        return "greeted, encrypted, logged in" if mailer.login.username else "greeted"

    tasks = [Task(name=str(one), work=partial(probe, one)) for one in mailer.servers]
    return run_side_by_side(tasks, deadline_s=mailer.deadline_s)


class _Posting:
    """One message for several servers: each is greeted beside the others, then has its turn for those who still wait."""

    def __init__(self, mailer: Mailer, message: EmailMessage, recipients: Sequence[str]) -> None:
        self._mailer, self._message = mailer, message
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self.waiting = list(dict.fromkeys(recipients))
        self.taken: dict[str, str] = {}
        self.refused: dict[str, str] = {}

    def work(self, endpoint: Endpoint, line: Line) -> str:
        with contextlib.closing(greet(endpoint, line, self._mailer.login)) as smtp:
            line.stage = "waiting for its turn"
            # One at a time, so that nobody gets a mail twice; whoever hangs in its turn is not waited for.
            mine = self._turn.acquire(timeout=min(line.left_s(), self._mailer.deadline_s / _TURN_SHARE))
            try:
                return self._give(smtp, endpoint, line)
            finally:
                if mine:
                    self._turn.release()

    def _give(self, smtp: smtplib.SMTP, endpoint: Endpoint, line: Line) -> str:
        with self._lock:
            recipients = tuple(self.waiting)
        if not recipients:
            return "not needed: another server took it"
        delivery = deliver(smtp, line, self._message, recipients)
        self._note(delivery, endpoint)
        return f"taken for {len(delivery.taken)} of {len(recipients)}: {delivery.reply}"

    def _note(self, delivery: Delivery, endpoint: Endpoint) -> None:
        with self._lock:
            for recipient in delivery.taken:
                self.taken[recipient] = f"{endpoint}: {delivery.reply}"
            self.waiting = [recipient for recipient in self.waiting if recipient not in self.taken]
            self.refused |= {recipient: f"{endpoint}: {words}" for recipient, words in delivery.refused.items()}

    def results(self, outcomes: Sequence[Outcome]) -> tuple[dict[str, str], dict[str, str]]:
        """Give who got it and who did not, as it stands now: a thread that was left behind changes nothing in it later."""
        with self._lock:
            errors = "; ".join(f"{one.name}: {one.error}" for one in outcomes if one.error)
            return dict(self.taken), {name: self.refused.get(name) or errors or "no server" for name in self.waiting}


def send_mail(mailer: Mailer, message: EmailMessage, recipients: Sequence[str]) -> MailReceipt:
    """Send one message; nothing that a server does raises, or takes longer than the deadline.

    Args:
        mailer: From :func:`load_mailer`.
        message: From :func:`fimkit.notify.message.build_message`.
        recipients: Who is to get it.

    Returns:
        The receipt.
    """
    started = time.monotonic()
    posting = _Posting(mailer, message, recipients)
    tasks = [Task(name=str(one), work=partial(posting.work, one)) for one in mailer.servers]
    outcomes = run_side_by_side(tasks, deadline_s=mailer.deadline_s, enough=lambda: not posting.waiting)
    taken, refused = posting.results(outcomes)
    return MailReceipt(
        message_id=str(message["Message-ID"]),
        taken=taken,
        refused=refused,
        outcomes=tuple(outcomes),
        ended_ns=time.time_ns(),
        took_s=time.monotonic() - started,
    )


def render_receipt(receipt: MailReceipt) -> dict[str, Any]:
    """Give it as an object for JSON."""
    return {
        "message_id": receipt.message_id,
        "taken": dict(receipt.taken),
        "refused": dict(receipt.refused),
        "servers": [
            {"server": one.name, "said": one.words, "error": one.error, "stage": one.stage, "took_s": round(one.took_s, 3)}
            for one in receipt.outcomes
        ],
        "ended": render_time(receipt.ended_ns),
        "took_s": round(receipt.took_s, 3),
    }
