"""The numbers of a live watch: gathered each second, written into its status file, and said in a line."""

import os
import resource
import time
from collections import deque

from fimkit.verbs.content_desk import ContentDesk
from fimkit.verbs.watch_engine import Engine
from fimkit.verbs.watch_mail import WatchMail
from fimkit.verbs.watch_panic import WatchPanic
from fimkit.verbs.watch_records import OsqueryTail
from fimkit.verbs.watch_sources import LiveSources
from fimkit.verbs.watch_status import StatusFile, WatchStatus
from fimkit.verbs.watch_telling import Telling

__all__ = ["render_numbers", "write_numbers"]

_HELD_UP_S = 5.0
_MOST_PROBLEM = 250  # the status file is two pages, and each character may take six

Rates = deque[tuple[float, int, int]]


def write_numbers(
    status: WatchStatus,
    file: StatusFile,
    rates: Rates,
    *,
    sources: LiveSources,
    engine: Engine,
    telling: Telling,
    osquery: OsqueryTail,
    panic: WatchPanic,
    content: ContentDesk,
    mail: WatchMail,
) -> None:
    """Bring the status up to date, and write it."""
    kernel = sources.kernel
    if kernel is not None:
        status.events, status.lag_s = kernel.events, kernel.lag_s
        status.backlog_bytes = kernel.drain.backlog_bytes
    status.open, status.waiting = engine.open_count, engine.waiting
    status.unshown, status.held_up_s = telling.outlet.unshown, round(telling.outlet.held_up_s(), 1)
    status.held, status.remembered = telling.held, len(engine.picture.changes)
    status.osquery_rows = osquery.rows
    status.panic, status.panic_problem = panic.phase, panic.problem[:_MOST_PROBLEM]
    status.unsearched, status.content_problem = len(content), content.problem[:_MOST_PROBLEM]
    status.mail_problem = mail.problem[:_MOST_PROBLEM]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    status.cpu_s = usage.ru_utime + usage.ru_stime
    status.memory_bytes = _memory_bytes(os.getpid()) + (0 if kernel is None else _memory_bytes(kernel.drain.process.pid))
    rates.append((time.monotonic(), status.events, status.findings))
    first = rates[0]
    seconds = max(time.monotonic() - first[0], 1.0)
    status.events_per_s = round((status.events - first[1]) / seconds, 1)
    status.findings_per_s = round((status.findings - first[2]) / seconds, 1)
    file.write(status)


def render_numbers(status: WatchStatus) -> str:
    """Say in a line how it is doing; systemd shows it."""
    lost = f", {sum(status.lost.values())} lost" if status.lost else ""
    held_up = f"nobody has read the output for {status.held_up_s:.0f} s" if status.held_up_s > _HELD_UP_S else ""
    problems = "".join(f"; {words}" for words in (*_problems(status), held_up) if words)
    return f"{status.open} open, {status.events_per_s:.0f} events/s, lag {status.lag_s:.1f} s{lost}{problems}"


def _problems(status: WatchStatus) -> tuple[str, ...]:
    return (status.problem, status.panic_problem, status.content_problem, status.mail_problem)


def _memory_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
