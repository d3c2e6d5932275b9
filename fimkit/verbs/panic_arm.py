"""Arming: everything that a panic needs is tried at once, and what was found is frozen with the configuration."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fimkit.evidence.store import open_shared_store
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.config_json import freeze
from fimkit.model.errors import HostError, StoreError, UsageError
from fimkit.model.findings import Finding, Severity
from fimkit.model.paths import render_path, render_terminal
from fimkit.panic.helper_client import Helper, PlanReply, connect_helper, start_helper
from fimkit.panic.record import Phase, load_record
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.panic_books import store_incident_of
from fimkit.verbs.panic_checks import START_HELPER, check_allow, check_helper, check_programs, check_settings
from fimkit.verbs.panic_host_checks import (
    LookingPlaces,
    check_auditing,
    check_managers,
    check_namespaces,
    check_nf_tables,
    check_room,
    check_watched,
)
from fimkit.verbs.panic_killswitch import check_killswitch
from fimkit.verbs.panic_reach import check_reach, render_endpoints
from fimkit.verbs.panic_view import load_new_view
from fimkit.verbs.ssh_session import SshSession, find_ssh_sessions

__all__ = ["Arming", "arm", "prepare_arming", "reach_helper"]

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Arming:
    """What was found, before anybody is asked.

    ``settings`` are what would be frozen. ``advice`` is in the order in which it was looked: a trap keeps the host from being
    armed. ``seen`` are the ids of open findings, which start nothing once armed. ``ending`` are the SSH connections that a
    cut ends.
    """

    config: Config
    settings: Mapping[str, Any]
    plan: PlanReply | None
    advice: tuple[Advice, ...]
    seen: tuple[str, ...]
    ending: tuple[SshSession, ...]

    @property
    def problems(self) -> tuple[Advice, ...]:
        """What keeps this host from being armed."""
        return tuple(one for one in self.advice if one.level is Level.TRAP)


def reach_helper(config: Config) -> tuple[Helper | None, tuple[Advice, ...]]:
    """Connect to the resident helper, or start one that lives as long as it is needed.

    Args:
        config: Whose state folder its socket is in, and whether it is to reach other namespaces.

    Returns:
        The open line, or ``None``; and what is to be said of it.
    """
    try:
        return connect_helper(config.host.state_dir), ()
    except HostError as error:
        absent = error
    where = "fimkit-panic.service"
    try:
        helper = start_helper(config.host.state_dir, include_namespaces=config.panic.include_namespaces)
    except HostError as error:
        problem = f"{absent}; and {error}."
        return None, (Advice(code="panic-helper", level=Level.TRAP, where=where, problem=problem, remedy=START_HELPER),)
    problem = f"{absent}. One was started for this; a check starts its own, but a cut would not outlast a reboot."
    return helper, (Advice(code="panic-helper", level=Level.WARNING, where=where, problem=problem, remedy=START_HELPER),)


def prepare_arming(
    config: Config,
    helper: Helper | None,
    said: Sequence[Advice] = (),
    *,
    host: DoctorHost | None = None,
    places: LookingPlaces | None = None,
) -> Arming:
    """Try everything that a panic needs, and list every problem.

    Args:
        config: The file's.
        helper: From :func:`reach_helper`.
        said: Likewise.
        host: Where this host's things are, where it is not this one.
        places: Likewise, for timers and cron.

    Raises:
        UsageError: While a panic is under way, or this host is cut off: nothing is tried then.
    """
    view = load_new_view(config, helper)
    if view.phase in (Phase.TRIGGERED, Phase.CUT):
        raise UsageError(f"this host is in phase {view.phase}: fimkit panic restore first")
    reach, sessions, machine = check_reach(config), find_ssh_sessions(), host or DoctorHost()
    findings, store_advice = _open_findings(config)
    checks = (
        store_advice, said, check_helper(view) if helper else (), reach.advice, check_settings(config), check_programs(config),
        check_killswitch(config, machine.proc),
        check_watched(config, places or LookingPlaces()), check_auditing(machine), _open_advice(findings),
        check_allow(config, sessions), check_nf_tables(config), check_room(config), check_managers(machine.proc),
        () if view.plan else check_namespaces(config),  # the plan names them
    )  # fmt: skip
    return Arming(
        config=config,
        settings=freeze(config) | {"endpoints": render_endpoints(reach)},
        plan=view.plan,
        advice=tuple(one for check in checks for one in check),
        seen=tuple(finding.id for finding in findings),
        ending=_ending(config, view.plan, sessions),
    )


def arm(arming: Arming, helper: Helper | None, *, by: str) -> None:
    """Arm this host with what was prepared.

    Args:
        arming: From :func:`prepare_arming`.
        helper: The same one.
        by: Who it is.

    Raises:
        HostError: If something was found that would keep a panic from working, or the helper refuses.
    """
    if arming.problems or helper is None:
        count = len(arming.problems)
        what = "one thing" if count == 1 else f"{count} things"
        raise HostError(f"not armed: {what} would keep a panic from working; the remedies are said above")
    with contextlib.suppress(HostError):  # a record that cannot be read: whether that keeps a host from being armed the helper says
        store_incident_of(arming.config, load_record(arming.config.host.state_dir))  # an arming forgets it
    helper.arm(arming.settings, by=by, seen=arming.seen)


def _open_findings(config: Config) -> tuple[tuple[Finding, ...], list[Advice]]:
    problem = "there is no baseline: nothing can be compared, and nothing starts a panic."
    try:
        with open_shared_store(config.host.state_dir) as store:
            if store.baseline_meta() is not None:
                return tuple(store.findings()), []
    except (StoreError, HostError) as error:
        problem = f"{error}."
    where = render_path(config.host.state_dir)
    return (), [Advice(code="no-baseline", level=Level.TRAP, where=where, problem=problem, remedy="fimkit baseline create")]


def _open_advice(findings: tuple[Finding, ...]) -> Iterator[Advice]:
    critical = [finding for finding in findings if finding.severity is Severity.CRITICAL]
    if critical:
        named = ", ".join(render_terminal(render_path(finding.path)) for finding in critical[:_MOST_NAMED])
        yield Advice(
            code="panic-open",
            level=Level.WARNING,
            where=f"{len(critical)} open critical findings" if len(critical) > 1 else "an open critical finding",
            problem=f"{named}{', …' if len(critical) > _MOST_NAMED else ''}: they count as seen, and start no panic once armed.",
            remedy="fimkit check --all; accept or undo them first",
        )


def _ending(config: Config, plan: PlanReply | None, sessions: tuple[SshSession, ...]) -> tuple[SshSession, ...]:
    """Of a cut by links, the sessions that come by one that goes down; of isolation, see ``check_allow``."""
    if config.panic.action == "isolate" or plan is None:
        return ()
    return tuple(session for session in sessions if not session.interface or session.interface in plan.down)
