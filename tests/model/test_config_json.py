"""A configuration goes through JSON and back; the frozen part takes the place of the file's."""

import dataclasses
import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.config import Config, Host, Live, Mail, Panic, Scanning, Sources, StoreLimits, Syslog, Watch, Webhook
from fimkit.model.config_json import FROZEN, freeze, parse_config_row, render_config, thaw
from fimkit.model.config_text import parse_config
from fimkit.model.errors import ConfigError
from fimkit.model.findings import Tier
from tests.model.test_config_text import WHOLE

__all__: list[str] = []

TEXT = st.text(max_size=20)
PATH = st.binary(max_size=20)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT, bytes: PATH, bool: st.booleans(), int: st.integers(), Tier: st.sampled_from(Tier), tuple[str, ...]: TEXTS,
    tuple[tuple[str, ...], ...]: st.lists(TEXTS, max_size=3).map(tuple),
}


def table(cls: Any) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{field.name: BY_TYPE[field.type] for field in dataclasses.fields(cls)})


CONFIGS = st.builds(
    Config, host=table(Host), paths=st.lists(table(Watch), max_size=2).map(tuple), sources=table(Sources), watch=table(Live),
    scan=table(Scanning),
    mail=table(Mail), syslog=table(Syslog), webhook=table(Webhook), store=table(StoreLimits), panic=table(Panic),
)  # fmt: skip


@given(CONFIGS)
def test_any_configuration_goes_through_json_and_back(config: Config) -> None:
    assert parse_config_row(json.loads(json.dumps(render_config(config)))) == config


@given(CONFIGS, CONFIGS)
def test_the_frozen_part_takes_the_place_of_the_files(armed: Config, now: Config) -> None:
    thawed = thaw(now, json.loads(json.dumps(freeze(armed))))
    assert thawed.host == dataclasses.replace(now.host, name=armed.host.name)
    assert [getattr(thawed, name) for name in FROZEN] == [getattr(armed, name) for name in FROZEN]
    assert (thawed.paths, thawed.sources, thawed.watch, thawed.store) == (now.paths, now.sources, now.watch, now.store)
    assert freeze(thawed) == freeze(armed)


def test_what_stands_beside_the_frozen_part_and_how_it_is_kept_do_not_matter() -> None:
    config = parse_config(WHOLE, "c.toml")
    kept = MappingProxyType({**freeze(config), "endpoints": {"mail.example.org": ["192.0.2.25"]}})
    other = Config(host=Host(name="web02"))
    assert thaw(other, kept).panic == config.panic
    assert thaw(other, kept).host.name == "web01"
    assert thaw(other, {}) == other


def test_a_key_that_an_older_version_had_not_is_its_default() -> None:
    row = render_config(parse_config(WHOLE, "c.toml"))
    del row["panic"]["windows"]
    assert parse_config_row(row).panic.windows == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"panic": {"threshold": "1"}}, "panic.threshold: '1', expected int"),
        ({"panic": {"threshold": True}}, "panic.threshold: True, expected int"),
        ({"panic": {"nokill": 1}}, "panic.nokill: 1, expected bool"),
        ({"panic": {"recon": [["ps"], "ss"]}}, "panic.recon\\[1\\]: 'ss', expected a list"),
        ({"panic": 3}, "panic: 3, expected an object"),
        ({"paths": [{"tier": "critical"}]}, "paths\\[0\\]: something that it cannot be without is missing"),
        ({"paths": [{"path": "/a", "tier": "no"}]}, "paths\\[0\\].tier: 'no', expected str"),
        ({"host": {}}, "host: something"),
    ],
)
def test_another_type_is_refused_with_its_place(change: dict[str, Any], words: str) -> None:
    row = {"host": {"name": "web01"}, **change}
    with pytest.raises(ConfigError, match=words):
        parse_config_row(json.loads(json.dumps(row)))


def test_all_that_is_wrong_in_frozen_settings_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        thaw(Config(host=Host(name="web01")), {"panic": {"threshold": "x"}, "mail": [], "host": {"name": 3}})
    assert len(caught.value.problems) == 3


@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda deep: st.lists(deep) | st.dictionaries(TEXT, deep)))
def test_any_json_is_a_configuration_or_refused(row: Any) -> None:
    with pytest.raises(ConfigError):
        parse_config_row(row)
