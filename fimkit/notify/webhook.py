"""Posts one JSON object to a URL elsewhere, by HTTPS alone: the certificate is checked, and no redirection is followed."""

import http.client
import ssl
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from fimkit.model.errors import HostError
from fimkit.notify.endpoint import Endpoint
from fimkit.notify.message import render_word
from fimkit.notify.race import Line, Task

__all__ = ["WebhookTarget", "plan_webhook", "split_url"]

_HTTPS_PORT = 443
_ANSWER_BYTES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """Where to post. ``path`` often is the secret: it is never shown. ``token`` goes into ``Authorization``; empty: none."""

    endpoint: Endpoint
    path: str
    context: ssl.SSLContext
    token: str = ""


def split_url(url: str) -> tuple[str, int, str]:
    """Give host, port and path with query.

    >>> split_url("https://hooks.example.org/a/b?c=1")
    ('hooks.example.org', 443, '/a/b?c=1')
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname or "", parts.port or _HTTPS_PORT, path


def plan_webhook(target: WebhookTarget, body: bytes) -> Task:
    """Make the task of posting one JSON object."""
    return Task(name=f"webhook {target.endpoint}", work=partial(_post, target, body))


def _post(target: WebhookTarget, body: bytes, line: Line) -> str:
    raw = line.connect(target.endpoint)
    line.stage = "negotiating TLS"
    with raw, target.context.wrap_socket(raw, server_hostname=target.endpoint.host) as encrypted:
        client = http.client.HTTPSConnection(target.endpoint.host, target.endpoint.port, context=target.context)
        client.sock = encrypted  # connected by the line: to an address that is known, with a guard on it
        headers = {"Content-Type": "application/json", "User-Agent": "fimkit"}
        if target.token:
            headers["Authorization"] = f"Bearer {target.token}"
        line.stage = "posting: it may have been taken"
        client.request("POST", target.path, body=body, headers=headers)
        line.stage = "waiting for its answer"
        answer = client.getresponse()
        words = render_word(answer.read(_ANSWER_BYTES).decode("utf-8", "replace"))
        if not 200 <= answer.status < 300:
            raise HostError(f"it answers {answer.status} {render_word(answer.reason)}: {words}")
    line.stage = "done"
    return f"taken: {answer.status}"
