"""A fleet for a terminal: every change once, with how many hosts have it, and which. Pure."""

import textwrap
from collections.abc import Iterator, Sequence

from fimkit.correlate.prevalence import PlacedChange, is_fleet_reason
from fimkit.model.findings import Finding, Verdict
from fimkit.model.paths import render_path, render_terminal
from fimkit.report.text import display_width, fit, fit_head

__all__ = ["render_fleet"]

_SEVERITY, _KIND, _HOSTS = 9, 11, 14
_INDENT = "  "
_NAMED = 5


def render_fleet(changes: Sequence[PlacedChange], *, width: int = 80) -> Iterator[str]:
    """Write changes as lines; those that are expected are counted at the end.

    Args:
        changes: As :func:`fimkit.correlate.prevalence.place_changes` orders them.
        width: Columns of the terminal, at least 60.

    Yields:
        A heading, then for each change one line with severity, kind, path and number of hosts, and below it which hosts, who did it
        on the first of them, and what the fleet says of it.
    """
    shown = [change for change in changes if change.worst.verdict is not Verdict.EXPECTED]
    room = width - _SEVERITY - _KIND - _HOSTS
    if shown:
        yield f"{'SEVERITY':<{_SEVERITY}}{'KIND':<{_KIND}}{'PATH':<{room}}HOSTS"
    for change in shown:
        yield from _render_one(change, room, width)
    if left := len(changes) - len(shown):
        yield f"{left:,} more are expected: packages explain them, or somebody announced them"


def _render_one(change: PlacedChange, room: int, width: int) -> Iterator[str]:
    worst = change.worst
    path = render_terminal(render_path(worst.path))
    start = f"{worst.severity.value:<{_SEVERITY}}{worst.kind.value:<{_KIND}}"
    count = f"{len(change.hosts)} of {change.of}"
    if display_width(path) < room:
        yield start + path + " " * (room - display_width(path)) + count
    else:
        yield start + " " * room + count
        yield _INDENT + fit(path, width - len(_INDENT))
    yield _INDENT + fit_head(f"where  {_where(change.hosts)}", width - len(_INDENT))
    if worst.actors:
        yield _INDENT + fit_head(f"who    {_who(worst)}", width - len(_INDENT))
    reasons = [reason for reason in worst.reasons if is_fleet_reason(reason)]
    others = [reason for reason in worst.reasons if not is_fleet_reason(reason)]
    for reason in [*reasons, *(others[:2] if worst.verdict is Verdict.SUSPECT else [])]:
        yield from textwrap.wrap(
            render_terminal(reason), width - len(_INDENT), initial_indent=_INDENT + "- ", subsequent_indent=_INDENT + "  ",
            break_on_hyphens=False,
        )  # fmt: skip


def _where(hosts: Sequence[str]) -> str:
    named = ", ".join(map(render_terminal, hosts[:_NAMED]))
    return named + (f" and {len(hosts) - _NAMED:,} more" if len(hosts) > _NAMED else "")


def _who(finding: Finding) -> str:
    actor = finding.actors[0]
    login = "no login" if actor.auid is None else render_terminal(actor.user or f"auid {actor.auid}")
    program = "?" if actor.exe is None else render_terminal(render_path(actor.exe))
    return f"{login}, uid {actor.uid}, {program}, on {render_terminal(finding.host)}"
