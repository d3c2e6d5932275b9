"""The second names that dpkg gives to files while it replaces them: gone again in a moment, and in every upgrade's records."""

from collections.abc import Iterable
from dataclasses import replace

from fimkit.model.changes import Action, Change, Source
from fimkit.model.findings import Finding, Kind, Verdict, severity_of
from fimkit.model.states import FileState, FileType

__all__ = ["explain_backups", "is_backup", "replaced_name"]

_BACKUP = b".dpkg-tmp"
"""Source: dpkg, lib/dpkg/dpkg.h, DPKGTEMPEXT; src/main/archives.c links or copies what it is about to replace to this name."""

_SYMLINK, _TYPE = 0o120000, 0o170000
_REASON = "dpkg's second name for the file that it replaced, and what it put there is proved"


def explain_backups(findings: list[Finding], changes: Iterable[Change], was_open: Iterable[Finding] = ()) -> list[Finding]:
    """Take such a passing name as expected, where it was never anything but the file that a proved one took the place of.

    That is by the records of the name, not by who made it: a link to that very inode (of a symlink, another symlink), and nothing
    written through it or given to it.

    Args:
        findings: Judged by the packages already.
        changes: What was recorded of the names.
        was_open: The findings that were open before, for a file that was replaced in an earlier look.
    """
    passing = {finding.path for finding in findings if is_backup(finding)}
    if not passing:
        return findings
    replaced = {
        one.path: one.before
        for one in (*was_open, *findings)
        if one.verdict is Verdict.EXPECTED and one.before is not None and one.after is not None
    }
    of_name: dict[bytes, list[Change]] = {path: [] for path in passing}
    for change in changes:
        if change.path in of_name:
            of_name[change.path].append(change)
    return [
        _expect(finding)
        if is_backup(finding) and _is_of(replaced.get(replaced_name(finding.path)), of_name[finding.path])
        else finding
        for finding in findings
    ]


def is_backup(finding: Finding) -> bool:
    """Tell by its kind and name whether a finding may be such a name."""
    return finding.kind is Kind.TRANSIENT and finding.path.endswith(_BACKUP)


def replaced_name(path: bytes) -> bytes:
    """Give the name of the file that such a name was the second one of."""
    return path.removesuffix(_BACKUP)


def _is_of(before: FileState | None, changes: list[Change]) -> bool:
    recorded = [change for change in changes if change.source is Source.AUDIT]
    return before is not None and bool(recorded) and all(_is_harmless(before, change) for change in changes)


def _is_harmless(before: FileState, change: Change) -> bool:
    if change.source is Source.OSQUERY:
        return change.sha256 in (None, before.sha256)
    if before.type is FileType.SYMLINK:
        is_symlink = change.mode is not None and change.mode & _TYPE == _SYMLINK
        return is_symlink and change.action in (Action.BORN, Action.OWNER, Action.LINKED, Action.UNLINKED)
    # The device is left out: both names lie in one folder, and no link leads to another file system. Some name it differently.
    is_same = before.inode is not None and change.inode == before.inode
    return is_same and (change.action in (Action.LINKED, Action.UNLINKED) or _takes_rights_away(before, change))


def _takes_rights_away(before: FileState, change: Change) -> bool:
    """Tell a set-id program made harmless before its last name goes. Source: dpkg, lib/dpkg/file.c, secure_unlink."""
    if change.action is not Action.MODE or change.new_mode is None or before.mode is None:
        return False
    return not change.new_mode & ~before.mode


def _expect(finding: Finding) -> Finding:
    return replace(
        finding,
        verdict=Verdict.EXPECTED,
        severity=severity_of(finding.tier, finding.kind, Verdict.EXPECTED, finding.changed),
        reasons=tuple(dict.fromkeys((_REASON, *finding.reasons))),
    )
