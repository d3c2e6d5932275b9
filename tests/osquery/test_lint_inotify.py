"""What the kernel must give, against what the trees need."""

import pytest

from fimkit.model.advice import Level
from fimkit.osquery.lint_facts import InotifyLimits, LintFacts, TreeCount
from fimkit.osquery.lint_inotify import lint_inotify
from fimkit.osquery.osquery_config import OsqueryConfig, Setting
from fimkit.osquery.places import Place

__all__: list[str] = []

PLENTY = InotifyLimits(1_000_000, 1024, 65_536, other_watches=100, other_instances=5)


def nothing(path: bytes) -> Place:
    return Place(path, path, b"/", False, False, False)


def found(count: TreeCount, limits: InotifyLimits = PLENTY, **flags: str) -> dict[str, tuple[Level, str, str]]:
    settings = {name: Setting(value, "/f:1") for name, value in flags.items()}
    config = OsqueryConfig(config_path=b"/etc/osquery/osquery.conf", options={}, flags=settings)
    rows = lint_inotify(config, LintFacts(look=nothing, count=count, limits=limits))
    return {one.code: (one.level, one.problem, one.remedy) for one in rows}


def test_room_enough_is_no_advice() -> None:
    assert not found(TreeCount(100_000))


@pytest.mark.parametrize(("folders", "level"), [(8192 - 100 + 1, Level.TRAP), (7000, Level.WARNING)])
def test_watches_beyond_the_limit_go_unwatched_and_those_of_others_count(folders: int, level: Level) -> None:
    advice = found(TreeCount(folders), PLENTY._replace(max_user_watches=8192))["osquery-inotify-watches"]
    assert advice[0] is level
    assert f"{folders} inotify watches" in advice[1] and "hold 100 now" in advice[1]
    assert "fs.inotify.max_user_watches = 65536" in advice[2]


def test_what_others_hold_is_said_to_be_unknown_without_the_right_to_see_it() -> None:
    limits = InotifyLimits(8192, 128, 16_384)
    assert "could not be seen" in found(TreeCount(8193), limits)["osquery-inotify-watches"][1]


def test_a_count_that_was_broken_off_says_so() -> None:
    advice = found(TreeCount(10, is_whole=False))["osquery-inotify-watches"]
    assert advice[0] is Level.NOTE and "at least 10" in advice[1]


def test_no_free_instance_is_a_trap() -> None:
    advice = found(TreeCount(1), PLENTY._replace(max_user_instances=5))["osquery-inotify-instances"]
    assert advice[0] is Level.TRAP and "max_user_instances = 256" in advice[2]


def test_a_short_queue_is_a_warning() -> None:
    assert found(TreeCount(1), PLENTY._replace(max_queued_events=100))["osquery-inotify-queue"][0] is Level.WARNING


def test_files_beyond_read_max_are_counted_and_the_biggest_is_named() -> None:
    level, problem, remedy = found(TreeCount(1, 3, b"/srv/big", 5_000_000), read_max="1000000")["osquery-read-max"]
    assert level is Level.WARNING
    assert "3 of the watched files" in problem and "/srv/big (5000000 bytes)" in problem and "(1000000 bytes)" in problem
    assert "in /f: --read_max=16777216" in remedy
