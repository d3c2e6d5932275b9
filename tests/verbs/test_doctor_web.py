"""The doctor on web roots: each trap on a host made for it, and nothing where all is well."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.dirty.count import count_folders
from fimkit.evidence.store import open_store
from fimkit.model.config import Config, Content, Host, Watch
from fimkit.model.watches import WatchSet
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.doctor_web import check_web
from tests.evidence.examples import NOW, a_change

__all__: list[str] = []


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "www/cache").mkdir(parents=True)
    (tmp_path / "access.log").touch()
    (tmp_path / "proc/sys/fs/inotify").mkdir(parents=True)
    (tmp_path / "proc/sys/fs/inotify/max_user_watches").write_text("65536\n")
    made = Config(
        host=Host(name="web01", state_dir=os.fsencode(tmp_path / "state")),
        paths=(Watch(path=os.fsencode(tmp_path / "www"), scan_content=True, handler=("/bin/echo", "%%")),),
        content=Content(user="nobody", access_logs=(os.fsencode(tmp_path / "access.log"),)),
    )
    open_store(made.host.state_dir, create=True).close()
    return made


def codes(config: Config, tmp_path: Path) -> dict[str, str]:
    found = list(check_web(config, DoctorHost(proc=tmp_path / "proc", now_s=lambda: NOW / 1e9)))
    assert all(one.remedy and one.problem.endswith(".") for one in found)
    return {one.code: f"{one.problem} > {one.remedy}" for one in found}


def test_nothing_is_found_where_all_is_well(config: Config, tmp_path: Path) -> None:
    assert codes(config, tmp_path) == {}


def test_too_few_inotify_watches_are_told_with_the_line_to_set(config: Config, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"www/d{number}").mkdir()
    assert count_folders(WatchSet(config.paths)) == (12, True)
    (tmp_path / "proc/sys/fs/inotify/max_user_watches").write_text("8\n")
    words = codes(config, tmp_path)["inotify-watches"]
    assert "needs 12 inotify watches" in words and "the limit is 8: 4 folders" in words
    assert "fs.inotify.max_user_watches = 65536' >> /etc/sysctl.d/60-fimkit.conf" in words
    excluded = replace(config, paths=(replace(config.paths[0], exclude=(f"{tmp_path}/www/d*",)),))
    assert codes(excluded, tmp_path).keys() == set()


def test_a_folder_that_made_most_of_the_days_changes_is_offered_as_an_exclude(config: Config, tmp_path: Path) -> None:
    cache, other = f"{tmp_path}/www/cache".encode(), f"{tmp_path}/www".encode()
    rows = [a_change(b"%s/%d/%d" % (cache, number % 50, number), serial=number) for number in range(900)]
    rows += [a_change(b"%s/%d" % (other, number), serial=1000 + number) for number in range(100)]
    before_ns = NOW - 2 * 86_400 * 10**9
    rows += [a_change(b"%s/old%d" % (other, number), serial=3000 + number, time_ns=before_ns) for number in range(5000)]
    with open_store(config.host.state_dir) as store:
        store.add_changes(rows)
    words = codes(config, tmp_path)["loud-folder"]
    assert "900 of the 1000 changes of the last day (90 %)" in words
    assert f'exclude = ["{tmp_path}/www/cache/*"]' in words
    excluded = replace(config, paths=(replace(config.paths[0], exclude=(f"{tmp_path}/www/cache/*",)),))
    assert "loud-folder" not in codes(excluded, tmp_path)


@pytest.mark.parametrize(("change", "code"), [
    ({"user": "fimkit-no-such-user"}, "scan-user"), ({"user": "root"}, "scan-rights"), ({"built_in": False}, "scan-no-rules"),
    ({"access_logs": (b"/no/such.log",)}, "access-log"),
])  # fmt: skip
def test_what_is_amiss_with_the_scanner_is_told(config: Config, tmp_path: Path, change: dict[str, object], code: str) -> None:
    broken = replace(config, content=replace(config.content, **change))  # type: ignore[arg-type]
    assert codes(broken, tmp_path).keys() == {code}
    blind = replace(broken, paths=(Watch(path=config.paths[0].path),))
    assert codes(blind, tmp_path) == {}


def test_a_bad_rule_and_a_missing_handler_are_named(config: Config, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/bad.toml").write_text("[[rule]]\nid = 'x'\n")
    content = replace(config.content, rules=(os.fsencode(tmp_path / "rules"),))
    paths = (replace(config.paths[0], handler=("/no/such/handler", "%%")),)
    found = codes(replace(config, content=content, paths=paths), tmp_path)
    assert found.keys() == {"scan-rule", "handler-missing"} and "/no/such/handler" in found["handler-missing"]
