"""What a general mail or an alert says: groups with counts and first samples, and the weightiest in full. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fimkit.model.findings import Finding, Kind, Severity, Verdict
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.notify.compose import render_counts, render_one, weigh
from fimkit.notify.groups import Group, group_findings
from fimkit.notify.message import Letter, attach_findings, render_word
from fimkit.notify.mutes import MutedCount
from fimkit.notify.pace import Fold

__all__ = ["Beside", "compose_digest", "render_beside", "render_count", "render_place", "render_subject", "told_in_full"]

_GROUPS, _SAMPLES, _WHOLE, _MUTES, _FAILURES = 40, 3, 10, 20, 10
_PATH_CHARS = 300
_DIFF_LINES, _DIFF_CHARS = 60, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a mail says beside its findings.

    ``overflow`` came beyond what is kept for a mail; ``fold`` is why it tells of what happened earlier; ``muted`` is what
    mutes kept out of the mails; ``undelivered`` are recipients with why a letter did not reach them; ``notes`` are other words.
    """

    overflow: int = 0
    fold: Fold | None = None
    muted: tuple[MutedCount, ...] = ()
    undelivered: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def render_count(number: int, one: str, several: str) -> str:
    """Write a number of things.

    >>> render_count(1, "file", "files"), render_count(0, "file", "files")
    ('1 file', '0 files')
    """
    return f"{number} {one if number == 1 else several}"


def render_place(host: str, addresses: Sequence[str]) -> str:
    """Write the host with its first address."""
    return f"{host} ({addresses[0]})" if addresses else host


def _category(finding: Finding) -> str:
    if finding.severity is Severity.CRITICAL:
        return "critical"
    if finding.kind is Kind.ATTEMPTED:
        return "denied"
    return finding.verdict.value


_CATEGORIES = {
    "critical": ("critical change", "critical changes"),
    Verdict.SUSPECT.value: ("suspicious file", "suspicious files"),
    Verdict.UNEXPLAINED.value: ("unexplained change", "unexplained changes"),
    "denied": ("denied try", "denied tries"),
    Verdict.EXPECTED.value: ("expected change", "expected changes"),
}


def render_subject(findings: Sequence[Finding]) -> str:
    """Say in a few words what a mail is about: the weightiest there is, and how many more; nothing that others chose is in it."""
    counts = Counter(map(_category, findings))
    first = next((name for name in _CATEGORIES if counts[name]), None)
    if first is None:
        return "muted findings"
    more = len(findings) - counts[first]
    words = render_count(counts[first], *_CATEGORIES[first])
    return f"{words} and {more} more" if more else words


def _shown(path: bytes) -> str:
    text = render_word(render_path(path))
    return text if len(text) <= _PATH_CHARS else f"…{text[1 - _PATH_CHARS:]}"


def _render_group(group: Group) -> Iterator[str]:
    where = f"{'below' if group.deep else 'in'} {_shown(group.folder)}"
    rules = f", rule {', '.join(map(render_word, group.rules))}"[:_PATH_CHARS] if group.rules else ""
    writer = render_word(group.writer)[:_PATH_CHARS]
    yield f"{len(group.findings):>6} {group.severity} {group.kind} {where} by {writer}{rules}"
    yield from (f"         {_shown(finding.path)}" for finding in group.findings[:_SAMPLES])
    if len(group.findings) > _SAMPLES:
        yield f"         and {len(group.findings) - _SAMPLES} more"


def _render_groups(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups[:_GROUPS]:
        yield from _render_group(group)
    left = groups[_GROUPS:]
    if left:
        yield f"{sum(len(group.findings) for group in left):>6} more in {render_count(len(left), 'more group', 'more groups')}"


def render_beside(beside: Beside) -> Iterator[str]:
    """Write what is not told one by one, and why: a line each."""
    if beside.fold:
        fold = beside.fold
        yield (
            f"folded: {render_count(fold.count, 'finding', 'findings')} waited since {render_time(fold.since_ns)}, for"
            f" {render_count(fold.alerts, 'alert', 'alerts')} went out in the hour from {render_time(fold.hour_ns)}"
            " (mail.alerts_per_h)"
        )
    if beside.overflow:
        yield f"{beside.overflow} more came than are kept for a mail: fimkit report on the host has them all"
    for one in beside.muted[:_MUTES]:
        words = render_word(one.words)[:_PATH_CHARS]
        counted = render_count(one.count, "finding", "findings")
        yield f"{counted} muted by mute {one.number}, {words}, the first {render_time(one.first_ns)}"
    left = beside.muted[_MUTES:]
    if left:
        yield f"{sum(one.count for one in left)} findings muted by {render_count(len(left), 'more mute', 'more mutes')}"
    for address, reason in beside.undelivered[:_FAILURES]:
        yield f"an earlier letter was given up for {render_word(address)}: {render_word(reason)[:_PATH_CHARS]}"
    if len(beside.undelivered) > _FAILURES:
        yield f"and {len(beside.undelivered) - _FAILURES} more were given up: see fimkit notify queue"
    yield from (render_word(note)[:_PATH_CHARS] for note in beside.notes)


def told_in_full(findings: Sequence[Finding]) -> list[Finding]:
    """Give the findings that a mail tells in full: all of a few; of many one of each group, ten that are alike say no more."""
    if len(findings) <= _WHOLE:
        return weigh(findings)
    return [group.findings[0] for group in group_findings(weigh(findings))[:_WHOLE]]


def _render_diff(diff: str) -> Iterator[str]:
    """Write a text diff's first lines, indented: no line of it is taken for one of the mail's."""
    lines = diff.splitlines()
    yield from (f"        {render_word(line[:_DIFF_CHARS])}" for line in lines[:_DIFF_LINES])
    if len(lines) > _DIFF_LINES:
        yield f"        and {len(lines) - _DIFF_LINES} lines more: fimkit show on the host has them"


def compose_digest(
    host: str,
    addresses: Sequence[str],
    findings: Sequence[Finding],
    beside: Beside | None = None,
    diffs: Mapping[str, str] | None = None,
) -> Letter:
    """Write a general mail, or an alert.

    Args:
        host: Its name.
        addresses: Of the host; the first one is in the subject.
        findings: In any order; none where only something beside them is to be said.
        beside: What is to be said beside them.
        diffs: What files said before and say now, by the finding's id: of files that everyone may read alone.
    """
    ordered, place = weigh(findings), render_place(host, addresses)
    attachment, attached = attach_findings(ordered)
    lines = [f"{render_word(place)}: {render_counts(ordered)}"]
    if ordered:
        first, last = min(one.first_seen_ns for one in ordered), max(one.last_seen_ns for one in ordered)
        lines.append(f"from {render_time(first)} to {render_time(last)}; {attached}")
    groups = group_findings(ordered)
    lines += [*render_beside(beside or Beside()), "", *_render_groups(groups)]
    whole = told_in_full(ordered)
    for finding in whole:
        lines += ["", *render_one(finding)]
        if diffs and (diff := diffs.get(finding.id)):
            lines += _render_diff(diff)
    if len(whole) < len(ordered):
        lines += ["", f"One of each group is told in full, of {_WHOLE} groups at most."]
    return Letter(
        subject=f"[fimkit] {place} {render_subject(ordered)}",
        text="\n".join(lines).rstrip("\n") + "\n",
        attachments=(attachment,) if attachment else (),
        headers={"X-Fimkit-Host": host},
    )
