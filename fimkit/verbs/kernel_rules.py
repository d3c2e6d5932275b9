"""The kernel's side of `install`: which rules are to come and go, done as one, undone if it fails, and read back."""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fimkit.audit.kernel import AuditKernel, KernelRefusal
from fimkit.audit.rule_codec import FilterList, Rule, decode_rule, encode_rule
from fimkit.audit.rule_text import render_rule
from fimkit.audit.rules import KEY
from fimkit.model.errors import HostError, RecordError

__all__ = ["KernelPlan", "apply_kernel_plan", "has_our_key", "list_rules", "plan_kernel", "render_kernel_plan", "undo_kernel_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPlan:
    """Rules to add, in order, and listed ones to delete. ``kept`` are ours and stay; ``foreign`` are equal, and another's."""

    add: tuple[Rule, ...] = ()
    delete: tuple[tuple[Rule, bytes], ...] = ()
    kept: tuple[Rule, ...] = ()
    foreign: tuple[Rule, ...] = ()


def list_rules(kernel: AuditKernel) -> list[tuple[Rule, bytes]]:
    """List the kernel's rules, each with the bytes that delete it; what no fimkit knows is another's, and left out.

    Raises:
        HostError: If the kernel does not list them.
    """
    known = []
    for raw in kernel.rules():
        try:
            known.append((decode_rule(raw), raw))
        except RecordError:
            continue
    return known


def has_our_key(rule: Rule) -> bool:
    """Tell whether a rule carries fimkit's key."""
    return KEY in rule.keys


def plan_kernel(wanted: Sequence[Rule], listed: Sequence[tuple[Rule, bytes]], owned: Iterable[Rule]) -> KernelPlan:
    """Compare what is wanted with what the kernel has.

    Args:
        wanted: The rules that are to be there.
        listed: The kernel's, as :func:`list_rules` gives them.
        owned: Those of them that an earlier install added; nothing else is ever deleted.
    """
    ours, present = set(owned), {rule for rule, _ in listed}
    return KernelPlan(
        add=tuple(rule for rule in wanted if rule not in present),
        delete=tuple((rule, raw) for rule, raw in listed if rule in ours and rule not in set(wanted)),
        kept=tuple(rule for rule in wanted if rule in present and rule in ours),
        foreign=tuple(rule for rule in wanted if rule in present and rule not in ours),
    )


def apply_kernel_plan(kernel: AuditKernel, plan: KernelPlan) -> list[str]:
    """Do it, and read back that it is done; if the kernel refuses one rule, all is as before.

    Returns:
        What could not be had on this kernel, in words.

    Raises:
        HostError: If the kernel refuses, or lists something else afterwards.
    """
    words: list[str] = []
    done: list[Rule] = []
    try:
        for rule in plan.add:
            try:
                kernel.add(encode_rule(rule))
            except KernelRefusal as error:
                words.append(_excuse(rule, error))
            else:
                done.append(rule)
        for _, raw in plan.delete:
            kernel.delete(raw)
        present = {rule for rule, _ in list_rules(kernel)}
        if lost := [rule for rule in (*done, *plan.kept) if rule not in present]:
            raise HostError(f"the kernel took {len(lost)} rules and does not list them; another tool changes audit rules too")
        if stay := [rule for rule, _ in plan.delete if rule in present]:
            raise HostError(f"{len(stay)} rules that were deleted are listed again; another tool changes audit rules too")
    except BaseException:
        undo_kernel_plan(kernel, plan)
        raise
    return words


def _excuse(rule: Rule, error: KernelRefusal) -> str:
    """Say why a rule that the kernel did not take is no reason to stop; else raise."""
    place = rule.text_of("dir") or rule.text_of("path") or b""
    shown = place.decode(errors="replace")
    if error.errno == errno.EEXIST:
        return f"{shown}: the rule came while fimkit was at work"
    if error.errno == errno.ENOENT:
        return f"{shown}: the folder went away while fimkit was at work; run install again when it is back"
    if error.errno == errno.EINVAL and rule.filter_list is FilterList.IO_URING:
        return f"{shown}: this kernel's audit has no io_uring list: what is done by io_uring is found by the scan alone"
    raise HostError(f"{shown}: {error}") from error


def undo_kernel_plan(kernel: AuditKernel, plan: KernelPlan) -> None:
    """Take back what :func:`apply_kernel_plan` did, as far as it got."""
    listed = dict(list_rules(kernel))
    for rule in plan.add:
        if rule in listed:
            kernel.delete(listed[rule])
    for rule, raw in plan.delete:
        if rule not in listed:
            kernel.add(raw)


def render_kernel_plan(plan: KernelPlan, *, machine: str) -> list[str]:
    """Write the plan as lines of a diff."""
    return [
        *(f"-{render_rule(rule, machine=machine)}" for rule, _ in plan.delete),
        *(f"+{render_rule(rule, machine=machine)}" for rule in plan.add),
    ]
