"""Writes a commented configuration for this host, once: an existing file is never overwritten."""

import contextlib
import os
from pathlib import Path

from fimkit.model.config_text import parse_config
from fimkit.model.errors import HostError, UsageError
from fimkit.model.paths import render_path
from fimkit.verbs.host_facts import gather_host_facts
from fimkit.verbs.init_text import render_config

__all__ = ["create_config", "init"]


def init(root: Path = Path("/")) -> str:
    """Give the text of a configuration for the host whose root folder is ``root``; it is checked as any other is."""
    text = render_config(gather_host_facts(root))
    parse_config(text, "the configuration that init made")
    return text


def create_config(path: Path, text: str) -> None:
    """Write a new file, for root's eyes only, with its folder where that is missing. All of it, or nothing.

    Raises:
        UsageError: If something of that name is there already.
        HostError: If it cannot be written.
    """
    shown = render_path(os.fsencode(path))
    if path.is_dir():
        raise UsageError(f"{shown} is a folder, expected a file")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"{shown} cannot be written: {error.strerror}") from None
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        # A link, and no rename: it fails where something is, so two at once cannot overwrite each other.
        os.link(draft, path)
    except FileExistsError:
        raise UsageError(f"{shown} is there already, and is not overwritten; --output FILE names another") from None
    except OSError as error:
        raise HostError(f"{shown} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
