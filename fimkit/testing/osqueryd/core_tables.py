"""The tables in which osqueryd tells of itself: its flags, events, schedule, packs, extensions and registry."""

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fimkit.testing.osqueryd.config import Pack
from fimkit.testing.osqueryd.extensions import Extension
from fimkit.testing.osqueryd.flags import FLAGS, Flags
from fimkit.testing.osqueryd.row_table import RowTable
from fimkit.testing.osqueryd.sql import Table
from fimkit.testing.osqueryd.version import VERSION

__all__ = ["Parts", "own_tables"]

_OWN_PLUGINS = (
    ("config", "filesystem"),
    ("event_publisher", "inotify"),
    ("event_subscriber", "file_events"),
    ("logger", "filesystem"),
)


class Parts(NamedTuple):
    """What the daemon is made of, as far as its tables tell of it."""

    flags: Flags
    started: int
    host_uuid: str
    config_hash: Callable[[], str]
    event_rows: Callable[[], Iterable[Mapping[str, Any]]]
    extensions: Callable[[], Sequence[Extension]]
    packs: Callable[[], Sequence[Pack]]
    schedule_rows: Callable[[], Iterable[Mapping[str, Any]]]
    tables: Callable[[], Mapping[str, Table]]


def own_tables(parts: Parts) -> list[RowTable]:
    """Make the tables in which the daemon tells of itself."""
    return [
        RowTable(
            "osquery_events",
            "name publisher type subscriptions:i events:i refreshes:i active:i",
            lambda _: parts.event_rows(),
        ),
        RowTable("osquery_extensions", "uuid:b name version sdk_version path type", lambda _: _extension_rows(parts)),
        RowTable("osquery_flags", "name type description default_value value shell_only:i", lambda _: _flag_rows(parts.flags)),
        RowTable(
            "osquery_info",
            "pid:i uuid instance_id version config_hash config_valid:i extensions build_platform build_distro start_time:i "
            "watcher:i platform_mask:i",
            lambda _: [_info_row(parts)],
        ),
        RowTable(
            "osquery_packs",
            "name platform version shard:i discovery_cache_hits:i discovery_executions:i active:i",
            lambda _: [{**pack._asdict(), "discovery_cache_hits": 0, "discovery_executions": 0} for pack in parts.packs()],
        ),
        RowTable("osquery_registry", "registry name owner_uuid:i internal:i active:i", lambda _: _registry_rows(parts)),
        RowTable(
            "osquery_schedule",
            "name query interval:i executions:b last_executed:b denylisted:i output_size:b wall_time:b wall_time_ms:b "
            "last_wall_time_ms:b user_time:b last_user_time:b system_time:b last_system_time:b average_memory:b last_memory:b",
            lambda _: parts.schedule_rows(),
        ),
    ]


def _flag_rows(flags: Flags) -> Iterable[Mapping[str, Any]]:
    for name, flag in FLAGS.items():
        yield {
            "name": name,
            "type": flag.type,
            "description": flag.words,
            "default_value": flag.default,
            "value": flags.text(name),
            "shell_only": 0,
        }


def _info_row(parts: Parts) -> Mapping[str, Any]:
    return {
        "pid": os.getpid(),
        "uuid": parts.host_uuid,
        "instance_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{parts.host_uuid}{parts.flags.text('database_path')}")),
        "version": VERSION,
        "config_hash": parts.config_hash(),
        "config_valid": int(bool(parts.config_hash())),
        "extensions": "inactive" if parts.flags.on("disable_extensions") else "active",
        "build_platform": "linux",
        "build_distro": "centos7",
        "start_time": parts.started,
        "watcher": -1,
        "platform_mask": 9,
    }


def _extension_rows(parts: Parts) -> Iterable[Mapping[str, Any]]:
    socket = parts.flags.text("extensions_socket")
    yield {"uuid": 0, "name": "core", "version": VERSION, "sdk_version": "0.0.0", "path": socket, "type": "core"}
    for known in parts.extensions():
        yield {
            "uuid": known.uuid,
            "name": known.name,
            "version": known.version,
            "sdk_version": known.sdk_version,
            "path": f"{socket}.{known.uuid}",
            "type": "extension",
        }


def _registry_rows(parts: Parts) -> Iterable[Mapping[str, Any]]:
    owners = {name: known.uuid for known in parts.extensions() for name in known.registry.get("table", {})}
    for name in sorted(parts.tables()):
        yield {"registry": "table", "name": name, "owner_uuid": owners.get(name, 0), "internal": 0, "active": 1}
    for registry, name in _OWN_PLUGINS:
        yield {"registry": registry, "name": name, "owner_uuid": 0, "internal": 0, "active": 1}
    for known in parts.extensions():
        for registry in ("config", "logger"):
            for name in sorted(known.registry.get(registry, {})):
                yield {"registry": registry, "name": name, "owner_uuid": known.uuid, "internal": 0, "active": 0}
