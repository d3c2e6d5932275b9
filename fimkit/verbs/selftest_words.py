"""What it means that a source saw a canary or did not, each with its remedy. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fimkit.model.config import Sources
from fimkit.model.paths import render_path
from fimkit.verbs.canary_file import Operation
from fimkit.verbs.selftest_audit import AuditFacts
from fimkit.verbs.selftest_osquery import OsqueryFacts
from fimkit.verbs.selftest_report import SourceSeen

__all__ = ["AuditHeard", "OsqueryHeard", "judge_audit", "judge_osquery", "judge_scan", "judge_single_file"]

_DOCTOR = "`fimkit doctor` says more"
_LOST = "live records were lost, because the host makes them faster than they can be read; try again"

Times = Mapping[Operation, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHeard:
    """What was heard of one canary: by the kernel's live records, and in the log. ``None``: it could not be read.

    ``any_seen``: something of any canary was; ``was_lost``: the kernel dropped live records.
    """

    kernel: Times | None
    log: Times | None
    kernel_trouble: str = ""
    log_trouble: str = ""
    any_seen: bool = False
    was_lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OsqueryHeard:
    """What was heard of one canary: in the results log (``None``: there is none), and by asking osqueryd (``None``: not asked)."""

    log: Times | None
    asked: Times | None
    log_trouble: str = ""
    waited_s: float = 0.0


def _sentence(parts: Iterable[str]) -> str:
    return "; ".join(part for part in parts if part)


def _missing(done: Iterable[Operation], seen: Times) -> str:
    missing = [operation.value for operation in done if operation not in seen]
    return f"not seen: {', '.join(missing)}" if missing else ""


def _times(done: Iterable[Operation], seen: Times) -> dict[Operation, float | None]:
    return {operation: seen.get(operation) for operation in done}


def judge_scan(done: tuple[Operation, ...], seen: Times, problem: str = "") -> SourceSeen:
    """Judge what a rescan of the canary's folder showed after each step."""
    why = _missing(done, seen)
    if why:
        why = f"{why}: the folder cannot be read, or others change it meanwhile; look at what `fimkit check` says of it"
    return SourceSeen(seen=bool(seen), operations=_times(done, seen), ok=not why, why=_sentence([why, problem]))


def judge_single_file(path: bytes, facts: AuditFacts) -> SourceSeen:
    """Judge the audit of a single file, which is not touched: whether its rule is there is all that can be said."""
    if facts.status is None:
        return SourceSeen(why=f"the kernel's audit cannot be asked: {facts.trouble}")
    if facts.has_rule(path):
        return SourceSeen(why="not tried: a rule on a single file records nothing beside it; the rule is in the kernel")
    return SourceSeen(ok=False, why=f"no audit rule in the kernel is on {render_path(path)}: run `fimkit install`")


def judge_audit(
    done: tuple[Operation, ...], heard: AuditHeard, facts: AuditFacts, *, folder: bytes, path: bytes, log: bytes
) -> SourceSeen:
    """Judge what audit showed.

    Args:
        done: The operations that were done.
        heard: What was heard of them.
        facts: How the kernel's audit stands.
        folder: Where the canary was.
        path: Its whole path.
        log: The configured audit log.
    """
    seen = {**(heard.log or {}), **(heard.kernel or {})}
    logged = None if heard.log is None else all(operation in heard.log for operation in done)
    parts = []
    if not seen:
        parts.append(_why_unrecorded(heard, facts, folder=folder, path=path))
    elif missing := _missing(done, seen):
        parts.append(f"{missing}: {_LOST if heard.was_lost else _obstacle_words(facts)}")
    if seen and not logged:
        parts.append(_why_unlogged(heard, facts, log))
    complete = all(operation in seen for operation in done)
    return SourceSeen(
        seen=bool(seen), operations=_times(done, seen), logged=logged, ok=complete and bool(logged), why=_sentence(parts)
    )


def _obstacle_words(facts: AuditFacts) -> str:
    return "; ".join(facts.obstacles) or f"another rule comes first, or the rule does not ask for it; {_DOCTOR}"


