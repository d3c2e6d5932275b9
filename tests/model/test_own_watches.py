"""What fimkit stands on is watched where `[self]` asks for it, once, and never less than it was."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.model.config import Config, Host, Packages, SelfWatch, Sources, Watch
from fimkit.model.config_text import load_config
from fimkit.model.findings import Tier
from fimkit.model.own_watches import find_own_program, plan_own_watches

__all__: list[str] = []

PROGRAM = b"/srv/venv"


@pytest.fixture
def system(tmp_path: Path) -> bytes:
    for folder in ("etc/systemd/system", "etc/cron.d", "etc/apt/apt.conf.d", "usr/lib/python3.9/site-packages/dnf-plugins"):
        (tmp_path / folder).mkdir(parents=True)
    return bytes(tmp_path)


def config_of(*watches: Watch, tier: Tier = Tier.WATCH, state_dir: bytes = b"/var/lib/fimkit") -> Config:
    return Config(host=Host(name="h", state_dir=state_dir), paths=watches, self=SelfWatch(watch=True, tier=tier))


def planned(
    config: Config, system: bytes, *, program: bytes = PROGRAM, file: bytes = b"/etc/fimkit/fimkit.toml"
) -> dict[bytes, Watch]:
    return {one.path.removeprefix(system): one for one in plan_own_watches(config, file, program=program, system=system)}


def test_nothing_is_added_where_it_is_not_asked_for(system: bytes) -> None:
    assert planned(replace(config_of(), self=SelfWatch()), system) == {}


def place(system: bytes, *paths: str) -> None:
    for path in paths:
        file = Path(os.fsdecode(system)) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")


def test_program_configuration_and_the_sources_settings_are_added_and_of_the_rest_what_is_there(system: bytes) -> None:
    assert planned(config_of(), system).keys() == {PROGRAM, b"/etc/fimkit", b"/etc/audit"}
    place(system, "etc/cron.d/fimkit", "etc/default/osqueryd", "etc/systemd/system/fimkit-watch.service.d/override.conf")
    found = planned(config_of(tier=Tier.CRITICAL), system)
    assert found.keys() - {PROGRAM, b"/etc/fimkit", b"/etc/audit"} == {
        b"/etc/cron.d/fimkit", b"/etc/default/osqueryd", b"/etc/systemd/system/fimkit-watch.service.d",
    }  # fmt: skip
    assert {one.tier for one in found.values()} == {Tier.CRITICAL}


def test_one_unit_that_is_there_stands_for_all_so_that_its_removal_shows(system: bytes) -> None:
    place(system, "etc/systemd/system/fimkit-check.timer")
    units = {path for path in planned(config_of(), system) if b"systemd" in path}
    assert len(units) == 5 and b"/etc/systemd/system/fimkit-watch.service" in units


def test_the_hooks_are_watched_where_they_are_wanted_also_if_somebody_took_them_away(system: bytes) -> None:
    wanted = replace(config_of(), packages=Packages(hook=True))
    assert {b"/etc/apt/apt.conf.d/90fimkit", b"/usr/lib/python3.9/site-packages/dnf-plugins/fimkit_hook.py"} <= planned(
        wanted, system
    ).keys()


def test_an_installation_for_the_host_has_what_it_places_watched_even_where_the_folder_was_removed(system: bytes) -> None:
    found = planned(config_of(), system, program=system + b"/opt/fimkit")
    assert {b"/usr/local/lib/systemd/system/fimkit-watch.service", b"/etc/cron.d/fimkit", b"/usr/local/bin/fimkit"} <= found.keys()


def test_a_configuration_among_other_things_is_watched_alone(system: bytes) -> None:
    found = planned(config_of(), system, file=b"/etc/watch.toml")
    assert b"/etc/watch.toml" in found and b"/etc" not in found
    place(system, "etc/osquery/osquery.flags", "etc/oq.conf", "etc/packs/x.conf")
    usual = replace(config_of(), sources=Sources(osquery_config=system + b"/etc/osquery/osquery.conf"))
    assert b"/etc/osquery" in planned(usual, system)
    elsewhere = replace(config_of(), sources=Sources(osquery_config=system + b"/etc/oq.conf"))
    assert {b"/etc/oq.conf", b"/etc/packs"} <= planned(elsewhere, system).keys()
    without = planned(replace(elsewhere, sources=Sources(osquery_config=b"")), system)
    assert not {b"/etc/oq.conf", b"/etc/packs", b"/etc/osquery"} & without.keys()


def test_what_is_configured_already_is_left_to_that_unless_it_weighs_less(system: bytes) -> None:
    whole = Watch(path=system + b"/etc")
    assert b"/etc/audit" not in planned(config_of(whole), system)
    assert planned(config_of(whole, tier=Tier.CRITICAL), system)[b"/etc/audit"].tier is Tier.CRITICAL
    for partly in (replace(whole, recursive=False), replace(whole, exclude=("audit",)), replace(whole, include=("*.conf",))):
        assert b"/etc/audit" in planned(config_of(partly), system)
    named = Watch(path=system + b"/etc/audit", exclude=("*.prev",))  # twice the same path is none
    assert b"/etc/audit" not in planned(config_of(named, tier=Tier.CRITICAL), system)


def test_the_state_folder_is_never_part_of_it(system: bytes) -> None:
    found = planned(config_of(state_dir=b"/srv/fimkit/state"), system, file=b"/srv/fimkit/fimkit.toml")
    assert found[b"/srv/fimkit"].exclude == ("/srv/fimkit/state",)


def test_the_loader_of_a_hosts_own_configuration_adds_them_behind_the_written_ones(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    text = '[[paths]]\npath = "/sbin"\n'
    file.write_text(text)
    assert [one.path for one in load_config(file).paths] == [b"/sbin"]
    file.write_text(text + '[self]\nwatch = true\ntier = "critical"\n')
    first, *own = load_config(file).paths
    assert first.path == b"/sbin" and {one.tier for one in own} == {Tier.CRITICAL}
    assert {bytes(file), find_own_program()} <= {one.path for one in own}
