"""What a package manager's hook does: hand over to a process that waits until it is through, and takes what is proved.

The manager waits for nothing but the handing over. Several calls in one upgrade are one acceptance: a mark on the disk says that
there is something to be looked at, and one process at a time looks. Nothing but what it accepts is stored: what is left open is
found, told and judged by the watch or the next check, as ever, and starts no panic from here.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store
from fimkit.model.config import Config
from fimkit.model.config_text import load_config
from fimkit.model.errors import FimkitError, HostError, StoreError
from fimkit.model.findings import ANNOUNCED, ANNOUNCED_BYTES, Finding, Verdict, is_content_reason
from fimkit.model.own_process import own_command
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.time import render_time
from fimkit.packages.at_work import MANAGERS, find_package_managers
from fimkit.packages.sources import gather_package_sources
from fimkit.verbs.accept import Item, Plan, plan_findings
from fimkit.verbs.accept_notice import notify_accepted
from fimkit.verbs.baseline import open_baseline
from fimkit.verbs.check import explain_now
from fimkit.verbs.explain import keep_pins
from fimkit.verbs.keep_contents import ContentKeeper
from fimkit.verbs.report_file import append_lines
from fimkit.verbs.whole_files import read_file, write_whole

__all__ = ["Taken", "hand_over", "main", "reason_of", "take_proved", "wait_for_managers"]

_SYSTEMD = "/run/systemd/system"
_SYSTEMD_RUN = "/usr/bin/systemd-run"
_START_S = 10.0
_POLL_S = 0.5
_QUIET_POLLS = 3
_LONGEST_S = 4 * 3600.0
_LOCK_S = 1800.0
_HANDED_S = 10.0
_NAMED = 5
_NOTICE = 5  # as syslog's priority
_SHIPS = " ships it so: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of one upgrade: what was accepted, by how many packages' proofs; what was refused or is left open, in words."""

    items: tuple[Item, ...] = ()
    whys: tuple[str, ...] = ()
    left: tuple[bytes, ...] = ()
    words: tuple[str, ...] = ()


def _mark(config: Config, manager: str) -> Path:
    return Path(os.fsdecode(config.host.state_dir)) / f"hook-{manager}.json"


def hand_over(config: Config, config_path: str, manager: str, *, caller: str, systemd_run: str = _SYSTEMD_RUN) -> str:
    """Note that a manager is at work, and start what looks after it; give words on it. Returns within seconds.

    Args:
        config: The configuration.
        config_path: Its file.
        manager: ``apt`` or ``dnf``.
        caller: Who runs the manager, for the words.
        systemd_run: What keeps the process when the manager's own unit ends; used where systemd runs this host.

    Raises:
        HostError: If the host refuses.
    """
    if not config.packages.hook:
        return "[packages] hook is false: nothing is taken into the baseline; `fimkit install` takes this hook away"
    open_baseline(config)[0].close()
    row = {"manager": manager, "caller": caller, "time": render_time(time.time_ns())}
    write_whole(_mark(config, manager), json.dumps(row).encode() + b"\n", 0o600)
    command = own_command("fimkit.verbs.package_hook", os.path.abspath(config_path))
    if not (os.path.isdir(_SYSTEMD) and os.path.exists(systemd_run) and _start_by_systemd(systemd_run, command)):
        _start(command)
    return f"when {manager} is through, what is proved of its work goes into the baseline; the journal says what came of it"


def _start_by_systemd(systemd_run: str, command: Sequence[str]) -> bool:
    """Start it as a unit of its own: the manager's, as of dnf-automatic, ends all that it leaves behind."""
    words = (systemd_run, "--quiet", "--no-block", "--collect", "--property=Nice=10", "--description=fimkit after an upgrade", "--")
    try:
        done = subprocess.run((*words, *command), stdin=subprocess.DEVNULL, capture_output=True, timeout=_START_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _start(command: Sequence[str]) -> None:
    subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/"
    )


