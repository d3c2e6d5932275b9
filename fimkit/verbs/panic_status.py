"""How the panic stands, and what would happen now: one answer of all that is known, for people and as JSON."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from fimkit.model.config import Config
from fimkit.model.config_json import FROZEN, render_config
from fimkit.model.errors import HostError
from fimkit.model.paths import join_path, render_path
from fimkit.model.time import render_time
from fimkit.model.windows import next_begin_ns, open_window, parse_window
from fimkit.packages.at_work import find_package_managers
from fimkit.packages.sources import gather_package_sources
from fimkit.panic.record import PANIC_FOLDER, Phase
from fimkit.verbs.panic_checks import check_helper, check_settings
from fimkit.verbs.panic_view import IN_FORCE, PanicView, load_panic_view
from fimkit.verbs.watch_status import load_watch_status

__all__ = ["PanicStatus", "incident_folder", "load_panic_status", "render_panic_status", "render_window_words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanicStatus:
    """All that is known.

    ``differs`` are the settings that the file has otherwise than what was frozen at arming, as (key, frozen, in the file).
    ``window_until_ns`` is the end of the maintenance window that is open now, ``next_window_ns`` the begin of the next one.
    ``package_managers`` are processes that hold a package database's lock. ``problems`` are in words.
    """

    view: PanicView
    differs: tuple[tuple[str, Any, Any], ...] = ()
    window_until_ns: int | None = None
    next_window_ns: int | None = None
    package_managers: tuple[int, ...] = ()
    watch_pid: int | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def cut_off(self) -> bool:
        """Whether a panic has begun that nobody has undone."""
        return self.view.phase in (Phase.TRIGGERED, Phase.CUT)


def incident_folder(state_dir: bytes, incident: str) -> bytes:
    """Name the folder of an incident.

    >>> incident_folder(b"/var/lib/fimkit", "2026-11-22T103000Z")
    b'/var/lib/fimkit/panic/incidents/2026-11-22T103000Z'
    """
    return join_path(state_dir, PANIC_FOLDER + b"/incidents/" + incident.encode())


def load_panic_status(config: Config, *, now_ns: int | None = None) -> PanicStatus:
    """Find out how it stands. Changes nothing, and starts no helper.

    Args:
        config: The file's.
        now_ns: The time, if it is not now.
    """
    at_ns = time.time_ns() if now_ns is None else now_ns
    view = load_panic_view(config)
    windows = tuple(map(parse_window, view.config.panic.windows))
    window = open_window(windows, at_ns)
    watch = load_watch_status(config.host.state_dir)
    watch_pid = watch.pid if watch is not None and watch.running else None
    return PanicStatus(
        view=view,
        differs=tuple(_differences(view, config)),
        window_until_ns=window.end_ns(at_ns) if window else None,
        next_window_ns=next_begin_ns(windows, at_ns),
        package_managers=_package_managers(config),
        watch_pid=watch_pid,
        problems=tuple(_problems(view, watch_pid)),
    )


def _package_managers(config: Config) -> tuple[int, ...]:
    if not config.sources.package_root:
        return ()
    try:
        return find_package_managers(gather_package_sources(config.sources.package_root))
    except HostError:
        return ()  # what is the matter there, the doctor says


def _differences(view: PanicView, config: Config) -> Iterator[tuple[str, Any, Any]]:
    """Compare what is in force with the file; nothing differs where nothing is frozen."""
    if view.phase not in IN_FORCE:
        return
    frozen, present = render_config(view.config), render_config(config)
    for table in ("host", *FROZEN):
        for key in frozen[table]:
            if frozen[table][key] != present[table][key]:
                yield f"{table}.{key}", frozen[table][key], present[table][key]


def _problems(view: PanicView, watch_pid: int | None) -> Iterator[str]:
    if view.armed or view.record_problem:
        for one in (*check_helper(view), *check_settings(view.config)):
            yield f"{one.problem} Remedy: {one.remedy}"
    if view.phase is Phase.ARMED and watch_pid is None:
        yield "No watch runs: only a check would see a change. Remedy: systemctl start fimkit-watch"
    if view.armed and view.config.mail.nomail:
        yield "nomail is on: nobody is written to."


def render_window_words(status: PanicStatus) -> str:
    """Say whether a maintenance window is open, and when the next one begins."""
    if not status.view.config.panic.windows:
        return "none configured"
    until_ns = status.window_until_ns
    now = f"open now, until {render_time(until_ns)}: nothing starts a panic" if until_ns else "none open"
    later = f"; the next begins {render_time(status.next_window_ns)}" if status.next_window_ns else "; none to come"
    return now + later


def render_panic_status(status: PanicStatus) -> dict[str, Any]:
    """Give it as an object for JSON."""
    view, record = status.view, status.view.record
    hello = view.hello
    return {
        "phase": view.phase.value if view.phase else None,
        "since": render_time(record.changed_ns) if record and record.changed_ns else None,
        "by": record.by if record else None,
        "helper": None if hello is None else {
            "pid": hello.pid, "can_cut": hello.can_cut, "rights": list(hello.rights), "namespace": hello.namespace,
            "since": render_time(hello.since_ns), "problem": hello.problem,
        },
        "plan": asdict(view.plan) if view.plan else None,
        "differs": [{"key": key, "frozen": frozen, "file": present} for key, frozen, present in status.differs],
        "threshold": view.config.panic.threshold,
        "counted": len(record.counted) if record else 0,
        "windows": list(view.config.panic.windows),
        "window_until": render_time(status.window_until_ns) if status.window_until_ns else None,
        "next_window": render_time(status.next_window_ns) if status.next_window_ns else None,
        "package_managers": list(status.package_managers),
        "watch": status.watch_pid,
        "incident": _render_incident(view),
        "problems": list(status.problems),
    }  # fmt: skip


def _render_incident(view: PanicView) -> dict[str, Any] | None:
    record = view.record
    if record is None or not record.incident:
        return None
    times = {"triggered": record.triggered_ns, "cut": record.cut_ns, "restored": record.restored_ns}
    return {
        "name": record.incident,
        "folder": render_path(incident_folder(view.config.host.state_dir, record.incident)),
        "causes": [{"time": render_time(cause.time_ns), "words": cause.words} for cause in record.causes],
        **{name: render_time(time_ns) if time_ns else None for name, time_ns in times.items()},
        "receipt": record.cut,
        "nokill": record.nokill,
    }
