"""The panic as text for people: what would happen in which order, how it stands, and what came of one. Pure."""

import json
from collections.abc import Iterator
from typing import Any

from fimkit.commands.advice_text import render_advice_lines
from fimkit.model.advice import Level
from fimkit.model.config import Config
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.panic.helper_client import PlanReply
from fimkit.panic.incident import Status
from fimkit.panic.record import Phase
from fimkit.verbs.panic_arm import Arming
from fimkit.verbs.panic_order import PanicReport
from fimkit.verbs.panic_status import PanicStatus, incident_folder, render_window_words
from fimkit.verbs.panic_words import cut_words, done_words

__all__ = ["failed_steps", "render_arming", "render_order", "render_report", "render_status"]

_HEADINGS = {
    Level.TRAP: "PROBLEMS: with these a panic does not work, and this host is not armed",
    Level.WARNING: "WARNINGS",
    Level.NOTE: "NOTES",
}
_SHORT = 60
_MOST_CAUSES = 5


def _moment(time_ns: int) -> str:
    """Write a time for people: to the second.

    >>> _moment(1_795_343_400_123_456_789)
    '2026-11-22T10:30:00Z'
    """
    return render_time(time_ns // 1_000_000_000 * 1_000_000_000)


def _count(number: int, noun: str) -> str:
    """Say how many there are.

    >>> _count(1, "command"), _count(2, "command")
    ('1 command', '2 commands')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def render_order(config: Config, plan: PlanReply | None) -> Iterator[str]:
    """Write what a panic does, in its order, with the times.

    Args:
        config: The one that the panic goes by.
        plan: What the cut would do now; ``None`` where no helper answers.
    """
    panic = config.panic
    start = f"{_count(panic.threshold, 'critical finding')} that {'is' if panic.threshold == 1 else 'are'} not expected"
    yield f"A panic of {config.host.name} is begun by {start}, or by fimkit panic trigger. Then, in this order:"
    yield "  at once   the record says so, on the disk; the network is saved as it is"
    yield "            the cause goes to the incident's folder, the evidence store and the journal"
    gathered = ["the built-in facts", "copies of the changed critical files"]
    gathered += [_count(len(panic.recon), "recon command")] * bool(panic.recon)
    gathered += [_count(len(panic.recon_queries), "recon query").replace("querys", "queries")] * bool(panic.recon_queries)
    yield f"            evidence: {', '.join(gathered)}"
    capture = _count(len(panic.packetgrab), "packetgrab command") if panic.packetgrab else "the built-in capture"
    yield f"            packets: {capture}, {panic.capture_s} s, through the cut"
    yield f"            {_news(config)}"
    if panic.killswitch:
        yield f"            {_count(len(panic.killswitch), 'killswitch command')} beside the cut"
    if panic.nokill:
        yield "  nokill    nothing is cut"
        return
    yield f"{f'  by {panic.deadline_s} s':<11} the cut, whatever hangs ({panic.action}):"
    for line in plan.text.splitlines() if plan else ["no helper answers: nothing would be cut"]:
        yield f"              {line}"
    for warning in plan.warnings if plan else ():
        if warning not in (plan.text if plan else ""):
            yield f"              note: {warning}"
    back = f"by itself after {panic.restore_after_s} s, or by" if panic.restore_after_s else "only by"
    yield f"  then      it is held, over a reboot too; the network comes back {back} fimkit panic restore, on the console"


def _news(config: Config) -> str:
    mail = config.mail
    others = [f"syslog {config.syslog.server}"] * bool(config.syslog.server) + ["a webhook"] * bool(config.webhook.url)
    beside = f"; beside it {' and '.join(others)}" if others else ""
    if mail.nomail:
        return f"mail: written, and not sent (nomail){beside}"
    if not mail.panic_recipients or not mail.smtp_server:
        return f"mail: to nobody{beside}"
    return f"mail to {', '.join(mail.panic_recipients)} by {mail.smtp_server}, at most {mail.deadline_s} s{beside}"


def render_arming(arming: Arming, *, width: int) -> Iterator[str]:
    """Write what arming found, and what a panic would do."""
    yield from render_order(arming.config, arming.plan)
    for session in arming.ending:
        yield f"  {session}: it ends with the cut"
    if arming.config.panic.windows:
        yield f"  nothing starts one in {', '.join(arming.config.panic.windows)}"
    if arming.advice:
        yield ""
        yield from render_advice_lines(arming.advice, width=width, headings=_HEADINGS)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def render_status(status: PanicStatus) -> Iterator[str]:
    """Write how it stands."""
    view, record = status.view, status.view.record
    since = f", since {_moment(record.changed_ns)} by {record.by or 'itself'}" if record and record.changed_ns else ""
    yield f"panic     {view.phase or 'not known'}{since}"
    if view.hello is not None:
        can = "may cut" if view.hello.can_cut else "may NOT cut"
        yield (
            f"helper    process {view.hello.pid}, {can}; rights {', '.join(view.hello.rights) or 'none'}; since "
            f"{_moment(view.hello.since_ns)}"
        )
    else:
        yield f"helper    none: {view.helper_problem}"
    yield f"watch     {f'process {status.watch_pid}' if status.watch_pid else 'none runs'}"
    yield f"threshold {_threshold_words(status)}"
    yield f"windows   {render_window_words(status)}"
    if status.package_managers:
        pids = ", ".join(map(str, status.package_managers))
        most_s = view.config.panic.package_hold_s
        yield f"packages  a package manager is at work (process {pids}): it delays a cut by at most {most_s} s"
    for key, frozen, present in status.differs:
        yield f"frozen    {key} = {_short(frozen)}; the file has {_short(present)}: fimkit panic arm takes it over"
    yield from _incident_lines(status)
    yield from (f"problem   {words}" for words in status.problems)
    if not status.cut_off:
        yield ""
        yield from render_order(view.config, view.plan)
        if view.phase is None:
            yield "  Whether this host is armed is not known here."
        elif not view.armed:
            yield "  This host is not armed: nothing of it happens."


def _threshold_words(status: PanicStatus) -> str:
    """Say how near a panic is; once it has begun, more findings than it takes are no measure of anything."""
    record, threshold = status.view.record, status.view.config.panic.threshold
    counted = len(record.counted) if record else 0
    if status.view.phase is Phase.ARMED:
        return f"{counted} of {threshold}"
    return f"{threshold}" + (f"; {_count(counted, 'critical finding')} since arming" if counted else "")


def _incident_lines(status: PanicStatus) -> Iterator[str]:
    record = status.view.record
    if record is None or not record.incident:
        return
    yield f"incident  {record.incident}, in {render_path(incident_folder(status.view.config.host.state_dir, record.incident))}"
    for cause in record.causes[:_MOST_CAUSES]:
        yield f"          {_moment(cause.time_ns)}  {cause.words}"
    if len(record.causes) > _MOST_CAUSES:
        yield f"          and {len(record.causes) - _MOST_CAUSES} more"
    moments = (("triggered", record.triggered_ns), ("cut", record.cut_ns), ("restored", record.restored_ns))
    times = [f"{name} {_moment(time_ns)}" for name, time_ns in moments if time_ns]
    if times:
        yield f"          {', '.join(times)}"
    if status.cut_off:
        yield "          the network comes back by: fimkit panic restore"


def failed_steps(report: PanicReport) -> tuple[str, ...]:
    """Name the steps that did not work, or were not done in their time; what this host has not is none of them."""
    return tuple(step.name for step in report.steps if step.status in (Status.FAILED, Status.TIMEOUT))


def render_report(report: PanicReport) -> Iterator[str]:
    """Write what came of a panic, or of a test."""
    yield from done_words(report.steps)
    if report.cut is not None:
        yield f"cut       {cut_words(report.cut)}"
    yield f"mail      {report.mail or 'none'}"
    yield f"evidence  {render_path(report.folder) if report.folder else 'no folder could be made'}"
    yield "all was done" if report.complete else "NOT ALL WAS DONE: see the steps above"
