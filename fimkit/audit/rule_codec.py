"""One audit rule, typed, and the bytes that the kernel takes and lists. Pure. Its text is :mod:`fimkit.audit.rule_text`."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from fimkit.model.errors import RecordError, clip

__all__ = [
    "CALLS",
    "FIELDS",
    "OPERATORS",
    "TEXT_FIELDS",
    "Field",
    "FilterList",
    "Rule",
    "RuleAction",
    "decode_rule",
    "encode_rule",
]


class FilterList(IntEnum):
    """The kernel's filter lists. Source: linux/audit.h, AUDIT_FILTER_*."""

    USER = 0
    TASK = 1
    EXIT = 4
    EXCLUDE = 5
    FILESYSTEM = 6
    IO_URING = 7


class RuleAction(IntEnum):
    """What a matching rule does. Source: linux/audit.h."""

    NEVER = 0
    ALWAYS = 2


FIELDS = {
    "pid": 0, "uid": 1, "euid": 2, "suid": 3, "fsuid": 4, "gid": 5, "egid": 6, "sgid": 7, "fsgid": 8, "auid": 9, "pers": 10,
    "arch": 11, "msgtype": 12, "subj_user": 13, "subj_role": 14, "subj_type": 15, "subj_sen": 16, "subj_clr": 17, "ppid": 18,
    "obj_user": 19, "obj_role": 20, "obj_type": 21, "obj_lev_low": 22, "obj_lev_high": 23, "loginuid_set": 24,
    "sessionid": 25, "fstype": 26, "devmajor": 100, "devminor": 101, "inode": 102, "exit": 103, "success": 104, "path": 105,
    "perm": 106, "dir": 107, "filetype": 108, "obj_uid": 109, "obj_gid": 110, "field_compare": 111, "exe": 112,
    "saddr_fam": 113, "a0": 200, "a1": 201, "a2": 202, "a3": 203, "key": 210,
}
"""Numbers of the fields. Source: linux/audit.h, "Rule fields"; the names are auditctl's."""

_FIELD_NAMES = {number: name for name, number in FIELDS.items()}
TEXT_FIELDS = frozenset({
    "subj_user", "subj_role", "subj_type", "subj_sen", "subj_clr", "obj_user", "obj_role", "obj_type", "obj_lev_low",
    "obj_lev_high", "path", "dir", "exe", "key",
})
"""Fields whose value is text, kept behind the rule's fixed part."""

_SIGNED_FIELDS = frozenset({"exit"})
OPERATORS = {
    "=": 0x40000000, "!=": 0x30000000, "<": 0x10000000, "<=": 0x50000000, ">": 0x20000000, ">=": 0x60000000,
    "&": 0x08000000, "&=": 0x48000000,
}
"""Source: linux/audit.h, AUDIT_EQUAL and its like."""

_OPERATOR_NAMES = {number: text for text, number in OPERATORS.items()}
_MASK_WORDS = 64
CALLS = _MASK_WORDS * 32 - 16
"""How many calls a rule can name: the kernel keeps the top 16 bits for classes of calls, and gives them back cleared."""

_ALL_CALLS = (1 << CALLS) - 1
_HEAD = struct.Struct("=III")
_WORDS = struct.Struct(f"={_MASK_WORDS}I")
_FIXED_BYTES = _HEAD.size + 4 * _WORDS.size + 4
_MAX_KEY = 31


class Field(NamedTuple):
    """One condition of a rule: ``name`` from :data:`FIELDS` (or ``field#N``), an operator, and a number or text."""

    name: str
    operator: str
    value: int | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One audit rule. ``calls`` are system calls, or io_uring operations on that list; ``None`` is all, empty none."""

    filter_list: FilterList
    action: RuleAction
    fields: tuple[Field, ...]
    calls: frozenset[int] | None = None

    def text_of(self, name: str) -> bytes | None:
        """The value of a text field with the operator ``=``, if the rule has one."""
        for field in self.fields:
            if field.name == name and isinstance(field.value, bytes):
                return field.value
        return None

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The rule's keys: auditctl joins several with byte 1."""
        return tuple(part for part in (self.text_of("key") or b"").split(b"\1") if part)


