"""What would keep a panic from working, of this host: who looks, room for evidence, other networks, and who would fight a cut."""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path, render_terminal
from fimkit.panic.isolate import is_isolated
from fimkit.panic.namespaces import list_namespaces, machine_namespace
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.watch_status import load_watch_status

__all__ = [
    "LookingPlaces", "check_auditing", "check_managers", "check_namespaces", "check_nf_tables", "check_room", "check_watched"
]

_LEAST_FREE_MB = 256
_MOST_NAMED = 5
_MANAGERS = frozenset({
    "NetworkManager", "systemd-network", "dhclient", "dhcpcd", "wickedd", "connmand", "ifplugd", "netplan", "wpa_supplicant", "iwd",
})  # fmt: skip  # as /proc/PID/comm has them: the kernel keeps 15 characters
_JOB = re.compile(rb"^[ \t]*[^#\s].*\bfimkit\b.*\bcheck\b", re.MULTILINE)
_ONLY_WITHOUT_SYSTEMD = b"/run/systemd/system"


class LookingPlaces:
    """Where it is written down that a check runs by itself; a test puts others in their place."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Begin at ``root``."""
        self.timer = root / "etc/systemd/system/timers.target.wants/fimkit-check.timer"
        self.cron = (root / "etc/crontab", root / "var/spool/cron/crontabs/root", root / "var/spool/cron/root")
        self.cron_folder = root / "etc/cron.d"
        self.systemd = root / "run/systemd/system"

    def find_job(self) -> str:
        """Name the file that starts a check by itself, or nothing."""
        if os.path.lexists(self.timer):
            return os.fspath(self.timer)
        try:
            files = [*self.cron, *sorted(self.cron_folder.iterdir())]
        except OSError:
            files = list(self.cron)
        return next((os.fspath(file) for file in files if self._has_job(file)), "")

    def _has_job(self, file: Path) -> bool:
        try:
            lines = _JOB.findall(file.read_bytes())
        except OSError:
            return False
        by_systemd = self.systemd.exists()
        return any(not (by_systemd and _ONLY_WITHOUT_SYSTEMD in line) for line in lines)


def check_watched(config: Config, places: LookingPlaces) -> Iterator[Advice]:
    """Somebody looks: a watch that runs now, or a check by itself."""
    status = load_watch_status(config.host.state_dir)
    if (status is not None and status.running) or places.find_job():
        return
    yield Advice(
        code="panic-unwatched",
        level=Level.WARNING,
        where="fimkit watch",
        problem="no watch runs, and no timer or cron job runs a check: nobody would see the change that is to start a panic.",
        remedy="systemctl enable --now fimkit-watch fimkit-check.timer",
    )


def check_auditing(host: DoctorHost) -> Iterator[Advice]:
    """The kernel records who does what."""
    view = host.kernel()
    if view.status is not None and view.status.enabled:
        return
    problem = "auditing is off" if view.status is not None else f"the kernel's audit could not be seen: {view.refusal}"
    yield Advice(
        code="panic-auditing",
        level=Level.WARNING,
        where="the kernel's audit",
        problem=f"{problem}: a panic's mail would name nobody.",
        remedy="auditctl -e 1; then fimkit doctor",
    )


def check_room(config: Config) -> Iterator[Advice]:
    """The disk has room for the evidence."""
    try:
        disk = os.statvfs(config.host.state_dir)
    except OSError:
        return  # without a state folder there is no baseline either, which is said
    free_mb = disk.f_bavail * disk.f_frsize >> 20
    if free_mb < _LEAST_FREE_MB or (disk.f_files and not disk.f_favail):
        yield Advice(
            code="panic-room",
            level=Level.WARNING,
            where=render_path(config.host.state_dir),
            problem=f"{free_mb} MB and {disk.f_favail} files are free: a panic's evidence may find no room. The cut needs none.",
            remedy="make room, or, in fimkit.toml, under [host]: state_dir elsewhere",
        )


def check_namespaces(config: Config) -> Iterator[Advice]:
    """Other network namespaces of this host stay as they are, unless they are asked for."""
    if config.panic.include_namespaces:
        return
    try:
        others = list_namespaces()
    except (HostError, OSError):
        return
    if others.places:
        named = ", ".join(render_terminal(str(place)) for place in others.places[:_MOST_NAMED])
        yield Advice(
            code="panic-namespaces",
            level=Level.NOTE if config.panic.action == "down" else Level.WARNING,
            where="ip netns; lsns -t net",
            problem=f"other network namespaces ({len(others.places)}) are not cut by themselves: {named}"
            + (", …" if len(others.places) > _MOST_NAMED else "")
            + ". What they reach by this host's links ends with those; a link moved into one goes on.",
            remedy="in fimkit.toml, under [panic]: include_namespaces = true, and CAP_SYS_ADMIN for the helper",
        )


def check_managers(proc: Path) -> Iterator[Advice]:
    """Programs that bring links up again by themselves."""
    found = set()
    try:
        pids = [name for name in os.listdir(proc) if name.isdecimal()]
    except OSError:
        return
    for pid in pids:
        try:
            name = (proc / pid / "comm").read_text(errors="replace").strip()
        except OSError:
            continue  # it ended
        if name in _MANAGERS:
            found.add(name)
    if found:
        yield Advice(
            code="panic-managers",
            level=Level.NOTE,
            where=", ".join(sorted(found)),
            problem="they configure links by themselves, and may bring up again what a cut took down: it is held down, and said.",
            remedy="none is needed; fimkit panic restore puts back what they knew",
        )


def check_nf_tables(config: Config) -> Iterator[Advice]:
    """To isolate a host its kernel must have nf_tables; asked by reading."""
    if config.panic.action != "isolate":
        return
    try:
        is_isolated(machine_namespace(), ())
    except HostError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return  # who may not ask cannot know; the helper can
        yield Advice(
            code="panic-nf-tables",
            level=Level.WARNING,
            where="[panic] action",
            problem=f"this kernel gives no nf_tables: {error}. A panic takes every link down instead.",
            remedy='modprobe nf_tables; else, in fimkit.toml, under [panic]: action = "down"',
        )
