"""The doctor's view of a host: where things are, what the kernel's audit says, asked once; and what it finds of the host itself."""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from fimkit.audit.kernel import AuditKernel, AuditStatus
from fimkit.audit.rule_codec import Rule
from fimkit.evidence.folder import check_private_file, check_state_dir
from fimkit.evidence.store import open_store
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config, Watch
from fimkit.model.errors import HostError, StoreError
from fimkit.model.own_watches import find_own_program, list_own_places
from fimkit.model.paths import is_below, join_path, render_path
from fimkit.model.time import render_time
from fimkit.model.watches import WatchSet
from fimkit.verbs.kernel_rules import list_rules
from fimkit.verbs.old_processes import load_boot_time
from fimkit.verbs.place import look_at, process_name

__all__ = ["DoctorHost", "KernelView", "Mount", "check_paths", "check_store", "load_mounts"]

_RULES_FILE = Path("/etc/audit/rules.d/40-fimkit.rules")
_OLD_BASELINE_S = 90 * 86_400
_LEAST_FREE_MB = 512
_ESCAPE = re.compile(rb"\\([0-7]{3})")
# What others change on another machine is recorded by nobody here; what has no lasting inodes cannot be followed.
_REMOTE = frozenset({b"nfs", b"nfs4", b"cifs", b"smb3", b"9p", b"virtiofs", b"ceph", b"afs", b"gfs2", b"ocfs2", b"lustre"})
_UNSTABLE = frozenset({b"overlay", b"aufs", b"vfat", b"msdos", b"exfat", b"ntfs", b"ntfs3", b"fuseblk"})
# The kernel's own trees, which hold no files of anybody.
_PSEUDO = frozenset({b"proc", b"sysfs", b"cgroup", b"cgroup2", b"devpts", b"devtmpfs", b"mqueue", b"debugfs", b"tracefs", b"bpf",
                     b"securityfs", b"pstore", b"configfs", b"efivarfs", b"binfmt_misc", b"hugetlbfs", b"autofs", b"fusectl",
                     b"rpc_pipefs", b"selinuxfs", b"nsfs"})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelView:
    """What the kernel's audit says; ``status`` is ``None`` where it does not, and ``refusal`` says why."""

    status: AuditStatus | None = None
    owner: str | None = None
    rules: tuple[Rule, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mounted file system."""

    point: bytes
    type: bytes


def _view(open_kernel: Callable[[], AuditKernel]) -> KernelView:
    try:
        with open_kernel() as kernel:
            status = kernel.status()
            return KernelView(
                status=status, owner=process_name(status.pid), rules=tuple(rule for rule, _ in list_rules(kernel))
            )
    except HostError as error:
        return KernelView(refusal=str(error))


@dataclass(frozen=True, kw_only=True)
class DoctorHost:
    """Where a host's things are, so that a test can put others in their place. The kernel is asked once.

    ``config_file`` is the configuration's own file, as it was named; empty where that is not known.
    """

    open_kernel: Callable[[], AuditKernel] = AuditKernel
    proc: Path = Path("/proc")
    auditd_conf: Path = Path("/etc/audit/auditd.conf")
    rules_file: Path = _RULES_FILE
    config_file: str = ""
    now_s: Callable[[], float] = time.time
    kernel: Callable[[], KernelView] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare the one question to the kernel."""
        object.__setattr__(self, "kernel", cache(lambda: _view(self.open_kernel)))

    def boot_s(self) -> float | None:
        """When the kernel booted."""
        return load_boot_time(self.proc)


def load_mounts(mountinfo: Path) -> list[Mount]:
    """List what is mounted, the last of a point last. Source: proc_pid_mountinfo(5)."""
    try:
        lines = mountinfo.read_bytes().split(b"\n")
    except OSError:
        return []
    found = []
    for line in lines:
        head, dash, tail = line.partition(b" - ")
        fields = head.split(b" ")
        if dash and len(fields) > 4 and tail:
            point = _ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), fields[4])
            found.append(Mount(point=point, type=tail.split(b" ")[0]))
    return found


