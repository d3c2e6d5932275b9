"""The extension's side of `install`: the program that osqueryd starts, the line that names it, the queries on its tables."""

import os
import stat
import sys

from fimkit.osquery.extension import EXTENSION_FILE, render_script
from fimkit.osquery.osquery_config import OsqueryConfig, is_true
from fimkit.osquery.pack import render_query_pack
from fimkit.osquery.queries import load_queries
from fimkit.verbs.installed import Part
from fimkit.verbs.planned import Known, PlannedFile
from fimkit.verbs.whole_files import below_root

__all__ = ["findings_pack", "known_extension_files", "plan_extension_files", "say_extension_flags"]

_DEFAULT_LOAD = "/etc/osquery/extensions.load"


def _load_file(installation: OsqueryConfig) -> str:
    named = installation.value("extensions_autoload", "")
    if named.startswith("/"):
        return named
    return os.path.join(os.path.dirname(os.fsdecode(installation.config_path)), "extensions.load")


def findings_pack(interval_s: int) -> bytes:
    """Render the pack of scheduled queries on fimkit's tables: findings go the way of all results.

    Raises:
        ConfigError: If fimkit's own queries are missing or damaged.
    """
    return render_query_pack(load_queries("findings"), interval_s=interval_s)


def plan_extension_files(installation: OsqueryConfig, config_path: str) -> tuple[PlannedFile, ...]:
    """Plan the program and the line that names it; both hold for a fleet manager's osqueryd too.

    Args:
        installation: What osqueryd's files say.
        config_path: fimkit's configuration, as the host itself has it.
    """
    script = render_script(sys.executable, config_path)
    return (
        PlannedFile(path=EXTENSION_FILE, content=script, part=Part.EXTENSION, mode=0o755, keep_mode=False),
        PlannedFile(path=_load_file(installation), line=EXTENSION_FILE.encode(), part=Part.EXTENSION),
    )


def known_extension_files(installation: OsqueryConfig) -> tuple[Known, ...]:
    """Where they are, for an uninstall without a memory."""
    return (Known(EXTENSION_FILE), Known(_load_file(installation), EXTENSION_FILE.encode()))


def say_extension_flags(installation: OsqueryConfig, root: str | None) -> list[str]:
    """Say what keeps osqueryd from starting the extension, or makes it too dear."""
    words = []
    load = _load_file(installation)
    if load != _DEFAULT_LOAD and installation.setting("extensions_autoload") is None:
        words.append(f"osqueryd needs --extensions_autoload={load} to start the extension")
    disabled = installation.setting("disable_extensions")
    if disabled is not None and is_true(disabled.value):
        words.append(f"osqueryd starts no extension: --disable_extensions=true ({disabled.where})")
    required = installation.setting("extensions_require")
    if required is not None and "fimkit" in required.value:
        words.append(f"take fimkit out of --extensions_require ({required.where}): osqueryd would end with the extension")
    folder = below_root(root, os.path.dirname(EXTENSION_FILE))
    for place in (folder, *folder.parents):
        if place.is_dir() and place.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not place.stat().st_mode & stat.S_ISVTX:
            words.append(f"{place} can be written by others, so osqueryd will not start the extension: chmod go-w {place}")
            break
    return words