def _mask(calls: frozenset[int] | None) -> bytes:
    bits = (1 << _MASK_WORDS * 32) - 1 if calls is None else sum(1 << call for call in calls)
    return _WORDS.pack(*((bits >> 32 * word) & 0xFFFFFFFF for word in range(_MASK_WORDS)))


def encode_rule(rule: Rule) -> bytes:
    """Give the kernel's ``struct audit_rule_data``.

    Args:
        rule: Any rule; the order of its fields is kept.

    Raises:
        RecordError: If a key is longer than the kernel takes, a field is unknown, or the rule has neither fields nor calls
            (on the exit list, that would record every system call of the host).

    Source: linux/audit.h; kernel, kernel/auditfilter.c, audit_data_to_entry().
    """
    if not rule.fields and rule.calls is None and rule.action is RuleAction.ALWAYS:
        raise RecordError("a rule without any condition records every system call of the host; expected at least one field")
    numbers, values, operators, texts = [], [], [], b""
    for name, operator, value in rule.fields:
        numbers.append(_field_number(name))
        operators.append(OPERATORS[operator])
        if isinstance(value, bytes):
            if name == "key" and len(value) > _MAX_KEY:
                raise RecordError(f"the key {clip(value)} is longer than {_MAX_KEY} bytes")
            texts += value
            values.append(len(value))
        else:
            values.append(value & 0xFFFFFFFF)
    columns = b"".join(_WORDS.pack(*column, *[0] * (_MASK_WORDS - len(column))) for column in (numbers, values, operators))
    head = _HEAD.pack(rule.filter_list, rule.action, len(numbers)) + _mask(rule.calls)
    return head + columns + struct.pack("=I", len(texts)) + texts


def _field_number(name: str) -> int:
    if name in FIELDS:
        return FIELDS[name]
    if name.startswith("field#"):
        return int(name[6:])
    raise RecordError(f"no field of audit rules is called {clip(name)}")


def decode_rule(raw: bytes) -> Rule:
    """Read the kernel's bytes, as it lists them (the calls of classes are cleared there: see :func:`encode_rule`).

    Raises:
        RecordError: If the bytes are no rule.

    >>> fields = (Field("dir", "=", b"/etc"), Field("perm", "=", 10), Field("key", "=", b"fimkit"))
    >>> rule = Rule(filter_list=FilterList.EXIT, action=RuleAction.ALWAYS, fields=fields)
    >>> decode_rule(encode_rule(rule)) == rule
    True
    """
    if len(raw) < _FIXED_BYTES:
        raise RecordError(f"a rule of {len(raw)} bytes; expected at least {_FIXED_BYTES}")
    flags, action, count = _HEAD.unpack_from(raw)
    if count > _MASK_WORDS:
        raise RecordError(f"a rule with {count} fields; expected at most {_MASK_WORDS}")
    mask, numbers, values, operators = (_WORDS.unpack_from(raw, _HEAD.size + _WORDS.size * column) for column in range(4))
    fields, offset = [], _FIXED_BYTES
    for number, value, operator in zip(numbers[:count], values, operators, strict=False):
        name = _FIELD_NAMES.get(number, f"field#{number}")
        content: int | bytes = value
        if name in TEXT_FIELDS:
            content = raw[offset : offset + value]
            offset += value
        elif name in _SIGNED_FIELDS and value >= 1 << 31:
            content = value - (1 << 32)
        fields.append(Field(name, _OPERATOR_NAMES.get(operator, "="), content))
    try:
        return Rule(
            filter_list=FilterList(flags & ~0x10), action=RuleAction(action), fields=tuple(fields), calls=_calls(mask)
        )
    except ValueError as error:
        raise RecordError(f"a rule that is not known here: {error}") from None


def _calls(mask: Iterable[int]) -> frozenset[int] | None:
    bits = sum(word << 32 * place for place, word in enumerate(mask)) & _ALL_CALLS
    if bits == _ALL_CALLS:
        return None
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return frozenset(found)
