"""Put a configuration into place: audit rules in a file and the kernel, the pack for osquery; and take exactly that away again."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from fimkit.audit.advice import LOCKED, advise
from fimkit.audit.kernel import IMMUTABLE, AuditKernel, KernelRefusal
from fimkit.audit.rule_codec import Rule
from fimkit.audit.rules import HEAD, Plan, find_obstacles, plan_rules, render_rule_file
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.own_watches import find_own_program, list_own_places
from fimkit.model.paths import render_path
from fimkit.verbs.hook_files import HookFiles, known_hook_files, plan_hook_files
from fimkit.verbs.installed import Installed, Memory, Part, forget, load_memory, save_memory
from fimkit.verbs.kernel_rules import (
    KernelPlan,
    apply_kernel_plan,
    has_our_key,
    list_rules,
    plan_kernel,
    render_kernel_plan,
)
from fimkit.verbs.osquery_files import OsqueryFiles, known_osquery_files, plan_osquery_files
from fimkit.verbs.own_changes import OwnChanges, announcing
from fimkit.verbs.place import list_mounts, process_name
from fimkit.verbs.planned import FileChange, Known, PlannedFile, plan_removals, plan_writes, render_changes
from fimkit.verbs.viewpoint import Viewpoint, find_viewpoint
from fimkit.verbs.whole_files import below_root, make_folders, read_file, remove_folders

__all__ = ["RULES_FILE", "InstallReport", "install", "uninstall"]

RULES_FILE = "/etc/audit/rules.d/40-fimkit.rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallReport:
    """What was, or with a dry run would be, done.

    ``diff`` is the unified diff of the files and of the kernel's rules, empty if nothing changes; ``words`` are for people;
    ``refused`` says what the host refused, though the rest is done.
    """

    diff: str
    words: tuple[str, ...]
    refused: str | None = None


class _Site:
    """One host's files: this one's, or those below ``--root``."""

    def __init__(self, config: Config, root: str | None, rules_file: str) -> None:
        self.config, self.root, self.rules_path = config, root, rules_file
        self.rules_file = below_root(root, rules_file)
        self.state_dir = below_root(root, config.host.state_dir)
        self.memory = load_memory(self.state_dir, rules_file=rules_file)

    @property
    def text_is_ours(self) -> bool:
        """Whether the rule file was written by an install, by its memory or its first line."""
        text = read_file(self.rules_file)
        return text is not None and (self.memory is not None or text.startswith(HEAD.encode()))

    def owned(self, listed: Sequence[tuple[Rule, bytes]], *, by_key: bool) -> list[Rule]:
        """Which of the kernel's rules are ours: those remembered; without a memory those with the key, if ``by_key``."""
        if self.memory is not None:
            remembered = set(self.memory.rules)
            return [rule for rule, _ in listed if rule in remembered]
        return [rule for rule, _ in listed if by_key and has_our_key(rule)]


class _Todo:
    """What is to be done to a host, the kernel's part aside."""

    def __init__(self, site: _Site, plan: Plan, osquery: OsqueryFiles, hooks: HookFiles, *, keep: Iterable[Part]) -> None:
        rules = PlannedFile(
            path=site.rules_path, part=Part.AUDIT, content=render_rule_file(plan), mode=0o640, folder_mode=0o750
        )
        planned = (rules, *osquery.files, *hooks.files)
        self.plan, self.osquery, self.hooks = plan, osquery, hooks
        self.root = site.root
        changes, rows = plan_writes(planned, site.memory, site.root)
        there = {one.path for one in planned}
        rest = [one for one in (site.memory.files if site.memory else ()) if one.path not in there]
        self.kept = [one for one in rest if one.part in keep]
        self.removals = plan_removals([one for one in rest if one not in self.kept], (), site.root)
        self.changes: list[FileChange] = [*changes, *self.removals]
        self.rows: tuple[Installed, ...] = (*rows, *self.kept)

    def words(self) -> list[str]:
        """What is to be said of osquery's part."""
        words = [*self.osquery.words, *self.hooks.words]
        hooks = {below_root(self.root, one.path) for one in self.hooks.files}
        if any(not change.is_none and change.path not in hooks for change in self.changes[1:]) and self.osquery.reread:
            words.insert(0, self.osquery.reread)
        if self.kept:
            words.append("the extension stays as it is: install --extension renews it, uninstall removes it")
        return words


def _plan(config: Config, root: str | None, view: Viewpoint) -> Plan:
    mounts = list_mounts() if root is None else []
    return plan_rules(config.paths, view.look, mounts=mounts, machine=os.uname().machine)


