"""The doctor on the panic: what would keep it from working, where one is armed, or its mail is configured."""

from collections.abc import Iterator
from dataclasses import replace

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.findings import Tier
from fimkit.panic.record import Phase
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.panic_checks import check_helper, check_programs, check_settings
from fimkit.verbs.panic_host_checks import (
    LookingPlaces,
    check_managers,
    check_namespaces,
    check_nf_tables,
    check_room,
    check_watched,
)
from fimkit.verbs.panic_killswitch import check_killswitch
from fimkit.verbs.panic_reach import check_reach
from fimkit.verbs.panic_view import PanicView, load_panic_view

__all__ = ["check_panic"]


def check_panic(config: Config, host: DoctorHost, *, places: LookingPlaces | None = None) -> Iterator[Advice]:
    """The panic and its mail; on a host that is not armed, what would be a trap is a warning.

    Args:
        config: The file's; while armed, what was frozen counts.
        host: Where the processes are.
        places: Where timers and cron jobs are, if not on this host.
    """
    view = load_panic_view(config)
    yield from _phase(view)
    is_configured = bool(config.mail.smtp_server or config.mail.panic_recipients)
    if not (view.armed or is_configured or view.record_problem):
        return
    found = [*check_reach(view.config).advice, *check_settings(view.config), *check_programs(view.config)]
    if view.armed or view.record_problem:
        found += [
            *check_helper(view), *check_watched(config, places or LookingPlaces()), *check_nf_tables(view.config),
            *check_room(config), *check_namespaces(view.config), *check_managers(host.proc),
            *check_killswitch(view.config, host.proc),
        ]  # fmt: skip
    for one in found:
        yield one if view.armed or one.level is not Level.TRAP else replace(one, level=Level.WARNING)


def _phase(view: PanicView) -> Iterator[Advice]:
    where = "fimkit panic status"
    if view.phase in (Phase.TRIGGERED, Phase.CUT):
        yield Advice(
            code="panic-under-way",
            level=Level.WARNING,
            where=where,
            problem=f"a panic has begun (phase {view.phase}): this host is off the network, or about to be.",
            remedy="look into the incident's folder, then: fimkit panic restore",
        )
    elif view.phase is Phase.RESTORED:
        yield Advice(
            code="panic-disarmed",
            level=Level.WARNING,
            where=where,
            problem="the network was restored after a panic, and this host has not been armed since.",
            remedy="fimkit panic arm, or fimkit panic disarm",
        )
    elif view.phase is not None and not view.armed and any(watch.tier is Tier.CRITICAL for watch in view.config.paths):
        yield Advice(
            code="panic-disarmed",
            level=Level.NOTE,
            where=where,
            problem="paths are critical, and this host is not armed: what happens there is told, and nothing is cut.",
            remedy="fimkit panic arm",
        )
