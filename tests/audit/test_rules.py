"""From watches to audit rules."""

import pytest

from fimkit.audit.rule_codec import FilterList, Rule
from fimkit.audit.rule_text import parse_rule, parse_rules, render_rule
from fimkit.audit.rules import Join, PathFacts, Plan, find_obstacles, plan_rules, render_rule_file
from fimkit.model.config import Watch
from fimkit.model.errors import HostError

_FOLDERS = {b"/", b"/etc", b"/etc/ssh", b"/srv", b"/srv/a b", b"/usr", b"/usr/sbin", b"/srv/data", b"/srv/line\nbreak"}


def look(path: bytes) -> PathFacts:
    if path == b"/sbin":
        return PathFacts(real=b"/usr/sbin", is_folder=True, is_link=True)
    parent = path.rpartition(b"/")[0] or b"/"
    return PathFacts(
        real=path, is_folder=path in _FOLDERS, exists=path in _FOLDERS or path == b"/etc/passwd", parent_exists=parent in _FOLDERS
    )


def plan_of(*paths: bytes, mounts: tuple[bytes, ...] = (), machine: str = "x86_64", **more: bool) -> Plan:
    return plan_rules([Watch(path=path, **more) for path in paths], look, mounts=mounts, machine=machine)


def texts(plan: Plan, filter_list: FilterList = FilterList.EXIT) -> list[str]:
    return [render_rule(rule, machine=plan.machine) for rule in plan.rules if rule.filter_list is filter_list]


def test_folder_is_one_recursive_rule_for_each_arch() -> None:
    assert texts(plan_of(b"/etc")) == [
        "-a always,exit -F arch=b64 -F dir=/etc -F perm=wa -F key=fimkit",
        "-a always,exit -F arch=b32 -F dir=/etc -F perm=wa -F key=fimkit",
    ]


def test_file_is_a_path_rule() -> None:
    assert all("path=/etc/passwd" in text for text in texts(plan_of(b"/etc/passwd")))


def test_tree_has_a_rule_on_the_io_uring_list_that_names_the_operations() -> None:
    (text,) = texts(plan_of(b"/etc"), FilterList.IO_URING)
    assert text.startswith("-a always,io_uring -S fallocate,openat,") and text.endswith("-F dir=/etc -F key=fimkit")
    assert "perm" not in text and "arch" not in text


def test_watch_in_a_watched_tree_needs_no_rule_of_its_own() -> None:
    assert texts(plan_of(b"/etc", b"/etc/ssh", b"/etc/passwd")) == texts(plan_of(b"/etc"))


def test_watch_beyond_a_mount_is_joined_to_the_rule_of_its_tree() -> None:
    plan = plan_of(b"/srv", b"/srv/data", mounts=(b"/srv/data", b"/usr"))
    assert texts(plan) == texts(plan_of(b"/srv")) and plan.joins == (Join(b"/srv/data", b"/srv"),)


def test_watch_that_is_a_mount_is_joined_to_itself() -> None:
    assert plan_of(b"/srv/data", mounts=(b"/srv/data",)).joins == (Join(b"/srv/data", b"/srv/data"),)


def test_mount_that_nobody_asked_for_is_not_joined() -> None:
    assert plan_of(b"/srv", mounts=(b"/srv/data",)).joins == ()
    assert plan_of(b"/srv", mounts=(b"/srv",)).joins == (Join(b"/srv", b"/srv"),)


def test_sibling_with_the_same_beginning_is_not_covered() -> None:
    assert len(texts(plan_of(b"/usr", b"/usr_local"))) == 4


def test_crossing_mounts_joins_each_mount_below() -> None:
    plan = plan_of(b"/srv", mounts=(b"/srv/data", b"/srv/data/deep", b"/usr"), cross_mounts=True)
    assert plan.joins == (Join(b"/srv/data", b"/srv"), Join(b"/srv/data/deep", b"/srv"))


def test_symbolic_link_has_rules_for_what_it_leads_to_and_for_itself() -> None:
    plan = plan_of(b"/sbin")
    assert [text.split("-F ")[2] for text in texts(plan)] == ["path=/sbin ", "path=/sbin ", "dir=/usr/sbin ", "dir=/usr/sbin "]
    assert any("symbolic link" in note for note in plan.notes)


