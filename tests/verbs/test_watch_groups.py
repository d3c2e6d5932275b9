"""What is told one by one, and what as a burst."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.findings import Finding, Severity
from fimkit.verbs.watch_groups import FEW, LONGEST_S, MOST, QUIET_S, WINDOW_S, FindingGroup, Grouper, render_group
from tests.evidence.examples import a_finding


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def findings(count: int, folder: str = "/w", start: int = 0) -> list[Finding]:
    one = a_finding(severity=Severity.LOW)
    return [replace(one, id=f"{folder}{number}", path=f"{folder}/f{number}".encode()) for number in range(start, start + count)]


def test_a_few_are_told_at_once() -> None:
    groups = Grouper(Clock())
    assert len(groups.take(findings(FEW))) == FEW
    assert groups.release() == []


def test_a_burst_is_held_until_it_is_quiet_and_told_once() -> None:
    clock = Clock()
    groups = Grouper(clock)
    assert groups.take(findings(1)) == findings(1)
    assert groups.take(findings(5000, start=1)) == []
    clock.now_s += QUIET_S / 2
    assert groups.release() == []
    assert groups.take(findings(3, start=5001)) == []
    assert groups.held == 5003
    clock.now_s += QUIET_S
    (group,) = groups.release()
    assert group.count == len(group.ids) == 5003
    assert len(group.sample) == 10
    assert groups.release() == []
    assert groups.held == 0


def test_a_burst_without_an_end_is_told_in_between() -> None:
    clock = Clock()
    groups = Grouper(clock)
    told = 0
    for _ in range(int(LONGEST_S * 2.5)):
        groups.take(findings(30))
        told += sum(group.count for group in groups.release())
        clock.now_s += 1.0 - 1e-6
    assert told > 30 * LONGEST_S
    assert groups.held > 0


def test_many_one_by_one_are_a_burst_too() -> None:
    clock = Clock()
    groups = Grouper(clock)
    told = [len(groups.take(findings(1, start=number))) for number in range(MOST + 1)]
    assert told == [1] * MOST + [0]


def test_a_steady_stream_is_told_one_by_one() -> None:
    clock = Clock()
    groups = Grouper(clock)
    for number in range(2000):
        clock.now_s += 2 * WINDOW_S / MOST
        assert len(groups.take(findings(1, start=number))) == 1
        groups.release()


def test_another_folder_is_no_part_of_a_burst() -> None:
    groups = Grouper(Clock())
    assert groups.take(findings(100)) == []
    assert len(groups.take(findings(2, folder="/other"))) == 2


def test_the_window_begins_anew() -> None:
    clock = Clock()
    groups = Grouper(clock)
    for _ in range(5):
        assert len(groups.take(findings(FEW))) == FEW
        clock.now_s += WINDOW_S + 1
        groups.release()


def test_the_most_severe_of_a_burst_stands_for_it() -> None:
    clock = Clock()
    groups = Grouper(clock)
    many = findings(50)
    many[17] = replace(many[17], severity=Severity.CRITICAL)
    groups.take(many)
    (group,) = groups.release(everything=True)
    row = render_group(group)
    assert (row["severity"], row["path"]) == ("critical", "/w/f17")
    assert row["group"]["count"] == 50
    assert row["group"]["sample"][0] == "/w/f0"


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 8), st.booleans()), max_size=20))
def test_every_finding_is_told_exactly_once(steps: list[tuple[int, float, bool]]) -> None:
    clock = Clock()
    groups = Grouper(clock)
    given_ids: list[str] = []
    told: list[str] = []

    def see(released: list[FindingGroup]) -> None:
        told.extend(number for group in released for number in group.ids)

    for count, pause_s, other in steps:
        batch = findings(count, folder="/o" if other else "/w", start=len(given_ids))
        given_ids += [finding.id for finding in batch]
        told += [finding.id for finding in groups.take(batch)]
        clock.now_s += pause_s
        see(groups.release())
    see(groups.release(everything=True))
    assert sorted(told) == sorted(given_ids)
    assert groups.held == 0
