"""Pins, in the baseline that there is, what packages are believed by from now on."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store
from fimkit.model.config import Config
from fimkit.model.errors import PackageError
from fimkit.verbs.baseline import open_baseline
from fimkit.verbs.pins import Collected, collect_host_pins

if TYPE_CHECKING:
    from fimkit.packages.pins import PinnedKey

__all__ = ["Pinned", "pin_packages", "plan_pins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What is pinned instead of what was: keys that came and that went, by fingerprint, and all of it."""

    collected: Collected
    added: tuple["PinnedKey", ...]
    dropped: tuple["PinnedKey", ...]


def plan_pins(config: Config) -> Pinned:
    """Find what :func:`pin_packages` would pin; nothing is stored.

    Raises:
        UsageError: If there is no baseline.
        HostError: If there are no packages.
    """
    with open_baseline(config)[0] as store:
        return _compare(store, collect_host_pins(config))


def pin_packages(config: Config, *, who: str) -> Pinned:
    """Trust from now on what apt and rpm trust now. The baseline stays as it is.

    Raises:
        UsageError: If there is no baseline.
        HostError: If there are no packages, or another fimkit is at work.
    """
    open_baseline(config)[0].close()  # says what is missing before the lock makes its file
    with lock_state(config.host.state_dir, verb="baseline pin"):
        collected = collect_host_pins(config)
        with open_baseline(config)[0] as store, store.transaction():
            pinned = _compare(store, collected)
            store.set_pins(collected.row(who=who, time_ns=time.time_ns()))
    return pinned


def _compare(store: Store, collected: Collected) -> Pinned:
    from fimkit.packages.pins import PackagePins, parse_pins

    row = store.pins()
    try:
        old = PackagePins() if row is None else parse_pins(row.body)
    except PackageError:
        old = PackagePins()  # all of it is new then
    was, now = ({key.fingerprint: key for key in pins.keys} for pins in (old, collected.pins))
    return Pinned(
        collected=collected,
        added=tuple(key for fingerprint, key in now.items() if fingerprint not in was),
        dropped=tuple(key for fingerprint, key in was.items() if fingerprint not in now),
    )
