"""Says of a finding of a watch's first look that it is of the time when no watch was at work. Pure."""

from collections.abc import Callable
from dataclasses import replace

from fimkit.model.findings import Finding
from fimkit.model.time import render_time
from fimkit.verbs.watch_status import WatchStatus

__all__ = ["mark_downtime"]

_SLACK_NS = 2_000_000_000


def mark_downtime(before: WatchStatus | None, *, look_ns: int) -> Callable[[Finding], Finding]:
    """Give what says of a finding of the first look that it is of the time when no watch was at work."""
    alive_ns = 0 if before is None else before.stopped_ns or before.written_ns

    def mark(finding: Finding) -> Finding:
        times = [actor.time_ns for actor in finding.actors]
        if finding.after is not None and finding.after.ctime_ns is not None:
            times.append(finding.after.ctime_ns)
        if not alive_ns or (times and max(times) < alive_ns - _SLACK_NS):
            return finding
        words = f"it happened while no watch was at work (from {render_time(alive_ns)} to {render_time(look_ns)})"
        return replace(finding, reasons=(*finding.reasons, words))

    return mark