def check_store(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """The state folder and the baseline in it."""
    folder = config.host.state_dir
    where = render_path(folder)
    if not os.path.lexists(folder):
        yield Advice(
            code="no-baseline",
            level=Level.TRAP,
            where=where,
            problem="there is no state folder, so no baseline: nothing can be compared.",
            remedy="fimkit baseline create",
        )
        return
    try:
        check_state_dir(folder)
        check_private_file(join_path(folder, b"fimkit.sqlite"))
    except HostError as error:
        foreign = os.geteuid() != 0 and os.lstat(folder).st_uid != os.geteuid()
        yield Advice(
            code="store-unseen" if foreign else "store-unsafe",
            level=Level.NOTE if foreign else Level.TRAP,
            where=where,
            problem=f"{error}.",
            remedy="run fimkit doctor as root" if foreign else f"look into it; then chown root: {where}; chmod 700 {where}",
        )
        return
    seen = os.lstat(folder)
    mode = seen.st_mode & 0o7777
    if mode & (0o007 if seen.st_gid else 0o077):  # a group that it is shared with is meant to
        yield Advice(
            code="store-mode",
            level=Level.WARNING,
            where=where,
            problem=f"others can look into it (mode {mode:04o}), and so know what fimkit knows.",
            remedy=f"chmod 700 {where}",
        )
    yield from _free_space(config, where)
    yield from _baseline(config, host, where)


def _free_space(config: Config, where: str) -> Iterator[Advice]:
    disk = os.statvfs(config.host.state_dir)
    free_mb = disk.f_bavail * disk.f_frsize >> 20
    if free_mb < _LEAST_FREE_MB:
        yield Advice(
            code="store-space",
            level=Level.WARNING,
            where=where,
            problem=f"{free_mb} MB are free: a check that cannot store what it found says so and fails.",
            remedy=f"make room, or, in fimkit.toml, under [host]: state_dir elsewhere; [store] max_mb is {config.store.max_mb}",
        )


def _baseline(config: Config, host: DoctorHost, where: str) -> Iterator[Advice]:
    try:
        with open_store(config.host.state_dir) as store:
            meta = store.baseline_meta()
    except StoreError as error:
        yield Advice(
            code="no-baseline", level=Level.TRAP, where=where, problem=f"{error}.", remedy="fimkit baseline create"
        )
        return
    except HostError as error:
        yield Advice(code="store-unseen", level=Level.WARNING, where=where, problem=f"{error}.", remedy="run fimkit doctor as root")
        return
    if meta is None:
        problem = "there is no baseline: nothing can be compared."
        yield Advice(code="no-baseline", level=Level.TRAP, where=where, problem=problem, remedy="fimkit baseline create")
        return
    latest_s = max(meta.time_ns, meta.accepted_ns or 0) / 1e9
    if latest_s > host.now_s():
        problem = f"the baseline is of {render_time(int(latest_s) * 1_000_000_000)}, and the clock stands before that."
        yield Advice(code="clock", level=Level.WARNING, where=where, problem=problem, remedy="set the clock (chronyc makestep)")
    elif host.now_s() - latest_s > _OLD_BASELINE_S:
        days = (host.now_s() - latest_s) / 86_400
        problem = f"nothing was accepted into the baseline for {days:.0f} days: either nothing changes, or nobody looks."
        yield Advice(code="baseline-age", level=Level.NOTE, where=where, problem=problem, remedy="fimkit check --all")


def check_paths(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """The configured paths: there, no links, on file systems that can be followed, with nothing unseen mounted below."""
    mounts = load_mounts(host.proc / "self" / "mountinfo")
    own = list_own_places(config, program=find_own_program()) if config.self.watch else ()
    for watch in config.paths:
        shown = render_path(watch.path)
        facts = look_at(watch.path)
        if not facts.exists:
            if watch.path in own:  # nobody asked for it: it is watched for the case that it comes
                continue
            yield Advice(
                code="path-absent",
                level=Level.WARNING,
                where=shown,
                path=watch.path,
                problem=f"{shown} is not there.",
                remedy=f"take it out of fimkit.toml, or make it; then {_AGAIN}",
            )
            continue
        if facts.real != watch.path:
            real = render_path(facts.real)
            yield Advice(
                code="path-link",
                level=Level.NOTE,
                where=shown,
                path=watch.path,
                problem=f"{shown} leads to {real}: both are watched, and where the link leads later is not until the next install.",
                remedy=f'in fimkit.toml: path = "{real}"',
            )
        yield from _file_systems(watch, facts.real, mounts, WatchSet(config.paths))


_AGAIN = "fimkit install"


def _file_systems(watch: Watch, real: bytes, mounts: list[Mount], watches: WatchSet) -> Iterator[Advice]:
    own = max((mount for mount in mounts if is_below(real, mount.point)), key=lambda mount: len(mount.point), default=None)
    if own is not None:
        yield from _type(watch, own)
    # A later mount of the same point hides the earlier one.
    below = {mount.point: mount for mount in mounts if mount.point != real and is_below(mount.point, real)}
    for mount in below.values():
        place = watch.path.rstrip(b"/") + mount.point[len(real.rstrip(b"/")) :]
        inner = watches.watch_of(place, is_folder=True)
        if mount.type in _PSEUDO or inner is None or inner.path != watch.path or not watch.recursive:
            continue
        if watch.cross_mounts:
            yield from _type(watch, mount)
            continue
        shown = render_path(mount.point)
        yield Advice(
            code="path-mount",
            level=Level.WARNING,
            where=render_path(watch.path),
            path=mount.point,
            problem=f"{shown} ({mount.type.decode(errors='replace')}) is mounted below it: what is in there is neither scanned nor "
            "recorded.",
            remedy=f'in fimkit.toml, for {render_path(watch.path)}: cross_mounts = true, or exclude = ["{shown}"]; then {_AGAIN}',
        )


def _type(watch: Watch, mount: Mount) -> Iterator[Advice]:
    kind = mount.type
    if kind in _REMOTE or (kind.startswith(b"fuse.") and kind != b"fuse.lxcfs"):
        problem = "what other machines, or the program behind it, change there makes no event here: the scans alone find it"
        level = Level.WARNING
    elif kind in _UNSTABLE:
        problem = "a file there does not keep its inode (on overlay a first write makes another): who changed it may stay unknown"
        level = Level.NOTE
    else:
        return
    yield Advice(
        code="path-file-system",
        level=level,
        where=render_path(watch.path),
        path=watch.path,
        problem=f"{render_path(mount.point)} is {kind.decode(errors='replace')}: {problem}.",
        remedy="watch it where its files really are",
    )
