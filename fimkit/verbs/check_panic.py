"""What a check does on an armed host: what is open is judged by the panic's runner, and a panic is run before the check ends."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fimkit.evidence.store import open_store
from fimkit.model.config import Config
from fimkit.model.config_json import thaw
from fimkit.model.errors import FimkitError, HostError
from fimkit.model.findings import Finding, Verdict
from fimkit.packages.at_work import find_package_managers
from fimkit.packages.sources import gather_package_sources
from fimkit.panic.helper_client import connect_helper
from fimkit.panic.record import load_record
from fimkit.panic.trigger import may_panic
from fimkit.verbs.explain import explain, keep_pins, may_be_explained
from fimkit.verbs.panic_guard import PanicGuard
from fimkit.verbs.panic_notices import is_armed

__all__ = ["Judged", "judge_open"]

_AGAIN_S = 2.0
_GRACE_S = 60.0


class Judged(NamedTuple):
    """Findings that packages explained meanwhile, and words."""

    findings: list[Finding]
    words: list[str]


def judge_open(
    config: Config, findings: Sequence[Finding], *, by_hand: bool, nomail: bool, nokill: bool, runner: Sequence[str],
    undone: Sequence[Finding] = (),
) -> Judged:
    """Hand what may start a panic to the runner, and wait for its answer: where one begins, until it is over.

    Nothing is done where the host is not armed, or all was judged before. A package manager at work is waited for, at most
    ``package_hold_s``: what it has put there by then is explained.

    Args:
        config: As its file has it.
        findings: All that are open, of this host.
        by_hand: The logs were given by hand: what they say starts no panic.
        nomail: A panic sends nothing.
        nokill: A panic cuts nothing.
        runner: Its command.
        undone: What was open, and is no more: done again, it is new.
    """
    words: list[str] = []
    try:
        record = load_record(config.host.state_dir)
        armed = thaw(config, record.settings)
    except FimkitError as error:
        return Judged([], [f"whether this host is to panic cannot be known: {error}"])
    if is_armed(record) and (known := {finding.id for finding in undone}.intersection((*record.seen, *record.counted))):
        record = record.without(known)
        words += _forget(config, sorted(known))
    seen = set(record.seen)
    asked = [finding for finding in findings if may_panic(finding) and finding.id not in seen]
    if not is_armed(record) or not asked:
        return Judged([], words)
    if by_hand:
        words.append(f"this host is armed; logs given by hand start no panic, so {len(asked)} critical findings start none")
        return Judged([], words)
    explained = _wait_for_packages(armed, asked, words)
    now = {finding.id: finding for finding in explained}
    panic = armed.panic
    with PanicGuard(config, nomail=nomail, nokill=nokill, live=False, command=runner) as guard:
        guard.whole([now.get(finding.id, finding) for finding in findings])
        words += _wait_for_answer(guard, panic.deadline_s + panic.capture_s + _GRACE_S)
    return Judged(explained, words)


def _forget(config: Config, ids: Sequence[str]) -> Iterator[str]:
    """Have the helper forget that what was undone was judged."""
    try:
        with connect_helper(config.host.state_dir) as helper:
            helper.forget(ids)
    except HostError as error:
        yield f"what was undone still counts as judged: {error}"


def _wait_for_packages(config: Config, findings: Iterable[Finding], words: list[str]) -> list[Finding]:
    """Explain again what a package manager may have done, until it is not at work any more; give what is explained by then."""
    waiting = [finding for finding in findings if may_be_explained(config, finding)]
    explained: list[Finding] = []
    until = time.monotonic() + config.panic.package_hold_s
    if waiting and _at_work(config):
        words.append(
            f"a package manager is at work: {len(waiting)} critical findings that it may explain are judged when it is done,"
            f" in {config.panic.package_hold_s} s at the latest"
        )
    while waiting:
        was_at_work = _at_work(config)  # one that ends while the question is worked on has shown a half-done database
        done = _explain_again(config, waiting, words)
        explained += [finding for finding in done if finding.verdict is Verdict.EXPECTED]
        waiting = [finding for finding in done if finding.verdict is not Verdict.EXPECTED]
        left_s = until - time.monotonic()
        if not was_at_work or not waiting:
            break
        if left_s <= 0:
            words.append(f"it is at work after {config.panic.package_hold_s} s: {len(waiting)} findings are judged as they are")
            break
        time.sleep(min(_AGAIN_S, left_s))
    return explained


def _at_work(config: Config) -> bool:
    return bool(find_package_managers(gather_package_sources(config.sources.package_root)))


def _explain_again(config: Config, findings: Sequence[Finding], words: list[str]) -> list[Finding]:
    try:
        with open_store(config.host.state_dir) as store:
            done = explain(config, findings, store.pins())
            proved = [finding for finding in done.findings if finding.verdict is Verdict.EXPECTED]
            with store.transaction():
                keep_pins(store, done)
                store.add_findings(proved, now_ns=max((finding.last_seen_ns for finding in proved), default=0))
    except FimkitError as error:
        words.append(f"the packages cannot be asked again: {error}")
        return list(findings)
    return list(done.findings)


def _wait_for_answer(guard: PanicGuard, patience_s: float) -> Iterator[str]:
    answered = guard.wait(patience_s)
    yield from guard.read().words
    if not answered:
        yield f"the panic's runner gave no answer in {patience_s:.0f} s; {guard.problem or 'it may still be at work'}"
    elif guard.incident:
        yield f"a panic was run: incident {guard.incident}"
