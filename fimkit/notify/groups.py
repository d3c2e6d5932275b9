"""Findings in groups by what, where, who and rule, so that a storm is a few lines with counts and samples. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fimkit.model.findings import Finding
from fimkit.model.paths import render_path
from fimkit.notify.mutes import rules_of

__all__ = ["Group", "group_findings", "render_writer"]

_GROUPS = 15  # more are not read


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Findings alike. ``deep`` says that they are anywhere below ``folder``, and not all in it."""

    severity: str
    kind: str
    folder: bytes
    deep: bool
    writer: str
    rules: tuple[str, ...]
    findings: tuple[Finding, ...]


def render_writer(finding: Finding) -> str:
    """Write who made a change, in a few words."""
    if not finding.actors:
        return "nobody recorded"
    actor = finding.actors[0]
    return f"{render_path(actor.exe) if actor.exe else '?'} (uid {'?' if actor.uid is None else actor.uid})"


def _folder(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"/"


def _cut(folder: bytes, depth: int) -> bytes:
    """Give a folder, or the one above it that lies so deep.

    >>> _cut(b"/var/www/a/b", 2), _cut(b"/var", 2)
    (b'/var/www', b'/var')
    """
    return b"/".join(folder.split(b"/")[: depth + 1]) or b"/"


def _divide(ordered: Sequence[Finding], depth: int) -> Iterator[Group]:
    groups: dict[tuple[str, str, bytes, str, tuple[str, ...]], list[Finding]] = {}
    for finding in ordered:
        folder = _cut(_folder(finding.path), depth)
        key = (finding.severity.value, finding.kind.value, folder, render_writer(finding), rules_of(finding))
        groups.setdefault(key, []).append(finding)
    for (severity, kind, folder, writer, rules), members in groups.items():
        deep = any(_folder(one.path) != folder for one in members)
        yield Group(
            severity=severity, kind=kind, folder=folder, deep=deep, writer=writer, rules=rules, findings=tuple(members)
        )


def group_findings(ordered: Sequence[Finding], *, most: int = _GROUPS) -> list[Group]:
    """Group findings; where folders make too many groups, the deepest are taken together with what is above them.

    Args:
        ordered: The most severe first: the groups come in this order.
        most: Groups that are aimed at; more remain only where the folders are not the reason.
    """
    depth = max((one.path.count(b"/") for one in ordered), default=1)
    groups = list(_divide(ordered, depth))
    while len(groups) > most and depth > 1:
        depth -= 1
        groups = list(_divide(ordered, depth))
    return groups