def wait_for_managers(
    find: Callable[[], Sequence[int]], *, sleep: Callable[[float], None] = time.sleep, longest_s: float = _LONGEST_S
) -> bool:
    """Wait until no package manager holds its lock, for a moment; tell whether that came in time.

    >>> answers = iter([(7,), (), (7,), (), (), ()])
    >>> wait_for_managers(lambda: next(answers), sleep=lambda s: None), list(answers)
    (True, [])
    """
    quiet, left = 0, longest_s
    while quiet < _QUIET_POLLS:
        quiet = 0 if find() else quiet + 1
        if left <= 0:
            return False
        if quiet < _QUIET_POLLS:
            sleep(_POLL_S)
            left -= _POLL_S
    return True


def reason_of(finding: Finding, manager: str) -> str | None:
    """Give the reason to accept a finding for: package, version, and what proves it; ``None`` for one that no package explains."""
    if finding.verdict is not Verdict.EXPECTED or any(text.startswith((ANNOUNCED, ANNOUNCED_BYTES)) for text in finding.reasons):
        return None
    words = next((text for text in finding.reasons if not is_content_reason(text)), None)
    if words is None:
        return None
    package, ships, proof = words.partition(_SHIPS)
    return f"{manager}: {package} (proved: {proof})" if ships else f"{manager}: {words}"


def take_proved(config: Config, manager: str) -> Taken:
    """Look at the host, and take into the baseline what packages are proved to have brought, in one transaction.

    Each package's paths are an acceptance of their own, by ``apt-hook`` or ``dnf-hook``, with the package, its version and what
    proves it as the reason.

    Raises:
        UsageError: If there is no baseline.
        HostError: If the host refuses the store, or another fimkit is at work for too long.
        StoreError: If the store cannot be used, or what packages are trusted by was altered in it.
    """
    unkept: list[str] = []
    with lock_state(config.host.state_dir, _LOCK_S, verb=f"{manager} hook"):
        store, meta = open_baseline(config)
        with store:
            _check_trust(store)
            look, explained = explain_now(config, store, meta.time_ns)
            proved = {one.id: why for one in explained.findings if (why := reason_of(one, manager)) is not None}
            plan = plan_findings(store, [one for one in explained.findings if one.id in proved])
            with store.transaction():
                keep_pins(store, explained)
                chosen = {item.finding_id for item in plan.items}
                store.add_findings([one for one in explained.findings if one.id in chosen], now_ns=look.seen_ns)
                _accept(store, plan, proved, who=f"{manager}-hook")
            unkept = ContentKeeper(config).keep_accepted([pair for item in plan.items for pair in item.pairs])
            sealed = bool(plan.items and store.seals())
    taken = {item.finding_id for item in plan.items}
    left = [one.moved_to or one.path for one in explained.findings if one.id not in taken and one.verdict is not Verdict.EXPECTED]
    whys = tuple(dict.fromkeys(proved[item.finding_id] for item in plan.items if item.finding_id is not None))
    words = [*explained.words, *plan.refused, *unkept]
    if sealed:
        words.append("the seal is older than the baseline now: look at what was accepted, and run `fimkit baseline seal` again")
    notice = notify_accepted(config, [item.path for item in plan.items], who=f"{manager}-hook", why="; ".join(whys[:_NAMED]))
    words += [] if notice is None else [f"this host is armed: {notice}"]
    return Taken(items=plan.items, whys=whys, left=tuple(sorted(left)), words=tuple(words))


def _check_trust(store: Store) -> None:
    """See that what packages are trusted by is as it was stored: nobody reads what is accepted here before it is."""
    if not store.are_pins_whole():
        raise StoreError("what packages are trusted by was altered past fimkit; `fimkit check` tells it, `baseline pin` renews it")


