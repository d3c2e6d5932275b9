"""One mail server: greeted, encrypted, logged in to, and given a message for those recipients that still wait for it."""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from typing import BinaryIO

from fimkit.model.errors import HostError
from fimkit.model.paths import render_path, render_terminal
from fimkit.notify.endpoint import Endpoint
from fimkit.notify.race import Line

__all__ = ["IMPLICIT_TLS_PORT", "Delivery", "SmtpLogin", "deliver", "greet"]

IMPLICIT_TLS_PORT = 465  # RFC 8314: TLS from the first byte
_REPLY_CHARS = 200
_REPLY_LINES = 200  # an answer to EHLO has a line for each extension


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpLogin:
    """How a server is spoken to.

    ``own_name`` is what this host calls itself; ``starttls`` false allows plain text, and then there is no login; without
    ``username`` there is none either.
    """

    own_name: str
    context: ssl.SSLContext
    starttls: bool = True
    username: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a server made of a message: who got it, who was refused and why, and its words on taking it (its queue id)."""

    taken: tuple[str, ...]
    refused: dict[str, str]
    reply: str


class _Replies:
    """What a server says, line by line: smtplib keeps all lines of a reply, and a reply may have no end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.left = file, _REPLY_LINES

    def readline(self, most: int) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError(f"its reply has more than {_REPLY_LINES} lines")
        return self._file.readline(most)

    def close(self) -> None:
        self._file.close()


class _Smtp(smtplib.SMTP):
    """smtplib on a connection that a :class:`Line` made: to addresses that are known, with a guard on it."""

    def __init__(self, endpoint: Endpoint, line: Line, login: SmtpLogin) -> None:
        self._line, self._endpoint, self._context = line, endpoint, login.context
        # Without a name of its own smtplib asks the resolver for one, for as long as that takes.
        super().__init__(endpoint.host, endpoint.port, local_hostname=login.own_name)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # its hook for another way to connect
        connection = self._line.connect(self._endpoint)
        if self._endpoint.port != IMPLICIT_TLS_PORT:
            self._line.stage = "waiting for its greeting"
            return connection
        self._line.stage = "negotiating TLS"
        return self._context.wrap_socket(connection, server_hostname=host)


    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            assert self.sock is not None
            self.file = _Replies(self.sock.makefile("rb"))
        self.file.left = _REPLY_LINES
        return super().getreply()


def _words(reply: bytes | str) -> str:
    """Make a server's words safe to show: they are a stranger's."""
    raw = reply if isinstance(reply, bytes) else reply.encode("utf-8", "replace")
    return render_terminal(render_path(b" ".join(raw.split())))[:_REPLY_CHARS]


def greet(endpoint: Endpoint, line: Line, login: SmtpLogin) -> smtplib.SMTP:
    """Connect, encrypt and log in: as far as it goes without a message.

    Raises:
        HostError: If the server offers no encryption, or refuses the login.
        OSError: If the connection or its certificate fails. smtplib's errors are ``OSError`` too.
    """
    smtp = _Smtp(endpoint, line, login)
    encrypted = endpoint.port == IMPLICIT_TLS_PORT
    line.stage = "greeting it"
    smtp.ehlo_or_helo_if_needed()
    if login.starttls and not encrypted:
        if not smtp.has_extn("starttls"):
            raise HostError("it offers no STARTTLS: nothing is sent in the clear")
        line.stage = "negotiating TLS"
        smtp.starttls(context=login.context)  # raises where the server refuses
        smtp.ehlo()
        encrypted = True
    if login.username:
        if not encrypted:
            raise HostError("a password is never sent in the clear: starttls = true, or port 465")
        line.stage = "logging in"
        try:
            smtp.login(login.username, login.password)
        except smtplib.SMTPAuthenticationError as error:
            raise HostError(f"it refuses the login: {error.smtp_code} {_words(error.smtp_error)}") from None
    return smtp


def deliver(smtp: smtplib.SMTP, line: Line, message: EmailMessage, recipients: Sequence[str]) -> Delivery:
    """Give a greeted server the message.

    Args:
        smtp: From :func:`greet`.
        line: Of the same task.
        message: Its ``From`` is the sender, also to the server.
        recipients: Who is to get it.

    Returns:
        Who got it, and who did not. A refusal of some is no error; nobody taken is.

    Raises:
        HostError: If the server takes the message for nobody.
        OSError: If the connection ends.
    """
    sender = message["From"].addresses[0].addr_spec
    beyond_ascii = smtp.has_extn("smtputf8")
    line.stage = "naming the sender"
    code, reply = smtp.mail(sender, ["SMTPUTF8", "BODY=8BITMIME"] if beyond_ascii and _needs(sender, *recipients) else [])
    if code != 250:
        raise HostError(f"it refuses the sender {sender}: {code} {_words(reply)}")
    taken, refused = [], {}
    for recipient in recipients:
        line.stage = f"naming the recipient {recipient}"
        if _needs(recipient) and not beyond_ascii:
            refused[recipient] = "the server takes no address beyond ASCII (SMTPUTF8)"
            continue
        code, reply = smtp.rcpt(recipient)
        if code in (250, 251):
            taken.append(recipient)
        else:
            refused[recipient] = f"{code} {_words(reply)}"
    if not taken:
        raise HostError("it refuses every recipient: " + "; ".join(f"{name}: {words}" for name, words in refused.items()))
    line.stage = "sending the message: it may have been taken"
    code, reply = smtp.data(message.as_bytes(policy=policy.SMTP))
    if code != 250:
        raise HostError(f"it refuses the message: {code} {_words(reply)}")
    line.stage = "done"
    with contextlib.suppress(OSError):  # it has the message: how it says good-bye is its own affair
        smtp.quit()
    return Delivery(taken=tuple(taken), refused=refused, reply=_words(reply))


def _needs(*addresses: str) -> bool:
    return not all(address.isascii() for address in addresses)