def install(
    config: Config,
    *,
    dry_run: bool = False,
    root: str | None = None,
    extension: str | None = None,
    hook: str | None = None,
    rules_file: str = RULES_FILE,
    open_kernel: Callable[[], AuditKernel] = AuditKernel,
) -> InstallReport:
    """Write the rule file and the pack, load the rules, read them back. A second time, nothing changes.

    Args:
        config: What to watch, and where the memory for ``uninstall`` is kept (``state_dir``).
        dry_run: Change nothing; give the diff. Needs no right: without it, the kernel's part is said to be unknown.
        root: Write the files of the host below this folder, and leave this kernel alone.
        extension: Have osqueryd start fimkit's extension too, with the configuration of this path; ``None`` leaves it as it is.
        hook: Have package managers call fimkit after an upgrade, with the configuration of this path; ``None`` takes that away.
        rules_file: Where the host's rule file is.
        open_kernel: What gives the kernel's audit.

    Raises:
        HostError: If the kernel or the file system refuses; then all is as before. Rules locked by ``-e 2`` do not raise: the
            files are written, and ``refused`` says that it needs a reboot.
        UsageError: If ``root`` is no folder.
        ConfigError: If fimkit's own queries are missing or damaged.
    """
    site = _Site(config, root, rules_file)
    view = find_viewpoint(config, root, site.memory)
    plan = _plan(config, root, view)
    osquery = plan_osquery_files(config, site.memory, root, extension=extension, view=view)
    todo = _Todo(site, plan, osquery, plan_hook_files(hook, root), keep=_kept_parts(config, extension))
    skipped = (f"{render_path(path)}: {reason}" for path, reason, _ in plan.skipped)
    words = _without_own_absent(config, [*view.words, *skipped, *plan.notes, *todo.words()])
    if root is not None:
        return _finish(site, todo, None, KernelPlan(), words, dry_run=dry_run)
    try:
        with open_kernel() as kernel:
            status = kernel.status()
            listed = list_rules(kernel)
            rules = plan_kernel(plan.rules, listed, site.owned(listed, by_key=site.text_is_ours))
            words += find_obstacles([rule for rule, _ in listed], plan.rules, machine=plan.machine)
            words += advise(status, process_name(status.pid))
            if status.enabled == IMMUTABLE and (rules.add or rules.delete):
                report = _finish(site, todo, None, rules, words, dry_run=dry_run)
                return replace(report, refused=f"{LOCKED}: they come with the next boot, from {site.rules_file}")
            able = None if status.enabled == IMMUTABLE else kernel
            return _finish(site, todo, able, rules, words, dry_run=dry_run)
    except HostError as error:
        if not dry_run:
            raise
        return _finish(site, todo, None, KernelPlan(), [*words, f"the kernel's rules are not known: {error}"], dry_run=True)


def _without_own_absent(config: Config, words: Iterable[str]) -> list[str]:
    """Leave out that something that fimkit stands on is not there: nobody asked for it by name."""
    own = list_own_places(config, program=find_own_program()) if config.self.watch else ()
    absent = tuple(f"{render_path(path)}{end}" for path in own for end in (" does not exist", ": there is no such path"))
    return [one for one in words if not one.startswith(absent)]


def _kept_parts(config: Config, extension: str | None) -> tuple[Part, ...]:
    """What an install without ``--extension`` leaves as it is, where there is an osquery."""
    return () if extension is not None or not config.sources.osquery_config else (Part.EXTENSION,)


def _finish(
    site: _Site, todo: _Todo, kernel: AuditKernel | None, rules: KernelPlan, words: list[str], *, dry_run: bool
) -> InstallReport:
    plan = todo.plan
    diff = render_changes(todo.changes) + _kernel_diff(rules, plan.machine)
    if dry_run:
        return InstallReport(diff=diff, words=tuple(words))
    foreign = set(rules.foreign)
    ours = tuple(rule for rule in plan.rules if rule not in foreign)
    memory = Memory(files=todo.rows, folders=site.memory.folders if site.memory else (), rules=ours)
    if not diff and memory == site.memory:
        words = _join(kernel, plan) + words
        return InstallReport(diff="", words=(f"nothing to change: {len(plan.rules)} rules are in place", *words))
    with _announcing(site, todo.changes, "fimkit install") as own, _Undo(site) as undo:
        undo.folders += make_folders(site.state_dir, 0o700)
        for change in todo.changes:
            if change.now is None and change.after is not None:
                undo.folders += make_folders(change.path.parent, change.folder_mode)
        save_memory(site.state_dir, replace(memory, folders=(*memory.folders, *undo.folders)))
        for change in todo.changes:
            undo.changes.append(change)
            change.make()
        if kernel is not None:
            words = apply_kernel_plan(kernel, rules) + _join(kernel, plan) + words
        undo.done = True
    return InstallReport(diff=diff, words=(*_summary(todo.changes, kernel is not None, rules), *words, *own.words))


def _announcing(site: _Site, changes: Iterable[FileChange], why: str) -> AbstractContextManager[OwnChanges]:
    """What is changed on this host is fimkit's own doing; of a host below a folder, its own fimkit knows nothing."""
    planned = {os.fsencode(one.path): one.after for one in changes if one.now != one.after and site.root is None}
    return announcing(site.config, planned, why=why)


def _join(kernel: AuditKernel | None, plan: Plan) -> list[str]:
    words: list[str] = []
    if kernel is None:
        return words
    for mount, tree in plan.joins:
        try:
            kernel.join_mount(mount, tree)
        except KernelRefusal as error:
            words.append(f"{render_path(mount)}: what is mounted there may go unrecorded: {error}")
    return words


