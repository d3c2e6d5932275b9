"""fimkit: what changed, who did it, is it explained, and what do we do now."""

import importlib
import os
from typing import Any

__all__ = ["__version__", "open"]

__version__ = "0.1.0"


def open(  # the name that analysts know from other libraries
    *sources: str | bytes | os.PathLike[str], config: str | bytes | os.PathLike[str] | None = None, host: str | None = None
) -> Any:
    """Open what is there to analyse, and give it as pandas frames: see :func:`fimkit.verbs.archive.open_archive`.

    Args:
        sources: State folders (live ones too), collected folders, folders of these, logs, snapshots, findings as JSON lines or
            Parquet; without any, this host's own store.
        config: The configuration of what has none beside it.
        host: The host of logs that do not name theirs.

    Returns:
        An :class:`fimkit.verbs.archive.Archive`: ``findings()``, ``changes()``, ``events()``, ``baseline()``, each a frame that
        answers questions by ``frame.fim``.

    Raises:
        UsageError: If there is nothing to be opened.
        ConfigError: If a configuration is wrong.
    """
    # pandas is loaded here, and not by `import fimkit`. By its name and not by a statement: every module stands below this one.
    return importlib.import_module("fimkit.notebook").open_archive(*sources, config=config, host=host)
