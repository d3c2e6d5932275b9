"""What a cut would do now, in words and names, before it is made."""

from fimkit.model.errors import FimkitError
from fimkit.panic.cut import LinkCutter
from fimkit.panic.cut_settings import CutSettings
from fimkit.panic.ground import Ground
from fimkit.panic.helper_wire import PlanReply
from fimkit.panic.isolate import is_isolated
from fimkit.panic.plan import render_plan
from fimkit.panic.rights import held_rights

__all__ = ["preview_cut"]


def preview_cut(ground: Ground, settings: CutSettings) -> PlanReply:
    """Say what would go down, what stays, and what a person would not expect.

    Raises:
        HostError: If the links cannot be listed.
    """
    is_down = settings.action == "down"
    with LinkCutter(ground.where, keep=settings.keep if is_down else ()) as cutter:
        plan = cutter.plan()
    warnings = list(plan.warnings) if is_down else []
    rights = held_rights()
    if "NET_ADMIN" not in rights:
        warnings.append("the helper has no right to cut: this needs CAP_NET_ADMIN")
    text = render_plan(plan) if is_down else _isolation(settings)
    if not is_down:
        warnings += _isolation_warnings(ground, settings)
    namespaces, more = _others(ground, settings, rights)
    told = len(plan.warnings) if is_down else 0  # the text of the plan has them
    text = "\n".join([text, *(f"note: {each}" for each in (*warnings[told:], *more))])
    return PlanReply(
        action=settings.action, text=text,
        down=tuple(link.name for link in plan.down) if is_down else (),
        kept=tuple(kept.link.name for kept in plan.kept) if is_down else tuple(link.name for link in plan.down),
        warnings=(*warnings, *more), namespaces=namespaces,
    )


def _isolation(settings: CutSettings) -> str:
    allowed = ", ".join(map(str, settings.allow)) or "nobody"
    return f"isolate: only {allowed} may reach this host and be reached; the connections of all others end; links stay up"


def _isolation_warnings(ground: Ground, settings: CutSettings) -> list[str]:
    found = [] if settings.allow else ["allow is empty: nobody will reach this host"]
    try:
        is_isolated(ground.where, settings.allow)
    except FimkitError as error:
        found.append(f"this host cannot be isolated, every link would go down instead: {error}")
    return found


def _others(ground: Ground, settings: CutSettings, rights: frozenset[str]) -> tuple[tuple[str, ...], list[str]]:
    """Name the other namespaces, and say what becomes of them."""
    found = ground.others()
    names = tuple(map(str, found.places))
    warnings: list[str] = []
    if settings.include_namespaces:
        if "SYS_ADMIN" not in rights:
            warnings.append(
                "other network namespaces cannot be cut: this needs CAP_SYS_ADMIN, which the helper has not; "
                "give it the right, and start it again"
            )
        elif names:
            warnings.append(f"cut too, with all their links: {', '.join(names)}")
    elif names:
        warnings.append(f"not cut, as include_namespaces is false: {', '.join(names)}")
    if found.unreadable:
        why = "" if "SYS_PTRACE" in rights else ", as the helper has no CAP_SYS_PTRACE"
        count = found.unreadable
        warnings.append(f"{count} processes do not show which network namespace they are in{why}: there may be others")
    return names, warnings
