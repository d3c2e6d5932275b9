"""Appends findings to the plain text log for people who tail it (``[host] report_file``)."""

from collections.abc import Sequence

from fimkit.model.errors import HostError
from fimkit.model.findings import Finding, is_content_reason
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.time import render_time
from fimkit.verbs.outside_file import open_appended

__all__ = ["append_lines", "append_report", "render_report_line"]

_MOST_WORDS = 12


def render_report_line(finding: Finding, *, now_ns: int) -> str:
    """Give one line for one finding: when, how severe, what, where, who; of a searched file its owner, and what is in it."""
    actor = finding.actors[0] if finding.actors else None
    sure = finding.attribution.value
    who = (
        sure
        if actor is None
        else f"by auid={actor.auid} uid={actor.uid} pid={actor.pid} exe={_shown(actor.exe or b'?')} ({sure})"
    )
    moved = "" if finding.moved_to is None else f" to {_shown(finding.moved_to)}"
    what = f"{finding.severity.value} {finding.kind.value} {_shown(finding.path)}{moved}"
    words = f"{finding.host} {what} {who}"
    return f"{render_time(now_ns)} {render_terminal(words)} id={finding.id}{_render_content(finding)}"


def _shown(path: bytes) -> str:
    """Quote a path with a space in it: no name can look like more fields of its line."""
    text = render_path(path)
    return '"' + text.replace('"', '\\"') + '"' if " " in text or '"' in text else text


def _render_content(finding: Finding) -> str:
    """Say of a file that was searched, or could not be, whose it is, its mode, size and time, and what was found in it."""
    after, words = finding.after, [text for text in finding.reasons if is_content_reason(text)]
    if after is None or (finding.content is None and not words):
        return ""
    mode = "?" if after.mode is None else f"{after.mode:04o}"
    written = "?" if after.mtime_ns is None else render_time(after.mtime_ns)
    facts = f" owner={after.uid}:{after.gid} mode={mode} size={after.size} written={written} hits={len(finding.content or ())}"
    return facts + "".join(f" | {render_terminal(text)}" for text in words[:_MOST_WORDS])


def append_report(path: bytes, findings: Sequence[Finding], *, now_ns: int) -> None:
    """Append new findings, a line each; nothing where no file is configured.

    Raises:
        HostError: If the file cannot be written; what is no regular file of one name (a link, a pipe that nobody reads) is refused,
            and what another user put where others can make files.
    """
    append_lines(path, [render_report_line(finding, now_ns=now_ns) for finding in findings])


def append_lines(path: bytes, lines: Sequence[str]) -> None:
    """Append lines; nothing where no file is configured.

    Raises:
        HostError: As :func:`append_report`.
    """
    if not path or not lines:
        return
    text = "".join(line + "\n" for line in lines)
    try:
        with open(open_appended(path), "ab") as opened:
            opened.write(text.encode())
    except OSError as error:
        raise HostError(f"the report file {render_path(path)} cannot be written: {error.strerror}") from error
