r"""Fields of one audit record: its stamp, its raw values, and what they stand for. Pure.

The kernel writes text that a user could have chosen (names, commands, keys) in quotes, or, when a byte of it is a quote, below
0x21 or above 0x7e, as bare upper-case hex. Bare ``(null)`` is "none"; ``"(null)"`` is that text.
Source: kernel, kernel/audit.c, audit_log_n_untrustedstring(); audit-userspace, auparse/ellist.c.
"""

import binascii
import os
import re
from typing import NamedTuple

from fimkit.model.errors import RecordError, clip
from fimkit.model.records import EventId

__all__ = [
    "LATEST_S",
    "NO_ID",
    "Header",
    "cut_enrichment",
    "decode_device",
    "decode_id",
    "decode_name",
    "decode_number",
    "decode_signed",
    "parse_event_id",
    "parse_fields",
    "parse_header",
]

LATEST_S = 9_000_000_000
"""Seconds from here on are no time that fits 64 bits of nanoseconds."""

NO_ID = 4294967295
"""How the kernel prints an id of -1: nobody logged in, no session."""

_STAMP = re.compile(rb"audit\(([0-9]{1,10})\.([0-9]{3}):([0-9]{1,19})\)")
_HEADER = re.compile(
    rb"(?:node=([^ ]+) )?type=([A-Z][A-Z0-9_]*|[0-9]{1,5}|UNKNOWN\[[0-9]{1,5}\]) msg="
    rb"audit\((([0-9]{1,10})\.([0-9]{3}):([0-9]{1,19}))\): ?(.*)",
    re.DOTALL,
)
_TOKEN = re.compile(rb' *(?:([A-Za-z][A-Za-z0-9_\[\]-]*)=("[^"]*"(?= |\Z)|[^ ]*)|([^ ]+))', re.DOTALL)
_NESTED = re.compile(rb"(?:^|(?<= ))msg='(.*)\Z", re.DOTALL)
_DEVICE = re.compile(rb"([0-9a-f]{1,3}):([0-9a-f]{1,5})")  # 12 and 20 bits: kernel, include/linux/kdev_t.h
_DIGITS = {8: re.compile(rb"[0-7]{1,22}"), 10: re.compile(rb"[0-9]{1,20}"), 16: re.compile(rb"(?:0x)?[0-9a-fA-F]{1,16}")}
_SIGNED = re.compile(rb"-?[0-9]{1,19}")

_NUMBERS = {
    b"1300": "SYSCALL", b"1302": "PATH", b"1307": "CWD", b"1309": "EXECVE", b"1320": "EOE", b"1327": "PROCTITLE",
    b"1336": "URINGOP", b"1337": "OPENAT2",
}  # Source: include/uapi/linux/audit.h
# An auditd older than its kernel writes UNKNOWN[1336].
_NUMBERED = _NUMBERS | {b"UNKNOWN[%b]" % number: name for number, name in _NUMBERS.items()}


class Header(NamedTuple):
    """What stands before a record's fields. ``key`` is the bytes that all records of one event share: node and stamp."""

    node: bytes | None
    type: str
    event_id: EventId
    key: bytes
    body: bytes


def parse_event_id(text: bytes) -> EventId:
    """Read the id that the kernel stamps on every record of one event.

    Args:
        text: One audit line; only the first ``audit(SEC.MS:SERIAL)`` is looked at.

    Returns:
        Milliseconds since the epoch (UTC) and the kernel's serial.

    Raises:
        RecordError: If the stamp is missing, malformed, or no time.

    Source: auparse(3); kernel, kernel/audit.c, audit_log_start().

    >>> parse_event_id(b"type=CWD msg=audit(1364481363.243:24287): x")
    EventId(time_ms=1364481363243, serial=24287)
    """
    match = _STAMP.search(text)
    if match is None or int(match[1]) >= LATEST_S:
        raise RecordError(f"no audit stamp in {clip(text)}; expected audit(SEC.MS:SERIAL)")
    return EventId(int(match[1]) * 1000 + int(match[2]), int(match[3]))


def parse_header(line: bytes) -> Header:
    """Split a line into node, type, stamp and the rest.

    Raises:
        RecordError: If it is no audit record.

    >>> parse_header(b"node=web01 type=CWD msg=audit(1364481363.243:24287): cwd=(null)").key
    b'node=web01 1364481363.243:24287'
    """
    match = _HEADER.fullmatch(line)
    if match is None or int(match[4]) >= LATEST_S:
        raise RecordError(f"no record in {clip(line)}; expected [node=NAME] type=TYPE msg=audit(SEC.MS:SERIAL): …")
    node, kind, stamp, seconds, milliseconds, serial, body = match.groups()
    return Header(
        node,
        _NUMBERED.get(kind) or kind.decode("ascii"),
        EventId(int(seconds + milliseconds), int(serial)),
        stamp if node is None else b"node=%b %b" % (node, stamp),
        body,
    )


