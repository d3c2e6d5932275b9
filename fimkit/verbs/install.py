"""Put the audit rules of a configuration into `/etc/audit/rules.d` and the kernel, and take exactly those away again."""

import difflib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fimkit.audit.advice import LOCKED, advise
from fimkit.audit.kernel import IMMUTABLE, AuditKernel, KernelRefusal
from fimkit.audit.rule_codec import Rule
from fimkit.audit.rules import HEAD, Plan, find_obstacles, plan_rules, render_rule_file
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.verbs.installed import (
    Memory,
    below_root,
    forget,
    load_memory,
    make_folders,
    read_file,
    remove_folders,
    save_memory,
    sync_folder,
    write_whole,
)
from fimkit.verbs.kernel_rules import (
    KernelPlan,
    apply_kernel_plan,
    has_our_key,
    list_rules,
    plan_kernel,
    render_kernel_plan,
)
from fimkit.verbs.place import list_mounts, look_at, process_name

__all__ = ["RULES_FILE", "InstallReport", "install", "uninstall"]

RULES_FILE = "/etc/audit/rules.d/40-fimkit.rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallReport:
    """What was, or with a dry run would be, done.

    ``diff`` is the unified diff of the file and of the kernel's rules, empty if nothing changes; ``words`` are for people;
    ``refused`` says what the host refused, though the rest is done.
    """

    diff: str
    words: tuple[str, ...]
    refused: str | None = None


class _Site:
    """One host's files: this one's, or those below ``--root``."""

    def __init__(self, config: Config, root: str | None, rules_file: str) -> None:
        self.rules_file = below_root(root, rules_file)
        self.state_dir = below_root(root, config.host.state_dir)
        self.memory = load_memory(self.state_dir)
        self.text = read_file(self.rules_file)

    @property
    def text_is_ours(self) -> bool:
        """Whether the rule file was written by an install, by its memory or its first line."""
        return self.text is not None and (self.memory is not None or self.text.startswith(HEAD.encode()))

    def owned(self, listed: Sequence[tuple[Rule, bytes]], *, by_key: bool) -> list[Rule]:
        """Which of the kernel's rules are ours: those remembered; without a memory those with the key, if ``by_key``."""
        if self.memory is not None:
            remembered = set(self.memory.rules)
            return [rule for rule, _ in listed if rule in remembered]
        return [rule for rule, _ in listed if by_key and has_our_key(rule)]


def _plan(config: Config, root: str | None) -> Plan:
    base = os.fsencode(Path(root).absolute()) if root is not None else b""
    mounts = list_mounts() if root is None else []
    return plan_rules(config.paths, lambda path: look_at(path, base), mounts=mounts, machine=os.uname().machine)


def install(
    config: Config,
    *,
    dry_run: bool = False,
    root: str | None = None,
    rules_file: str = RULES_FILE,
    open_kernel: Callable[[], AuditKernel] = AuditKernel,
) -> InstallReport:
    """Write the rule file, load the rules, read them back. A second time, nothing changes.

    Args:
        config: What to watch, and where the memory for ``uninstall`` is kept (``state_dir``).
        dry_run: Change nothing; give the diff. Needs no right: without it, the kernel's part is said to be unknown.
        root: Write the files of the host below this folder, and leave this kernel alone.
        rules_file: Where the host's rule file is.
        open_kernel: What gives the kernel's audit.

    Raises:
        HostError: If the kernel or the file system refuses; then all is as before. Rules locked by ``-e 2`` do not raise: the
            file is written, and ``refused`` says that it needs a reboot.
        UsageError: If ``root`` is no folder.
    """
    site = _Site(config, root, rules_file)
    plan = _plan(config, root)
    words = [f"{render_path(path)}: {reason}" for path, reason, _ in plan.skipped] + list(plan.notes)
    if root is not None:
        return _finish(site, plan, None, KernelPlan(), words, dry_run=dry_run)
    try:
        with open_kernel() as kernel:
            status = kernel.status()
            listed = list_rules(kernel)
            todo = plan_kernel(plan.rules, listed, site.owned(listed, by_key=site.text_is_ours))
            words += find_obstacles([rule for rule, _ in listed], plan.rules, machine=plan.machine)
            words += advise(status, process_name(status.pid))
            if status.enabled == IMMUTABLE and (todo.add or todo.delete):
                report = _finish(site, plan, None, todo, words, dry_run=dry_run)
                return replace(report, refused=f"{LOCKED}: they come with the next boot, from {site.rules_file}")
            able = None if status.enabled == IMMUTABLE else kernel
            return _finish(site, plan, able, todo, words, dry_run=dry_run)
    except HostError as error:
        if not dry_run:
            raise
        return _finish(site, plan, None, KernelPlan(), [*words, f"the kernel's rules are not known: {error}"], dry_run=True)


