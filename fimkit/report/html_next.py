"""What a reader of the report does next: whom to ask, where to look, and how each finding is settled. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from fimkit.model.changes import Actor
from fimkit.model.findings import Finding, Severity, Verdict
from fimkit.model.paths import render_path, render_terminal
from fimkit.report.html_data import ReportData
from fimkit.report.html_verdict import event_ns, open_findings, render_login, render_when

__all__ = ["render_next"]

_MOST_LOGINS = 3
_MOST_SUSPECT = 3
_LONGEST = 160


def render_next(report: ReportData) -> tuple[str, ...]:
    """Say what is to be done, in the order in which it is done.

    Args:
        report: The findings; those that are settled ask for nothing.

    Returns:
        Sentences, every name escaped; none where nothing is open.

    >>> render_next(ReportData(host="web01", made_ns=0))
    ()
    """
    return tuple(_steps(open_findings(report), report))


def _steps(found: Sequence[Finding], report: ReportData) -> Iterator[str]:
    explained = [finding for finding in found if finding.verdict is Verdict.EXPECTED]
    bad = [finding for finding in found if finding.verdict is not Verdict.EXPECTED and finding.severity is not Severity.INFO]
    if bad:
        yield from _suspects(bad, report)
        yield from _logins(bad, report)
        yield from _unknown(bad)
        yield (
            "What nobody planned, put back with its mode, owner and times from a package or a backup: the next check then closes"
            " the finding."
        )
        if report.has_store:
            yield "What was planned, take into the baseline: fimkit baseline accept PATH --reason TEXT."
            yield f"One finding whole, with the records that it stands on: fimkit show {bad[0].id[:8]}."
    if explained and report.has_store:
        yield f"What is proved ({_count(len(explained), 'change')}), take in at once: fimkit baseline accept --expected."


def _suspects(bad: Sequence[Finding], report: ReportData) -> Iterator[str]:
    suspect = [finding for finding in bad if finding.verdict is Verdict.SUSPECT]
    if suspect:
        named = ", ".join(_place(finding, report) for finding in suspect[:_MOST_SUSPECT])
        more = f" and {len(suspect) - _MOST_SUSPECT:,} more" if len(suspect) > _MOST_SUSPECT else ""
        yield f"Look at what is suspect before you ask anybody: {named}{more}."


def _logins(bad: Sequence[Finding], report: ReportData) -> Iterator[str]:
    """A person can be asked; what ran without a login is a service to be looked at. Ranked as under Who: by severity, not count."""
    by: dict[str, list[tuple[Finding, Actor]]] = defaultdict(list)
    for finding in bad:
        for actor in finding.actors[:1]:
            by[render_login(actor)].append((finding, actor))
    for login, made in sorted(by.items(), key=lambda one: _weight(one[1]), reverse=True)[:_MOST_LOGINS]:
        where = _where(made, report)
        counted = _count(len(made), "change") if len(made) > 1 else _place(made[0][0], report)
        actor = made[0][1]
        if actor.auid is None:
            program = "?" if actor.exe is None else _short(render_path(actor.exe))
            yield f"Look at the service behind {program} ({login}){where}, which made {counted} without anybody logged in."
        else:
            session = f"; all that this login did: fimkit notebook 03_session -p auid={actor.auid}" if report.has_store else ""
            yield f"Ask {login}{where}, and not by way of the host itself, whether {counted} {_was(made)} meant{session}."
    if len(by) > _MOST_LOGINS:
        yield f"Then {_count(len(by) - _MOST_LOGINS, 'more login')}: see Who."


def _weight(made: Sequence[tuple[Finding, Actor]]) -> list[int]:
    ranks = [finding.severity.rank for finding, _ in made]
    return [ranks.count(severity.rank) for severity in reversed(Severity)]


def _where(made: Sequence[tuple[Finding, Actor]], report: ReportData) -> str:
    hosts = {finding.host for finding, _ in made}
    if len(hosts) > 1:
        return f" on {len(hosts):,} hosts"
    return "" if hosts == {report.host} else f" on {render_terminal(min(hosts))}"


def _was(made: Sequence[object]) -> str:
    return "was" if len(made) == 1 else "were"


def _unknown(bad: Sequence[Finding]) -> Iterator[str]:
    nobody = [finding for finding in bad if not finding.actors]
    if nobody:
        times = [event_ns(finding) for finding in nobody]
        first, last = render_when(min(times)), render_when(max(times))
        when = f"at {first}" if first == last else f"from {first} to {last}"
        yield (
            f"For {_count(len(nobody), 'change')} nobody is named: see who was logged in {when} (last -F), whether a gap in the"
            " records lies there, and what each finding's reasons say."
        )


def _place(finding: Finding, report: ReportData) -> str:
    path = _short(render_path(finding.path))
    return path if finding.host == report.host else f"{render_terminal(finding.host)}: {path}"


def _short(path: str) -> str:
    shown = render_terminal(path)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST // 3]}…{shown[-_LONGEST * 2 // 3 :]}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
