"""What is accepted is what was seen, as long as it still is so."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.model.errors import UsageError
from fimkit.model.findings import Kind
from fimkit.verbs.accept import Accepted, accept, plan_acceptance
from fimkit.verbs.baseline import compare_with_baseline, show_baseline, show_history
from tests.verbs.baseline_host import SmallHost, make_host


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    return make_host(tmp_path)


def take(host: SmallHost, *names: str, **options: object) -> Accepted:
    return accept(host.config, [host.path(name) for name in names], who="eve as root", why="mine", **options)


def differing(host: SmallHost) -> list[bytes]:
    return [diff.path for diff in compare_with_baseline(host.config).diffs]


def test_every_open_finding_is_accepted_without_paths(host: SmallHost) -> None:
    (host.tree / "a").write_text("other")
    (host.tree / "b").unlink()
    (host.tree / "new").write_text("new")
    for name, kind in (("a", Kind.MODIFIED), ("b", Kind.DELETED), ("new", Kind.CREATED), ("link", Kind.ATTEMPTED)):
        host.found(name, kind)
    done = take(host)
    assert sorted(item.kind.value for item in done.items) == ["attempted", "created", "deleted", "modified"]
    assert done.refused == ()
    assert (differing(host), host.open_ids()) == ([], set())
    assert [(row.path, row.acceptance.who, row.acceptance.why) for row in show_history(host.config, [])] == [
        (host.path(name), "eve as root", "mine") for name in ("a", "b", "new")
    ]


def test_folder_takes_what_is_below_it_and_leaves_the_rest_open(host: SmallHost) -> None:
    for name in ("a", "conf/x", "conf/deep/y"):
        (host.tree / name).write_text("other")
        host.found(name, Kind.MODIFIED)
    done = take(host, "conf")
    assert sorted(item.path for item in done.items) == [host.path("conf/deep/y"), host.path("conf/x")]
    assert host.open_ids() == {"modified-a"}
    assert differing(host) == [host.path("a")]


def test_what_changed_again_since_it_was_seen_stays_open(host: SmallHost) -> None:
    (host.tree / "a").write_text("other")
    host.found("a", Kind.MODIFIED)
    (host.tree / "a").write_text("evil")
    done = take(host, "a")
    assert done.items == ()
    assert done.refused == (f"{host.tree}/a: changed again since it was seen; run `fimkit check`, and look at it",)
    assert host.open_ids() == {"modified-a"}
    assert list(show_history(host.config, [])) == []


@pytest.mark.parametrize("kind", [Kind.DELETED, Kind.CREATED])
def test_path_that_came_back_or_went_since_is_not_accepted(host: SmallHost, kind: Kind) -> None:
    name = "a" if kind is Kind.DELETED else "new"
    if kind is Kind.DELETED:
        (host.tree / name).unlink()
        host.found(name, kind)
        (host.tree / name).write_text("back")
    else:
        (host.tree / name).write_text("x")
        host.found(name, kind)
        (host.tree / name).unlink()
    assert "changed again" in take(host).refused[0]
    assert host.open_ids() == {f"{kind.value}-{name}"}


def test_new_times_of_the_same_bytes_do_not_stop_it(host: SmallHost) -> None:
    (host.tree / "a").write_text("other")
    host.found("a", Kind.MODIFIED)
    os.utime(host.tree / "a", (1, 1))
    assert len(take(host).items) == 1
    assert differing(host) == []


def test_file_that_was_not_readable_when_it_was_found_is_not_accepted_unread(host: SmallHost) -> None:
    (host.tree / "a").write_text("other")
    finding = host.found("a", Kind.MODIFIED)
    assert finding.after is not None
    unread = replace(finding, id="unread", after=finding.after._replace(sha256=None, problem="cannot be read"))
    with host.store() as store:
        store.put_findings([unread], now_ns=1)
    assert "could not be read when it was found" in take(host).refused[0]


def test_difference_that_no_finding_speaks_of_is_accepted_by_its_path(host: SmallHost) -> None:
    (host.tree / "a").write_text("other")
    (host.tree / "b").chmod(0o600)
    done = take(host, "b")
    assert [(item.path, item.kind, item.finding_id) for item in done.items] == [(host.path("b"), Kind.ATTRIBUTES, None)]
    assert differing(host) == [host.path("a")]


def test_finding_and_difference_on_one_path_are_one_item(host: SmallHost) -> None:
    (host.tree / "a").write_text("other")
    host.found("a", Kind.MODIFIED)
    done = take(host, "", "a")
    assert [item.finding_id for item in done.items] == ["modified-a"]


def test_stale_finding_is_not_accepted_as_a_difference_either(host: SmallHost) -> None:
    (host.tree / "a").write_text("other")
    host.found("a", Kind.MODIFIED)
    (host.tree / "a").write_text("evil")
    assert take(host, "").items == ()
    assert differing(host) == [host.path("a")]


def test_nothing_to_accept_is_a_usage_error(host: SmallHost) -> None:
    with pytest.raises(UsageError, match="nothing is open: run `fimkit check`"):
        take(host)
    with pytest.raises(UsageError, match="nothing is open, and nothing differs, at or below"):
        take(host, "a")


def test_renamed_folder_takes_along_what_lies_in_it(host: SmallHost) -> None:
    (host.tree / "conf").rename(host.tree / "moved")
    host.found("conf", Kind.MOVED, moved_to="moved")
    assert len(differing(host)) == 8
    done = take(host, "moved")
    assert [(item.path, item.moved_to) for item in done.items] == [(host.path("conf"), host.path("moved"))]
    assert differing(host) == []
    assert len(show_baseline(host.config, []).states) == 8


def test_what_changed_in_a_renamed_folder_is_not_taken_along(host: SmallHost) -> None:
    (host.tree / "conf").rename(host.tree / "moved")
    (host.tree / "moved" / "x").write_text("evil")
    host.found("conf", Kind.MOVED, moved_to="moved")
    take(host)
    assert differing(host) == [host.path("conf/x"), host.path("moved/x")]


def test_moved_file_whose_old_name_is_taken_again_is_not_accepted(host: SmallHost) -> None:
    (host.tree / "a").rename(host.tree / "z")
    host.found("a", Kind.MOVED, moved_to="z")
    (host.tree / "a").write_text("decoy")
    assert "changed again" in take(host).refused[0]


def test_link_count_of_the_files_other_names_goes_along(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    os.link(host.tree / "a", host.tree / "a2")
    host.found("a2", Kind.CREATED)
    take(host)
    assert differing(host) == []
    (host.tree / "a2").unlink()
    host.found("a2", Kind.DELETED)
    take(host)
    assert differing(host) == []


def test_more_than_the_link_count_does_not_go_along(host: SmallHost) -> None:
    os.link(host.tree / "a", host.tree / "a2")
    host.found("a2", Kind.CREATED)
    (host.tree / "b").unlink()
    os.link(host.tree / "a", host.tree / "b")
    take(host)
    assert differing(host) == [host.path("b")]


def test_row_that_is_not_configured_any_more_can_be_taken_out(host: SmallHost) -> None:
    host.config = replace(host.config, paths=(replace(host.config.paths[0], exclude=("conf",)),))
    assert len(take(host, "conf").items) == 4
    assert compare_with_baseline(host.config).problems == ()


def test_path_that_is_configured_since_can_be_taken_in(host: SmallHost, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "m").write_text("m")
    more = replace(host.config.paths[0], path=os.fsencode(tmp_path / "more"))
    host.config = replace(host.config, paths=(*host.config.paths, more))
    done = accept(host.config, [os.fsencode(tmp_path / "more")], who="eve", why="")
    assert [item.kind for item in done.items] == [Kind.CREATED, Kind.CREATED]
    assert differing(host) == []


def test_excluded_name_is_not_taken_in_by_its_path(tmp_path: Path) -> None:
    host = make_host(tmp_path, exclude=("*.swp",))
    (host.tree / "x.swp").write_text("x")
    (host.tree / "conf" / "z.swp").write_text("x")
    with pytest.raises(UsageError, match="nothing differs"):
        take(host, "x.swp", "conf")


def test_watch_without_its_subfolders_stays_so_when_one_is_named(tmp_path: Path) -> None:
    host = make_host(tmp_path, recursive=False)
    (host.tree / "conf" / "new").write_text("x")
    (host.tree / "conf").chmod(0o700)
    assert [item.path for item in take(host, "conf").items] == [host.path("conf")]
    assert differing(host) == []


def test_only_what_a_person_agreed_to_is_accepted(host: SmallHost) -> None:
    for name in ("a", "b"):
        (host.tree / name).write_text("other")
        host.found(name, Kind.MODIFIED)
    agreed = plan_acceptance(host.config, [])
    (host.tree / "new").write_text("late")
    host.found("new", Kind.CREATED)
    os.utime(host.tree / "b", (1, 1))
    done = take(host, agreed=agreed)
    assert [item.path for item in done.items] == [host.path("a")]
    assert [words.split(":")[0] for words in done.refused] == [f"{host.tree}/b"]
    assert host.open_ids() == {"modified-b", "created-new"}


def test_finding_of_another_host_is_left_alone(host: SmallHost) -> None:
    (host.tree / "a").write_text("other")
    host.found("a", Kind.MODIFIED, host="db01")
    with pytest.raises(UsageError, match="nothing is open"):
        take(host)
