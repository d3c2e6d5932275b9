"""A baseline is taken once, shown as it is and was, and compared with the host."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.baseline.snapshot import read_snapshot
from fimkit.evidence.lock import lock_state
from fimkit.model.changes import StateDiff
from fimkit.model.config import Config, Host, Watch
from fimkit.model.errors import HostError, UsageError
from fimkit.model.findings import Kind
from fimkit.verbs.accept import accept
from fimkit.verbs.baseline import (
    compare_with_baseline,
    create_baseline,
    kind_of,
    recreate_baseline,
    save_snapshot,
    show_baseline,
    show_history,
)
from tests.verbs.baseline_host import SmallHost, make_host


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    return make_host(tmp_path)


def found(host: SmallHost, **options: object) -> dict[str, tuple[str, tuple[str, ...]]]:
    def row(diff: StateDiff) -> tuple[str, tuple[str, ...]]:
        return kind_of(diff).value, diff.changed

    diffs = compare_with_baseline(host.config, **options).diffs
    return {os.path.relpath(os.fsdecode(diff.path), host.tree): row(diff) for diff in diffs}


def test_baseline_holds_every_path_with_its_hash(host: SmallHost) -> None:
    shown = show_baseline(host.config, [])
    assert [os.path.relpath(os.fsdecode(state.path), host.tree) for state in shown.states] == [
        ".", "a", "b", "conf", "conf/deep", "conf/deep/y", "conf/x", "link",
    ]  # fmt: skip
    assert shown.states[1].sha256 == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert (shown.meta.who, shown.meta.why, shown.meta.count) == ("eve", "first", 8)


def test_second_create_is_refused_and_says_what_to_do(host: SmallHost) -> None:
    with pytest.raises(UsageError, match=r"baseline of 8 paths already, of .* by eve: .* begin anew with --force"):
        create_baseline(host.config, who="adam", why="")


def test_recreation_keeps_the_old_one_in_the_history(host: SmallHost) -> None:
    old = show_baseline(host.config, [])
    (host.tree / "a").write_text("other")
    finding = host.found("a", Kind.MODIFIED)
    recreate_baseline(host.config, who="adam", why="anew")
    assert show_baseline(host.config, []).meta.who == "adam"
    assert show_baseline(host.config, [], at_ns=old.meta.time_ns).states == old.states
    assert host.path("a") in [row.path for row in show_history(host.config, [])]
    assert finding.id not in host.open_ids()


def test_unchanged_tree_does_not_differ(host: SmallHost) -> None:
    assert found(host) == {}
    assert found(host, quick=True) == {}


def test_each_kind_of_difference_is_told(host: SmallHost) -> None:
    (host.tree / "a").write_text("other!")
    (host.tree / "b").unlink()
    (host.tree / "conf" / "x").chmod(0o600)
    (host.tree / "new").write_text("")
    (host.tree / "link").unlink()
    (host.tree / "link").symlink_to("b")
    seen = found(host)
    assert {name: kind for name, (kind, _) in seen.items()} == {
        "a": "modified", "b": "deleted", "conf/x": "attributes", "link": "modified", "new": "created",
    }  # fmt: skip
    assert seen["conf/x"][1] == ("mode", "ctime_ns")
    assert {"sha256", "size"} <= set(seen["a"][1])
    assert "target" in seen["link"][1]


def test_quick_does_not_read_what_its_times_vouch_for(host: SmallHost) -> None:
    reads: list[int] = []
    compare_with_baseline(host.config, on_progress=lambda _, size_bytes: reads.append(size_bytes))
    assert reads[-1] > 0
    reads.clear()
    compare_with_baseline(host.config, quick=True, on_progress=lambda _, size_bytes: reads.append(size_bytes))
    assert reads[-1] == 0


def test_no_baseline_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    config = Config(host=Host(name="x", state_dir=os.fsencode(tmp_path / "state")), paths=(Watch(path=os.fsencode(tmp_path)),))
    for act in (lambda: show_baseline(config, []), lambda: compare_with_baseline(config), lambda: list(show_history(config, [])),
                lambda: accept(config, [], who="eve", why="")):  # fmt: skip
        with pytest.raises(UsageError, match=r"no baseline in .* yet: run `fimkit baseline create` first"):
            act()
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_see_makes_no_baseline_and_keeps_the_old_one(host: SmallHost, tmp_path: Path) -> None:
    nowhere = replace(host.config, paths=(Watch(path=os.fsencode(tmp_path / "nowhere")),))
    with pytest.raises(HostError, match=r"nothing of what is configured can be seen; .*nowhere: is configured and not there"):
        recreate_baseline(nowhere, who="eve", why="")
    with pytest.raises(HostError, match="nothing of what is configured can be seen"):
        save_snapshot(nowhere, str(tmp_path / "out.jsonl"))
    assert len(show_baseline(host.config, []).states) == 8
    assert not (tmp_path / "out.jsonl").exists()


def test_missing_configured_path_is_told_beside_the_others(host: SmallHost, tmp_path: Path) -> None:
    more = replace(host.config, paths=(*host.config.paths, Watch(path=os.fsencode(tmp_path / "nowhere"))))
    made = recreate_baseline(more, who="eve", why="")
    assert made.count == 8
    assert made.problems == (f"{tmp_path}/nowhere: is configured and not there",)
    assert show_baseline(more, []).meta.notes == made.problems


def test_path_that_is_not_configured_any_more_is_not_called_deleted(host: SmallHost) -> None:
    less = replace(host.config, paths=(replace(host.config.paths[0], exclude=("conf",)),))
    compared = compare_with_baseline(less)
    assert compared.diffs == ()
    assert compared.problems == ("4 paths of the baseline are not configured any more, and were not compared",)


def test_path_that_is_configured_since_is_said_to_be_new_here(host: SmallHost, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    more = replace(host.config, paths=(*host.config.paths, Watch(path=os.fsencode(tmp_path / "more"))))
    compared = compare_with_baseline(more)
    assert [diff.path for diff in compared.diffs] == [os.fsencode(tmp_path / "more")]
    assert "is configured and not in the baseline yet" in compared.problems[0]


def test_snapshot_for_elsewhere_is_the_same_and_stores_nothing(host: SmallHost, tmp_path: Path) -> None:
    assert save_snapshot(host.config, str(tmp_path / "out.jsonl")).count == 8
    assert tuple(read_snapshot(tmp_path / "out.jsonl").states.values()) == show_baseline(host.config, []).states
    with pytest.raises(HostError, match="cannot write the snapshot"):
        save_snapshot(host.config, str(tmp_path / "no" / "folder.jsonl"))


def test_rows_of_one_path_are_shown_and_none_is_said(host: SmallHost) -> None:
    assert [state.path for state in show_baseline(host.config, [host.path("conf/deep"), host.path("a")]).states] == [
        host.path("a"), host.path("conf/deep"), host.path("conf/deep/y"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="nothing at or below"):
        show_baseline(host.config, [host.path("a"), host.path("conf-x")])


def test_create_beside_another_fimkit_is_refused(host: SmallHost) -> None:
    with lock_state(host.config.host.state_dir, verb="check"), pytest.raises(HostError, match=r"pid \d+ \(check\) is at work"):
        recreate_baseline(host.config, who="eve", why="")
