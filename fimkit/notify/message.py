"""A letter as RFC 5322 has it: no header can be broken out of, and the attachments are bounded. Pure."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage

from fimkit.model.findings import Finding
from fimkit.model.json_form import render_finding
from fimkit.model.paths import render_terminal

__all__ = ["Attachment", "Letter", "attach_findings", "build_message", "parse_message", "render_word", "with_lines"]

_SUBJECT_CHARS = 180
_PLAIN_BYTES = 64 * 1024         # above it, compressed
_MOST_BYTES = 4 * 1024 * 1024    # of one attachment: what most servers still take, as base64 with the rest
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file beside the text; ``subtype`` is that of ``application``."""

    name: str
    subtype: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be said: ``headers`` are X-headers by name."""

    subject: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


def with_lines(letter: Letter, lines: Sequence[str]) -> Letter:
    """Put lines at the end of a letter, apart from what it says."""
    return replace(letter, text=letter.text.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n") if lines else letter


def render_word(text: str) -> str:
    r"""Make text that others chose safe for a line of a letter: nothing in it breaks the line or turns its direction.

    >>> render_word("x\r\nBcc: eve@example.org")
    'x%0D%0ABcc: eve@example.org'
    """
    return render_terminal(text.encode("utf-8", "replace").decode("utf-8"))


def attach_findings(findings: Sequence[Finding], *, most_bytes: int = _MOST_BYTES) -> tuple[Attachment | None, str]:
    """Make findings an attachment: JSON lines, compressed where there are many.

    Args:
        findings: In the order in which they matter: where they are too many, the last ones are left out.
        most_bytes: Of the attachment.

    Returns:
        The attachment, if there is a finding, and words on what is in it.
    """
    if not findings:
        return None, "no findings are attached"
    lines = (json.dumps(render_finding(finding), separators=(",", ":")).encode("ascii") + b"\n" for finding in findings)
    plain = list(_take(lines, most_bytes * 8))
    kept, packed = len(plain), b"".join(plain)
    if len(packed) <= min(_PLAIN_BYTES, most_bytes):
        name, subtype = "findings.jsonl", "x-ndjson"
    else:
        name, subtype = "findings.jsonl.gz", "gzip"
        packed = gzip.compress(b"".join(plain), mtime=0)
        while len(packed) > most_bytes and kept:
            kept = min(kept - 1, kept * most_bytes // len(packed))
            packed = gzip.compress(b"".join(plain[:kept]), mtime=0)
    if not kept:
        return None, f"none of the {len(findings)} findings is small enough to be attached"
    words = f"all {len(findings)}" if kept == len(findings) else f"the first {kept} of {len(findings)}"
    plural = "" if len(findings) == 1 else "s"
    return Attachment(name=name, subtype=subtype, content=packed), f"{words} finding{plural} attached as {name}"


def _take(lines: Iterable[bytes], most_bytes: int) -> Iterable[bytes]:
    for line in lines:
        most_bytes -= len(line)
        if most_bytes < 0:
            return
        yield line


def _header(text: str, most: int = _SUBJECT_CHARS) -> str:
    shown = render_word(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _address(text: str) -> Address:
    user, _, domain = text.rpartition("@")
    return Address(username=user, domain=domain)


def build_message(letter: Letter, *, sender: str, recipients: Sequence[str], time_ns: int) -> EmailMessage:
    """Make a letter a message.

    Args:
        letter: What is to be said.
        sender: An address.
        recipients: Addresses. Those that are not all ASCII get the letter too, and are in no header: not every server takes them.
        time_ns: When it is written.

    Returns:
        A message whose id comes from what is in it: the same letter sent again is known as the same.
    """
    message = EmailMessage()
    message["From"] = _address(sender)
    shown = [_address(one) for one in dict.fromkeys(recipients) if one.isascii()]
    message["To"] = shown or "undisclosed-recipients:;"
    message["Subject"] = _header(letter.subject)
    message["Date"] = datetime.fromtimestamp(time_ns // _NS, UTC)
    seed = "\0".join([str(time_ns), sender, letter.subject, letter.text]).encode("utf-8", "surrogateescape")
    domain = sender.rpartition("@")[2]
    message["Message-ID"] = f"<{hashlib.sha256(seed).hexdigest()[:32]}@{domain if domain.isascii() else 'fimkit.invalid'}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation reply comes back
    for name, value in letter.headers.items():
        message[name] = _header(value)
    message.set_content(letter.text.encode("utf-8", "replace").decode("utf-8"), cte="quoted-printable")
    for part in letter.attachments:
        message.add_attachment(part.content, maintype="application", subtype=part.subtype, filename=part.name)
    return message


def parse_message(raw: bytes) -> EmailMessage:
    """Read a message of :func:`build_message` back, from its bytes in a queue."""
    message = message_from_bytes(raw, policy=policy.SMTP)
    assert isinstance(message, EmailMessage)  # what that policy makes
    return message
