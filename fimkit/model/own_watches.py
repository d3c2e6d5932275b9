"""What `[self]` adds to the watched paths: fimkit's own program, configuration, units and hooks; auditd's and osqueryd's settings.

The state folder is not among it: its files change with every look, so their hashes say nothing. What covers them is the seal (the
baseline's rows), the chain (everything that was stored since), each look's own findings (a log cut, a watch killed) and the
refusal of links, second names and others' files in it.
"""

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import fimkit
from fimkit.model.config import Config, Watch
from fimkit.model.findings import Tier
from fimkit.model.paths import is_below, join_path
from fimkit.model.watches import WatchSet

__all__ = ["find_own_program", "list_own_places", "plan_own_watches"]

_SYSTEM = b"/opt/fimkit"
_UNITS = (
    b"fimkit-check.service", b"fimkit-check.timer", b"fimkit-panic.service", b"fimkit-rules.service", b"fimkit-watch.service",
)  # fmt: skip
_ADMINS_UNITS = b"/etc/systemd/system"
_OUR_UNITS = b"/usr/local/lib/systemd/system"
_CRON, _LINK = b"/etc/cron.d/fimkit", b"/usr/local/bin/fimkit"
_HOOKS = (b"/etc/apt/apt.conf.d/90fimkit", b"/etc/dnf/libdnf5-plugins/actions.d/fimkit.actions")
_FLAG_FILES = (b"/etc/default/osqueryd", b"/etc/sysconfig/osqueryd")
_DNF4_PLUGINS = b"/usr/lib/python3*/site-packages/dnf-plugins"
_AUDITD = b"/etc/audit"
_ANY = b"\xf0\x9d\x94\xb2-any"
"""A name that nobody has: what is watched by it is watched by any."""


def find_own_program() -> bytes:
    """Name the folder of this very fimkit: the host's whole installation, else its virtual environment, else the package alone."""
    package = os.fsencode(os.path.realpath(Path(fimkit.__file__).parent))
    prefix = os.fsencode(os.path.realpath(sys.prefix))
    if is_below(package, _SYSTEM):
        return _SYSTEM
    return prefix if sys.prefix != sys.base_prefix and is_below(package, prefix) else package


def plan_own_watches(config: Config, config_file: bytes, *, program: bytes, system: bytes = b"") -> tuple[Watch, ...]:
    """Give the watches that ``[self]`` asks for; none where it does not.

    What a configured entry watches already, in the same tier or a higher one, is left to that entry. What an installation places
    is among them also where it is not there: what somebody removes does not take its watch along. Of units that were placed by
    hand, one that is there stands for all. A unit's override that nobody made yet is seen where /etc is watched, as by `init`.

    Args:
        config: As its file has it.
        config_file: That file.
        program: The folder that fimkit runs from.
        system: What stands before the system's paths, for a host that lies in a folder.
    """
    if not config.self.watch:
        return ()
    configured, every = {watch.path for watch in config.paths}, WatchSet(config.paths)
    planned: dict[bytes, Watch] = {}
    for path in (_config_place(config_file), *list_own_places(config, program=program, system=system)):
        if path not in configured and not _is_covered(every, path, config.self.tier):
            planned.setdefault(path, Watch(path=path, tier=config.self.tier, exclude=_state(config, path)))
    return tuple(planned.values())


def _config_place(config_file: bytes) -> bytes:
    file = os.path.abspath(config_file)
    folder = os.path.dirname(file)
    return folder if b"fimkit" in os.path.basename(folder) else file  # a folder of much else would be watched whole


def list_own_places(config: Config, *, program: bytes, system: bytes = b"") -> tuple[bytes, ...]:
    """List what fimkit stands on beside its configuration.

    Args:
        config: Where osqueryd's configuration is, and whether package managers have hooks.
        program: The folder that fimkit runs from.
        system: What stands before the system's paths.
    """
    expected = [program, system + _AUDITD, *_hooks(config, system)]
    if program == system + _SYSTEM:  # what its installation places; a unit stays watched where somebody has removed the folder
        expected += [*_units(system + _OUR_UNITS), system + _LINK, *_in_a_folder([system + _CRON])]
    found = [path for path in (*_osquery(config, system), system + _CRON, system + _LINK) if os.path.lexists(path)]
    for folder in (system + _ADMINS_UNITS, system + _OUR_UNITS):
        there = sorted(glob.glob(glob.escape(folder) + b"/fimkit[-.]*"))
        found += [*there, *(_units(folder) if any(path in there for path in _units(folder)) else ())]
    return tuple(dict.fromkeys((*expected, *found)))


def _units(folder: bytes) -> list[bytes]:
    return [folder + b"/" + unit for unit in _UNITS]


def _in_a_folder(paths: Iterable[bytes]) -> list[bytes]:
    return [path for path in paths if os.path.isdir(os.path.dirname(path))]


def _hooks(config: Config, system: bytes) -> list[bytes]:
    if not config.packages.hook:
        return []
    dnf4 = sorted(glob.glob(glob.escape(system) + _DNF4_PLUGINS))
    return _in_a_folder([*(system + path for path in _HOOKS), *(join_path(folder, b"fimkit_hook.py") for folder in dnf4)])


def _osquery(config: Config, system: bytes) -> Iterator[bytes]:
    path = config.sources.osquery_config
    if path:
        folder = os.path.dirname(path)
        if b"osquery" in os.path.basename(folder):
            yield folder
        else:
            yield from (path, path + b".d", join_path(folder, b"packs"))
        yield from (system + flags for flags in _FLAG_FILES)


def _is_covered(every: WatchSet, path: bytes, tier: Tier) -> bool:
    """Tell whether a configured entry watches a path, and all that lies or will lie in it, in this tier or a higher one."""
    deep = join_path(join_path(path, _ANY), _ANY)
    found = (every.watch_of(path), every.watch_of(deep))
    return all(watch is not None and (watch.tier is Tier.CRITICAL or tier is Tier.WATCH) for watch in found)


def _state(config: Config, path: bytes) -> tuple[str, ...]:
    state_dir = config.host.state_dir
    return (glob.escape(os.fsdecode(state_dir)),) if is_below(state_dir, path) else ()
