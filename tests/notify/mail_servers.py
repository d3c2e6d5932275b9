"""Mail servers for the tests, in the peer's namespace: a real one, and such as hang, drip, refuse and lie."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.private_net import PEER

__all__ = ["Certificates", "RealServer", "serve_with"]


class Certificates:
    """An authority of the test's own, in files; made before the fork, once."""

    def __init__(self, folder: Path) -> None:
        """Write the authority, and a server's certificate for ``mail.test`` and for its address."""
        self.authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.right = self.authority.issue_cert("mail.test", PEER)
        self.other = self.authority.issue_cert("another.test")

    def context(self, certificate: Any) -> ssl.SSLContext:
        """Make the server's side of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context


class RealServer:
    """aiosmtpd with STARTTLS required; ``received`` has (recipients, message). Start it with ``peer.call(server.start)``."""

    def __init__(self, *, port: int, context: ssl.SSLContext | None, implicit: bool = False, refused: tuple[str, ...] = (),
                 password: str | None = None) -> None:
        """Configure; without ``context`` it has no TLS at all."""
        self.port, self._context, self._implicit, self._refused, self._password = port, context, implicit, refused, password
        self.received: list[tuple[list[str], EmailMessage]] = []
        self.encrypted: list[bool] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self._refused:
            return "550 5.1.1 no such mailbox here\x1b[2J"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append((list(envelope.rcpt_tos), message))
        self.encrypted.append(session.ssl is not None or self._implicit)
        return "250 2.0.0 Ok: queued as 4XyZ1"

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        right = isinstance(login, LoginPassword) and login.password.decode() == self._password
        return AuthResult(success=right, handled=False)

    def _protocol(self) -> SMTP:
        starttls = self._context is not None and not self._implicit
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it does not see that port 465 is encrypted from the first byte
            return SMTP(
                self, hostname="mail.test", tls_context=self._context if starttls else None, require_starttls=starttls,
                authenticator=self._authenticate if self._password else None, auth_required=self._password is not None,
                auth_require_tls=not self._implicit, timeout=30,
            )

    def start(self) -> None:
        """Listen; return when it does."""
        ready = threading.Event()

        def run() -> None:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(
                loop.create_server(self._protocol, PEER, self.port, ssl=self._context if self._implicit else None)
            )
            ready.set()
            loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        assert ready.wait(10)


def serve_with(port: int, talk: Callable[[socket.socket], None]) -> Callable[[], None]:
    """Make a server that does with each connection what ``talk`` does; to be started by ``peer.call``."""

    def start() -> None:
        listener = socket.create_server((PEER, port))

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                talk(connection)

        threading.Thread(target=accept, daemon=True).start()

    return start


def never_answer(connection: socket.socket) -> None:
    """Hold the connection, and say nothing."""
    time.sleep(60)


def drip(connection: socket.socket) -> None:
    """Send a byte of an endless greeting every fifth of a second: no timeout of a socket ever passes."""
    connection.sendall(b"220-")
    while True:
        connection.sendall(b"x")
        time.sleep(0.2)
