"""From what the user wants watched to the audit rules for it: few, recursive, one key. Pure.

What the kernel was seen to do, and what the plan makes of it:

- ``dir=`` takes a whole tree with what is mounted in it when the rule is added, and nothing that is mounted later: the plan names
  the mounts that the user asked for, and they are joined to the rule each time.
- ``dir=`` on a symbolic link records nothing below it, and says nothing: the rules name what the link points to, and the link.
- ``perm=`` sees no io_uring operation, and the io_uring list takes no ``perm=``: trees get a rule there that names the
  operations. It records an open for reading too, as no field tells.
- ``path=`` on the io_uring list is looked up by the number of a system call, which is 0 there: so its call is 0. An existing file
  that a worker thread opens by io_uring is not seen that way; the next scan does see its content.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fimkit.audit.rule_codec import Field, FilterList, Rule, RuleAction
from fimkit.audit.rule_text import MACHINES, URING_OPS, render_rule
from fimkit.model.config import Watch
from fimkit.model.errors import HostError
from fimkit.model.paths import is_below, render_path

__all__ = [
    "HEAD",
    "KEY",
    "Join",
    "PathFacts",
    "Plan",
    "Skipped",
    "find_obstacles",
    "has_text_form",
    "plan_rules",
    "render_rule_file",
]

KEY = b"fimkit"
"""The key of every rule that is ours: ``ausearch -k fimkit``."""

_WRITE_AND_ATTRIBUTES = 2 | 8
_URING_IN_TREES = frozenset(URING_OPS.values())
_URING_BY_PATH = frozenset({0})
_UNREADABLE = re.compile(rb"[\x00-\x1f\x7f]|\\(?: |$)|[!<>&]=")
_RECORDS = {1300: "SYSCALL", 1302: "PATH", 1307: "CWD", 1336: "URINGOP"}


class PathFacts(NamedTuple):
    """What a watched path is on the host, links followed. ``real`` is the path with every symbolic link resolved."""

    real: bytes
    is_folder: bool = False
    exists: bool = True
    parent_exists: bool = True
    is_link: bool = False


class Skipped(NamedTuple):
    """A watch that the kernel can have no rule for yet, the reason, and the rule that it would have."""

    path: bytes
    reason: str
    rules: tuple[Rule, ...]


class Join(NamedTuple):
    """A mount that the rule on a tree is to hold for, whenever it was mounted."""

    mount: bytes
    tree: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The rules for a configuration. ``skipped`` are in the file as comments; ``notes`` are words for the user."""

    machine: str
    rules: tuple[Rule, ...]
    joins: tuple[Join, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


class _Place(NamedTuple):
    path: bytes
    is_folder: bool
    why: str | None = None  # why the kernel cannot have it


def plan_rules(
    watches: Sequence[Watch],
    look: Callable[[bytes], PathFacts],
    *,
    mounts: Iterable[bytes] = (),
    machine: str,
) -> Plan:
    """Choose the rules for the configured watches.

    A watch inside another watched tree needs no rule of its own. A folder that is watched without its subfolders gets the
    recursive rule all the same: the kernel has no other that sees writes to the files in it.

    Args:
        watches: The configuration's entries.
        look: What a path is on the host; asked once for each place.
        mounts: The host's mount points.
        machine: As ``os.uname`` names it.

    Raises:
        HostError: If the machine is none whose arches are known.
    """
    if machine not in MACHINES:
        raise HostError(f"audit rules for a {machine} are not known; known are {', '.join(MACHINES)}")
    mount_points = sorted({*mounts, b"/"}, key=len, reverse=True)
    places, notes = _places(watches, look)
    rules: list[Rule] = []
    skipped: list[Skipped] = []
    trees: list[bytes] = []
    for place in _outermost(places):
        ours = _rules_for(place, machine)
        if place.why:
            skipped.append(Skipped(place.path, place.why, ours))
            continue
        rules += ours
        if place.is_folder:
            trees.append(place.path)
        if not look(place.path).exists:
            words = "does not exist: its rule is for a file; if it becomes a folder, run install again"
            notes.append(f"{render_path(place.path)} {words}")
    joins = _joins(watches, look, trees, mount_points)
    if machine == "aarch64":
        notes.append("32-bit programs on this machine are not recorded: auditctl has no arch=b32 for aarch64")
    order = sorted(rules, key=lambda rule: rule.filter_list)  # stable: file order is system calls, then io_uring
    return Plan(machine=machine, rules=tuple(order), joins=joins, skipped=tuple(skipped), notes=tuple(notes))


def _places(
    watches: Sequence[Watch], look: Callable[[bytes], PathFacts]
) -> tuple[list[_Place], list[str]]:
    places: dict[bytes, _Place] = {}
    notes: list[str] = []
    for watch in watches:
        facts = look(watch.path)
        shown = render_path(watch.path)
        if facts.is_link:
            notes.append(f"{shown} is a symbolic link: the rules name {render_path(facts.real)}, and the link itself")
            link = os.path.join(look(os.path.dirname(watch.path)).real, os.path.basename(watch.path))
            places.setdefault(link, _Place(link, False))
        places[facts.real] = _Place(facts.real, facts.is_folder or not facts.parent_exists, _missing(facts))
        if facts.is_folder and not watch.recursive:
            notes.append(f"{shown}: the kernel records what its subfolders hold too; findings leave it out")
    return sorted(places.values()), notes


def _missing(facts: PathFacts) -> str | None:
    if facts.exists:
        return None
    if not facts.parent_exists:
        return "there is no such path, and no folder that it would be in; run install again when there is"
    return None


def _outermost(places: Sequence[_Place]) -> list[_Place]:
    kept: list[_Place] = []
    for place in places:  # sorted: a folder comes before what lies in it
        if not any(folder.is_folder and not folder.why and is_below(place.path, folder.path) for folder in kept):
            kept.append(place)
    return kept


def _joins(
    watches: Sequence[Watch], look: Callable[[bytes], PathFacts], trees: Sequence[bytes], mounts: Sequence[bytes]
) -> tuple[Join, ...]:
    """The mounts at or below the watched trees that a watch lies in, or that one asks for."""
    found = set()
    for watch in watches:
        path = look(watch.path).real
        tree = next((tree for tree in trees if is_below(path, tree)), None)
        if tree is not None:
            own = next(mount for mount in mounts if is_below(path, mount))
            asked = [mount for mount in mounts if watch.cross_mounts and is_below(mount, path)]
            found |= {Join(mount, tree) for mount in (own, *asked) if is_below(mount, tree) and mount != b"/"}
    return tuple(sorted(found))


def _rules_for(place: _Place, machine: str) -> tuple[Rule, ...]:
    where = Field("dir" if place.is_folder else "path", "=", place.path)
    key = Field("key", "=", KEY)
    calls = tuple(
        Rule(
            filter_list=FilterList.EXIT,
            action=RuleAction.ALWAYS,
            fields=(Field("arch", "=", arch), where, Field("perm", "=", _WRITE_AND_ATTRIBUTES), key),
        )
        for arch in MACHINES[machine].values()
    )
    uring = Rule(
        filter_list=FilterList.IO_URING,
        action=RuleAction.ALWAYS,
        fields=(where, key),
        calls=_URING_IN_TREES if place.is_folder else _URING_BY_PATH,
    )
    return (*calls, uring)


HEAD = "## Written by `fimkit install` from its configuration"
"""How a rule file of ours begins."""

_HEADER = HEAD + """, and written again by the next one: change the configuration.
##
## What:  writes and changes of attributes in the watched trees. perm=wa records the opening for writing, not each write.
## Why:   so that every change that fimkit finds has a name: who, from which login, with which program.
## Cost:  one event for each file opened for writing, made, renamed, removed or chmodded there; reading costs nothing.
## Find:  ausearch -k {key}
## Order: the first rule that matches wins; a file with a lower number that says "never" for these trees comes first.
"""

_URING_COMMENT = """\
## Operations by io_uring pass by the rules on system calls, and have a list of their own. The kernel takes a tree there,
## auditctl (seen: 3.0.9, 4.0.2) does not and would stop at the line: so these are comments, and `fimkit install` puts the
## rules into the kernel itself. After a reboot they are missing until it runs again. Their records have no login id, no
## program and often no name; the inode is there.
"""


def render_rule_file(plan: Plan) -> bytes:
    """Write the file for ``/etc/audit/rules.d``. What auditctl cannot load is a comment: a bad line ends the host's load.

    Args:
        plan: What to watch.
    """
    lines = [_HEADER.format(key=KEY.decode())]
    lines += [f"{_line(rule, plan.machine)}\n" for rule in plan.rules if rule.filter_list is FilterList.EXIT]
    uring = [rule for rule in plan.rules if rule.filter_list is FilterList.IO_URING]
    if uring:
        lines += ["\n", _URING_COMMENT]
        lines += [f"# {_line(rule, plan.machine).removeprefix('# ')}\n" for rule in uring]
    for path, reason, rules in plan.skipped:
        lines.append(f"\n## {render_path(path)}: {reason}\n")
        lines += [f"# {_line(rule, plan.machine).removeprefix('# ')}\n" for rule in rules]
    return os.fsencode("".join(lines))


def _line(rule: Rule, machine: str) -> str:
    if has_text_form(rule):
        return render_rule(rule, machine=machine)
    places = [render_path(field.value) for field in rule.fields if isinstance(field.value, bytes) and field.name != "key"]
    return f"# {', '.join(places)}: auditctl cannot read this name; `fimkit install` puts the rule into the kernel itself"


def has_text_form(rule: Rule) -> bool:
    r"""Tell whether auditctl reads the rule's line as it is meant: it knows no quotes, and looks for operators in names too.

    >>> [has_text_form(Rule(filter_list=FilterList.EXIT, action=RuleAction.ALWAYS, fields=(Field("dir", "=", name),)))
    ...     for name in (b"/srv/a b", b"/srv/a\nb", b"/srv/a!=b")]
    [True, False, False]
    """
    return not any(_UNREADABLE.search(field.value) for field in rule.fields if isinstance(field.value, bytes))


def find_obstacles(listed: Sequence[Rule], ours: Sequence[Rule], *, machine: str) -> list[str]:
    """Tell in words which rules of others keep ours from recording.

    Args:
        listed: All of the kernel's rules, in its order, ours among them or not.
        ours: The rules that are to record.
        machine: As ``os.uname`` names it.
    """
    wanted = set(ours)
    trees = [tree for rule in ours if (tree := rule.text_of("dir") or rule.text_of("path"))]
    last = {rule.filter_list: place for place, rule in enumerate(listed) if rule in wanted}
    found = []
    for place, rule in enumerate(listed):
        if rule in wanted or place > last.get(rule.filter_list, len(listed)):
            continue
        if words := _obstacle(rule, trees):
            found.append(f"{render_rule(rule, machine=machine)}: {words}")
    return found


def _obstacle(rule: Rule, trees: Sequence[bytes]) -> str | None:
    if rule.filter_list is FilterList.TASK and rule.action is RuleAction.NEVER:
        return (
            "no process that starts under this rule is ever recorded, not even after the rule is gone; "
            "take it out of /etc/audit/rules.d, load the rules, and reboot"
        )
    if rule.filter_list is FilterList.EXCLUDE:
        types = {field.value for field in rule.fields if field.name == "msgtype" and field.operator == "="}
        dropped = [name for number, name in _RECORDS.items() if number in types]
        return f"the records of type {', '.join(dropped)} are dropped; fimkit needs them" if dropped else None
    if rule.action is not RuleAction.NEVER or rule.filter_list not in (FilterList.EXIT, FilterList.IO_URING):
        return None
    place = rule.text_of("dir") or rule.text_of("path")
    if place is not None and not any(is_below(place, tree) or is_below(tree, place) for tree in trees):
        return None
    return "comes first and keeps what it matches in the watched trees from being recorded"