def _why_unrecorded(heard: AuditHeard, facts: AuditFacts, *, folder: bytes, path: bytes) -> str:
    if facts.status is None:
        return f"the kernel's audit cannot be asked: {facts.trouble}"
    if facts.status.enabled == 0:
        return "auditing is off: start auditd (systemctl enable --now auditd), or turn it on with auditctl -e 1"
    if not facts.has_rule(path):
        return f"no audit rule in the kernel is on {render_path(folder)}: run `fimkit install`"
    if facts.obstacles:
        return "; ".join(facts.obstacles)
    if heard.kernel is None and heard.log is None:
        return f"its rule is in the kernel, and nothing can be read of what it records: {heard.kernel_trouble}; {heard.log_trouble}"
    if heard.any_seen:
        return (
            "its rule is in the kernel, and other paths are recorded: a file system was mounted there after the rule was added, or"
            " the rule names another folder; run `fimkit install` again"
        )
    return (
        "its rule is in the kernel and auditing is on, but nothing that this process does is recorded: it has no audit context, as"
        " one that was started before auditing was first switched on, or under a rule -a never,task; boot with audit=1 on the"
        f" kernel's command line; {_DOCTOR}"
    )


def _why_unlogged(heard: AuditHeard, facts: AuditFacts, log: bytes) -> str:
    if heard.log is None:
        problem = heard.log_trouble or f"there is no audit log at {render_path(log)}"
        start = f"the kernel records it, and {problem}: `fimkit check` will not know who"
    else:
        start = f"the kernel records it, and it does not come into {render_path(log)}: `fimkit check` will not know who"
    owners = [words for words in facts.advice if "socket" in words]
    remedy = owners[0] if owners else "is sources.audit_log the log that auditd writes?"
    return f"{start}; {remedy}"


def judge_osquery(done: tuple[Operation, ...], heard: OsqueryHeard, facts: OsqueryFacts, sources: Sources) -> SourceSeen:
    """Judge what osquery showed: what its log has, or else whether osqueryd itself saw it."""
    if not facts.is_there:
        return SourceSeen(why="osquery is not on this host: neither its configuration, its log nor its socket is there")
    seen = {**(heard.asked or {}), **(heard.log or {})}
    logged = heard.log is not None and all(operation in heard.log for operation in done)
    if logged:
        why = ""
    elif not seen:
        why = _why_blind(heard, facts, sources)
    elif heard.log:
        why = f"{_missing(done, heard.log)}: osquery drops events when it has too many; {_DOCTOR}"
    else:
        why = f"osquery sees it, and {_why_silent(heard, facts, sources)}"
    return SourceSeen(seen=bool(seen), operations=_times(done, seen), logged=logged, ok=logged, why=why)


def _why_blind(heard: OsqueryHeard, facts: OsqueryFacts, sources: Sources) -> str:
    if facts.trouble:
        running = f"osqueryd does not answer ({facts.trouble})"
        if heard.log is None:
            return f"{running}, and {_no_log(heard, sources)}: start it"
        return f"{running}, and its log showed nothing for {heard.waited_s:.0f} s: is it running?"
    if facts.traps:
        return f"osqueryd sees no files: {'; '.join(facts.traps)}; {_DOCTOR}"
    return (
        "osqueryd answers and has no event of it: its file_paths do not name this folder (run `fimkit install` and restart"
        f" osqueryd), the folder came after its start, or it ran out of inotify watches; {_DOCTOR}"
    )


def _why_silent(heard: OsqueryHeard, facts: OsqueryFacts, sources: Sources) -> str:
    if facts.is_scheduled is False:
        return "no scheduled query selects from file_events, so nothing is logged: run `fimkit install` and restart osqueryd"
    if heard.log is None:
        return f"{_no_log(heard, sources)}: `fimkit check` gets nothing of it"
    if facts.interval_s is not None and heard.waited_s < facts.interval_s:
        return (
            f"its log does not show it yet: its query runs every {facts.interval_s} s, and {heard.waited_s:.0f} s were waited for;"
            " try a longer --timeout"
        )
    log = render_path(sources.osquery_log)
    return f"{log} did not show it within {heard.waited_s:.0f} s: is that the log that it writes (--logger_plugin, --logger_path)?"


def _no_log(heard: OsqueryHeard, sources: Sources) -> str:
    return heard.log_trouble or f"there is no log at {render_path(sources.osquery_log)}"
