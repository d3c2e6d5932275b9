"""What a configured value must be, beside its type: one table of checks. Pure.

A check takes the typed value (of a list: each item) and gives words on what is wrong, or ``None``.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fimkit.model.config import Transport
from fimkit.model.errors import clip
from fimkit.model.windows import parse_window

__all__ = ["CHECKS", "Check", "check_command", "check_server", "check_servers", "check_url", "split_servers"]

Check = Callable[[Any], str | None]

_SERVER = re.compile(r"(?:\[(?P<v6>[^\]\s]+)\]|(?P<host>[^\s:\[\]/@,]+)):(?P<port>[0-9]{1,5})")
_ADDRESS = re.compile(r"[^@\s,;:<>\"()\x00-\x1f\x7f]+@[^@\s,;:<>\"()\x00-\x1f\x7f]+")
# getaddrinfo also takes 127.1, 0x7f.1 or 2130706433 for an address: only the usual form may end in a number.
_NUMBER_LAST = re.compile(r"(?:.*\.)?(?:0[xX][0-9a-fA-F]*|[0-9]+)\.?")
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback"})
_YEAR_S = 366 * 86_400


def _split(text: str) -> tuple[str, int] | None:
    match = _SERVER.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        return None
    return match["v6"] or match["host"], int(match["port"])


def _address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_this_host(host: str, own_names: tuple[str, ...]) -> bool:
    address = _address_of(host)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    name = host.rstrip(".").lower()
    own = {own_name.rstrip(".").lower() for own_name in own_names}
    return name in _LOCAL_NAMES | own | {own_name.split(".")[0] for own_name in own} or name.endswith(".localhost")


def check_server(text: str, own_names: tuple[str, ...] = ()) -> str | None:
    """Check a mail server: ``host:port``, and never this host. What a name resolves to is not asked here.

    Args:
        text: Empty is no server.
        own_names: What this host is called; a server of that name, or of its first label, is this host.

    Returns:
        What is wrong, in words, or ``None``.

    >>> check_server("mail.example.org:587"), check_server("[2001:db8::25]:25"), check_server("")
    (None, None, None)
    >>> check_server("127.0.0.2:25")
    "'127.0.0.2:25' is this host, where an intruder reads it and holds it up; expected a server elsewhere"
    """
    if not text:
        return None
    parts = _split(text)
    if parts is None:
        return f"{clip(text)} is no server, expected host:port, as in mail.example.org:587"
    host, address = parts[0], _address_of(parts[0])
    if address is None and (":" in host or _NUMBER_LAST.fullmatch(host)):
        return f"{clip(text)} has no usual address in it, expected a name, 192.0.2.25 or [2001:db8::25]"
    if _is_this_host(host, own_names):
        return f"{clip(text)} is this host, where an intruder reads it and holds it up; expected a server elsewhere"
    if address is not None and address.is_multicast:
        return f"{clip(text)} is a multicast address, expected one server"
    return None


def split_servers(text: str) -> tuple[tuple[str, int], ...]:
    """Read one server or several, with commas between them, as host and port. What is no server is left out.

    >>> split_servers("mail.example.org:587, [2001:db8::25]:465"), split_servers("")
    ((('mail.example.org', 587), ('2001:db8::25', 465)), ())
    """
    return tuple(pair for part in text.split(",") if (pair := _split(part.strip())))


def check_servers(text: str, own_names: tuple[str, ...] = ()) -> str | None:
    """Check one server or several, with commas between them: each as :func:`check_server` does.

    >>> check_servers("mail.example.org:587, 192.0.2.25:25"), check_servers("mail.example.org:587,")
    (None, "'mail.example.org:587,' names a server without a name")
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and not all(parts):
        return f"{clip(text)} names a server without a name"
    return next((words for part in parts if (words := check_server(part, own_names))), None)


def _check_peer(text: str) -> str | None:
    parts = _split(text)
    if parts is None or _address_of(parts[0]) is None:
        # No names: whoever is cut off cannot resolve one.
        return f"{clip(text)} is no address and port, expected 192.0.2.10:22 or [2001:db8::10]:22"
    return None


def _check_mailbox(text: str) -> str | None:
    return None if _ADDRESS.fullmatch(text) else f"{clip(text)} is no mail address, expected name@example.org"


def _check_sender(text: str) -> str | None:
    return _check_mailbox(text) if text else None


def _check_path(path: bytes) -> str | None:
    shown = clip(path.decode())
    if not path:
        return "is empty, expected an absolute path"
    if not path.startswith(b"/"):
        return f"{shown} is relative, expected an absolute path"
    if b"\0" in path:
        return f"{shown} has a NUL in it, which no path can have"
    # Words alone cannot tell what /a/link/.. is: the kernel goes up from where the link leads.
    return f"{shown} has '..' in it, expected the path itself" if b".." in path.split(b"/") else None


def _check_optional_path(path: bytes) -> str | None:
    return _check_path(path) if path else None


def _check_text(text: str) -> str | None:
    if not text.strip():
        return "is empty"
    return f"{clip(text)} has a NUL in it" if "\0" in text else None


def _check_name_pattern(text: str) -> str | None:
    if "/" in text:
        return f"{clip(text)} can never match: include is for the name alone, without a slash"
    return _check_text(text)