def _finish(
    site: _Site, plan: Plan, kernel: AuditKernel | None, todo: KernelPlan, words: list[str], *, dry_run: bool
) -> InstallReport:
    text = render_rule_file(plan)
    diff = _diff(site, text) + _kernel_diff(todo, plan.machine)
    if dry_run:
        return InstallReport(diff=diff, words=tuple(words))
    foreign = set(todo.foreign)
    rules = tuple(rule for rule in plan.rules if rule not in foreign)
    before = site.memory.before if site.memory else None if site.text_is_ours else site.text
    memory = Memory(before=before, written=text, folders=site.memory.folders if site.memory else (), rules=rules)
    if not diff and memory == site.memory:
        words = _join(kernel, plan) + words
        return InstallReport(diff="", words=(f"nothing to change: {len(plan.rules)} rules are in place", *words))
    with _Undo(site) as undo:
        made = (*make_folders(site.state_dir, 0o700), *make_folders(site.rules_file.parent, 0o750))
        undo.folders = made
        save_memory(site.state_dir, replace(memory, folders=(*memory.folders, *made)))
        if site.text != text:
            write_whole(site.rules_file, text, 0o640)
        if kernel is not None:
            words = apply_kernel_plan(kernel, todo) + _join(kernel, plan) + words
        undo.done = True
    return InstallReport(diff=diff, words=(*_summary(site, text, kernel is not None, todo), *words))


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


def _summary(site: _Site, text: bytes, in_kernel: bool, todo: KernelPlan) -> list[str]:
    words = [f"{'wrote' if site.text != text else 'as it was:'} {site.rules_file}"]
    if in_kernel:
        stay = len(todo.kept) + len(todo.foreign)
        words.append(f"in the kernel: {len(todo.add)} rules added, {len(todo.delete)} removed, {stay} as they were")
    return words


class _Undo:
    """Puts the files back if what stands in its block does not end well."""

    def __init__(self, site: _Site) -> None:
        self.site = site
        self.folders: tuple[str, ...] = ()
        self.done = False

    def __enter__(self) -> "_Undo":
        return self

    def __exit__(self, *_: object) -> None:
        if self.done:
            return
        _restore_text(self.site.rules_file, self.site.text)
        if self.site.memory is not None:
            save_memory(self.site.state_dir, self.site.memory)
        else:
            forget(self.site.state_dir)
        remove_folders(self.folders)


def _restore_text(path: Path, text: bytes | None) -> None:
    if text is not None:
        write_whole(path, text, 0o640)
    elif path.exists():
        path.unlink()
        sync_folder(path.parent)


def _diff(site: _Site, after: bytes | None) -> str:
    texts = (site.text, after)
    # Not splitlines(), which breaks lines where auditctl does not.
    old, new = ([f"{line}\n" for line in os.fsdecode(text or b"").split("\n")[:-1]] for text in texts)
    from_file, to_file = ("/dev/null" if text is None else str(site.rules_file) for text in texts)
    return "".join(difflib.unified_diff(old, new, from_file, to_file))


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
    if root is not None:
        return _remove(site, None, KernelPlan(), [], dry_run=dry_run)
    try:
        with open_kernel() as kernel:
            status = kernel.status()
            listed = list_rules(kernel)
            todo = plan_kernel((), listed, site.owned(listed, by_key=True))
            if status.enabled == IMMUTABLE and todo.delete:
                report = _remove(site, None, todo, [], dry_run=dry_run)
                return replace(report, refused=f"{LOCKED}: {len(todo.delete)} of fimkit's go with the next boot")
            return _remove(site, kernel, todo, [], dry_run=dry_run)
    except HostError as error:
        if not dry_run:
            raise
        return _remove(site, None, KernelPlan(), [f"the kernel's rules are not known: {error}"], dry_run=True)


def _remove(site: _Site, kernel: AuditKernel | None, todo: KernelPlan, words: list[str], *, dry_run: bool) -> InstallReport:
    after = site.memory.before if site.memory else None if site.text_is_ours else site.text
    diff = _diff(site, after) + _kernel_diff(todo, os.uname().machine)
    if dry_run:
        return InstallReport(diff=diff, words=tuple(words))
    if not diff and site.memory is None:
        return InstallReport(diff="", words=("nothing to remove: nothing of fimkit's is in place", *words))
    if kernel is not None:
        words = apply_kernel_plan(kernel, todo) + words
        words.insert(0, f"in the kernel: {len(todo.delete)} rules removed")
    if site.memory and site.text is not None and site.text != site.memory.written:
        aside = site.rules_file.with_name(site.rules_file.name + ".changed")
        write_whole(aside, site.text, 0o640)
        words.append(f"{site.rules_file} was changed by hand since: that text is kept as {aside}, which augenrules does not read")
    if site.text != after:
        _restore_text(site.rules_file, after)
        words.insert(0, f"{'removed' if after is None else 'put back'} {site.rules_file}")
    forget(site.state_dir)
    if site.memory and (kept := remove_folders(site.memory.folders)):
        words.append(f"not empty, so they stay: {', '.join(kept)}")
    return InstallReport(diff=diff, words=tuple(words))
