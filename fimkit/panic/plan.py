"""What a cut takes down, what stays and why, before anything is touched. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from fimkit.panic.links import Link

__all__ = ["CutPlan", "Kept", "matching_pattern", "plan_cut", "render_plan"]


class Kept(NamedTuple):
    """A link that stays as it is, and why, in words."""

    link: Link
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPlan:
    """What would happen now: ``down`` in this order; ``warnings`` are what a person would not expect."""

    down: tuple[Link, ...]
    kept: tuple[Kept, ...]
    already_down: tuple[Link, ...]
    warnings: tuple[str, ...] = ()

    @property
    def kept_names(self) -> frozenset[str]:
        """The names of those that stay, whether they are up or not."""
        return frozenset(kept.link.name for kept in self.kept)


def matching_pattern(link: Link, patterns: Iterable[str]) -> tuple[str, str] | None:
    """Find the first pattern that names a link, by its name or an alternative one; give it with the name.

    >>> matching_pattern(Link(index=2, flags=1, name="eth0", alt_names=("enp3s0",)), ["wl*", "enp*"])
    ('enp*', 'enp3s0')
    """
    names = (link.name, *link.alt_names)
    return next(((pattern, name) for pattern in patterns for name in names if fnmatchcase(name, pattern)), None)


def plan_cut(links: Sequence[Link], keep_interfaces: Sequence[str] = ()) -> CutPlan:
    """Decide what goes down: everything but loopback and what is kept; hardware first, as traffic leaves there.

    Args:
        links: All links of one namespace, in any order.
        keep_interfaces: Patterns of :mod:`fnmatch` on names and alternative names.

    >>> named = {"lo": 9, "br0": 1, "eth0": 1, "wg0": 1}
    >>> links = [Link(index=n, flags=named[name], name=name, kind=name[:2] * (name == "br0")) for n, name in enumerate(named, 1)]
    >>> plan = plan_cut(links, ["wg*"])
    >>> [link.name for link in plan.down], [f"{kept.link.name}: {kept.reason}" for kept in plan.kept]
    (['eth0', 'br0'], ['lo: loopback, never leaves this host', "wg0: kept by 'wg*' in keep_interfaces"])
    """
    down: list[Link] = []
    kept: list[Kept] = []
    already: list[Link] = []
    for link in sorted(links, key=lambda link: (bool(link.kind), link.index)):
        if reason := _why_kept(link, keep_interfaces):
            kept.append(Kept(link, reason))
        else:
            (down if link.is_up else already).append(link)
    return CutPlan(
        down=tuple(down),
        kept=tuple(kept),
        already_down=tuple(already),
        warnings=(*_unmatched(links, keep_interfaces), *_severed(links, kept, {link.index for link in down})),
    )


def _why_kept(link: Link, patterns: Sequence[str]) -> str | None:
    if link.is_loopback:
        return "loopback, never leaves this host"
    match = matching_pattern(link, patterns)
    if match is None:
        return None
    pattern, name = match
    other = "" if name == link.name else f" (by its other name {name})"
    return f"kept by {pattern!r} in keep_interfaces{other}"


def _unmatched(links: Sequence[Link], patterns: Sequence[str]) -> list[str]:
    return [
        f"no link is named by {pattern!r} in keep_interfaces: it keeps nothing now"
        for pattern in patterns
        if not any(matching_pattern(link, [pattern]) for link in links)
    ]


def _severed(links: Sequence[Link], kept: Sequence[Kept], down: set[int]) -> list[str]:
    """A kept link without what carries it is up, and mute."""
    by_index = {link.index: link for link in links}
    found = []
    for link in (each.link for each in kept):
        # Each end of a veth pair names the other one as its lower link.
        if link.lower in down and link.lower is not None and link.kind != "veth":
            found.append(f"{link.name} is kept, but {by_index[link.lower].name}, which carries it, goes down: name that one too")
        ports = sorted(port.name for port in links if port.master == link.index and port.index in down)
        if ports:
            found.append(f"{link.name} is kept, but its ports go down: {', '.join(ports)}")
    return found


def render_plan(plan: CutPlan) -> str:
    """Write the plan for people.

    >>> links = [Link(index=n, flags=f, name=name) for n, f, name in [(1, 9, "lo"), (2, 1, "eth0"), (3, 0, "eth1")]]
    >>> print(render_plan(plan_cut(links)))
    down: eth0
    stays: lo (loopback, never leaves this host)
    down already: eth1
    """
    lines = ["down: " + (", ".join(f"{link.name} ({link.kind})" if link.kind else link.name for link in plan.down) or "nothing")]
    lines += [f"stays: {kept.link.name} ({kept.reason})" for kept in plan.kept]
    if plan.already_down:
        lines.append("down already: " + ", ".join(link.name for link in plan.already_down))
    return "\n".join(lines + [f"note: {warning}" for warning in plan.warnings])
