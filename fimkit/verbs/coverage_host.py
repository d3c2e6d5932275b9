"""What of a host bears on what its sources can see: the kernel's audit and its rules, auditd, osqueryd, the clocks, the watch."""

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fimkit.audit.advice import inspect_status
from fimkit.audit.kernel import AuditKernel, AuditStatus
from fimkit.audit.rule_codec import FilterList, Rule, RuleAction
from fimkit.audit.rules import find_obstacles, plan_rules
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.verbs.kernel_rules import list_rules
from fimkit.verbs.old_processes import list_older_processes, load_boot_time
from fimkit.verbs.place import list_mounts, look_at, process_name

__all__ = ["HostSight", "ask_host", "auditd_log", "never_task"]

_SETTING = re.compile(r"^\s*log_file\s*=\s*(.*?)\s*$", re.MULTILINE)
_DEFAULT_LOG = "/var/log/audit/audit.log"
_OSQUERYD = "osqueryd"
_TICKS = 100  # USER_HZ, as in proc(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSight:
    """One moment. ``status`` is ``None`` where the kernel was not asked (another's log is read) or refuses (``refusal``).

    ``deaf`` has words by code where the kernel records nothing, ``rules`` what is wrong with fimkit's own, ``obstacles`` rules of
    others in their way. ``osqueryd`` is its process and when that began, ``older`` are processes that are never recorded.
    """

    now_ns: int
    boot_id: str
    boot_clock_ns: int
    status: AuditStatus | None = None
    refusal: str = ""
    deaf: Mapping[str, str] | None = None
    rules: str = ""
    obstacles: tuple[str, ...] = ()
    is_never_task: bool = False
    osqueryd: tuple[int, int] | None = None
    older: tuple[tuple[int, str], ...] = ()
    is_booted_audited: bool = False


def never_task(rules: set[Rule]) -> bool:
    """Tell whether a rule keeps every process that starts from being recorded, for all of its life."""
    return any(rule.filter_list is FilterList.TASK and rule.action is RuleAction.NEVER for rule in rules)


def auditd_log(pid: int, *, proc: Path = Path("/proc")) -> bytes:
    """Give the log that auditd writes, from its configuration: that of process ``pid``, or the host's where there is none."""
    folder = "/etc/audit"
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:
        words = []
    if "-c" in words[:-1]:
        folder = words[words.index("-c") + 1]
    try:
        found = _SETTING.findall(Path(folder, "auditd.conf").read_text(errors="surrogateescape"))
    except (OSError, ValueError):
        found = []
    return os.fsencode(found[-1] if found else _DEFAULT_LOG)


def ask_host(
    config: Config,
    was: Mapping[str, Any],
    *,
    first_enabled_s: float | None = None,
    open_kernel: Callable[[], AuditKernel] = AuditKernel,
) -> HostSight:
    """Ask the host.

    The kernel's state bears on the log that is read only where this host's auditd writes it, now or when it was asked before.

    Args:
        config: The configuration.
        was: What :func:`fimkit.verbs.coverage_judge.judge_host` left to be kept, or nothing.
        first_enabled_s: When auditing was first switched on since the boot, where that is known.
        open_kernel: Opens the kernel's audit.
    """
    plain = HostSight(
        now_ns=time.time_ns(), boot_id=_boot_id(), boot_clock_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME), osqueryd=_osqueryd()
    )
    try:
        with open_kernel() as kernel:
            status = kernel.status()
            if auditd_log(status.pid) != config.sources.audit_log and not was.get("is_own"):
                return plain
            listed = [rule for rule, _ in list_rules(kernel)]
    except HostError as error:
        return replace(plain, refusal=str(error) if was.get("is_own") else "")
    deaf = {one.code: one.problem.removesuffix(".") for one in inspect_status(status, process_name(status.pid))}
    rules, obstacles = _rules(config, listed)
    boot_s = load_boot_time()
    is_safe = _boots_audited()
    older = () if is_safe or first_enabled_s is None or not status.enabled else tuple(
        list_older_processes(first_enabled_s, boot_s=boot_s)
    )
    return replace(
        plain, status=status, deaf=deaf, rules=rules, obstacles=obstacles, is_never_task=never_task(set(listed)), older=older,
        is_booted_audited=is_safe,
    )


def _rules(config: Config, listed: list[Rule]) -> tuple[str, tuple[str, ...]]:
    machine = os.uname().machine
    try:
        plan = plan_rules(config.paths, look_at, mounts=list_mounts(), machine=machine).rules
    except HostError:
        return "", ()
    missing = [rule for rule in plan if rule not in set(listed)]
    obstacles = [words for words in find_obstacles(listed, plan, machine=machine) if "never,task" not in words]
    if not missing:
        return "", tuple(obstacles)
    first = next((name for rule in missing if (name := rule.text_of("dir") or rule.text_of("path"))), b"")
    place = f", as for {render_path(first)}" if first else ""
    return f"{len(missing)} of fimkit's {len(plan)} audit rules are not in the kernel{place}", tuple(obstacles)


def _boots_audited() -> bool:
    try:
        return "audit=1" in Path("/proc/cmdline").read_text(errors="replace").split()
    except OSError:
        return False


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _osqueryd(proc: Path = Path("/proc")) -> tuple[int, int] | None:
    """Find osqueryd, the watcher of its worker if both are there, and when it began, in nanoseconds since the epoch."""
    boot_s = load_boot_time(proc)
    found = []
    for folder in proc.glob("[0-9]*"):
        try:
            if (folder / "comm").read_text(errors="replace").strip() != _OSQUERYD:
                continue
            ticks = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        except (OSError, ValueError, IndexError):
            continue
        found.append((ticks, int(folder.name)))
    if not found or boot_s is None:
        return None
    ticks, pid = min(found)
    return pid, int((boot_s + ticks / _TICKS) * 1e9)
