"""Canaries are remembered as long as anything tells of them."""

from dataclasses import replace
from pathlib import Path

from fimkit.evidence.canary_rows import Canary
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Action, Change, Source

DAY_NS = 86_400 * 1_000_000_000
NOW_NS = 1000 * DAY_NS
FIRST = Canary(path=b"/etc/fimkit-canary-\xff", token="ab" * 16, pid=7, planted_ns=100)


def open_new(folder: Path) -> Store:
    return open_store(bytes(folder / "state"), create=True)


def test_canary_is_open_until_it_is_closed_and_the_first_closing_counts(tmp_path: Path) -> None:
    with open_new(tmp_path) as store:
        store.add_canaries([FIRST])
        assert store.canaries() == [FIRST]
        store.close_canaries([(FIRST.path, FIRST.token, 150)])
        store.close_canaries([(FIRST.path, FIRST.token, 900)])
    with open_store(bytes(tmp_path / "state")) as store:
        assert store.canaries() == [replace(FIRST, gone_ns=150)]


def test_the_one_that_cleans_up_has_a_row_of_its_own(tmp_path: Path) -> None:
    second = replace(FIRST, pid=8, planted_ns=500)
    with open_new(tmp_path) as store:
        store.add_canaries([FIRST, second])
        store.close_canaries([(FIRST.path, FIRST.token, 600)])
        assert store.canaries() == [replace(FIRST, gone_ns=600), replace(second, gone_ns=600)]


def test_old_canary_goes_unless_it_may_be_there_or_a_change_tells_of_it(tmp_path: Path) -> None:
    old_ns = NOW_NS - 90 * DAY_NS - 1_000_000_000
    gone, told, there, fresh = (
        Canary(path=path, token="cd" * 16, pid=7, planted_ns=old_ns, gone_ns=gone_ns)
        for path, gone_ns in ((b"/a", old_ns), (b"/b", old_ns), (b"/c", None), (b"/d", NOW_NS))
    )
    with open_new(tmp_path) as store:
        store.add_canaries([gone, told, there, fresh])
        store.add_changes([Change(source=Source.OSQUERY, action=Action.BORN, time_ns=old_ns + 2_000_000_000, path=b"/b")])
        store.apply_limits(keep_days=90, max_mb=100, now_ns=NOW_NS)
        assert store.canaries() == [told, there, fresh]
        store.apply_limits(keep_days=80, max_mb=100, now_ns=NOW_NS)  # and the change with it
        assert store.canaries() == [there, fresh]
