"""When something is told: alerts at once, at most so many an hour, and a flood of suspects never holds up what is critical."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.findings import Kind, Severity, Verdict
from fimkit.notify.pace import HOUR_NS, Hour, Lane, alert_due_ns, count_alert, find_fold, lane_of
from tests.notify.letters import finding

__all__: list[str] = []

_S = 1_000_000_000


def test_the_critical_and_the_suspect_cannot_wait_and_a_denied_try_can() -> None:
    page = replace(finding(severity=Severity.HIGH), verdict=Verdict.SUSPECT)
    assert lane_of(finding()) is Lane.ALERTS and lane_of(page) is Lane.ALERTS
    assert lane_of(finding(severity=Severity.MEDIUM)) is Lane.GENERAL
    assert lane_of(replace(page, kind=Kind.ATTEMPTED, severity=Severity.LOW)) is Lane.GENERAL
    assert lane_of(replace(finding(severity=Severity.HIGH), kind=Kind.TRANSIENT)) is Lane.GENERAL


@given(st.lists(st.tuples(st.integers(0, 7 * 3600), st.booleans()), max_size=80), st.integers(0, 5))
def test_whatever_comes_no_hour_has_more_than_its_alerts_and_nothing_waits_longer_than_one(
    comes: list[tuple[int, bool]], most: int
) -> None:
    hour, last_ns, waiting, sent = Hour(), None, list[tuple[int, bool]](), list[tuple[int, bool, Hour]]()
    events = sorted(comes)
    for second in range(0, 9 * 3600, 5):
        now_ns = second * _S
        waiting += [(at * _S, critical) for at, critical in events if second - 5 < at <= second]
        oldest = min((at for at, _ in waiting), default=None)
        critical = any(one for _, one in waiting)
        due = alert_due_ns(hour, oldest_ns=oldest, last_ns=last_ns, most=most, critical=critical)
        if due is not None and due <= now_ns:
            assert oldest is not None and now_ns - oldest <= HOUR_NS + 10 * _S
            hour, last_ns = count_alert(hour, now_ns=now_ns, critical=critical), now_ns
            sent.append((now_ns, critical, hour))
            waiting.clear()
    assert not waiting
    for only_critical in (True, False):
        for _, _, seen in [one for one in sent if one[1] is only_critical]:
            assert (seen.critical if only_critical else seen.alerts) <= max(most, 1)


def test_a_fold_says_how_many_waited_since_when_and_why() -> None:
    full = Hour(began_ns=10 * _S, alerts=2, critical=2)
    fold = find_fold(full, [100 * _S, 50 * _S, 3609 * _S], now_ns=3610 * _S, most=2)
    assert fold is not None and (fold.count, fold.since_ns, fold.alerts, fold.hour_ns) == (2, 50 * _S, 2, 10 * _S)
    assert find_fold(Hour(began_ns=10 * _S, alerts=1), [50 * _S], now_ns=60 * _S, most=2) is None
