"""What would keep a panic from working, of the configuration and the helper: each with its remedy. The host's part is beside it."""

import shutil
from collections.abc import Iterator, Sequence

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.findings import Tier
from fimkit.model.paths import render_path, render_terminal
from fimkit.panic.commands import PROGRAM_PATH
from fimkit.panic.namespaces import machine_namespace
from fimkit.panic.ruleset import parse_peer
from fimkit.verbs.panic_view import PanicView
from fimkit.verbs.ssh_session import SshSession

__all__ = ["START_HELPER", "check_allow", "check_helper", "check_programs", "check_settings"]

START_HELPER = "systemctl enable --now fimkit-panic; without systemd: fimkit panic helper, as root, from what starts services here"
"""What gets a helper to its place."""

_HELPER = "fimkit-panic.service"
_REST_S = 5  # for the evidence: what the mail leaves of a panic's deadline should be at least that


def check_helper(view: PanicView) -> Iterator[Advice]:
    """The record can be read, and a helper is there that may cut, in this network."""
    if view.record_problem:
        yield Advice(
            code="panic-record",
            level=Level.TRAP,
            where=f"{render_path(view.config.host.state_dir)}/panic/record.json",
            problem=f"{view.record_problem}.",
            remedy="look into it, then arm again: fimkit panic arm",
        )
    hello = view.hello
    if hello is None:
        yield Advice(code="panic-helper", level=Level.TRAP, where=_HELPER, problem=f"{view.helper_problem}.", remedy=START_HELPER)
        return
    where = f"{_HELPER} (process {hello.pid})"
    if not hello.can_cut:
        rights = ", ".join(hello.rights) or "none"
        yield Advice(
            code="panic-helper-rights",
            level=Level.TRAP,
            where=where,
            problem=f"the helper may not cut: it lacks NET_ADMIN (it has: {rights}).",
            remedy="run it as root, with CAP_NET_ADMIN in its CapabilityBoundingSet",
        )
    if hello.problem:
        yield Advice(
            code="panic-helper-problem",
            level=Level.WARNING,
            where=where,
            problem=f"the helper says: {hello.problem}.",
            remedy="see to it; then systemctl restart fimkit-panic",
        )
    if hello.namespace != machine_namespace().inode:
        yield Advice(
            code="panic-helper-namespace",
            level=Level.WARNING,
            where=where,
            problem=f"the helper is in another network namespace ({hello.namespace}) than this process: it cuts that one alone.",
            remedy="take PrivateNetwork and NetworkNamespacePath out of its unit, if that is not meant",
        )
    yield from _check_keep(view)


def _check_keep(view: PanicView) -> Iterator[Advice]:
    panic = view.config.panic
    if view.plan is None or view.plan.action != "down" or view.plan.down or not panic.keep_interfaces:
        return
    yield Advice(
        code="panic-keep",
        level=Level.WARNING if panic.nokill or panic.killswitch else Level.TRAP,
        where="[panic] keep_interfaces",
        problem=f"no link would go down now: {', '.join(map(render_terminal, view.plan.kept))} stay as they are.",
        remedy="in fimkit.toml, under [panic]: fewer keep_interfaces; or nokill = true, if nothing is to be cut",
    )


def check_settings(config: Config) -> Iterator[Advice]:
    """Switches that were left on, and times that leave no room."""
    if config.panic.nokill:
        yield Advice(
            code="panic-nokill",
            level=Level.WARNING,
            where="[panic] nokill",
            problem="nokill is on: a panic gathers and tells, and cuts nothing.",
            remedy="in fimkit.toml, under [panic]: nokill = false",
        )
    least_s = config.mail.deadline_s + _REST_S
    if config.panic.deadline_s < least_s and not config.mail.nomail:
        yield Advice(
            code="panic-deadline",
            level=Level.WARNING,
            where="[panic] deadline_s",
            problem=f"from the trigger to the cut there are {config.panic.deadline_s} s, and the mail alone may take "
            f"{config.mail.deadline_s}: the evidence, or the mail, may not be done.",
            remedy=f"in fimkit.toml: [panic] deadline_s = {least_s} or more, or a shorter [mail] deadline_s",
        )
    if not any(watch.tier is Tier.CRITICAL for watch in config.paths):
        yield Advice(
            code="panic-no-critical",
            level=Level.WARNING,
            where="[[paths]]",
            problem="no path is critical: no change starts a panic, only fimkit panic trigger does.",
            remedy='in fimkit.toml, for a path that must never change: tier = "critical"',
        )


def check_programs(config: Config) -> Iterator[Advice]:
    """The programs of the configured commands are there, on the path that a panic runs them with."""
    panic = config.panic
    for name, commands in (("recon", panic.recon), ("packetgrab", panic.packetgrab), ("killswitch", panic.killswitch)):
        for command in commands:
            if shutil.which(command[0], path=PROGRAM_PATH) is None:
                yield Advice(
                    code="panic-program",
                    level=Level.WARNING,
                    where=f"[panic] {name}",
                    problem=f"there is no program {render_terminal(command[0])} in {PROGRAM_PATH}: that step gives nothing.",
                    remedy="install it, write its whole path, or take it out of fimkit.toml",
                )


def check_allow(config: Config, sessions: Sequence[SshSession]) -> Iterator[Advice]:
    """Who isolates a host should not lock itself out."""
    if config.panic.action != "isolate":
        return
    allowed = {(str(peer.address), peer.port) for peer in map(parse_peer, config.panic.allow)}
    if not allowed:
        yield Advice(
            code="panic-allow",
            level=Level.WARNING,
            where="[panic] allow",
            problem="it is empty: isolated, this host is reached from its console alone.",
            remedy='in fimkit.toml, under [panic]: allow = ["192.0.2.10:22"], the address that you come from and the port here',
        )
        return
    for session in sessions:
        if session.own and (session.peer, session.local_port) not in allowed:
            peer = f"[{session.peer}]" if ":" in session.peer else session.peer
            yield Advice(
                code="panic-allow",
                level=Level.WARNING,
                where="[panic] allow",
                problem=f"{session} is not in it: it ends with the cut.",
                remedy=f'in fimkit.toml, under [panic]: allow = ["{peer}:{session.local_port}", …]',
            )
