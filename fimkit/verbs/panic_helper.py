"""Where the resident helper works: found also by a configuration that is broken, or gone."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path

from fimkit.model.config import Host
from fimkit.model.config_text import load_config
from fimkit.model.errors import ConfigError
from fimkit.model.paths import render_path
from fimkit.panic.record import PANIC_FOLDER, RECORD_NAME

__all__ = ["find_state_dir"]


def find_state_dir(config_file: str, tell: Callable[[str], None], *, default_dir: bytes = Host(name="").state_dir) -> bytes:
    """Give the state folder, also by a configuration that is broken: a cut must be in force again after a reboot all the same.

    Args:
        config_file: The configuration.
        tell: Is given what is the matter with it.
        default_dir: Where a record may be of which the configuration says nothing any more.

    Raises:
        ConfigError: If not even the folder can be told, and the default one has no record: there is nothing to hold then.
    """
    try:
        return load_config(config_file).host.state_dir
    except ConfigError as error:
        for problem in error.problems:
            tell(problem)
        broken = error
    try:
        folder = tomllib.loads(Path(config_file).read_text(encoding="utf-8", errors="replace"))["host"]["state_dir"]
        if isinstance(folder, str) and folder.startswith("/"):
            tell(f"the helper goes on with state_dir {folder}")
            return os.fsencode(folder)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing to be had of it; it was said above what is wrong
    if os.path.lexists(os.path.join(default_dir, PANIC_FOLDER, RECORD_NAME.encode())):
        tell(f"the helper goes on with the record in {render_path(default_dir)}")
        return default_dir
    raise broken
