"""Adds fimkit's tables to a running osqueryd, until it goes or a signal says so."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType

from fimkit import __version__
from fimkit.model.config import Config
from fimkit.model.errors import OsqueryAbsentError, UsageError, clip
from fimkit.osquery.columns import TABLES
from fimkit.osquery.extension_server import ExtensionServer
from fimkit.panic.rights import drop_rights
from fimkit.verbs.doctor_desk import DoctorDesk, look_as_doctor
from fimkit.verbs.tables import StoreTables

__all__ = ["ExtensionOptions", "serve_tables"]

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionOptions:
    """What osqueryd says when it starts an extension, how large an answer may become, and which file the configuration is."""

    socket: str
    timeout_s: float = 3.0
    interval_s: float = 3.0
    most_mb: int = 64
    config_file: str = ""


def serve_tables(config: Config, options: ExtensionOptions, *, say: Callable[[str], None]) -> None:
    """Serve until osqueryd goes, or a signal comes.

    Args:
        config: Whose state folder it is.
        options: What osqueryd says.
        say: Takes words on what happens.

    Raises:
        OsqueryError: If osqueryd does not answer.
        HostError: If it does not take the tables, or the socket cannot be made.
        UsageError: If the socket's path is relative.
    """
    if not options.socket.startswith("/"):
        raise UsageError(f"--socket {clip(options.socket)} is relative; expected osqueryd's --extensions_socket")
    folder = os.path.dirname(options.socket)
    if not os.path.isdir(folder):
        raise OsqueryAbsentError(f"there is no folder {clip(folder)}: osqueryd does not run, or has another --extensions_socket")
    desk = DoctorDesk(config, partial(look_as_doctor, config_file=options.config_file))
    # Root's own files can be read, and a socket made in root's own folder, without any right; not in another user's folder.
    drop_rights([] if os.stat(folder).st_uid == os.geteuid() else ["DAC_OVERRIDE"])
    try:
        _serve(config, options, desk, say)
    finally:
        desk.end()


def _serve(config: Config, options: ExtensionOptions, desk: DoctorDesk, say: Callable[[str], None]) -> None:
    server = ExtensionServer(
        options.socket,
        TABLES,
        StoreTables(config, say=say, doctor=desk),
        version=__version__,
        most_bytes=options.most_mb << 20,
        say=say,
    )

    def stop(number: int, frame: FrameType | None) -> None:
        server.stop()

    before = {number: signal.signal(number, stop) for number in _STOPS}
    try:
        server.run(timeout_s=options.timeout_s, interval_s=options.interval_s)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
