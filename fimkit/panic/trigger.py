"""Which findings start a panic, and which do not and why. Pure.

The rule: the finding is critical, not expected and no mere try; this host is armed; it was not judged before; no maintenance window
is open; and ``threshold`` distinct ones have come since arming. Where a finding comes from is its giver's to answer for: this
host's own sources alone, never ``investigate``, a log given by hand or a canary.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fimkit.model.config import Config, Host, Panic
from fimkit.model.config_json import thaw
from fimkit.model.errors import ConfigError
from fimkit.model.findings import Finding, Kind, Severity, Verdict
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.time import render_time
from fimkit.model.windows import Window, open_window, parse_window
from fimkit.panic.record import PanicRecord, Phase

__all__ = ["Decision", "Passed", "decide", "may_panic", "why_never"]

_NAMED = 3


class Passed(StrEnum):
    """Why a finding starts no panic."""

    EXPECTED = "expected"      # proved by a package, accepted or announced
    ATTEMPTED = "attempted"    # a denied try
    MAY_BE_OURS = "what an administrator may have done too"
    MINOR = "not critical"
    SEEN = "judged before"
    UNARMED = "not armed"
    UNREADABLE = "the settings that the host was armed with cannot be read"
    WINDOW = "in a maintenance window"
    BELOW = "below the threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done now.

    ``begin``: a panic begins, or, where one goes on, this is added to it; ``cause`` says why, and ``causes`` are its findings.
    ``judged`` and ``counted`` are ids to be noted in the record, durably: after a panic has begun where one begins, so that a crash
    between the two lets it begin again. ``passed`` says of each other finding why it starts nothing; ``words`` is that for people.
    """

    begin: bool = False
    cause: str = ""
    causes: tuple[Finding, ...] = ()
    judged: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    passed: tuple[tuple[Finding, Passed], ...] = ()
    words: tuple[str, ...] = ()


def why_never(finding: Finding) -> Passed | None:
    """Say why a finding could not start a panic on any host; ``None`` for one that could."""
    if finding.verdict is Verdict.EXPECTED:
        return Passed.EXPECTED
    if finding.kind is Kind.ATTEMPTED:
        return Passed.ATTEMPTED
    if finding.kind is Kind.TAMPERED and finding.verdict is not Verdict.SUSPECT:
        return Passed.MAY_BE_OURS
    return None if finding.severity is Severity.CRITICAL else Passed.MINOR


def may_panic(finding: Finding) -> bool:
    """Tell whether a finding could start a panic on an armed host: what this is false for need not be asked about."""
    return why_never(finding) is None


def decide(record: PanicRecord, findings: Iterable[Finding], now_ns: int) -> Decision:
    """Judge findings of this host's own sources.

    While a panic goes on that cuts, each new one is added to it, whatever the threshold and the windows; one that is not to cut
    makes nothing easier for the next. What comes in a window is judged for
    good: it is said, and starts nothing when the window is over.

    Args:
        record: As it is on the disk now.
        findings: Any, in any order; one may come again.
        now_ns: The time.
    """
    passed: list[tuple[Finding, Passed]] = []
    seen, fresh = set(record.seen), dict[str, Finding]()
    for finding in findings:
        why = why_never(finding) or (Passed.SEEN if finding.id in seen else None)
        if why is not None:
            passed.append((finding, why))
        else:
            fresh.setdefault(finding.id, finding)
    return _decide_fresh(record, list(fresh.values()), passed, now_ns)


def _decide_fresh(record: PanicRecord, fresh: Sequence[Finding], passed: list[tuple[Finding, Passed]], now_ns: int) -> Decision:
    if record.phase not in (Phase.ARMED, Phase.TRIGGERED, Phase.CUT) or not fresh:
        passed += [(finding, Passed.UNARMED) for finding in fresh]
        return Decision(passed=tuple(passed), words=tuple(_unarmed_words(record, fresh)))
    ids = tuple(finding.id for finding in fresh)
    try:
        panic, windows = _settings(record)
    except ValueError as error:
        passed += [(finding, Passed.UNREADABLE) for finding in fresh]
        words = f"{_name(fresh)}: no panic begins, for the settings that the host was armed with cannot be read: {error}"
        return Decision(passed=tuple(passed), words=(words,))
    if record.must_be_cut:
        cause = f"while a panic goes on: {_name(fresh)}"
        return Decision(begin=True, cause=cause, causes=tuple(fresh), judged=ids, counted=ids, passed=tuple(passed))
    window = open_window(windows, now_ns)
    if window is not None:
        passed += [(finding, Passed.WINDOW) for finding in fresh]
        return Decision(judged=ids, passed=tuple(passed), words=(_window_words(fresh, window, now_ns),))
    count = len({*record.counted, *ids})
    if count < panic.threshold:
        passed += [(finding, Passed.BELOW) for finding in fresh]
        words = f"{_name(fresh)}: {count} of the {panic.threshold} critical findings that start a panic"
        return Decision(judged=ids, counted=ids, passed=tuple(passed), words=(words,))
    earlier = f", {count} distinct ones since arming" if count > len(ids) else ""
    cause = f"{_name(fresh)}{earlier} (the threshold is {panic.threshold})"
    return Decision(begin=True, cause=cause, causes=tuple(fresh), judged=ids, counted=ids, passed=tuple(passed))


def _settings(record: PanicRecord) -> tuple[Panic, list[Window]]:
    """Give what the host was armed with.

    Raises:
        ValueError: If it is not what was written at arming.
    """
    if "panic" not in record.settings:
        raise ConfigError(["panic: missing"])
    panic = thaw(Config(host=Host(name="")), record.settings).panic
    return panic, list(map(parse_window, panic.windows))


def _unarmed_words(record: PanicRecord, fresh: Sequence[Finding]) -> Iterable[str]:
    """Say it where somebody may think that the host is armed; one that nobody ever armed is told nothing."""
    if fresh and record.phase is Phase.RESTORED:
        yield f"{_name(fresh)}: no panic begins, for the host was restored and not armed since (`fimkit panic arm`)"


def _window_words(fresh: Sequence[Finding], window: Window, now_ns: int) -> str:
    end = render_time(window.end_ns(now_ns))
    return f"{_name(fresh)}: no panic begins, now or later, for it comes in the maintenance window {window.render()} (until {end})"


def _name(findings: Sequence[Finding]) -> str:
    """Name findings in a few words; the names are the attacker's."""
    shown = ", ".join(f"{one.kind.value} {render_terminal(render_path(one.path))}" for one in findings[:_NAMED])
    more = f" and {len(findings) - _NAMED} more" if len(findings) > _NAMED else ""
    return f"{len(findings)} critical finding{'' if len(findings) == 1 else 's'}: {shown}{more}"
