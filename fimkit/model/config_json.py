"""A configuration as JSON and back, whole or the part that a panic is frozen with. Pure.

The types are those of the dataclasses of :mod:`fimkit.model.config`: what is added there is here too. Paths are text of
:func:`fimkit.model.paths.render_path`.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

from fimkit.model.config import Config, Host
from fimkit.model.errors import ConfigError, clip
from fimkit.model.paths import parse_path, render_path

__all__ = ["FROZEN", "freeze", "parse_config_row", "render_config", "thaw"]

FROZEN = ("panic", "mail", "syslog", "webhook", "channels")
"""The tables that do not change while the host is armed; beside the name of the host."""


def _render(value: object) -> Any:
    if is_dataclass(value):
        return {field.name: _render(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return list(map(_render, value))
    if isinstance(value, bytes):
        return render_path(value)
    return value.value if isinstance(value, StrEnum) else value


def render_config(config: Config) -> dict[str, Any]:
    """Give a configuration as an object for JSON.

    >>> from fimkit.model.config import Host
    >>> render_config(Config(host=Host(name="web01")))["host"]
    {'name': 'web01', 'state_dir': '/var/lib/fimkit', 'report_file': ''}
    """
    row: dict[str, Any] = _render(config)
    return row


def _parse(hint: Any, value: object, place: str, problems: list[str]) -> Any:
    if is_dataclass(hint):
        return _parse_table(hint, value, place, problems)
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if isinstance(value, list):
            return tuple(_parse(inner, item, f"{place}[{number}]", problems) for number, item in enumerate(value))
        problems.append(f"{place}: {clip(value)}, expected a list")
        return ()
    plain: type = str if hint is bytes or issubclass(hint, StrEnum) else hint
    if type(value) is plain:  # not isinstance: true is no number here
        if hint is bytes:
            return parse_path(str(value))
        if not issubclass(hint, StrEnum) or value in [one.value for one in hint]:
            return hint(value)
    problems.append(f"{place}: {clip(value)}, expected {plain.__name__}")
    return None


def _parse_table(cls: Any, value: object, place: str, problems: list[str]) -> Any:
    if not isinstance(value, Mapping):
        problems.append(f"{place or 'a configuration'}: {clip(value)}, expected an object")
        return None
    hints, start = get_type_hints(cls), f"{place}." if place else ""
    known = {field.name for field in fields(cls)} & value.keys()
    values = {name: _parse(hints[name], value[name], start + name, problems) for name in known}
    try:
        return cls(**values)
    except TypeError:  # without what has no default
        problems.append(f"{place or 'a configuration'}: something that it cannot be without is missing")
        return None


def _checked(parsed: Any, problems: list[str]) -> Any:
    if problems:
        raise ConfigError(problems)
    return parsed


def parse_config_row(row: object) -> Config:
    """Read what :func:`render_config` gave. What is missing is the default; what another version wrote beside it is not looked at.

    Only types are checked here: the values were, when the configuration was read from its file.

    Raises:
        ConfigError: If a value has another type, with every problem.
    """
    problems: list[str] = []
    config: Config = _checked(_parse_table(Config, row, "", problems), problems)
    return config


def freeze(config: Config) -> dict[str, Any]:
    """Give the part that a host is armed with: its name, and how a panic goes and who hears of it.

    >>> from fimkit.model.config import Host
    >>> sorted(freeze(Config(host=Host(name="web01"))))
    ['channels', 'host', 'mail', 'panic', 'syslog', 'webhook']
    """
    return {"host": {"name": config.host.name}} | {name: _render(getattr(config, name)) for name in FROZEN}


def _plain(value: object) -> object:
    """Give plain lists and objects for those that a record keeps frozen."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(map(_plain, value)) if isinstance(value, tuple | list) else value


def thaw(config: Config, settings: Mapping[str, Any]) -> Config:
    """Put the part that the host was armed with in the place of the file's.

    Args:
        config: As the file has it now.
        settings: From :func:`freeze`; what stands beside it (as addresses) is not looked at. Empty changes nothing.

    Raises:
        ConfigError: If a value has another type than it must have.
    """
    problems: list[str] = []
    row, hints = _plain(settings), get_type_hints(Config)
    assert isinstance(row, dict)
    parts = {name: _parse(hints[name], row[name], name, problems) for name in FROZEN if name in row}
    if "host" in row:
        named = {"name": config.host.name} | row["host"] if isinstance(row["host"], dict) else row["host"]
        host = _parse_table(Host, named, "host", problems)
        parts["host"] = host and replace(config.host, name=host.name)
    return replace(config, **_checked(parts, problems))
