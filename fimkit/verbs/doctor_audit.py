"""The doctor on auditing: the kernel's state, fimkit's rules in it, processes that are never recorded, auditd and its log."""

import os
import re
import shlex
from collections.abc import Iterator

from fimkit.audit.advice import inspect_status
from fimkit.audit.compiled import why_python
from fimkit.audit.rotations import find_rotations
from fimkit.audit.rule_text import render_rule
from fimkit.audit.rules import Plan, find_obstacles, plan_rules, render_rule_file
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.verbs.doctor_host import DoctorHost, KernelView
from fimkit.verbs.old_processes import find_first_enabling, list_older_processes
from fimkit.verbs.place import list_mounts, look_at

__all__ = ["check_audit_log", "check_auditd", "check_context", "check_kernel", "check_rules"]

_NEVER_TASK = re.compile(rb"^\s*-[aA]\s+(?:never,task|task,never)\b", re.MULTILINE)
_SETTING = re.compile(r"^\s*([a-z_]+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_MOST_NAMED = 5
_DAY_S = 86_400
_REBOOT = (
    'add audit=1 to the kernel\'s command line (GRUB_CMDLINE_LINUX="… audit=1" in /etc/default/grub, then update-grub) and reboot'
)


def check_kernel(_config: Config, host: DoctorHost) -> Iterator[Advice]:
    """The kernel's switches, its limits, and who owns the socket."""
    view = host.kernel()
    if view.status is None:
        unprivileged = os.geteuid() != 0
        yield Advice(
            code="audit-unseen",
            level=Level.NOTE if unprivileged else Level.TRAP,
            where="the kernel's audit",
            problem=f"its state and rules could not be seen: {view.refusal}.",
            remedy="run fimkit doctor as root" if unprivileged else "run fimkit on the host itself, with audit in its kernel",
        )
        return
    yield from inspect_status(view.status, view.owner)
    if view.status.rate_limit:
        yield Advice(
            code="audit-rate-limit",
            level=Level.WARNING,
            where=f"auditctl -s: rate_limit {view.status.rate_limit}",
            problem=f"records beyond {view.status.rate_limit} a second are dropped.",
            remedy="auditctl -r 0, and -r 0 in /etc/audit/rules.d",
        )


def _plan(config: Config) -> Plan:
    return plan_rules(config.paths, look_at, mounts=list_mounts(), machine=os.uname().machine)


def check_rules(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """The rules: in the kernel, in the file, and none of others in their way."""
    try:
        plan = _plan(config)
    except HostError as error:
        yield Advice(code="audit-machine", level=Level.TRAP, where="audit rules", problem=f"{error}.", remedy="none is known")
        return
    yield from _rules_in_kernel(plan, host.kernel())
    yield from _rules_in_file(plan, host)
    yield from _silenced(host)


def _rules_in_kernel(plan: Plan, view: KernelView) -> Iterator[Advice]:
    if view.status is None:
        return
    present = set(view.rules)
    missing = [rule for rule in plan.rules if rule not in present]
    if missing:
        first = render_rule(missing[0], machine=plan.machine).removeprefix("# ")
        yield Advice(
            code="audit-rules-missing",
            level=Level.TRAP,
            where="auditctl -l",
            path=missing[0].text_of("dir") or missing[0].text_of("path"),
            problem=f"{len(missing)} of fimkit's {len(plan.rules)} rules are not in the kernel: nobody is named for changes there "
            f"(the first: {first}).",
            remedy="fimkit install",
        )
    for words in find_obstacles(list(view.rules), plan.rules, machine=plan.machine):
        rule, _, problem = words.partition(": ")
        yield Advice(
            code="audit-obstacle",
            level=Level.TRAP,
            where="auditctl -l",
            problem=f"{rule}: {problem}.",
            remedy=f"take {rule} out of /etc/audit/rules.d, or move it behind 40-fimkit.rules; then augenrules --load",
        )


def _rules_in_file(plan: Plan, host: DoctorHost) -> Iterator[Advice]:
    shown = os.fspath(host.rules_file)
    try:
        text = host.rules_file.read_bytes()
    except FileNotFoundError:
        problem = "there is no rule file of fimkit's: after the next boot no rule is loaded."
        yield Advice(code="audit-rule-file", level=Level.TRAP, where=shown, problem=problem, remedy="fimkit install")
        return
    except OSError as error:
        yield _unreadable(shown, error)
        return
    if text != render_rule_file(plan):
        problem = "the rule file is not what the configuration asks for now: after the next boot other rules are loaded."
        yield Advice(code="audit-rule-file", level=Level.WARNING, where=shown, problem=problem, remedy="fimkit install")


def _unreadable(where: str, error: OSError) -> Advice:
    denied = isinstance(error, PermissionError)
    return Advice(
        code="audit-unseen",
        level=Level.NOTE if denied else Level.WARNING,
        where=where,
        problem=f"it could not be read: {error.strerror}.",
        remedy="run fimkit doctor as root" if denied else f"look at it: ls -l {shlex.quote(where)}",
    )


def _silenced(host: DoctorHost) -> Iterator[Advice]:
    folder = host.rules_file.parent
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return  # the rule file in it is said to be unreadable already
    for file in (folder / name for name in names if name.endswith(".rules")):
        try:
            found = _NEVER_TASK.search(file.read_bytes())
        except OSError:
            continue
        if found is not None:
            yield Advice(
                code="audit-never-task",
                level=Level.TRAP,
                where=os.fspath(file),
                problem="-a never,task keeps every process that starts under it from being recorded, for all of its life.",
                remedy=f"take the line out of {file}, then augenrules --load, and reboot",
            )


def check_context(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """Processes that are older than the first enabling: the kernel gave them no audit context, and records nothing of theirs."""
    try:
        words = (host.proc / "cmdline").read_text(errors="replace").split()
    except OSError:
        return
    view = host.kernel()
    if "audit=1" in words or (view.status is not None and view.status.enabled == 0):
        return  # safe; or off altogether, which is another advice
    where = "/proc/cmdline (no audit=1)"
    first_s = find_first_enabling(find_rotations(config.sources.audit_log), boot_s=host.boot_s())
    if first_s is None:
        yield Advice(
            code="audit-context-unknown",
            level=Level.NOTE,
            where=where,
            problem="the kernel booted without audit=1, and when auditing was first switched on is in no log that can be read: "
            "processes older than that are never recorded, not even after an exec.",
            remedy=_REBOOT,
        )
        return
    older = list_older_processes(first_s, proc=host.proc, boot_s=host.boot_s())
    if older:
        named = ", ".join(f"{pid} {name}" for pid, name in older[:_MOST_NAMED]) + (", …" if len(older) > _MOST_NAMED else "")
        yield Advice(
            code="audit-context",
            level=Level.TRAP,
            where=where,
            problem=f"{len(older)} processes started before auditing was first switched on, and nothing that they do is ever "
            f"recorded: {named}.",
            remedy=f"restart them; or {_REBOOT}",
        )


def check_auditd(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """What auditd is told to write, where, and what it does when the disk is full."""
    where = os.fspath(host.auditd_conf)
    try:
        settings = dict(_SETTING.findall(host.auditd_conf.read_text(errors="surrogateescape")))
    except FileNotFoundError:
        problem = "auditd is not installed here: nobody writes the audit log."
        yield Advice(code="auditd-absent", level=Level.TRAP, where=where, problem=problem, remedy="apt-get install auditd")
        return
    except OSError as error:
        yield _unreadable(where, error)
        return
    if settings.get("write_logs", "yes").lower() == "no" or settings.get("log_format", "").upper() == "NOLOG":
        problem = "auditd is told to write no log."
        yield Advice(code="auditd-no-log", level=Level.TRAP, where=where, problem=problem, remedy=f"in {where}: write_logs = yes")
    log = settings.get("log_file", "/var/log/audit/audit.log")
    if os.fsencode(log) != config.sources.audit_log:
        yield Advice(
            code="auditd-log-file",
            level=Level.TRAP,
            where=where,
            problem=f"auditd writes {log}, and fimkit reads {render_path(config.sources.audit_log)}.",
            remedy=f'in fimkit.toml, under [sources]: audit_log = "{log}"',
        )
    yield from _disk(settings, log, where)


def _disk(settings: dict[str, str], log: str, where: str) -> Iterator[Advice]:
    stops = [
        name
        for name in ("admin_space_left_action", "disk_full_action", "disk_error_action")
        if settings.get(name, "SUSPEND").upper() in ("SUSPEND", "IGNORE")
    ]
    try:
        disk = os.statvfs(os.path.dirname(log))
    except OSError:
        return
    free_mb = disk.f_bavail * disk.f_frsize >> 20
    least = settings.get("space_left", "75")
    least_mb = int(least) if least.isdecimal() else (int(least[:-1]) * (disk.f_blocks * disk.f_frsize >> 20) // 100
                                                     if least[:-1].isdecimal() else 75)  # fmt: skip
    if free_mb < least_mb:
        yield Advice(
            code="auditd-disk",
            level=Level.TRAP if stops else Level.WARNING,
            where=os.path.dirname(log),
            problem=f"{free_mb} MB are free, below auditd's space_left of {least_mb}"
            + (f"; it then stops writing ({stops[0]})." if stops else "."),
            remedy="make room there, or move old logs away",
        )
    elif stops:
        problem = f"when the disk is full, auditd stops writing and changes go unrecorded ({', '.join(stops)})."
        remedy = f"give {os.path.dirname(log)} a file system of its own, and watch its space"
        yield Advice(code="auditd-disk-policy", level=Level.NOTE, where=where, problem=problem, remedy=remedy)


def _reading_way(why: str | None) -> Iterator[Advice]:
    if why is not None:
        yield Advice(
            code="audit-reader",
            level=Level.NOTE,
            where="fimkit.audit._blocks",
            problem=f"audit records are read in Python, the same events at about a third of the speed: {why}.",
            remedy="with gcc and the headers of this Python (python3-dev, python3-devel) there, install fimkit again",
        )


def check_audit_log(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """The log: there, readable, growing, and reaching back further than a day; and how quickly it is read."""
    yield from _reading_way(why_python())
    log = os.fsdecode(config.sources.audit_log)
    shown = render_path(config.sources.audit_log)
    try:
        with open(log, "rb"):
            seen = os.stat(log)
    except FileNotFoundError:
        problem = "there is no audit log: nobody is named for a change."
        remedy = "systemctl enable --now auditd; or name its log in fimkit.toml, under [sources]: audit_log"
        yield Advice(code="audit-log-absent", level=Level.TRAP, where=shown, problem=problem, remedy=remedy)
        return
    except OSError as error:
        yield _unreadable(shown, error)
        return
    idle_s = host.now_s() - seen.st_mtime
    view = host.kernel()
    if idle_s > _DAY_S and (view.status is None or view.status.enabled):
        problem = f"nothing was written to it for {idle_s / 3600:.0f} hours: it does not grow."
        yield Advice(
            code="audit-log-idle",
            level=Level.WARNING,
            where=shown,
            problem=problem,
            remedy="systemctl status auditd; and auditctl -s, for who owns the socket",
        )
    yield from _rotation(config, host, shown)


def _rotation(config: Config, host: DoctorHost, shown: str) -> Iterator[Advice]:
    """Full rotations that reach back less than a day are gone before a nightly check reads them."""
    files = find_rotations(config.sources.audit_log)
    try:
        settings = dict(_SETTING.findall(host.auditd_conf.read_text(errors="surrogateescape")))
        oldest_s = files[0].stat().st_mtime if len(files) > 1 else None
    except OSError:
        return
    most = settings.get("num_logs", "5")
    action = settings.get("max_log_file_action", "ROTATE").upper()
    if oldest_s is None or action != "ROTATE" or not most.isdecimal() or len(files) < int(most):
        return
    reach_s = host.now_s() - oldest_s
    if reach_s < _DAY_S:
        yield Advice(
            code="audit-log-rotation",
            level=Level.WARNING,
            where=shown,
            problem=f"auditd keeps {most} files, and they reach back {reach_s / 3600:.1f} hours: what is older is gone before a "
            "nightly check reads it.",
            remedy=f"in {host.auditd_conf}: num_logs = {min(999, 10 * int(most))}; or run fimkit check more often",
        )
