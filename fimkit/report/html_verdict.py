"""The first sentence of a report: how bad it is, who did most of it, and where to begin. Pure."""

from collections import Counter
from collections.abc import Sequence

from fimkit.model.changes import Actor
from fimkit.model.findings import Attribution, Finding, Severity, Verdict
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.time import render_time
from fimkit.report.html_data import Blind, ReportData

__all__ = ["blind_seconds", "event_ns", "open_findings", "render_duration", "render_login", "render_verdict", "render_when"]

_SECOND_NS = 1_000_000_000
_LONGEST = 160
_NAMED = 2  # more logins than these are counted


def open_findings(report: ReportData) -> list[Finding]:
    """Give the findings that nobody has settled, the most severe first, then in the order of time."""
    still = [finding for finding in report.findings if finding.id not in report.statuses]
    return sorted(still, key=lambda finding: (-finding.severity.rank, event_ns(finding), finding.path, finding.id))


def event_ns(finding: Finding) -> int:
    """Give when it happened, as well as that is known: the recorded time of who made it, else when it was seen first."""
    return finding.actors[0].time_ns if finding.actors else finding.first_seen_ns


def render_login(actor: Actor) -> str:
    """Name a login: the user where the log names one, else the number; without a login the user that it ran as."""
    if actor.auid is None:
        return f"no login, uid {'?' if actor.uid is None else actor.uid}"
    return f"auid {actor.auid}" if actor.user is None else f"{render_terminal(actor.user)} (auid {actor.auid})"


def render_duration(seconds: float) -> str:
    """Write a length of time for people.

    >>> render_duration(0.4), render_duration(90), render_duration(7300), render_duration(200000)
    ('under a second', '1 min 30 s', '2 h 1 min', '2 days 7 h')
    """
    if seconds < 1:
        return "under a second"
    left, parts = int(seconds), []
    for word, size in ((" days", 86400), (" h", 3600), (" min", 60), (" s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{' day' if word == ' days' and count == 1 else word}")
        if len(parts) == 2 or (parts and not count):
            break
    return " ".join(parts)


def render_when(time_ns: int) -> str:
    """Write a time for people, to the second; one that no calendar has (a broken log's) as its number.

    >>> render_when(1795319341970000000), render_when(10**21)
    ('2026-11-22 03:49:01 UTC', '1000000000000 s')
    """
    seconds = time_ns // _SECOND_NS
    try:
        return render_time(seconds * _SECOND_NS).replace("T", " ").replace("Z", " UTC")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"


def blind_seconds(blind: Sequence[Blind]) -> float:
    """Add up the times that were not seen, what overlaps once."""
    total, end = 0, 0
    for one in sorted(blind, key=lambda each: each.from_ns):
        total += max(0, one.to_ns - max(one.from_ns, end))
        end = max(end, one.to_ns)
    return total / _SECOND_NS


def render_verdict(report: ReportData) -> str:
    """Say in a sentence or two what the reader must know first.

    >>> render_verdict(ReportData(host="web01", made_ns=0))
    'Nothing is open on web01: every difference from the accepted state is settled.'

    Where something could not be seen, that nothing is open is said of what was seen alone.
    """
    found = open_findings(report)
    words = [_what(found, report) if found else _clean(report)]
    if report.blind:
        lasted = blind_seconds(report.blind)
        gaps = "There is a gap" if len(report.blind) == 1 else f"There are {len(report.blind):,} gaps"
        words.append(f"{gaps} in the records{f', {render_duration(lasted)} in all' if lasted else ''}.")
    return " ".join(words)


def _clean(report: ReportData) -> str:
    closed = f" ({len(report.findings)} closed ones are listed)" if report.findings else ""
    host = render_terminal(report.host)
    if report.blind:
        return f"Nothing is open on {host} of what was seen, and not all was seen{closed}."
    return f"Nothing is open on {host}: every difference from the accepted state is settled{closed}."


def _what(found: Sequence[Finding], report: ReportData) -> str:
    bad = [finding for finding in found if finding.verdict is not Verdict.EXPECTED and finding.severity is not Severity.INFO]
    if not bad:
        return f"{_count(len(found), 'change')} on {render_terminal(report.host)}, none that is unexplained and matters."
    worst = bad[0].severity
    top = [finding for finding in bad if finding.severity is worst]
    of_which = "" if len(found) == len(top) else f" of {_count(len(found), 'finding')}"
    counted = f"{_count(len(top), f'{worst.value} change')}{of_which}"
    first = next((finding for finding in top if finding.verdict is Verdict.SUSPECT), top[0])
    host = "" if first.host == report.host else f"{render_terminal(first.host)}: "
    begin = f"Begin with {host}{_short(render_terminal(render_path(first.path)))}, {_verdict(first)}."
    return f"{counted} on {render_terminal(report.host)}, {_when(top)}; {_who(top)}. {begin}"


def _short(path: str) -> str:
    """Leave the middle of a very long path out: the end tells most."""
    return path if len(path) <= _LONGEST else f"{path[: _LONGEST // 3]}…{path[-_LONGEST * 2 // 3 :]}"


def _verdict(finding: Finding) -> str:
    suspect = " and which is suspect" if finding.verdict is Verdict.SUSPECT else ""
    words = {
        "attributes": "whose attributes changed", "attempted": "which somebody was denied", "transient": "which came and went",
        "tampered": "which was tampered with", "overdue": "which was to change and did not",
    }  # fmt: skip
    return words.get(finding.kind.value, f"which was {finding.kind.value}") + suspect


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _when(findings: Sequence[Finding]) -> str:
    times = list(map(event_ns, findings))
    first, last = render_when(min(times)), render_when(max(times))
    if first == last:
        return f"at {first}"
    return f"from {first.removesuffix(' UTC')} to {last[11:] if first[:10] == last[:10] else last}"


def _who(findings: Sequence[Finding]) -> str:
    named = [finding for finding in findings if finding.attribution is Attribution.EXACT and finding.actors]
    if not named:
        return "for none of them is it known for sure who" if len(findings) > 1 else "who did it is not known for sure"
    logins = Counter(render_login(finding.actors[0]) for finding in named).most_common()
    if len(named) == len(findings) and len(logins) == 1:
        return f"all by {logins[0][0]}" if len(findings) > 1 else f"by {logins[0][0]}"
    if len(logins) <= _NAMED:
        most = "by " + " and ".join(login for login, _ in logins)
    else:
        most = f"most by {logins[0][0]}" if logins[0][1] > len(findings) / 2 else f"by {_count(len(logins), 'login')}"
    rest = len(findings) - len(named)
    return most + (f"; for {rest} it is not known for sure who" if rest else "")
