"""The osquery linter on a host: its files, its trees and its running osqueryd, read and asked."""

import os
import shutil
from dataclasses import replace

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.paths import render_path
from fimkit.osquery.config_file import load_osquery_config, with_pack
from fimkit.osquery.lint import lint_osquery
from fimkit.osquery.lint_live import with_live_flags
from fimkit.osquery.osquery_config import OsqueryConfig
from fimkit.verbs.osquery_facts import gather_lint_facts

__all__ = ["osquery_advice"]

_BINARIES = (b"/usr/bin/osqueryd", b"/usr/local/bin/osqueryd", b"/opt/osquery/bin/osqueryd")
_PACK_NAME = "fimkit"


def osquery_advice(
    config: Config, *, root: str | None = None, rendered: bytes | None = None, base: bytes | None = None
) -> list[Advice]:
    """Say what keeps osquery on a host from telling fimkit of changes. Changes nothing.

    Args:
        config: What fimkit is to watch, and where osquery is.
        root: The folder below which the host's files lie; without one this host, and its running osqueryd is asked too.
        rendered: A pack that is about to be put in place: it is looked at as if it were, and the running osqueryd is not asked.
        base: The folder below which the watched paths lie, where that is not ``root``.

    Returns:
        One advice for each thing found; none for a configuration without osquery (``osquery_config`` empty).
    """
    config_path = config.sources.osquery_config
    if not config_path:
        return []
    files_base = b"" if root is None else os.path.abspath(os.fsencode(root)).rstrip(b"/")
    installation = load_osquery_config(config_path, root=files_base)
    if not _is_there(config, installation, files_base):
        return [_absent(config_path)]
    if rendered is not None:
        file = os.path.join(os.path.dirname(config_path), b"packs", b"fimkit.conf")
        installation = with_pack(_with_file(installation), _PACK_NAME, rendered.decode("utf-8", "surrogateescape"), file=file)
    facts = gather_lint_facts(config, installation, base=files_base if base is None else base)
    if root is not None or rendered is not None:
        return lint_osquery(installation, facts)
    from fimkit.verbs.osquery_live import ask_osqueryd, load_status_log  # Thrift takes its time to load

    live, words = ask_osqueryd(config.sources.osquery_socket)
    running = installation if live is None else with_live_flags(installation, live)
    return [*words, *lint_osquery(installation, facts, live=live, status_log=load_status_log(running))]


def _with_file(installation: OsqueryConfig) -> OsqueryConfig:
    """Leave out that there is no configuration: installing a pack makes an empty one."""
    path = installation.config_path
    problems = tuple(one for one in installation.problems if one.file != path or path in installation.files)
    return replace(installation, problems=problems)


def _is_there(config: Config, installation: OsqueryConfig, base: bytes) -> bool:
    """Tell whether the host has an osquery at all: files that are not fimkit's alone, a socket, or the program."""
    own = {b"fimkit.conf", b"fimkit-findings.conf"}
    files = [path for path in installation.files if os.path.basename(path) not in own]
    if files and not (files == [installation.config_path] and _is_empty(base + installation.config_path)):
        return True
    if os.path.lexists(base + installation.config_path) and not files:
        return True  # there, and not readable
    if not base and (os.path.exists(config.sources.osquery_socket) or shutil.which("osqueryd")):
        return True
    return any(os.path.exists(base + binary) for binary in _BINARIES)


def _is_empty(path: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(64).strip() == b"{}"
    except OSError:
        return False


def _absent(config_path: bytes) -> Advice:
    return Advice(
        code="osquery-not-installed",
        level=Level.NOTE,
        where=render_path(config_path),
        problem="this host has no osquery: no configuration, no socket and no osqueryd; changes are told by audit and the scans.",
        remedy='install osquery, or, in fimkit.toml, under [sources]: osquery_config = ""',
    )
