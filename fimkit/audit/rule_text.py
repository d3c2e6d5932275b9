"""Audit rules as auditctl(8) reads and lists them. Pure."""

import os
import re

from fimkit.audit.rule_codec import CALLS, FIELDS, TEXT_FIELDS, Field, FilterList, Rule, RuleAction
from fimkit.model.errors import RecordError, clip

__all__ = ["MACHINES", "URING_OPS", "parse_rule", "parse_rules", "render_rule"]

_PERMISSIONS = {"r": 4, "w": 2, "x": 1, "a": 8}  # in the order that auditctl prints them

MACHINES = {
    "x86_64": {"b64": 0xC000003E, "b32": 0x40000003},
    "aarch64": {"b64": 0xC00000B7},
    "ppc64le": {"b64": 0xC0000015},
    "s390x": {"b64": 0x80000016, "b32": 0x00000016},
    "riscv64": {"b64": 0xC00000F3},
    "loongarch64": {"b64": 0xC0000102},
    "i686": {"b32": 0x40000003},
}
"""AUDIT_ARCH numbers by machine. Source: linux/audit.h. auditctl takes no b32 on aarch64 unless it was built for 32-bit ARM too."""

URING_OPS = {
    "fallocate": 17, "openat": 18, "openat2": 28, "renameat": 35, "unlinkat": 36, "mkdirat": 37, "symlinkat": 38, "linkat": 39,
    "fsetxattr": 41, "setxattr": 42,
}
"""The io_uring operations that change files by name. Source: linux/io_uring.h, enum io_uring_op; the names are auditctl's."""

_URING_NAMES = {number: name for name, number in URING_OPS.items()}


def render_rule(rule: Rule, *, machine: str) -> str:
    r"""Write a rule as a line for auditctl(8).

    Spaces in names are escaped as auditctl reads them; bytes that are no UTF-8 stay as surrogates (write with
    ``surrogateescape``). A name with a newline has no text form that auditctl reads: see :func:`fimkit.audit.rules.has_text_form`.

    >>> render_rule(Rule(filter_list=FilterList.EXIT, action=RuleAction.ALWAYS, fields=(Field("dir", "=", b"/srv/a b"),
    ...     Field("perm", "=", 10), Field("key", "=", b"fimkit"))), machine="x86_64")
    '-a always,exit -F dir=/srv/a\\ b -F perm=wa -F key=fimkit'
    """
    parts = [f"-a {rule.action.name.lower()},{rule.filter_list.name.lower()}"]
    parts += [f"-F {_render_field(field, machine)}" for field in rule.fields if field.name == "arch"]
    if rule.calls is not None and rule.calls:
        names = _URING_NAMES if rule.filter_list is FilterList.IO_URING else {}
        parts.append("-S " + ",".join(names.get(call, str(call)) for call in sorted(rule.calls)))
    parts += [f"-F {_render_field(field, machine)}" for field in rule.fields if field.name != "arch"]
    return " ".join(parts)


def _render_field(field: Field, machine: str) -> str:
    name, operator, value = field
    if isinstance(value, bytes):
        text = os.fsdecode(value).replace(" ", "\\ ")
    elif name == "perm":
        text = "".join(letter for letter, bit in _PERMISSIONS.items() if value & bit)
    elif name == "arch":
        text = {number: word for word, number in MACHINES.get(machine, {}).items()}.get(value, f"0x{value:X}")
    elif name in ("auid", "uid", "euid", "sessionid") and value == 0xFFFFFFFF:
        text = "unset"
    else:
        text = str(value)
    return f"{name}{operator}{text}"