def cut_enrichment(body: bytes) -> tuple[bytes, bytes]:
    r"""Split a record at byte 0x1D: what the kernel wrote, and the names that auditd resolved (ENRICHED; else empty).

    >>> cut_enrichment(b'pid=1 uid=0\x1dUID="root"'), cut_enrichment(b"pid=1")
    ((b'pid=1 uid=0', b'UID="root"'), (b'pid=1', b''))
    """
    raw, _, resolved = body.partition(b"\x1d")
    return raw, resolved


def parse_fields(body: bytes) -> dict[str, bytes]:
    r"""Read one record's raw values, still quoted or in hex. Of fields with one name the first counts.

    A USER record's ``msg='…'`` is given whole as ``msg``, and the fields in it beside it. A word without ``=`` belongs to the bare
    value before it: AppArmor writes ``subj==/usr/sbin/ntpd (enforce)``. Resolved names after 0x1D are left out.

    >>> parse_fields(b'pid=7 subj==/usr/sbin/ntpd (enforce) key="a b"\x1dUID="root"')
    {'pid': b'7', 'subj': b'=/usr/sbin/ntpd (enforce)', 'key': b'"a b"'}
    >>> parse_fields(b"pid=7 msg='op=start acct=\"root\" res=success'")
    {'pid': b'7', 'msg': b'op=start acct="root" res=success', 'op': b'start', 'acct': b'"root"', 'res': b'success'}
    """
    body, _ = cut_enrichment(body)
    nested = _NESTED.search(body)
    fields: dict[str, bytes] = {}
    if nested is None:
        _read_fields(body, fields)
        return fields
    message = nested[1]
    message = message[: message.rindex(b"'")] if b"'" in message else message
    _read_fields(body[: nested.start()], fields)
    fields.setdefault("msg", message)
    _read_fields(message, fields)
    return fields


def _read_fields(text: bytes, fields: dict[str, bytes]) -> None:
    bare: str | None = None
    for name, value, word in _TOKEN.findall(text):
        if not name:
            if bare is not None:
                fields[bare] += b" " + word
            continue
        key = name.decode("ascii")
        bare = None if key in fields or value[:1] == b'"' else key
        fields.setdefault(key, value)


def decode_name(raw: bytes) -> bytes | None:
    r"""Read text as the kernel wrote it: quoted, in hex, or bare ``(null)`` for none.

    Raises:
        RecordError: If it is none of these.

    >>> decode_name(b'"/etc/passwd"'), decode_name(b"2F746D702F61206200"), decode_name(b"(null)"), decode_name(b'"(null)"')
    (b'/etc/passwd', b'/tmp/a b\x00', None, b'(null)')
    """
    if raw[:1] == b'"' and len(raw) > 1 and raw.find(b'"', 1) == len(raw) - 1:
        return raw[1:-1]
    if raw == b"(null)":
        return None
    try:
        if raw:
            return binascii.unhexlify(raw)
    except ValueError:
        pass
    raise RecordError(f"no text in {clip(raw)}; expected quotes, hex or (null)")


def decode_number(raw: bytes, *, base: int = 10, bits: int = 64) -> int:
    """Read an unsigned number of at most ``bits`` bits, in base 8, 10 or 16.

    Raises:
        RecordError: If it is none.

    >>> decode_number(b"0100644", base=8), decode_number(b"ffffff9c", base=16), decode_number(b"0x8", base=16)
    (33188, 4294967196, 8)
    """
    if _DIGITS[base].fullmatch(raw):
        number = int(raw, base)
        if number < 1 << bits:
            return number
    raise RecordError(f"no number in {clip(raw)}; expected {bits} bits in base {base}")


def decode_signed(raw: bytes) -> int:
    """Read a signed number of 64 bits, as ``exit=`` has it.

    Raises:
        RecordError: If it is none.

    >>> decode_signed(b"-13")
    -13
    """
    if _SIGNED.fullmatch(raw):
        number = int(raw)
        if -1 << 63 <= number < 1 << 63:
            return number
    raise RecordError(f"no number in {clip(raw)}; expected 64 bits in base 10")


def decode_id(raw: bytes) -> int | None:
    """Read a login id or a session; 4294967295, which old kernels print as -1, is none.

    Raises:
        RecordError: If it is no number.

    >>> decode_id(b"1000"), decode_id(b"4294967295"), decode_id(b"-1")
    (1000, None, None)
    """
    if raw == b"-1":
        return None
    number = decode_number(raw, bits=32)
    return None if number == NO_ID else number


def decode_device(raw: bytes) -> int:
    """Read ``dev=MAJOR:MINOR``, both in hex, as ``st_dev`` has it.

    Raises:
        RecordError: If it is no such pair.

    >>> decode_device(b"fe:00"), decode_device(b"00:1b")
    (65024, 27)
    """
    match = _DEVICE.fullmatch(raw)
    if match is None:
        raise RecordError(f"no device in {clip(raw)}; expected MAJOR:MINOR in hex")
    return os.makedev(int(match[1], 16), int(match[2], 16))
