"""An osquery installation's files, read together as osqueryd reads them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimkit.osquery.config_file import load_osquery_config
from fimkit.osquery.flag_file import parse_flags
from fimkit.osquery.osquery_config import OsqueryConfig, Setting

__all__: list[str] = []


class Site:
    """An installation below a root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("etc/osquery/osquery.conf", {})

    def write(self, name: str, content: object) -> bytes:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        return b"/" + os.fsencode(name)

    def load(self, **more: Any) -> OsqueryConfig:
        return load_osquery_config(b"/etc/osquery/osquery.conf", root=os.fsencode(self.root), **more)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def words_of(config: OsqueryConfig) -> str:
    return "\n".join(f"{problem.file!r} {problem.words}" for problem in config.problems)


def test_the_configuration_the_folder_beside_it_and_packs_come_together(site: Site) -> None:
    site.write("etc/osquery/osquery.conf", {
        "schedule": {"files": {"query": "SELECT * FROM file_events", "interval": "60", "removed": False, "denylist": "false"}},
        "packs": {
            "named": "/etc/osquery/packs/named.conf",
            "inline": {"platform": "windows", "queries": {"q": {"query": "SELECT 1"}}, "file_paths": {"in": ["/in/%%"]}},
            "*": "/etc/osquery/packs/all-%.conf",
        },
        "file_paths": {"etc": ["/etc/%%"]},
        "exclude_paths": {"etc": ["/etc/cache/%%"]},
        "file_accesses": ["etc"],
    })
    site.write("etc/osquery/packs/named.conf", {"queries": {"n": {"query": "SELECT 2", "interval": 7, "snapshot": True}}})
    site.write("etc/osquery/packs/all-x.conf", "# one\n" + json.dumps({"queries": {"x": {"query": "SELECT 3"}}}))
    site.write("etc/osquery/osquery.conf.d/b.conf", {"file_paths": {"srv": ["/srv/%%"]}, "file_paths_query": {"u": ["SELECT 4"]}})
    site.write("etc/osquery/osquery.conf.d/not.json", "{")
    config = site.load()
    assert not config.problems
    watched = [(one.category, one.pattern) for one in config.file_paths]
    assert watched == [("in", b"/in/%%"), ("etc", b"/etc/%%"), ("srv", b"/srv/%%")]
    assert config.file_paths[2].file == b"/etc/osquery/osquery.conf.d/b.conf"
    assert [one.pattern for one in config.exclude_paths] == [b"/etc/cache/%%"]
    assert config.accesses == (("etc", b"/etc/osquery/osquery.conf"),)
    assert [one.sql for one in config.path_queries] == ["SELECT 4"]
    by_name = {query.scheduled_name: query for query in config.queries}
    assert list(by_name) == ["files", "pack_named_n", "pack_inline_q", "pack_all-x_x"]
    files = by_name["files"]
    assert (files.interval_s, files.removed, files.denylist) == (60, False, False)
    assert by_name["pack_named_n"].snapshot
    assert (by_name["pack_inline_q"].platform, by_name["pack_inline_q"].interval_s) == ("windows", 3600)


def test_options_win_over_flags_and_the_last_file_over_the_others(site: Site) -> None:
    site.write("etc/osquery/osquery.flags", "--events_max=5\n--disable_audit=false\n--config_plugin=tls\n")
    site.write("etc/osquery/osquery.conf", {"options": {"events_max": 6, "disable_audit": True, "config_plugin": "filesystem"}})
    where = site.write("etc/osquery/osquery.conf.d/z.conf", {"options": {"events_max": "7"}}).decode()
    config = site.load()
    assert config.setting("events_max") == Setting("7", f"{where}: options")
    assert config.value("disable_audit", "") == "true"
    assert config.config_plugin == "tls"
    assert config.flags["disable_audit"].where == "/etc/osquery/osquery.flags:2"


def test_the_services_settings_name_the_flag_file(site: Site) -> None:
    site.write("etc/default/osqueryd", 'FLAG_FILE="/srv/flags"\nCONFIG_FILE="/etc/osquery/osquery.conf"\n')
    site.write("srv/flags", "--logger_path=/srv/log\n--flagfile=/srv/more\n")
    site.write("srv/more", "--logger_plugin=filesystem,tls\n")
    config = site.load()
    assert config.logger_path == b"/srv/log"
    assert config.logger_plugins == ("filesystem", "tls")
    assert site.load(flagfile=b"/srv/more").logger_path == b"/var/log/osquery/"


def test_a_file_that_osqueryd_refuses_ends_its_reading_and_is_read_here_as_far_as_it_goes(site: Site) -> None:
    site.write("etc/osquery/osquery.conf.d/a.conf", '{\n "file_paths": {"a": ["/a/%%"],}\n}')
    site.write("etc/osquery/osquery.conf.d/b.conf", {"file_paths": {"b": ["/b/%%"]}})
    config = site.load()
    assert [one.category for one in config.file_paths] == ["a", "b"]
    assert [problem.line for problem in config.problems] == [2, None]
    assert all(problem.refused for problem in config.problems)
    assert "does not read /etc/osquery/osquery.conf.d/b.conf" in config.problems[1].words