def test_folder_watched_without_its_subfolders_has_the_recursive_rule_and_says_so() -> None:
    plan = plan_of(b"/etc", recursive=False)
    assert "dir=/etc" in texts(plan)[0] and any("subfolders" in note for note in plan.notes)


def test_missing_file_in_a_folder_has_its_rule_and_says_so() -> None:
    plan = plan_of(b"/etc/ld.so.preload")
    assert "path=/etc/ld.so.preload" in texts(plan)[0] and any("does not exist" in note for note in plan.notes)


def test_missing_folder_is_a_comment_in_the_file_and_no_rule() -> None:
    plan = plan_of(b"/no/where", b"/etc")
    assert [one.path for one in plan.skipped] == [b"/no/where"]
    assert all("/no/where" not in text for text in texts(plan))
    text = render_rule_file(plan).decode()
    assert "\n# -a always,exit -F arch=b64 -F dir=/no/where " in text
    assert not any("/no/where" in line for line in text.split("\n") if not line.startswith("#"))


def test_file_holds_only_what_auditctl_loads() -> None:
    plan = plan_of(b"/etc", b"/srv/a b", b"/srv/line\nbreak")
    loaded = parse_rules(render_rule_file(plan).decode(), machine="x86_64")
    assert [rule.text_of("dir") for rule in loaded] == [b"/etc", b"/etc", b"/srv/a b", b"/srv/a b"]
    assert all(rule.filter_list is FilterList.EXIT for rule in loaded)
    # The kernel gets all of them.
    assert sum(rule.text_of("dir") == b"/srv/line\nbreak" for rule in plan.rules) == 3


def test_file_never_has_options_that_hold_for_the_whole_host() -> None:
    lines = render_rule_file(plan_of(b"/etc")).decode().split("\n")
    assert all(line == "" or line.startswith(("#", "-a ")) for line in lines)


def test_empty_configuration_is_no_rule() -> None:
    assert plan_of().rules == ()


def test_aarch64_has_one_arch_and_says_what_is_missing() -> None:
    plan = plan_of(b"/etc", machine="aarch64")
    assert len(texts(plan)) == 1 and any("32-bit" in note for note in plan.notes)


def test_unknown_machine_is_refused_with_those_known() -> None:
    with pytest.raises(HostError, match="x86_64"):
        plan_of(b"/etc", machine="vax")


def obstacles(*lines: str, ours: Plan | None = None) -> list[str]:
    plan = ours or plan_of(b"/etc")
    return find_obstacles([parse_rule(line, machine="x86_64") for line in lines], plan.rules, machine="x86_64")


def test_never_task_is_an_obstacle() -> None:
    (words,) = obstacles("-a never,task")
    assert "-a never,task" in words and "reboot" in words


@pytest.mark.parametrize(
    "line", ["-a never,exit -F auid=1000", "-a never,exit -F dir=/etc/ssh", "-a never,exit -F path=/etc/passwd"]
)
def test_earlier_never_rule_in_the_watched_trees_is_an_obstacle(line: str) -> None:
    (words,) = obstacles(line)
    assert line in words and "first" in words


@pytest.mark.parametrize(
    "line", ["-a never,exit -F dir=/srv", "-a always,exit -F dir=/etc -F key=other", "-a always,exclude -F msgtype=1400"]
)
def test_rule_that_takes_nothing_from_ours_is_no_obstacle(line: str) -> None:
    assert obstacles(line) == []


def test_never_rule_after_ours_is_no_obstacle() -> None:
    plan = plan_of(b"/etc")
    ours = [render_rule(rule, machine="x86_64") for rule in plan.rules if rule.filter_list is FilterList.EXIT]
    assert obstacles(*ours, "-a never,exit -F auid=1000") == []
    assert len(obstacles("-a never,exit -F auid=1000", *ours)) == 1


def test_excluded_record_type_is_an_obstacle() -> None:
    (words,) = obstacles("-a always,exclude -F msgtype=1302")
    assert "PATH" in words


def test_order_of_the_watches_makes_no_difference() -> None:
    def rules(*paths: bytes) -> tuple[Rule, ...]:
        return plan_of(*paths).rules

    assert rules(b"/etc", b"/srv", b"/etc/ssh") == rules(b"/etc/ssh", b"/srv", b"/etc")