def _check_pattern(text: str) -> str | None:
    if "/" in text and text[0] not in "/*?[":
        return f"{clip(text)} can never match: with a slash it is for the whole path, so it begins with / or *"
    return _check_text(text)


def check_command(command: tuple[str, ...]) -> str | None:
    """Check one command: a program and its words, run without a shell. Gives what is wrong, in words, or ``None``."""
    if not command or not command[0].strip():
        return "names no program, expected a list such as [\"ps\", \"auxww\"]"
    return "has a NUL in it" if any("\0" in word for word in command) else None


def _check_host_name(text: str) -> str | None:
    if not text.strip() or any(char.isspace() or not char.isprintable() for char in text):
        return f"{clip(text)} is no host name, expected one word"
    return None


def _check_action(text: str) -> str | None:
    return None if text in ("down", "isolate") else f"{clip(text)} is unknown, expected 'down' or 'isolate'"


def _check_transport(text: str) -> str | None:
    return None if text in [one.value for one in Transport] else f"{clip(text)} is unknown, expected 'tls', 'tcp' or 'udp'"


def check_url(text: str, own_names: tuple[str, ...] = ()) -> str | None:
    """Check where to post to: HTTPS, without a name and password in it, and never this host.

    Args:
        text: Empty is nowhere.
        own_names: What this host is called.

    Returns:
        What is wrong, in words, or ``None``. The URL itself may be a secret, and is not repeated.

    >>> check_url("https://hooks.example.org/x"), check_url("http://hooks.example.org/x")
    (None, 'is no https:// URL of a server')
    """
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is no https:// URL of a server"
    if parts.scheme != "https" or not host or not text.isascii() or not text.isprintable() or " " in text:
        return "is no https:// URL of a server"
    if parts.username is not None or parts.fragment:
        return "has a user or a fragment in it, expected host, path and query alone"
    return check_server(f"[{host}]:{port or 443}" if ":" in host else f"{host}:{port or 443}", own_names)


def _check_user(text: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}\$?", text) else f"{clip(text)} is no user name"


def _check_window(text: str) -> str | None:
    try:
        parse_window(text)
    except ValueError as error:
        return str(error)
    return None


def _check_channel_name(text: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text) else f"{clip(text)} is no name, expected letters, digits, _ . and -"


def _check_mask(text: str) -> str | None:
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{clip(text)} is no pattern of Python's re: {error}"
    return f"{clip(text)} matches nothing at all, too: it would mask between all letters" if pattern.match("") else None


def _between(least: int, most: int) -> Check:
    def check(value: int) -> str | None:
        return None if least <= value <= most else f"{clip(value)} is out of range, expected {least} to {most}"

    return check


CHECKS: dict[str, Check] = {
    "host.name": _check_host_name,
    "host.state_dir": _check_path,
    "host.report_file": _check_optional_path,
    "paths.path": _check_path,
    "paths.include": _check_name_pattern,
    "paths.exclude": _check_pattern,
    "paths.notify": _check_mailbox,
    "sources.audit_log": _check_path,
    "sources.osquery_log": _check_path,
    "sources.osquery_socket": _check_path,
    "sources.osquery_config": _check_optional_path,
    "sources.osquery_interval_s": _between(1, 604_800),
    "sources.package_root": _check_optional_path,
    "watch.rescan_s": _between(0, 31_536_000),
    "scan.mb_per_s": _between(0, 1_000_000),
    "scan.files_per_s": _between(0, 10_000_000),
    "content.rules": _check_path,
    "content.most_mb": _between(1, 1024),
    "content.file_s": _between(1, 3600),
    "content.user": _check_user,
    "content.access_logs": _check_path,
    "content.web_users": _check_user,
    "mail.smtp_server": check_servers,
    "mail.password_file": _check_optional_path,
    "mail.ca_file": _check_optional_path,
    "mail.sender": _check_sender,
    "mail.panic_recipients": _check_mailbox,
    "mail.general_recipients": _check_mailbox,
    "mail.deadline_s": _between(1, 3600),
    "mail.digest_s": _between(0, 86_400),
    "mail.alerts_per_h": _between(0, 10_000),
    "channels.name": _check_channel_name,
    "channels.url_file": _check_path,
    "syslog.server": check_server,
    "syslog.transport": _check_transport,
    "syslog.ca_file": _check_optional_path,
    "webhook.url": check_url,
    "webhook.ca_file": _check_optional_path,
    "webhook.token_file": _check_optional_path,
    "store.keep_days": _between(1, 36_500),
    "store.max_mb": _between(1, 16_777_216),
    "store.keep_content_kb": _between(1, 4096),
    "store.mask": _check_mask,
    "seal.public_key": _check_path,
    "panic.action": _check_action,
    "panic.keep_interfaces": _check_text,
    "panic.allow": _check_peer,
    "panic.threshold": _between(1, 1_000_000),
    "panic.windows": _check_window,
    "panic.deadline_s": _between(1, 3600),
    "panic.recon": check_command,
    "panic.recon_queries": _check_text,
    "panic.packetgrab": check_command,
    "panic.killswitch": check_command,
    "panic.package_hold_s": _between(0, 3600),
    "panic.capture_s": _between(0, 3600),
    "panic.restore_after_s": _between(0, _YEAR_S),
}
"""By table and key; of a list, for each item. A key without a check (true or false, a tier) is right when its type is."""
