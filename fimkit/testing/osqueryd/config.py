"""Reads the configuration as osqueryd's file system plugin does: the file, ``<file>.d/*.conf`` beside it, and their packs.

Comments (``//`` and ``#`` lines, ``//`` behind values, ``/* */``) and trailing commas are tolerated. A source that is no JSON
object fails ``--config_check``; a daemon says so and goes on with the others.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fimkit.testing.osqueryd.version import VERSION

__all__ = ["Config", "ConfigProblem", "Pack", "ScheduledQuery", "build_config", "load_config", "strip_comments"]

_MAX_INTERVAL_S = 604_800
# Texts are taken whole, so that what looks like a comment in them stays.
_COMMENT = r"//[^\n]*|/\*.*?\*/|^[ \t]*#[^\n]*"
_TOKENS = re.compile(rf'"(?:\\.|[^"\\])*"|{_COMMENT}|,(?=(?:\s|{_COMMENT})*[}}\]])', re.DOTALL | re.MULTILINE)


class ConfigProblem(ValueError):
    """A source that cannot be read."""


class ScheduledQuery(NamedTuple):
    """A query of the schedule, under the name that its results have."""

    name: str
    sql: str
    interval_s: int
    removed: bool
    snapshot: bool


class Pack(NamedTuple):
    """A pack, as ``osquery_packs`` tells of it."""

    name: str
    platform: str
    version: str
    shard: int
    active: bool


@dataclass(slots=True)
class Config:
    """All sources together."""

    hash: str = ""
    options: dict[str, str] = field(default_factory=dict)
    schedule: dict[str, ScheduledQuery] = field(default_factory=dict)
    packs: list[Pack] = field(default_factory=list)
    file_paths: list[tuple[str, str]] = field(default_factory=list)  # (category, pattern), in the order of subscription
    exclude_paths: list[str] = field(default_factory=list)
    file_accesses: set[str] = field(default_factory=set)
    decorators: dict[str, list[str]] = field(default_factory=dict)
    decorators_every: dict[int, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def strip_comments(text: str) -> str:
    r"""Take comments and trailing commas out of what is JSON otherwise.

    >>> strip_comments('{"a": "x//y", // c\n "b": [1, /* d */ 2,],}')
    '{"a": "x//y", \n "b": [1,  2]}'
    """
    return _TOKENS.sub(lambda match: match[0] if match[0].startswith('"') else "", text)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        parsed = json.loads(strip_comments(text) or "{}")
    except (ValueError, RecursionError) as error:
        raise ConfigProblem(f"Error parsing the config JSON: {where}: {error}") from error
    if not isinstance(parsed, dict):
        raise ConfigProblem(f"Error parsing the config JSON: {where}: not an object")
    return parsed


def read_sources(path: Path) -> dict[str, str]:
    """Read the file and what lies in ``<file>.d``, by name.

    Raises:
        ConfigProblem: If the file is not there or cannot be read.
    """
    sources = {}
    for source in [path, *sorted(Path(f"{path}.d").glob("*.conf"))]:
        try:
            sources[str(source)] = source.read_text("utf-8", "surrogateescape")
        except OSError as error:
            raise ConfigProblem(f"Error reading config file: {source}: {error.strerror}") from error
    return sources


def load_config(path: Path, *, splitter: str = "_") -> Config:
    """Read and join the configuration.

    Args:
        path: The configuration file.
        splitter: Between ``pack``, a pack's name and a query's name.

    Returns:
        The configuration; its problems are in it.

    Raises:
        ConfigProblem: If the file cannot be read.
    """
    return build_config(read_sources(path), splitter=splitter)


def build_config(sources: Mapping[str, str], *, splitter: str = "_") -> Config:
    """Join sources, in the order of their names, as osquery holds them."""
    config = Config()
    digest = hashlib.sha1(usedforsecurity=False)
    contents = []
    for where, text in sorted(sources.items()):
        digest.update(text.encode("utf-8", "surrogateescape"))
        try:
            contents.append((where, _parse(text, where)))
        except ConfigProblem as problem:
            config.problems.append(str(problem))
    excluded: list[tuple[str, str]] = []
    for where, content in contents:
        for pack_text in _add_source(config, excluded, where, content, splitter):
            digest.update(pack_text.encode("utf-8", "surrogateescape"))
    config.hash = digest.hexdigest()
    categories = {category for category, _ in config.file_paths}
    for category, pattern in excluded:
        if category in categories:
            config.exclude_paths.append(pattern)
        else:
            config.problems.append(f"exclude_paths: category '{category}' is not in file_paths: '{pattern}' excludes nothing")
    return config


def _add_source(
    config: Config, excluded: list[tuple[str, str]], where: str, content: Mapping[str, Any], splitter: str
) -> Iterator[str]:
    """Add one source; the texts of the packs that it names come back, for the hash."""
    for name, value in _object(config, content, "options", where):
        config.options[name] = str(value).lower() if isinstance(value, bool) else str(value)
    for name, value in _object(config, content, "schedule", where):
        _add_query(config, name, value)
    _add_files(config, excluded, content, where)
    _add_decorators(config, dict(_object(config, content, "decorators", where)), where)
    for name, value in _object(config, content, "packs", where):
        pack = value
        if isinstance(value, str):
            try:
                text = Path(value).read_text("utf-8", "surrogateescape")
                yield text
                pack = _parse(text, value)
            except (OSError, ConfigProblem) as error:
                config.problems.append(f"Error adding pack {name}: {error}")
                continue
        _add_pack(config, excluded, name, pack, splitter)


def _add_decorators(config: Config, decorators: Mapping[str, Any], where: str) -> None:
    for when in ("load", "always"):
        config.decorators.setdefault(when, []).extend(map(str, _list(decorators.get(when))))
    for seconds, queries in _object(config, decorators, "interval", where):
        if seconds.isdecimal() and int(seconds) > 0:
            config.decorators_every.setdefault(int(seconds), []).extend(map(str, _list(queries)))
        else:
            config.problems.append(f"{where}: an interval of decorators is no number of seconds: {seconds!r}")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(config: Config, content: Mapping[str, Any], key: str, where: str) -> list[tuple[str, Any]]:
    value = content.get(key, {})
    if isinstance(value, dict):
        return sorted(value.items())
    config.problems.append(f"{where}: {key} is not an object")
    return []


def _add_files(config: Config, excluded: list[tuple[str, str]], content: Mapping[str, Any], where: str) -> None:
    for category, patterns in _object(config, content, "file_paths", where):
        config.file_paths.extend((category, str(pattern)) for pattern in _list(patterns))
    for category, patterns in _object(config, content, "exclude_paths", where):
        excluded.extend((category, str(pattern)) for pattern in _list(patterns))
    config.file_accesses.update(map(str, _list(content.get("file_accesses"))))


def _add_pack(config: Config, excluded: list[tuple[str, str]], name: str, pack: Any, splitter: str) -> None:
    if not isinstance(pack, dict):
        config.problems.append(f"Error adding pack {name}: not an object")
        return
    active = _is_for_us(pack)
    shard = str(pack.get("shard", 0))
    config.packs.append(
        Pack(name, str(pack.get("platform", "")), str(pack.get("version", "")), int(shard) if shard.isdecimal() else 0, active)
    )
    # The parsers of file_paths see a pack's content whether or not its queries run.
    _add_files(config, excluded, pack, f"pack {name}")
    if active:
        for query, value in _object(config, pack, "queries", f"pack {name}"):
            _add_query(config, f"pack{splitter}{name}{splitter}{query}", value)


def _is_for_us(value: Mapping[str, Any]) -> bool:
    platform = str(value.get("platform", "") or "")
    if platform and not re.search(r"all|any|posix|linux", platform):
        return False
    numbers = re.findall(r"\d+", str(value.get("version", "") or ""))
    return tuple(int(number) for number in numbers[:3]) <= tuple(int(part) for part in VERSION.split("."))


def _add_query(config: Config, name: str, value: Any) -> None:
    if not isinstance(value, dict) or not isinstance(value.get("query"), str) or not value["query"]:
        config.problems.append(f"Scheduled query {name} has no query")
        return
    try:
        interval_s = int(value.get("interval", 3600))
    except (TypeError, ValueError, OverflowError):
        interval_s = 0
    if not 0 < interval_s <= _MAX_INTERVAL_S:
        config.problems.append(f"Invalid interval in scheduled query {name}: {value.get('interval')!r}")
        return
    if _is_for_us(value):
        config.schedule[name] = ScheduledQuery(
            name, value["query"], interval_s, _true(value.get("removed", True)), _true(value.get("snapshot", False))
        )


def _true(value: Any) -> bool:
    return value.lower() in {"1", "true", "yes", "t", "y"} if isinstance(value, str) else bool(value)
