"""Every way in which an osquery installation was seen to lose changes, each in files of its own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config, Host, Sources, Watch
from fimkit.model.findings import Tier
from fimkit.osquery.coverage import Base
from fimkit.verbs.osquery_advice import osquery_advice
from fimkit.verbs.osquery_facts import count_tree, find_bases, load_inotify_limits
from fimkit.verbs.osquery_files import print_pack

__all__: list[str] = []

FLAGS = ("--disable_events=false", "--enable_file_events=true", "--disable_audit=true", "--disable_hash_cache=true")
QUERY = {"query": "SELECT * FROM file_events", "interval": 60, "removed": False}
LEVELS = list(Level)
ODD_NAMES = (b"a b", b"100%", b"star*", b"br[1]", b"\xff", b'quo"te')


class Site:
    """A host below a folder, with an osquery that watches what fimkit is to watch; a test breaks one thing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("srv/www/deep", "srv/cache", "etc/osquery", "opt"):
            (root / folder).mkdir(parents=True)
        for file in ("srv/www/index.php", "etc/passwd", "etc/hosts"):
            (root / file).write_text("xx")
        self.watches: tuple[Watch, ...] = (Watch(path=b"/srv/www"), Watch(path=b"/etc/passwd"))
        self.conf: dict[str, Any] = {
            "schedule": {"files": dict(QUERY)},
            "file_paths": {"web": ["/srv/www/%%"], "etc": ["/etc/%"]},
        }
        self.flags = list(FLAGS)

    def config(self, **sources: Any) -> Config:
        return Config(host=Host(name="web01"), paths=self.watches, sources=Sources(**sources))

    def advice(self, rendered: bytes | None = None, **sources: Any) -> list[Advice]:
        (self.root / "etc/osquery/osquery.conf").write_text(json.dumps(self.conf))
        (self.root / "etc/osquery/osquery.flags").write_text("\n".join(self.flags) + "\n")
        return osquery_advice(self.config(**sources), root=os.fspath(self.root), rendered=rendered)

    def codes(self, **more: Any) -> dict[str, Level]:
        """The worst level of each code."""
        worst: dict[str, Level] = {}
        for one in self.advice(**more):
            worst[one.code] = min(worst.get(one.code, Level.NOTE), one.level, key=LEVELS.index)
        return worst

    def of(self, code: str, **more: Any) -> Advice:
        found = [one for one in self.advice(**more) if one.code == code]
        assert len(found) == 1, (code, self.codes(**more))
        return found[0]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "root")


def test_an_installation_that_does_all_gives_no_advice(site: Site) -> None:
    assert not site.advice()


