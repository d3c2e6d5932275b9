"""Collects what packages are to be believed by: the keys that apt and rpm trust now, diversions, the versions installed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fimkit.evidence.pin_rows import PinsRow
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.paths import is_below, join_path, render_path
from fimkit.packages.folders import may_be_packaged

if TYPE_CHECKING:
    from fimkit.packages.pins import PackagePins

__all__ = ["Collected", "collect_for_baseline", "collect_host_pins", "may_watch_packages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What there is to be pinned, and what could not be read for it, in words."""

    pins: "PackagePins"
    problems: tuple[str, ...]

    def row(self, *, who: str, time_ns: int) -> PinsRow:
        """Give it as the store takes it."""
        from fimkit.packages.pins import render_pins

        return PinsRow(body=render_pins(self.pins), who=who, time_ns=time_ns)


def may_watch_packages(config: Config) -> bool:
    """Tell, without reading anything, whether packages may have files in what is configured."""
    if not config.sources.package_root:
        return False
    root = join_path(b"/", config.sources.package_root)
    return any(
        is_below(root, watch.path)
        or (is_below(watch.path, root) and may_be_packaged(join_path(b"/", watch.path[len(root.rstrip(b"/")) :] or b"/")))
        for watch in config.paths
    )


def collect_for_baseline(config: Config) -> Collected | None:
    """Collect the pins that belong to a baseline; nothing where no package can have files in it, or there are no packages."""
    return _collect(config) if may_watch_packages(config) else None


def _collect(config: Config) -> Collected | None:
    from fimkit.packages.sources import gather_package_sources

    sources = gather_package_sources(config.sources.package_root)
    if sources.dpkg is None and sources.rpm is None:
        return None
    from fimkit.packages.collect import collect_pins

    pins, problems = collect_pins(sources)
    return Collected(pins=pins, problems=tuple(f"packages: {problem}" for problem in problems))


def collect_host_pins(config: Config) -> Collected:
    """Collect the pins of this host, whatever of it is watched.

    Raises:
        HostError: If there are no packages.
    """
    collected = _collect(config) if config.sources.package_root else None
    if collected is None:
        where = render_path(config.sources.package_root) or "(none)"
        raise HostError(f"no packages of dpkg or rpm below [sources] package_root, which is {where}")
    return collected
