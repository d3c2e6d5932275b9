"""What the doctor finds of packages: what would keep an upgrade from being proved, so that it looks like a tampering."""

import os
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fimkit.evidence.pin_rows import PinsRow
from fimkit.evidence.store import open_shared_store
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.errors import HostError, PackageError, StoreError
from fimkit.model.paths import render_path
from fimkit.packages.sources import PackageSources, gather_package_sources
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.pins import may_watch_packages

if TYPE_CHECKING:
    from fimkit.packages.pins import PinnedKey

__all__ = ["check_packages", "load_apt_dump"]

_PIN = "fimkit baseline pin"


def check_packages(
    config: Config, _host: DoctorHost, *, apt_dump: Callable[[], str | None] | None = None
) -> Iterator[Advice]:
    """The keys that packages are believed by, apt's signed indexes, and its cache; nothing where no package is watched.

    Args:
        config: The configuration.
        _host: Nothing of it is needed here.
        apt_dump: Gives what `apt-config dump` says; without it that of this host, unless the packages are another tree's.
    """
    if not may_watch_packages(config):
        return
    sources = gather_package_sources(config.sources.package_root)
    try:
        with open_shared_store(config.host.state_dir) as store:
            if store.baseline_meta() is None:
                return
            row = store.pins()
    except (StoreError, HostError):
        return  # what is the matter with the store is said there
    if sources.dpkg is not None or sources.rpm is not None:
        yield from _pins(sources, row)
    if sources.dpkg is not None:
        yield from _archives(sources, apt_dump or (load_apt_dump if sources.root == b"/" else lambda: None))


def load_apt_dump() -> str | None:
    """Ask this host's apt how it is set; nothing where it does not say."""
    try:
        done = subprocess.run(
            ["apt-config", "dump"], capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _pins(sources: PackageSources, row: PinsRow | None) -> Iterator[Advice]:
    from fimkit.packages.pins import parse_pins

    where = render_path(sources.root)
    if row is None:
        problem = "no keys of packages are pinned: an upgrade is not told from a tampering."
        yield Advice(code="packages-unpinned", level=Level.WARNING, where=where, problem=problem, remedy=_PIN)
        return
    try:
        pins = parse_pins(row.body)
    except PackageError as error:
        yield Advice(code="packages-unpinned", level=Level.WARNING, where=where, problem=f"{error}.", remedy=_PIN)
        return
    if not pins.keys:
        problem = "no key of packages was trusted when the pins were made: nothing can be proved."
        remedy = f"sign the repository, name its key by Signed-By; then {_PIN}"
        yield Advice(code="packages-no-key", level=Level.WARNING, where=where, problem=problem, remedy=remedy)
    elif sources.apt_lists is not None:
        yield from _indexes(sources, sources.apt_lists, pins.keys)


def _indexes(sources: PackageSources, lists: bytes, keys: "tuple[PinnedKey, ...]") -> Iterator[Advice]:
    from fimkit.packages.apt_lists import load_signed_indexes
    from fimkit.packages.keyrings import load_keyring

    problems: list[str] = []
    try:
        indexes = load_signed_indexes(lists, load_keyring(keys, sources, problems))
    except PackageError as error:
        yield Advice(code="packages-no-key", level=Level.WARNING, where=render_path(lists), problem=f"{error}.", remedy=_PIN)
        return
    for problem in dict.fromkeys((*problems, *indexes.problems)):
        remedy = f"apt-get update; if it is of a repository whose key is new and good: {_PIN}"
        yield Advice(
            code="packages-index", level=Level.WARNING, where=render_path(lists), problem=f"{problem}.", remedy=remedy
        )
    if not indexes.releases:
        problem = "there is no index of packages that a pinned key signed: nothing new can be proved."
        yield Advice(
            code="packages-no-index", level=Level.WARNING, where=render_path(lists), problem=problem, remedy="apt-get update"
        )


def _archives(sources: PackageSources, apt_dump: Callable[[], str | None]) -> Iterator[Advice]:
    from fimkit.packages.apt_config import find_cleaners, parse_apt_dump

    text = apt_dump()
    if text is None:
        return
    has_unattended = os.path.exists(sources.place(b"/usr/bin/unattended-upgrade"))
    for problem, line in find_cleaners(parse_apt_dump(text), has_unattended=has_unattended):
        yield Advice(
            code="packages-not-kept",
            level=Level.WARNING,
            where=render_path(sources.apt_archives or sources.root),
            problem=f"{problem}: without an archive its files cannot be proved.",
            remedy=f"in /etc/apt/apt.conf.d/90-fimkit: {line}",
        )