def _summary(changes: Iterable[FileChange], in_kernel: bool, rules: KernelPlan) -> list[str]:
    words = [_told(change) for change in changes] + _asides(changes)
    if in_kernel:
        stay = len(rules.kept) + len(rules.foreign)
        words.append(f"in the kernel: {len(rules.add)} rules added, {len(rules.delete)} removed, {stay} as they were")
    return words


def _told(change: FileChange) -> str:
    if change.is_none:
        return f"as it was: {change.path}"
    return f"{'removed' if change.after is None else 'wrote'} {change.path}"


def _asides(changes: Iterable[FileChange]) -> list[str]:
    words = "was changed by hand since: that text is kept as"
    return [f"{one.path} {words} {one.aside_path}, which augenrules and osqueryd do not read" for one in changes if one.aside]


class _Undo:
    """Puts the files back if what stands in its block does not end well."""

    def __init__(self, site: _Site) -> None:
        self.site = site
        self.changes: list[FileChange] = []
        self.folders: list[str] = []
        self.done = False

    def __enter__(self) -> "_Undo":
        return self

    def __exit__(self, *_: object) -> None:
        if self.done:
            return
        for change in reversed(self.changes):
            change.undo()
        if self.site.memory is not None:
            save_memory(self.site.state_dir, self.site.memory)
        else:
            forget(self.site.state_dir)
        remove_folders(self.folders)


def _kernel_diff(todo: KernelPlan, machine: str) -> str:
    lines = render_kernel_plan(todo, machine=machine)
    return "".join(f"{line}\n" for line in ("--- kernel", "+++ kernel", *lines)) if lines else ""


def uninstall(
    config: Config,
    *,
    dry_run: bool = False,
    root: str | None = None,
    rules_file: str = RULES_FILE,
    open_kernel: Callable[[], AuditKernel] = AuditKernel,
) -> InstallReport:
    """Take away what ``install`` put in place, and put back what was there before; rules of others stay.

    What was installed is told by the memory in ``state_dir``; where that is gone, by the key and the file's first line.

    Args:
        config: Where the memory is.
        dry_run: Change nothing; give the diff.
        root: Only the files below this folder.
        rules_file: Where the host's rule file is.
        open_kernel: What gives the kernel's audit.

    Raises:
        HostError: If the kernel or the file system refuses.
        UsageError: If ``root`` is no folder.
    """
    site = _Site(config, root, rules_file)
    known = () if site.memory else (Known(rules_file), *known_osquery_files(config, root), *known_hook_files(root))
    changes = plan_removals(site.memory.files if site.memory else (), known, root)
    if root is not None:
        return _remove(site, changes, None, KernelPlan(), [], dry_run=dry_run)
    try:
        with open_kernel() as kernel:
            status = kernel.status()
            listed = list_rules(kernel)
            todo = plan_kernel((), listed, site.owned(listed, by_key=True))
            if status.enabled == IMMUTABLE and todo.delete:
                report = _remove(site, changes, None, todo, [], dry_run=dry_run)
                return replace(report, refused=f"{LOCKED}: {len(todo.delete)} of fimkit's go with the next boot")
            return _remove(site, changes, kernel, todo, [], dry_run=dry_run)
    except HostError as error:
        if not dry_run:
            raise
        words = [f"the kernel's rules are not known: {error}"]
        return _remove(site, changes, None, KernelPlan(), words, dry_run=True)


def _remove(
    site: _Site, changes: list[FileChange], kernel: AuditKernel | None, todo: KernelPlan, words: list[str], *, dry_run: bool
) -> InstallReport:
    diff = render_changes(changes) + _kernel_diff(todo, os.uname().machine)
    if dry_run:
        return InstallReport(diff=diff, words=tuple(words))
    if not diff and site.memory is None:
        return InstallReport(diff="", words=("nothing to remove: nothing of fimkit's is in place", *words))
    if kernel is not None:
        words = apply_kernel_plan(kernel, todo) + words
        words.insert(0, f"in the kernel: {len(todo.delete)} rules removed")
    with _announcing(site, changes, "fimkit uninstall") as own:
        for change in changes:
            change.make()
    done = [f"{'removed' if one.after is None else 'put back'} {one.path}" for one in changes if one.now != one.after]
    theirs = [one for one in (site.memory.files if site.memory else ()) if one.stays]
    words = done + words + _asides(changes) + _stayed(site, theirs) + own.words
    others = {site.rules_file, *(below_root(site.root, one.path) for one in known_hook_files(site.root))}
    if any(one.now != one.after and one.path not in others for one in changes):
        words.append("osqueryd keeps what it has read until it starts again: systemctl restart osqueryd")
    forget(site.state_dir)
    if site.memory and (kept := remove_folders(site.memory.folders)):
        words.append(f"not empty, so they stay: {', '.join(kept)}")
    return InstallReport(diff=diff, words=tuple(words))


def _stayed(site: _Site, theirs: Iterable[Installed]) -> list[str]:
    paths = [below_root(site.root, one.path) for one in theirs]
    return [f"{path} was changed since install made it, so it stays" for path in paths if path.exists()]