def test_a_host_without_osquery_is_told_as_such_and_one_that_wants_none_is_not(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01"), paths=(Watch(path=b"/srv"),))
    (one,) = osquery_advice(config, root=os.fspath(tmp_path))
    assert (one.code, one.level) == ("osquery-not-installed", Level.NOTE)
    assert not osquery_advice(Config(host=Host(name="web01"), sources=Sources(osquery_config=b"")), root=os.fspath(tmp_path))


# Patterns.


def test_a_wildcard_for_all_levels_in_the_middle_is_a_trap_with_what_to_write(site: Site) -> None:
    site.conf["file_paths"]["x"] = ["/opt/%%/conf"]
    one = site.of("osquery-inner-wildcard")
    assert (one.level, one.path) == (Level.TRAP, b"/opt")
    assert '"/opt/%/conf/%%"' in one.remedy and '"/opt/%%"' in one.remedy
    assert one.where == '/etc/osquery/osquery.conf: file_paths.x: "/opt/%%/conf"'


def test_a_leaf_pattern_does_not_filter(site: Site) -> None:
    site.conf["file_paths"]["x"] = ["/opt/%.conf"]
    one = site.of("osquery-leaf-pattern")
    assert one.level is Level.WARNING and '"/opt/%"' in one.remedy and "LIKE '/opt/%.conf'" in one.remedy


def test_a_single_file_is_lost_when_it_is_replaced(site: Site) -> None:
    site.conf["file_paths"]["etc"] = ["/etc/passwd"]
    one = site.of("osquery-single-file")
    assert (one.level, one.path) == (Level.TRAP, b"/etc/passwd")
    assert '"/etc/%"' in one.remedy
    site.watches = site.watches[:1]
    assert site.of("osquery-single-file").level is Level.WARNING
    site.conf["file_paths"]["etc"] = ["/etc/passwd", "/etc/%"]
    assert "osquery-single-file" not in site.codes()


def test_what_is_not_there_now_is_not_picked_up_later(site: Site) -> None:
    site.conf["file_paths"]["x"] = ["/opt/app/%%", "/opt/%/conf/%%"]
    rows = [one for one in site.advice() if one.code == "osquery-absent"]
    assert [one.path for one in rows] == [b"/opt/app", b"/opt"]
    assert all('"/opt/%"' in rows[0].remedy for one in rows)


def test_a_relative_path_and_a_path_behind_a_link_are_told(site: Site) -> None:
    (site.root / "opt/link").symlink_to("/srv/cache")
    site.conf["file_paths"]["x"] = ["opt/%%", "/opt/link/%%"]
    codes = site.codes()
    assert (codes["osquery-relative-path"], codes["osquery-link"]) == (Level.TRAP, Level.NOTE)
    assert '"/srv/cache/%%"' in site.of("osquery-link").remedy


def test_two_categories_on_one_folder_are_told_and_a_trap_where_a_query_asks_for_one(site: Site) -> None:
    site.conf["file_paths"]["fimkit_watch"] = ["/srv/%%"]
    one = site.of("osquery-overlap")
    assert (one.level, one.path) == (Level.WARNING, b"/srv/www")
    assert "fimkit goes by the path and loses nothing" in one.remedy
    site.conf["schedule"]["part"] = QUERY | {"query": "SELECT * FROM file_events WHERE category = 'web'"}
    assert site.of("osquery-overlap").level is Level.TRAP


def test_a_watch_that_nothing_covers_is_a_trap_with_the_pattern_to_add(site: Site) -> None:
    site.conf["file_paths"] = {"web": ["/srv/www/%"]}
    rows = {one.path: one for one in site.advice() if one.code == "osquery-uncovered"}
    assert set(rows) == {b"/srv/www", b"/etc/passwd"}
    assert "below its first level" in rows[b"/srv/www"].problem and '"/srv/www/%%"' in rows[b"/srv/www"].remedy
    assert '"/etc/%"' in rows[b"/etc/passwd"].remedy
    assert rows[b"/etc/passwd"].level is Level.TRAP


def test_a_watch_that_is_not_there_needs_the_folder_in_which_it_would_come(site: Site) -> None:
    site.watches = (Watch(path=b"/opt/app/data"),)
    assert '"/opt/%"' in site.of("osquery-uncovered").remedy
    site.conf["file_paths"]["opt"] = ["/opt/%"]
    assert "osquery-uncovered" not in site.codes()


def test_a_watch_without_its_subfolders_needs_one_level(site: Site) -> None:
    site.watches = (Watch(path=b"/opt", recursive=False),)
    site.conf["file_paths"]["opt"] = ["/opt/"]
    assert "osquery-uncovered" not in site.codes()


def test_accesses_of_a_watched_category_are_a_trap(site: Site) -> None:
    site.conf["file_paths"]["opt"] = ["/opt/%%"]
    site.conf["file_accesses"] = ["opt", "web"]
    rows = {one.where.rpartition(" ")[2]: one.level for one in site.advice() if one.code == "osquery-accesses"}
    assert rows == {"opt": Level.WARNING, "web": Level.TRAP}


def test_paths_that_a_query_gives_are_not_known_from_files(site: Site) -> None:
    site.conf["file_paths_query"] = {"home": ["SELECT directory AS path FROM users"]}
    assert site.codes() == {"osquery-path-query": Level.NOTE}


# Excludes.


@pytest.mark.parametrize(
    ("pattern", "code", "level"),
    [
        ("/srv/cache/%.swp", "osquery-exclude-form", Level.WARNING),
        ("cache/%%", "osquery-exclude-form", Level.WARNING),
        ("/srv/cache/%%/deep", "osquery-exclude-form", Level.WARNING),
        ("/srv/cache/", "osquery-exclude-level", Level.NOTE),
    ],
)
def test_an_exclude_that_does_not_do_what_it_says_is_told(site: Site, pattern: str, code: str, level: Level) -> None:
    site.conf["exclude_paths"] = {"web": [pattern]}
    assert site.codes() == {code: level}


def test_an_exclude_of_an_unknown_category_is_told(site: Site) -> None:
    site.conf["exclude_paths"] = {"none": ["/srv/cache/%%"]}
    one = site.of("osquery-exclude-category")
    assert one.level is Level.WARNING and "web, etc" in one.remedy.replace("etc, web", "web, etc")


@pytest.mark.parametrize(
    "pattern", ["/srv/www/deep/%%", "/srv/%%", "/srv/www/index.php", "/srv/www/%", "/srv/www/deep", "/srv/%%/x"]
)
def test_an_exclude_that_hides_what_is_to_be_watched_is_a_trap(site: Site, pattern: str) -> None:
    site.conf["exclude_paths"] = {"etc": [pattern]}
    assert site.codes()["osquery-exclude-hides"] is Level.TRAP


def test_an_exclude_that_fimkit_has_too_hides_nothing(site: Site) -> None:
    site.watches = (Watch(path=b"/srv/www", exclude=("/srv/www/deep/*", "/srv/www/x")),)
    site.conf["exclude_paths"] = {"web": ["/srv/www/deep/%%", "/srv/www/x"]}
    assert not site.advice()


# Flags.


@pytest.mark.parametrize(
    ("flag", "code", "level"),
    [
        ("--disable_events=true", "osquery-disable-events", Level.TRAP),
        ("--enable_file_events=false", "osquery-enable-file-events", Level.TRAP),
        ("--noenable_file_events", "osquery-enable-file-events", Level.TRAP),
        ("--disable_tables=x,file_events", "osquery-table-off", Level.TRAP),
        ("--enable_tables=processes", "osquery-table-off", Level.TRAP),
        ("--events_optimize=false", "osquery-events-optimize", Level.WARNING),
        ("--disable_audit=false", "osquery-audit-socket", Level.TRAP),
        ("--logger_plugin=tls", "osquery-logger-plugin", Level.TRAP),
        ("--logger_plugin=filesystem,ours", "osquery-plugin-extension", Level.WARNING),
        ("--logger_path=/srv/log", "osquery-logger-path", Level.TRAP),
        ("--disable_logging", "osquery-disable-logging", Level.TRAP),
        ("--logger_event_type=false", "osquery-batch-format", Level.NOTE),
        ("--config_path=/srv/osquery.conf", "osquery-config-path", Level.TRAP),
        ("--disable_hash_cache=false", "osquery-hash-cache", Level.NOTE),
        ("--events_enforce_denylist=true", "osquery-denylist", Level.WARNING),
        ("--events_expiry=60", "osquery-interval", Level.TRAP),
        ("--events_max=100", "osquery-events-max", Level.WARNING),
        ("--read_max=1", "osquery-read-max", Level.WARNING),
    ],
)
def test_a_flag_that_loses_changes_is_told_with_its_line_and_what_to_write(
    site: Site, flag: str, code: str, level: Level
) -> None:
    site.flags.append(flag)
    assert site.codes() == {code: level}
    one = site.of(code)
    assert f"/etc/osquery/osquery.flags:{len(site.flags)}" in one.where + one.remedy
    assert "/etc/osquery/osquery.flags: --" in one.remedy or code in ("osquery-config-path", "osquery-plugin-extension")


def test_file_events_are_off_where_nothing_switches_them_on(site: Site) -> None:
    site.flags = ["--disable_hash_cache=true"]
    one = site.of("osquery-enable-file-events")
    assert one.where == "--enable_file_events"
    assert one.remedy == "in /etc/osquery/osquery.flags: --enable_file_events=true; then systemctl restart osqueryd"


def test_an_option_of_the_configuration_wins_and_is_where_to_mend_it(site: Site) -> None:
    site.conf["options"] = {"disable_audit": False, "audit_allow_config": True}
    one = site.of("osquery-audit-socket")
    assert one.remedy.startswith('in /etc/osquery/osquery.conf, under "options": "disable_audit": true;')
    assert "switches kernel auditing off" in one.problem


def test_a_configuration_from_elsewhere_is_not_looked_for_in_files(site: Site) -> None:
    site.flags.append("--config_plugin=tls")
    site.conf = {}
    assert site.codes() == {"osquery-config-plugin": Level.WARNING}
    assert "--print-pack" in site.of("osquery-config-plugin").remedy


# The schedule.


@pytest.mark.parametrize(
    ("query", "code", "level"),
    [
        ({"query": "SELECT * FROM processes"}, "osquery-no-query", Level.TRAP),
        ({"platform": "windows"}, "osquery-no-query", Level.TRAP),
        ({"snapshot": True}, "osquery-no-query", Level.TRAP),
        ({"removed": True}, "osquery-removed", Level.NOTE),
        ({"shard": 5}, "osquery-query-part", Level.NOTE),
        ({"query": "SELECT target_path AS path, * FROM file_events WHERE uid = 0"}, "osquery-narrowed", Level.WARNING),
        ({"query": "SELECT action, target_path AS path FROM file_events"}, "osquery-columns", Level.TRAP),
        ({"query": "SELECT action, target_path FROM file_events"}, "osquery-columns", Level.WARNING),
        ({"interval": 3600}, "osquery-interval", Level.TRAP),
        ({"interval": 600}, "osquery-events-max", Level.WARNING),
    ],
)
def test_a_query_that_loses_events_is_told(site: Site, query: dict[str, Any], code: str, level: Level) -> None:
    site.conf["schedule"]["files"] |= query
    assert site.codes()[code] is level


def test_renamed_columns_are_named(site: Site) -> None:
    site.conf["schedule"]["files"]["query"] = "SELECT action, target_path AS path FROM file_events"
    assert any("target_path (as 'path')" in one.problem for one in site.advice())


# Files.


def test_a_file_that_osqueryd_refuses_is_a_trap_with_line_and_column(site: Site) -> None:
    (site.root / "etc/osquery/osquery.conf.d").mkdir()
    (site.root / "etc/osquery/osquery.conf.d/a.conf").write_text('{\n "options": {},\n}')
    one = site.of("osquery-config-refused")
    assert one.level is Level.TRAP
    assert one.where == "/etc/osquery/osquery.conf.d/a.conf:3:1"


def test_a_pack_that_is_about_to_be_put_in_place_is_looked_at_as_if_it_were(site: Site) -> None:
    site.conf = {}
    assert {"osquery-no-query", "osquery-uncovered"} <= set(site.codes())
    pack = {"queries": {"file_events": QUERY}, "file_paths": {"fimkit_watch": ["/srv/www/%%", "/etc/%"]}}
    assert not site.advice(rendered=json.dumps(pack).encode())
    pack["file_paths"] = {"fimkit_watch": ["/srv/%%/x"]}
    assert "osquery-inner-wildcard" in site.codes(rendered=json.dumps(pack).encode())


@pytest.mark.parametrize(
    "watches",
    [
        [Watch(path=b"/srv/www")],
        [Watch(path=b"/srv"), Watch(path=b"/srv/www", tier=Tier.CRITICAL)],
        [Watch(path=b"/srv/www", exclude=("/srv/www/deep/*", "*.swp"))],
        [Watch(path=b"/srv", recursive=False), Watch(path=b"/srv/www/deep")],
        [Watch(path=b"/etc/passwd"), Watch(path=b"/opt/link")],
        [Watch(path=b"/opt/" + name) for name in ODD_NAMES],
    ],
    ids=["one", "tiers", "excludes", "level", "file and link", "names"],
)
def test_the_pack_that_install_renders_falls_into_no_trap(site: Site, watches: list[Watch]) -> None:
    for name in ODD_NAMES:
        os.mkdir(os.fsencode(site.root / "opt") + b"/" + name)
    (site.root / "opt/link").symlink_to("/srv/www")
    site.conf, site.watches = {}, tuple(watches)
    pack, _ = print_pack(site.config(), root=os.fspath(site.root))
    assert not site.advice(rendered=pack)


def test_results_that_are_read_elsewhere_are_told(site: Site) -> None:
    one = site.of("osquery-logger-path", osquery_log=b"/srv/log/osqueryd.results.log")
    assert "--logger_path=/srv/log" in one.remedy and 'osquery_log = "/var/log/osquery/osqueryd.results.log"' in one.remedy


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    patterns=st.lists(st.text(alphabet="/%*abdepstvw.", min_size=1, max_size=14), max_size=5),
    excludes=st.lists(st.text(alphabet="/%*srvw", max_size=9)),
)
def test_any_patterns_are_taken(site: Site, patterns: list[str], excludes: list[str]) -> None:
    site.conf["file_paths"] = {"a": patterns, "b": patterns[:2]}
    site.conf["exclude_paths"] = {"a": excludes}
    assert all(one.problem and one.remedy for one in site.advice())


# What is counted.


def test_folders_are_counted_once_however_many_patterns_take_them_and_links_not(tmp_path: Path) -> None:
    for folder in ("a/b/c", "a/d", "e"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a/link").symlink_to("/")
    (tmp_path / "a/b/big").write_bytes(b"x" * 100)
    (tmp_path / "e/bigger").write_bytes(b"x" * 101)
    root = os.fsencode(tmp_path)
    patterns = [b"/a/%%", b"/a/b/%%", b"/a/d/%", b"/e/", b"/none/%%", b"/%/b/%%"]
    count = count_tree({pattern: find_bases(pattern, root) for pattern in patterns}, root, read_max=99)
    assert count == (5, 2, b"/e/bigger", 101, True)


def test_a_count_that_takes_too_long_is_broken_off(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path)
    assert not count_tree({path + b"/%%": (Base(path, path, True),)}, read_max=1, within_s=-1).is_whole


def test_this_kernels_limits_are_read() -> None:
    limits = load_inotify_limits()
    assert limits.max_user_watches is not None and limits.max_user_watches > 0
    assert (limits.other_watches is None) == (os.geteuid() != 0)
