"""The extensions that registered: their tables are called back on ``<socket>.<uuid>``, and they are pinged until they go away."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fimkit.testing.osqueryd.sql import Asked, Column, SqlError
from fimkit.testing.osqueryd.status_log import StatusLog
from fimkit.testing.osqueryd.thrift_io import extension_client

__all__ = ["Extension", "ExtensionTable", "Extensions", "Refused", "context_of"]

_HIDDEN = 16
_CALL_TIMEOUT_S = 300  # osquery itself sets none worth the name: a slow table is a slow query


class Refused(Exception):
    """A registration that the daemon will not have; the message is osquery's."""


class Extension(NamedTuple):
    """One that registered."""

    uuid: int
    name: str
    version: str
    sdk_version: str
    min_sdk_version: str
    registry: Mapping[str, Mapping[str, Sequence[Mapping[str, str]]]]


def context_of(columns: Sequence[Column], asked: Asked) -> str:
    """Write down what a query wants, as an extension's ``generate`` gets it.

    Source: osquery, core/tables.cpp; seen from 5.23.

    >>> context_of([Column("n", "INTEGER")], Asked((), ("n",), 1, None))
    '{"constraints":[{"name":"n","list":[],"affinity":"INTEGER"}],"colsUsed":["n"],"colsUsedBitset":1}'
    """
    constraints = [
        {
            "name": column.name,
            "list": [{"op": each.op, "expr": each.expr} for each in asked.constraints if each.column == column.name],
            "affinity": column.type,
        }
        for column in sorted(columns)
    ]
    context = {"constraints": constraints, "colsUsed": sorted(asked.used), "colsUsedBitset": asked.bitset}
    return json.dumps(context, separators=(",", ":"), ensure_ascii=False)


class ExtensionTable:
    """A table of an extension. When the extension is gone, so is the table, and a query on it says so."""

    evented = False

    def __init__(self, name: str, extension: Extension, owner: "Extensions") -> None:
        """Read the columns off the routes that the extension registered."""
        self.name, self._extension, self._owner = name, extension, owner
        self.columns: Sequence[Column] = tuple(
            Column(route["name"], route.get("type", "TEXT"), bool(int(route.get("op", "0") or 0) & _HIDDEN))
            for route in extension.registry["table"][name]
            if route.get("id") == "column"
        )

    def connect(self) -> None:
        """Raise SqlError when the extension is gone."""
        if not self._owner.is_here(self._extension):
            raise SqlError(f"vtable constructor failed: {self.name}")

    def generate(self, asked: Asked) -> Iterable[Mapping[str, Any]]:
        """Call the extension."""
        request = {"action": "generate", "context": context_of(self.columns, asked)}
        try:
            answer = self._owner.call(self._extension, "table", self.name, request)
        except Exception as error:
            # Dead, or speaking no Thrift: osquery sees an empty or broken table, and drops it at the next ping.
            self._owner.check(self._extension)
            raise SqlError(f"vtable constructor failed: {self.name}") from error
        if answer.status.code != 0:
            raise SqlError(answer.status.message)
        rows: Iterable[Mapping[str, Any]] = answer.response
        return rows