def parse_rule(text: str, *, machine: str) -> Rule:
    """Read one ``-a`` line of auditctl(8), with calls by number, ``all``, or (on the io_uring list) by name.

    Args:
        text: ``-a ACTION,LIST [-S CALLS] [-F FIELD]… [-k KEY]``.
        machine: The machine as ``os.uname`` names it, for ``arch=b64`` and ``arch=b32``.

    Raises:
        RecordError: If the line is something else (``-w``, ``-D``, ``-e`` and names of system calls are).
    """
    words = _split(text)
    if words[:1] != ["-a"] or len(words) < 2:
        raise RecordError(f"no rule in {clip(text)}; expected -a ACTION,LIST")
    action, filter_list = _parse_list(words[1])
    fields: list[Field] = []
    calls: set[int] = set()
    all_calls = True
    for option, value in zip(words[2::2], words[3::2] + [""] * (len(words) % 2), strict=True):
        if option == "-F":
            fields.append(_parse_field(value, machine))
        elif option == "-k":
            fields.append(Field("key", "=", os.fsencode(value)))
        elif option == "-S":
            all_calls = value == "all"
            calls |= set() if all_calls else {_parse_call(call, filter_list) for call in value.split(",")}
        else:
            raise RecordError(f"{clip(option)} in {clip(text)}; expected -F, -S or -k")
    # The task list has no calls, and the kernel lists it with none.
    unnamed: frozenset[int] | None = frozenset() if filter_list is FilterList.TASK else None
    return Rule(filter_list=filter_list, action=action, fields=tuple(fields), calls=unnamed if all_calls else frozenset(calls))


def _split(text: str) -> list[str]:
    # Not shlex.split: auditctl knows no quotes, only the backslash before a space.
    return [word.replace("\\ ", " ") for word in re.findall(r"(?:\\ |[^ \t])+", text.strip())]


def _parse_list(text: str) -> tuple[RuleAction, FilterList]:
    actions = {action.name.lower(): action for action in RuleAction}
    lists = {one.name.lower(): one for one in FilterList}
    words = set(text.split(","))
    action, filter_list = words & set(actions), words & set(lists)
    if len(words) != 2 or len(action) != 1 or len(filter_list) != 1:
        raise RecordError(f"{clip(text)} is no pair of action ({', '.join(actions)}) and list ({', '.join(lists)})")
    return actions[action.pop()], lists[filter_list.pop()]


def _parse_field(text: str, machine: str) -> Field:
    match = re.match(r"(\w+)(!=|>=|<=|&=|=|>|<|&)(.+)", text, re.DOTALL)
    if not match or match[1] not in FIELDS:
        raise RecordError(f"{clip(text)} is no condition of an audit rule")
    name, operator, value = match.groups()
    if name in TEXT_FIELDS:
        return Field(name, operator, os.fsencode(value))
    if name == "perm":
        if set(value) - set(_PERMISSIONS):
            raise RecordError(f"{clip(text)}: expected some of r, w, x, a")
        return Field(name, operator, sum(_PERMISSIONS[letter] for letter in set(value)))
    if name == "arch" and value in ("b64", "b32"):
        arches = MACHINES.get(machine, {})
        if value not in arches:
            raise RecordError(f"{clip(text)}: a {machine} has {', '.join(arches) or 'no arch that is known here'}")
        return Field(name, operator, arches[value])
    try:
        return Field(name, operator, 0xFFFFFFFF if value in ("unset", "-1") and name != "exit" else int(value, 0))
    except ValueError:
        raise RecordError(f"{clip(text)}: expected a number") from None


def _parse_call(text: str, filter_list: FilterList) -> int:
    if filter_list is FilterList.IO_URING and text in URING_OPS:
        return URING_OPS[text]
    if text.isdecimal() and int(text) < CALLS:
        return int(text)
    raise RecordError(f"-S {clip(text)}: expected a number, all, or an io_uring operation on its list")


def parse_rules(text: str, *, machine: str) -> tuple[Rule, ...]:
    r"""Read a rule file: one rule a line, ``#`` begins a comment.

    Raises:
        RecordError: At the first line that is no rule, with its number.

    >>> parse_rules("## words\n\n-a never,task\n", machine="x86_64")[0].filter_list.name
    'TASK'
    """
    rules = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                rules.append(parse_rule(line, machine=machine))
            except RecordError as error:
                raise RecordError(f"{error} (line {number})") from None
    return tuple(rules)
