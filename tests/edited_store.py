"""A store whose rows a test makes older by hand, with an evidence chain of what it holds then."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fimkit.evidence.store import open_store


@contextmanager
def edited_store(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """Give the connection; afterwards the chain is begun anew, as if all had been written so."""
    state = os.fsencode(state_dir)
    with open_store(state) as store:
        yield store._connection
        store._connection.execute("UPDATE changes SET batch = NULL")
        store._connection.execute("DELETE FROM chain")
        store._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'chain'")
    with suppress(FileNotFoundError):
        (state_dir / "evidence-head.json").unlink()
    open_store(state).close()