class Extensions:
    """Who registered, and what for."""

    def __init__(
        self, socket: Path, log: StatusLog, *, taken: Iterable[str], timeout_s: int, interval_s: int, end: Callable[[int], None]
    ) -> None:
        """Begin with none.

        Args:
            socket: The manager's.
            log: For what is to be said.
            taken: The daemon's own tables, which no extension can have.
            timeout_s: How long a new extension may take to open its socket.
            interval_s: Between pings.
            end: Ends the daemon with a status.
        """
        self._socket, self._log, self._taken = socket, log, frozenset(taken)
        self._timeout_s, self._interval_s, self._end = timeout_s, max(1, interval_s), end
        self._lock = threading.Lock()
        self._known: dict[int, Extension] = {}
        self._since: dict[int, float] = {}
        self._tables: dict[str, ExtensionTable] = {}
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="extension watcher", daemon=True)
        self._watcher.start()

    def socket_of(self, extension: Extension) -> str:
        """Give the extension's own socket."""
        return f"{self._socket}.{extension.uuid}"

    def all(self) -> list[Extension]:
        """Give those that are registered."""
        with self._lock:
            return list(self._known.values())

    def tables(self) -> dict[str, ExtensionTable]:
        """Give the tables of all, those of the dead included."""
        with self._lock:
            return dict(self._tables)

    def is_here(self, extension: Extension) -> bool:
        """Say whether it is still registered."""
        with self._lock:
            return extension.uuid in self._known

    def register(self, info: Any, registry: Mapping[str, Mapping[str, Sequence[Mapping[str, str]]]]) -> int:
        """Take an extension in.

        Returns:
            The number that its socket ends in.

        Raises:
            Refused: If one of this name is here, or a table is taken.
        """
        with self._lock:
            if any(known.name == info.name for known in self._known.values()):
                self._log.warn(f"Refusing to register duplicate extension {info.name}")
                raise Refused("Duplicate extension registered")
            names = set(registry.get("table", {}))
            living = {name for known in self._known.values() for name in known.registry.get("table", {})}
            if doubled := sorted(names & (self._taken | living)):
                self._log.warn(f"Could not add extension {info.name}: Duplicate registry item: {doubled[0]}")
                raise Refused(f"Failed adding registry: Duplicate registry item exists: {doubled[0]}")
            uuid = random.choice([number for number in random.sample(range(1, 65536), 64) if number not in self._known])
            extension = Extension(uuid, info.name, info.version, info.sdk_version, info.min_sdk_version, registry)
            self._known[uuid] = extension
            self._since[uuid] = time.monotonic()
            self._tables.update({name: ExtensionTable(name, extension, self) for name in names})
        self._log.info(f"Registering extension ({info.name}, {uuid}, version={info.version}, sdk={info.sdk_version})")
        return uuid

    def deregister(self, uuid: int) -> None:
        """Let an extension go that says so itself.

        Raises:
            Refused: If there is none of this number.
        """
        with self._lock:
            extension = self._known.pop(uuid, None)
            if extension is None:
                raise Refused("No extension UUID found")
            self._tables = {name: table for name, table in self._tables.items() if name not in extension.registry.get("table", {})}

    def call(self, extension: Extension, registry: str, item: str, request: Mapping[str, str]) -> Any:
        """Call a plugin of an extension; a new one gets the time to open its socket."""
        self._await_socket(extension)
        with extension_client(self.socket_of(extension), timeout_s=_CALL_TIMEOUT_S) as client:
            return client.call(registry, item, dict(request))

    def _await_socket(self, extension: Extension) -> None:
        until = self._since[extension.uuid] + self._timeout_s
        while not Path(self.socket_of(extension)).exists() and time.monotonic() < until:
            time.sleep(0.02)

    def check(self, extension: Extension) -> None:
        """Ping an extension; one that does not answer is gone."""
        try:
            self._await_socket(extension)
            with extension_client(self.socket_of(extension), timeout_s=5) as client:
                client.ping()
        except Exception:
            self._lose(extension)

    def _lose(self, extension: Extension) -> None:
        with self._lock:
            if self._known.pop(extension.uuid, None) is None or self._stopped.is_set():
                return
        self._log.info(f"Extension UUID {extension.uuid} has gone away")
        Path(self.socket_of(extension)).unlink(missing_ok=True)
        for kind in ("logger", "config"):
            if extension.registry.get(kind):
                # Seen: osqueryd and its watcher end with this status when such an extension dies.
                self._log.error(f"The {kind} plugin {sorted(extension.registry[kind])[0]} has gone away")
                self._end(78)

    def _watch(self) -> None:
        while not self._stopped.wait(self._interval_s):
            for extension in self.all():
                self.check(extension)

    def stop(self) -> None:
        """Ping no more, and take the extensions' sockets away."""
        self._stopped.set()
        for left in self._socket.parent.glob(f"{self._socket.name}.*"):
            left.unlink(missing_ok=True)
