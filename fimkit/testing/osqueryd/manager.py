"""What the daemon answers on its socket: ``osquery.extensions.ExtensionManager``. Errors are statuses, never exceptions."""

from collections.abc import Callable, Mapping
from typing import Any

from fimkit.testing.osqueryd.extensions import Extensions, Refused
from fimkit.testing.osqueryd.flags import FLAGS, Flags
from fimkit.testing.osqueryd.sql import SqlError, Table, as_text, query_columns, run_query
from fimkit.testing.osqueryd.thrift_io import ExtensionResponse, ExtensionStatus, InternalExtensionInfo, InternalOptionInfo
from fimkit.testing.osqueryd.version import VERSION

__all__ = ["Manager"]


def _ok() -> Any:
    return ExtensionStatus(code=0, message="OK", uuid=0)


def _failed(message: str) -> Any:
    return ExtensionStatus(code=1, message=message, uuid=0)


class Manager:
    """The handler behind the Thrift server."""

    def __init__(
        self, tables: Callable[[], Mapping[str, Table]], extensions: Extensions, flags: Flags, end: Callable[[int], None]
    ) -> None:
        """Answer from these; ``end`` ends the daemon with a status."""
        self._tables, self._extensions, self._flags, self._end = tables, extensions, flags, end

    def ping(self) -> Any:
        """Say that it is here."""
        return ExtensionStatus(code=0, message="pong", uuid=0)

    def shutdown(self) -> None:
        """End the daemon."""
        self._end(0)

    def query(self, sql: str) -> Any:
        """Run a query; every value is a text."""
        null = self._flags.text("nullvalue")
        try:
            answer = run_query(self._tables(), sql)
        except SqlError as error:
            return ExtensionResponse(status=_failed(str(error)), response=[])
        rows = [{name: as_text(value, null) for name, value in row.items()} for row in answer.rows]
        return ExtensionResponse(status=_ok(), response=rows)

    def getQueryColumns(self, sql: str) -> Any:
        """Give a query's columns, each a map of its name to its type."""
        try:
            columns = query_columns(self._tables(), sql)
        except SqlError as error:
            return ExtensionResponse(status=_failed(str(error)), response=[])
        return ExtensionResponse(status=_ok(), response=[{name: kind} for name, kind in columns])

    def extensions(self) -> Any:
        """List who is registered; the daemon itself is number 0."""
        listed = {0: InternalExtensionInfo(name="core", version=VERSION, sdk_version="0.0.0", min_sdk_version="0.0.0")}
        for known in self._extensions.all():
            listed[known.uuid] = InternalExtensionInfo(
                name=known.name, version=known.version, sdk_version=known.sdk_version, min_sdk_version=known.min_sdk_version
            )
        return listed

    def options(self) -> Any:
        """Give every flag with its value."""
        return {
            name: InternalOptionInfo(value=self._flags.text(name), default_value=flag.default, type=flag.type)
            for name, flag in FLAGS.items()
        }

    def registerExtension(self, info: Any, registry: Any) -> Any:
        """Take an extension in."""
        try:
            uuid = self._extensions.register(info, registry or {})
        except Refused as refusal:
            return _failed(str(refusal))
        return ExtensionStatus(code=0, message="OK", uuid=uuid)

    def deregisterExtension(self, uuid: int) -> Any:
        """Let an extension go."""
        try:
            self._extensions.deregister(uuid)
        except Refused as refusal:
            return _failed(str(refusal))
        return ExtensionStatus(code=0, message="OK", uuid=uuid)

    def call(self, registry: str, item: str, request: Mapping[str, str]) -> Any:
        """Call a plugin: a table's columns or rows, the daemon's own or an extension's."""
        for known in self._extensions.all():
            if item in known.registry.get(registry, {}):
                return self._extensions.call(known, registry, item, request)
        table = self._tables().get(item) if registry == "table" else None
        if table is None:
            return ExtensionResponse(status=_failed(f"Unknown registry name: {item}"), response=[])
        if request.get("action") == "columns":
            columns = [
                {"id": "column", "name": each.name, "type": each.type, "op": "16" if each.hidden else "0"} for each in table.columns
            ]
            return ExtensionResponse(status=_ok(), response=columns)
        return self.query(f'SELECT * FROM "{item}"')
