"""When something is told: what cannot wait and what can, at most so many alerts an hour, growing pauses after vain tries. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fimkit.model.findings import Finding, Severity, Verdict

__all__ = ["HOUR_NS", "Fold", "Hour", "Lane", "alert_due_ns", "count_alert", "due_ns", "find_fold", "lane_of", "pause_s"]

HOUR_NS = 3600 * 1_000_000_000
_NS = 1_000_000_000
_SPACING_NS = 5 * _NS  # between two alerts: what a burst brings in one breath is one mail
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60, 3600


class Lane(StrEnum):
    """The two ways to people: digests, and what cannot wait."""

    GENERAL = "general"
    ALERTS = "alerts"


def lane_of(finding: Finding) -> Lane:
    """Tell which way a finding goes: the critical and the suspect go at once. A denied try changed nothing: it can wait."""
    suspect = finding.verdict is Verdict.SUSPECT and finding.severity.rank >= Severity.HIGH.rank
    return Lane.ALERTS if suspect or finding.severity is Severity.CRITICAL else Lane.GENERAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """The hour that alerts are counted in: from when, how many went out, and how many of them told of something critical."""

    began_ns: int | None = None
    alerts: int = 0
    critical: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Why an alert tells of what happened earlier: so many findings waited, since then, as so many alerts had gone out before."""

    count: int
    since_ns: int
    alerts: int
    hour_ns: int


def alert_due_ns(hour: Hour, *, oldest_ns: int | None, last_ns: int | None, most: int, critical: bool) -> int | None:
    """Tell when the next alert is due: at once, or at the end of an hour that has had enough of them.

    Critical ones are counted by themselves: nobody holds one up by a flood of suspects.

    Args:
        hour: What went out in it.
        oldest_ns: When the oldest finding that waits came; ``None`` where none waits.
        last_ns: When the last alert was made, if ever.
        most: ``[mail].alerts_per_h``; 0 is one fold an hour.
        critical: Whether something critical waits.

    >>> full = Hour(began_ns=0, alerts=12, critical=0)
    >>> alert_due_ns(full, oldest_ns=60 * 10**9, last_ns=9, most=12, critical=False) // 10**9
    3600
    >>> alert_due_ns(full, oldest_ns=60 * 10**9, last_ns=9, most=12, critical=True) // 10**9
    60
    """
    if oldest_ns is None:
        return None
    used = hour.critical if critical else hour.alerts
    if used < most:
        return max(oldest_ns, last_ns + _SPACING_NS if last_ns is not None else 0)
    began_ns = oldest_ns if hour.began_ns is None else hour.began_ns
    return max(oldest_ns, began_ns + HOUR_NS)


def count_alert(hour: Hour, *, now_ns: int, critical: bool) -> Hour:
    """Count one alert; the first after an hour begins the next."""
    if hour.began_ns is None or now_ns >= hour.began_ns + HOUR_NS:
        return Hour(began_ns=now_ns, alerts=1, critical=int(critical))
    return Hour(began_ns=hour.began_ns, alerts=hour.alerts + 1, critical=hour.critical + critical)


def find_fold(hour: Hour, added_ns: Sequence[int], *, now_ns: int, most: int) -> Fold | None:
    """Tell what of an alert waited because the hour was full; nothing where it was not.

    Args:
        hour: Before this alert.
        added_ns: When each of its findings came.
        now_ns: The time.
        most: ``[mail].alerts_per_h``.
    """
    waited = [time_ns for time_ns in added_ns if time_ns < now_ns - _SPACING_NS]
    if hour.alerts < most or not waited:
        return None
    began_ns = min(waited) if hour.began_ns is None else hour.began_ns
    return Fold(count=len(waited), since_ns=min(waited), alerts=hour.alerts, hour_ns=began_ns)


def due_ns(*, oldest_ns: int | None, last_ns: int | None, digest_s: int) -> int | None:
    """Tell when the next general mail is due: it waits for what else comes, so that a burst is one mail.

    Args:
        oldest_ns: When the oldest finding that waits came; ``None`` where none waits.
        last_ns: When the last mail was made, if ever.
        digest_s: ``[mail].digest_s``.

    >>> due_ns(oldest_ns=100 * 10**9, last_ns=None, digest_s=300) // 10**9, due_ns(oldest_ns=None, last_ns=5, digest_s=300)
    (400, None)
    """
    if oldest_ns is None:
        return None
    return max(oldest_ns, last_ns or 0) + digest_s * _NS


def pause_s(tries: int) -> int:
    """Tell how long to wait after so many vain tries.

    >>> [pause_s(tries) for tries in (1, 2, 3, 20)]
    [60, 120, 240, 3600]
    """
    return min(_FIRST_PAUSE_S << min(tries - 1, 16), _LONGEST_PAUSE_S)
