"""What fimkit stands on is watched where `[self]` asks for it, once, and never less than it was."""

from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.model.config import Config, Host, SelfWatch, Sources, Watch
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


def test_program_configuration_units_hooks_and_the_sources_settings_are_added_also_what_is_not_there_yet(system: bytes) -> None:
    found = planned(config_of(tier=Tier.CRITICAL), system)
    assert {
        PROGRAM, b"/etc/fimkit", b"/etc/audit", b"/etc/osquery", b"/etc/cron.d/fimkit", b"/etc/apt/apt.conf.d/90fimkit",
        b"/etc/systemd/system/fimkit-watch.service", b"/etc/systemd/system/fimkit-watch.service.d",
        b"/usr/lib/python3.9/site-packages/dnf-plugins/fimkit_hook.py",
    } <= found.keys()  # fmt: skip
    assert b"/etc/sysconfig/osqueryd" not in found  # a folder of another distribution
    assert not any(path.startswith(b"/usr/local/lib/systemd") for path in found)  # no installation for the whole host
    assert {one.tier for one in found.values()} == {Tier.CRITICAL}


def test_an_installation_for_the_host_has_its_units_watched_even_where_their_folder_was_removed(system: bytes) -> None:
    found = planned(config_of(), system, program=system + b"/opt/fimkit")
    assert b"/usr/local/lib/systemd/system/fimkit-watch.service" in found


def test_a_configuration_among_other_things_is_watched_alone(system: bytes) -> None:
    found = planned(config_of(), system, file=b"/etc/watch.toml")
    assert b"/etc/watch.toml" in found and b"/etc" not in found
    elsewhere = replace(config_of(), sources=Sources(osquery_config=b"/etc/oq.conf"))
    assert {b"/etc/oq.conf", b"/etc/oq.conf.d", b"/etc/packs"} <= planned(elsewhere, system).keys()
    without = replace(elsewhere, sources=Sources(osquery_config=b""))
    assert not any(b"oq" in path or b"/osquery" in path for path in planned(without, system))


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
