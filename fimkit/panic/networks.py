"""The networks of a host, saved before they are cut, and put back: this namespace and those beside it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fimkit.model.errors import FimkitError, HostError, clip
from fimkit.panic.cut import link_of
from fimkit.panic.ground import Ground
from fimkit.panic.links import IFF_UP, LINK_DUMP, set_flags
from fimkit.panic.namespaces import Namespace, Place, run_in
from fimkit.panic.netlink import Netlink, Request
from fimkit.panic.restore import RestoreReport, restore_state
from fimkit.panic.save import boot_id, save_state
from fimkit.panic.state import NetworkState, parse_state, render_state

__all__ = [
    "NETWORKS_NAME", "SavedNetworks", "parse_networks", "raise_links", "render_networks", "restore_networks", "save_networks"
]

NETWORKS_NAME = "network.json"
_VERSION = 1
_NEW_LINK, _GET_LINK = 16, 18
_EACH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedNetworks:
    """The network of a namespace, and of others; ``words`` are what could not be saved, ``incident`` what they were saved for."""

    incident: str
    own: NetworkState
    others: tuple[tuple[Place, NetworkState], ...] = ()
    words: tuple[str, ...] = ()


def save_networks(ground: Ground, incident: str, *, with_others: bool) -> SavedNetworks:
    """Save what will be cut.

    Raises:
        HostError: If this namespace cannot be saved; another one that cannot is told of in the words.
    """
    own = save_state(ground.where, now_ns=time.time_ns())
    others, words = [], [f"not saved: {note}" for note in own.notes]
    for place in ground.others().places if with_others else ():
        try:
            others.append((place, run_in(place, lambda where: save_state(where, now_ns=time.time_ns()), timeout_s=_EACH_S)))
        except (FimkitError, OSError) as error:
            words.append(f"not saved: {place}: {error}")
    return SavedNetworks(incident=incident, own=own, others=tuple(others), words=tuple(words))


def render_networks(saved: SavedNetworks) -> dict[str, Any]:
    """Give the JSON object."""
    return {
        "fimkit_networks": _VERSION,
        "incident": saved.incident,
        "own": render_state(saved.own),
        "others": [
            {"device": place.namespace.device, "inode": place.namespace.inode, "path": place.path, "name": place.name,
             "state": render_state(state)}
            for place, state in saved.others
        ],
    }


def parse_networks(row: object) -> SavedNetworks:
    """Read what :func:`render_networks` gave.

    Raises:
        HostError: If it is no such object, or damaged.

    >>> parse_networks({"fimkit_networks": 1})
    Traceback (most recent call last):
    fimkit.model.errors.HostError: the saved networks are damaged: KeyError: 'incident'
    """
    if not isinstance(row, Mapping) or row.get("fimkit_networks") != _VERSION:
        raise HostError(f"these are no saved networks of version {_VERSION}: {clip(row)}")
    try:
        incident = str(row["incident"])
        others = tuple(
            (Place(namespace=Namespace(int(each["device"]), int(each["inode"])), path=str(each["path"]), name=str(each["name"])),
             parse_state(each["state"]))
            for each in row["others"]
        )
        return SavedNetworks(incident=incident, own=parse_state(row["own"]), others=others)
    except (KeyError, TypeError, ValueError) as error:
        raise HostError(f"the saved networks are damaged: {type(error).__name__}: {error}") from error


def restore_networks(saved: SavedNetworks, ground: Ground, *, own: bool) -> tuple[list[str], list[str]]:
    """Put them back. Again, it changes nothing.

    Args:
        saved: In this boot.
        ground: Where.
        own: Whether this namespace's links were taken down: an isolated one has its own network still.

    Returns:
        What is missing, and what else to know, in words.
    """
    missing: list[str] = []
    notes: list[str] = []
    if own:
        try:
            _take(restore_state(saved.own, ground.where), "", missing, notes)
        except HostError as error:
            missing.append(str(error))
    # The process that stood for a place may have ended, and another one stand for it now.
    now = {place.namespace: place for place in ground.others().places} if saved.others else {}
    for place, state in saved.others:
        if place.namespace not in now:
            notes.append(f"{place}: it is gone, and its network with it")
            continue
        try:
            _take(run_in(now[place.namespace], partial(restore_state, state), timeout_s=30.0), f"{place}: ", missing, notes)
        except (FimkitError, OSError) as error:
            missing.append(f"{place}: {error}")
    return missing, notes


def _take(report: RestoreReport, where: str, missing: list[str], notes: list[str]) -> None:
    missing += [where + words for words in report.missing]
    notes += [where + words for words in report.notes]
    count = sum(report.put_back.values())
    raised = ", ".join(report.raised) or "none that were not"
    notes.append(f"{where}links set up: {raised}; {count} addresses, routes and the like put back")


def raise_links(ground: Ground, names: Sequence[str], saved: NetworkState | None) -> tuple[list[str], list[str]]:
    """Set links up again that were taken down and that no saved network knows.

    Returns:
        What is missing, and what was set up, in words.
    """
    known = {link.name for link in saved.links} if saved is not None and saved.boot_id == boot_id() else set()
    wanted = set(names) - known
    if not wanted:
        return [], []
    missing: list[str] = []
    raised: list[str] = []
    try:
        with Netlink(ground.where) as netlink:
            links = [link for link in map(link_of, netlink.dump(_GET_LINK, LINK_DUMP)) if link is not None and link.name in wanted]
            low = [link for link in links if not link.is_up]
            answers = netlink.batch([Request(_NEW_LINK, set_flags(link.index, IFF_UP, IFF_UP)) for link in low])
        for link, answer in zip(low, answers, strict=True):
            if answer.code:
                missing.append(f"link {link.name} does not come up: {answer}")
            else:
                raised.append(link.name)
    except HostError as error:
        missing.append(str(error))
    return missing, [f"set up again, as they were taken down: {', '.join(raised)}"] * bool(raised)