def test_a_pack_that_is_bad_stops_nothing_else(site: Site) -> None:
    packs = {"a": "/none", "b": "/dev/null", "c": 5, "d": {"queries": []}, "*": "/none/%"}
    site.write("etc/osquery/osquery.conf", {"packs": packs})
    site.write("etc/osquery/osquery.conf.d/a.conf", {"file_paths": {"a": ["/a/%%"]}})
    config = site.load()
    assert [one.pattern for one in config.file_paths] == [b"/a/%%"]
    words = words_of(config)
    assert "b'/none' it cannot be read: No such file or directory; the pack is passed over" in words
    assert "the pack 'c' is neither a path nor an object" in words
    assert "queries of the pack 'd' is no object" in words
    assert "no pack is at /none/%25" in words
    assert "osqueryd stops" not in words


def test_a_missing_configuration_leaves_osqueryd_without_the_folder_beside_it_too(site: Site) -> None:
    site.write("etc/osquery/osquery.conf.d/a.conf", {"file_paths": {"a": ["/a/%%"]}})
    (site.root / "etc/osquery/osquery.conf").unlink()
    config = site.load()
    assert "reads none of the others" in config.problems[0].words
    assert [one.pattern for one in config.file_paths] == [b"/a/%%"]


def test_excludes_without_paths_beside_them_and_of_a_category_in_two_files_are_told(site: Site) -> None:
    site.write("etc/osquery/osquery.conf", {"file_paths": {"a": ["/a/%%"]}, "exclude_paths": {"a": ["/a/one"]}})
    site.write("etc/osquery/osquery.conf.d/1.conf", {"exclude_paths": {"a": ["/a/two"]}})
    site.write("etc/osquery/osquery.conf.d/2.conf", {"file_paths": {"b": ["/b/%%"]}, "exclude_paths": {"a": ["/a/three"]}})
    config = site.load()
    assert [one.pattern for one in config.exclude_paths] == [b"/a/three"]
    assert "stand without file_paths beside them" in words_of(config)
    assert "takes the place of those in /etc/osquery/osquery.conf" in words_of(config)


def test_values_of_a_wrong_kind_are_told_one_by_one(site: Site) -> None:
    site.write("etc/osquery/osquery.conf", {
        "options": [], "packs": [], "file_paths": {"a": "/a/%%", "b": [5, "", "/b/%%"]}, "exclude_paths": 1,
        "schedule": {"none": {}, "zero": {"query": "SELECT", "interval": 0}, "far": {"query": "SELECT", "interval": 1e9}, "x": 3},
    })
    config = site.load()
    assert [one.pattern for one in config.file_paths] == [b"/b/%%"]
    assert not config.queries
    assert len(config.problems) == 10


def test_names_that_are_no_utf8_are_their_bytes(site: Site) -> None:
    site.write("etc/osquery/osquery.conf", '{"file_paths": {"a": ["/srv/\udcff/%%", "/\\ud800", "/x\\u0000y"]}}')
    assert [one.pattern for one in site.load().file_paths] == [b"/srv/\xff/%%", b"/?", b"/x"]


def test_a_fifo_or_a_folder_in_place_of_a_file_holds_nothing_up(site: Site) -> None:
    os.mkfifo(site.root / "etc/osquery/osquery.flags")
    (site.root / "etc/osquery/osquery.conf.d/a.conf").mkdir(parents=True)
    words = words_of(site.load())
    assert "the flag file cannot be read: no regular file" in words
    assert "osquery.conf.d/a.conf' it cannot be read" in words


def test_flags_are_read_as_gflags_reads_them() -> None:
    text = "\n# no\n-verbose\n--nodisable_audit\n--notify=no\n--a=b=c \n--a=d\n--b c\n--c=\"d\"\n"
    flags, problems = parse_flags(text, file=b"/f")
    assert {name: setting.value for name, setting in flags.items()} == {
        "verbose": "true", "disable_audit": "false", "notify": "no", "a": "d", "c": '"d"',
    }
    assert flags["a"].where == "/f:7"
    assert [(problem.line, problem.words[:9]) for problem in problems] == [(8, "no flag i"), (9, "the quote")]


def test_a_flag_file_that_is_named_and_missing_is_told_and_one_that_names_itself_ends(site: Site) -> None:
    assert "the flag file cannot be read" in words_of(site.load(flagfile=b"/none"))
    site.write("etc/osquery/osquery.flags", "--flagfile=/etc/osquery/osquery.flags\n")
    assert not site.load().problems


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
_KEYS = st.sampled_from(["schedule", "packs", "options", "file_paths", "exclude_paths", "file_accesses", "file_paths_query"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(codec="utf-8")), flags=st.text(alphabet=st.characters(codec="utf-8")))
def test_any_text_is_a_configuration_or_a_problem(site: Site, text: str, flags: str) -> None:
    site.write("etc/osquery/osquery.conf", text)
    site.write("etc/osquery/osquery.flags", flags)
    config = site.load()
    assert config.problems or config.files


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(_KEYS, _JSON), st.dictionaries(_KEYS, st.dictionaries(st.text(max_size=5), _JSON, max_size=3)))
def test_any_json_is_a_configuration(site: Site, one: object, other: object) -> None:
    site.write("etc/osquery/osquery.conf", one)
    site.write("etc/osquery/osquery.conf.d/a.conf", other)
    assert b"/etc/osquery/osquery.conf" in site.load().files
