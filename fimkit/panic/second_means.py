"""The second means of a cut, where the first was refused or left something up: pyroute2, which shares no code with ours."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from fimkit.model.paths import render_path
from fimkit.panic.cut import CutReceipt
from fimkit.panic.links import IFF_LOOPBACK, IFF_UP, Link
from fimkit.panic.namespaces import Namespace
from fimkit.panic.plan import matching_pattern
from fimkit.panic.readback import Readback

__all__ = ["Cuts", "cut_by_all_means", "cut_by_pyroute2", "preload"]

_MOST_ERRORS = 20


class Cuts(Protocol):
    """What takes all links down and says what became of it: a :class:`fimkit.panic.cut.LinkCutter`."""

    @property
    def keep(self) -> tuple[str, ...]:
        """Patterns of what stays."""
        ...

    def cut(self, *, deadline_s: float = 10.0) -> CutReceipt:
        """Take all down."""
        ...


def preload() -> None:
    """Import what the second means needs, while there is time: it takes half a second."""
    import pyroute2  # noqa: F401


def cut_by_all_means(where: Namespace, first: Cuts, *, deadline_s: float = 10.0) -> CutReceipt:
    """Take all links down; where one means leaves something up, or it cannot be told, at once by the other.

    Args:
        where: The one namespace to cut; this thread must be in it.
        first: The first means.
        deadline_s: For that one.

    Returns:
        What was done by both. Errors are in it: nothing is raised.
    """
    start = time.monotonic()
    receipt = first.cut(deadline_s=deadline_s)
    if receipt.is_complete:
        return receipt
    more = cut_by_pyroute2(where, first.keep)
    took = dict.fromkeys((*receipt.took_down, *more.took_down))
    return replace(
        more, took_down=tuple(name for name in took if name not in (more.still_up or ())),
        errors=(*receipt.errors, "the first means did not do it: links are taken down by pyroute2", *more.errors),
        rounds=receipt.rounds + more.rounds, took_s=time.monotonic() - start,
    )


def cut_by_pyroute2(where: Namespace, keep: Sequence[str]) -> CutReceipt:
    """Take all links down but loopback and those that are kept, and read back.

    Args:
        where: The one namespace to cut; this thread must be in it.
        keep: Patterns on names and alternative names.

    Returns:
        What was done; nothing is raised.
    """
    errors: list[str] = []
    took: list[str] = []
    kept: list[str] = []
    still: tuple[str, ...] | None = None
    start = time.monotonic()
    try:
        where.check()
        from pyroute2 import IPRoute

        with IPRoute() as route:
            links = [_link(message) for message in route.get_links()]
            kept = [link.name for link in links if link.is_loopback or matching_pattern(link, keep)]
            for link in sorted(links, key=lambda link: (bool(link.kind), link.index)):
                if link.is_up and link.name not in kept:
                    _lower(route, link, took, errors)
            still = tuple(link.name for link in map(_link, route.get_links()) if link.is_up and link.name not in kept)
        with Readback(where) as readback:
            still = tuple(name for name in readback.up() if name not in kept)
    except Exception as error:  # whatever a library raises: what was done by then counts, and is told
        errors.append(f"{type(error).__name__}: {error}")
    return CutReceipt(
        took_down=tuple(name for name in took if name not in (still or ())), still_up=still, kept=tuple(sorted(kept)),
        errors=tuple(errors), rounds=1, took_s=time.monotonic() - start,
    )


def _link(message: Any) -> Link:
    properties = message.get_attr("IFLA_PROP_LIST")
    others = properties.get_attrs("IFLA_ALT_IFNAME") if properties else ()
    kind = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    flags = int(message["flags"]) & (IFF_UP | IFF_LOOPBACK)
    name, *others = (render_path(text.encode("utf-8", "surrogateescape")) for text in (message.get_attr("IFLA_IFNAME"), *others))
    return Link(index=message["index"], flags=flags, name=name, alt_names=tuple(others), kind=kind)


def _lower(route: Any, link: Link, took: list[str], errors: list[str]) -> None:
    try:
        route.link("set", index=link.index, state="down")
        took.append(link.name)
    except Exception as error:  # the next link goes down all the same
        if len(errors) < _MOST_ERRORS:
            errors.append(f"{link.name} stays up: {error}")
