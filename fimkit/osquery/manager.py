"""osqueryd's side of an extension: registering with it, and asking whether it still knows us. One connection a question.

A connection that stays open would keep a thread of osqueryd, and hold up its end.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from osquery.extensions.ExtensionManager import Client
from osquery.extensions.ttypes import InternalExtensionInfo
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TException
from thrift.transport.TTransport import TBufferedTransport

from fimkit.model.errors import OsqueryError, OsqueryProtocolError, clip
from fimkit.osquery.deadline_socket import DeadlineSocket

__all__ = ["Manager", "Refused"]

_SDK = "1.8.0"  # what osquery's own Python package says of itself; osqueryd refuses below 1.7.7
_Answer = TypeVar("_Answer")

Routes = Mapping[str, Sequence[Mapping[str, str]]]


class Refused(Exception):
    """osqueryd refuses to register an extension, in its words."""


class Manager:
    """The osqueryd behind a socket."""

    def __init__(self, socket: bytes | str, *, deadline_s: float = 5.0) -> None:
        """Take osqueryd's ``--extensions_socket``, and how long one question may take."""
        self.socket = os.fsdecode(socket)
        self.deadline_s = deadline_s

    def _ask(self, path: str, question: Callable[[Any], _Answer]) -> _Answer:
        connection = DeadlineSocket(path)
        connection.deadline = time.monotonic() + self.deadline_s
        connection.open()
        try:
            return question(Client(TBinaryProtocol(TBufferedTransport(connection))))
        except (TException, EOFError, ValueError, TypeError) as error:
            if isinstance(error, OsqueryError):
                raise
            raise OsqueryProtocolError(f"{clip(path)} answers, but not as osqueryd does: {clip(str(error))}") from error
        finally:
            connection.close()

    def register(self, name: str, version: str, tables: Routes) -> int:
        """Register tables.

        Returns:
            The number that the extension's own socket is to end in.

        Raises:
            Refused: If osqueryd does not take them.
            OsqueryError: If it does not answer.
        """
        info = InternalExtensionInfo(name=name, version=version, sdk_version=_SDK, min_sdk_version=_SDK)
        status = self._ask(self.socket, lambda client: client.registerExtension(info, {"table": tables}))
        if status.code != 0:
            raise Refused(status.message or f"code {status.code}")
        return int(status.uuid)

    def deregister(self, uuid: int) -> None:
        """Take a registration back; one that is not there is fine.

        Raises:
            OsqueryError: If osqueryd does not answer.
        """
        self._ask(self.socket, lambda client: client.deregisterExtension(uuid))

    def registered(self) -> dict[int, str]:
        """Give the numbers and names of all extensions.

        Raises:
            OsqueryError: If osqueryd does not answer.
        """
        found = self._ask(self.socket, lambda client: client.extensions())
        return {int(uuid): str(info.name) for uuid, info in found.items()}

    def drop_dead(self, name: str) -> int | None:
        """Take back the registration of an extension of this name that does not answer: it was killed.

        Returns:
            The number of one that does answer, and so is at work; nothing if the name is free now.

        Raises:
            OsqueryError: If osqueryd does not answer.
        """
        for uuid, known in self.registered().items():
            if known != name:
                continue
            try:
                self._ask(f"{self.socket}.{uuid}", lambda client: client.ping())
            except OsqueryError:
                self.deregister(uuid)
            else:
                return uuid
        return None
