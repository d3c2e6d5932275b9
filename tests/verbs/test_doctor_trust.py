"""The doctor names files of fimkit's state that are not its own alone, and a watch that was killed."""

import os
from dataclasses import replace
from pathlib import Path

from fimkit.model.config import Config, Host, SelfWatch, Watch
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.doctor_trust import check_trust
from fimkit.verbs.watch_status import StatusFile, WatchStatus

__all__: list[str] = []


def config_of(folder: Path) -> Config:
    folder.chmod(0o700)
    return Config(host=Host(name="h", state_dir=os.fsencode(folder)))


def state_problems(config: Config) -> dict[str, str]:
    found = [one for one in check_trust(config, DoctorHost()) if one.code == "state-file"]
    return {one.where.rpartition("/")[2]: one.problem for one in found}


def test_links_and_files_that_others_can_write_are_named(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    for name in ("mine", "shared", "twice"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    assert state_problems(config) == {}
    (tmp_path / "shared").chmod(0o666)
    os.link(tmp_path / "twice", tmp_path / "again")
    (tmp_path / "link\x1b").symlink_to("/etc/shadow")
    found = state_problems(config)
    assert found.keys() == {"shared", "twice", "again", "link%1B"}
    assert "can be written by others (mode 0666)" in found["shared"]
    assert "has 2 names" in found["twice"]


def test_a_watch_that_was_killed_is_named_and_one_that_was_stopped_is_not(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    def codes() -> list[str]:
        return [one.code for one in check_trust(config, DoctorHost()) if one.code == "watch-down"]

    assert codes() == []
    with StatusFile(os.fsencode(tmp_path)) as file:
        file.write(WatchStatus(pid=4_000_000, started_ns=1))
        assert codes() == ["watch-down"]
        file.write(WatchStatus(pid=4_000_000, started_ns=1, stopped_ns=2))
    assert codes() == []


def test_a_configuration_that_others_can_write_is_named_with_its_remedy(tmp_path: Path) -> None:
    config, file = config_of(tmp_path), tmp_path / "fimkit.toml"
    file.write_text("")
    file.chmod(0o666)
    (one,) = [one for one in check_trust(config, DoctorHost(config_file=str(file))) if one.code == "config-writers"]
    assert one.remedy == f"chmod go-w {file}" and "every user (mode 0666): its commands run" in one.problem
    file.chmod(0o600)
    assert not [one for one in check_trust(config, DoctorHost(config_file=str(file))) if one.code == "config-writers"]


def test_watching_what_fimkit_stands_on_is_advised_where_nothing_does(tmp_path: Path) -> None:
    config, file = config_of(tmp_path), tmp_path / "fimkit.toml"
    file.write_text("")

    def told(config: Config) -> list[str]:
        return [one.problem for one in check_trust(config, DoctorHost(config_file=str(file))) if one.code == "self-watch"]

    (words,) = told(config)
    assert str(tmp_path) in words  # of the folder or the file, as the folder is called
    assert told(replace(config, self=SelfWatch(watch=True))) == []
    assert told(replace(config, paths=(Watch(path=b"/"),))) == []