def _accept(store: Store, plan: Plan, whys: dict[str, str], *, who: str) -> None:
    now_ns, groups = time.time_ns(), dict[str, list[Item]]()
    for item in plan.items:
        assert item.finding_id is not None
        groups.setdefault(whys[item.finding_id], []).append(item)
    for why, items in groups.items():
        pairs = [pair for item in items for pair in item.pairs]
        store.accept(pairs, who=who, why=why, time_ns=now_ns, finding_ids=[item.finding_id for item in items if item.finding_id])


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _render(manager: str, caller: str, taken: Taken) -> list[str]:
    """Write what came of it for people, the sum first."""
    packages = {why.partition(" (proved: ")[0] for why in taken.whys}
    by = f", run by {caller}" if caller else ""
    sum_ = (
        f"{manager}{by}: {_count(len(packages), 'package', 'packages')}, {_count(len(taken.items), 'path', 'paths')} taken into the"
        f" baseline by proof, {len(taken.left)} left open"
    )
    lines = [sum_]
    named = [render_path(path) for path in taken.left[:_NAMED]]
    if named:
        more = f" and {len(taken.left) - _NAMED} more" if len(taken.left) > _NAMED else ""
        lines.append(f"left open, for nothing proves it: {', '.join(named)}{more}; `fimkit check` shows them")
    return [*lines, *taken.whys, *taken.words]


def _tell(config: Config, lines: Sequence[str]) -> None:
    """Have the journal, the report file and the general recipients hear it; what cannot be told there is in the journal."""
    from fimkit.notify.journal import log_locally

    lines = [render_terminal(line) for line in lines]
    problems = list(_mail(config, lines))
    try:
        append_lines(config.host.report_file, [f"{render_time(time.time_ns())} {config.host.name} {line}" for line in lines])
    except HostError as error:
        problems.append(str(error))
    log_locally("\n".join([*lines, *problems]), priority=_NOTICE, fields={"FIMKIT_KIND": "package-hook"})


def _mail(config: Config, lines: Sequence[str]) -> Iterator[str]:
    recipients = tuple(dict.fromkeys(config.mail.general_recipients))
    if not recipients or not config.mail.smtp_server or config.mail.nomail:
        return
    from email import policy

    from fimkit.evidence.heads import head_lines
    from fimkit.notify.compose import compose_notice
    from fimkit.notify.mail import sender_of
    from fimkit.notify.message import build_message, with_lines
    from fimkit.notify.outbox import Draft, Outbox
    from fimkit.verbs.panic_notices import send_waiting

    now_ns = time.time_ns()
    letter = with_lines(compose_notice(config.host.name, "upgrade", lines), head_lines(config.host.state_dir))
    message = build_message(letter, sender=sender_of(config), recipients=recipients, time_ns=now_ns)
    try:
        with Outbox(config.host.state_dir) as outbox:
            outbox.post([Draft(message=message.as_bytes(policy=policy.SMTP), recipients=recipients)], now_ns=now_ns)
    except (FimkitError, OSError) as error:
        yield f"no mail: {error}"
        return
    yield from send_waiting(config)


def _take_mark(config: Config, manager: str) -> str | None:
    """Take the mark away, and give who ran the manager; ``None`` where there is no mark."""
    mark = _mark(config, manager)
    raw = read_file(mark)
    if raw is None:
        return None
    mark.unlink(missing_ok=True)
    try:
        return str(json.loads(raw)["caller"])
    except (ValueError, KeyError, TypeError):
        return ""


def _work(config: Config, manager: str) -> None:
    sources = gather_package_sources(config.sources.package_root)
    if not wait_for_managers(lambda: find_package_managers(sources)):
        _mark(config, manager).unlink(missing_ok=True)
        _tell(config, [f"{manager} is at work for hours: nothing of it was taken into the baseline"])
        return
    caller = _take_mark(config, manager)
    if caller is None:
        return
    try:
        taken = take_proved(config, manager)
    except FimkitError as error:
        _tell(config, [f"{manager}: nothing was taken into the baseline: {error}"])
        return
    _tell(config, _render(manager, caller, taken))


def _marked(config: Config) -> str | None:
    return next((manager for manager in MANAGERS if _mark(config, manager).exists()), None)


def main() -> int:
    """Look after what a manager did, and after what is begun meanwhile; one process at a time."""
    config = load_config(sys.argv[1])
    os.nice(10)
    try:
        # Who holds the lock looks for a mark once more before letting go of it: where it is held for longer, this one's is seen.
        with lock_state(config.host.state_dir, _HANDED_S, verb="package hook", name=b"hook.lock"):
            while (manager := _marked(config)) is not None:
                _work(config, manager)
    except HostError:
        return 0 if _marked(config) is not None else 3
    return 0
