"""Sets a damaged evidence store aside, as it is, so that a new one can begin: what it held stays where an analyst finds it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from fimkit.evidence.connection import find_altered_tables, store_path
from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import open_store
from fimkit.model.config import Config
from fimkit.model.errors import HostError, StoreError, UsageError
from fimkit.model.paths import render_path
from fimkit.verbs.evidence import HEAD_FILE, has_seen_chain
from fimkit.verbs.panic_notices import notify_if_armed
from fimkit.verbs.watch_status import LOCK_NAME
from fimkit.verbs.whole_files import sync_folder

__all__ = ["SetAside", "set_aside"]

_NAMES = (b"fimkit.sqlite", b"fimkit.sqlite-wal", b"fimkit.sqlite-shm", HEAD_FILE)
"""The head goes along: held against a new store, it would say for ever that the old one was cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """Where the files went, which, why, and on an armed host what came of telling it, in words."""

    folder: bytes
    names: tuple[bytes, ...]
    damage: str
    notice: str | None = None


def set_aside(config: Config) -> SetAside:
    """Move a damaged store into a folder of its own in the state folder, with the head that was last verified.

    Raises:
        UsageError: If nothing is damaged: a store that only disagrees with its chain is evidence.
        StoreError: If it is a later fimkit's, or another program's.
        HostError: If another fimkit is at work on the state folder, or the host refuses.
    """
    state_dir, verb = config.host.state_dir, "evidence set-aside"
    with lock_state(state_dir, verb=verb), lock_state(state_dir, verb=verb, name=LOCK_NAME):
        damage = _find_damage(state_dir)
        if damage is None:
            raise UsageError("nothing is damaged: it stays (what disagrees with its chain, `fimkit evidence verify` names)")
        stamp = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
        folder = os.path.join(state_dir, b"aside-" + stamp.encode())
        names = [name for name in _NAMES if os.path.lexists(os.path.join(state_dir, name))]
        try:
            os.mkdir(folder, 0o700)
            for name in names:
                os.rename(os.path.join(state_dir, name), os.path.join(folder, name))
            for place in (folder, state_dir):
                sync_folder(Path(os.fsdecode(place)))
        except OSError as error:
            raise HostError(f"cannot set the store aside in {render_path(folder)}: {error.strerror}") from error
    lines = [f"It is in {render_path(folder)}.", f"Why: {damage}."]
    notice = notify_if_armed(config, "the evidence store was set aside", lines)
    return SetAside(folder=folder, names=tuple(names), damage=damage, notice=notice)


def _find_damage(state_dir: bytes) -> str | None:
    """Read all of a store, and say what is damaged; nothing of one that is whole, or was never there."""
    path = store_path(state_dir)
    if not os.path.lexists(path) or not os.path.getsize(path):
        return "the store is gone or empty" if has_seen_chain(state_dir) else None
    try:
        if altered := find_altered_tables(state_dir):
            return altered[0]
        with open_store(state_dir) as store:
            if problems := store.verify():
                return problems[0]
            store.verify_chain()
            for read in (store.baseline, store.finding_rows, store.acceptances, store.tickets, store.gaps, store.incidents):
                read()
            for rows in (store.changes(), store.notes(), store.history(), store.bad_lines()):
                for _ in rows:
                    pass
    except StoreError as error:
        if error.__cause__ is None or isinstance(error.__cause__, StoreError):  # of a later version, or another program's
            raise
        return str(error)
    return None
