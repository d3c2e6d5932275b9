"""A small sealed host for the tests: a tree, its baseline, a key, and a hand in the store that is not fimkit's."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fimkit.model.config import Config, Host, SealPolicy, Sources, Watch
from fimkit.model.findings import Tier
from fimkit.verbs.baseline import create_baseline
from fimkit.verbs.seal import Sealed, make_key, seal_baseline

__all__ = ["Sealable", "no_passphrase"]


def no_passphrase() -> bytes:
    raise AssertionError("the key has no passphrase")


class Sealable:
    """One host below a folder of a test."""

    def __init__(self, folder: Path, names: Sequence[str] = ("a", "b", "c"), *, pinned: bool = True) -> None:
        self.folder, self.tree, self.state = folder, folder / "tree", folder / "state"
        self.tree.mkdir()
        for name in names:
            (self.tree / name).write_text(name)
        public = folder / "pub" / "seal.pub"
        public.parent.mkdir()
        self.public, self.private = public, folder / "key"
        self.config = Config(
            host=Host(name="web01", state_dir=bytes(self.state)),
            paths=(Watch(path=bytes(self.tree), tier=Tier.CRITICAL),),
            sources=Sources(audit_log=b"/nowhere/a", osquery_log=b"/nowhere/b", package_root=b"", osquery_config=b""),
            seal=SealPolicy(public_key=bytes(public)) if pinned else SealPolicy(),
        )
        made = make_key(str(self.private), None)
        self.fingerprint = made.fingerprint
        if pinned:
            public.write_bytes(Path(made.public).read_bytes())
        create_baseline(self.config, who="ada", why="new host")

    def seal(self, *, anyway: bool = False) -> Sealed:
        return seal_baseline(self.config, self.private.read_bytes(), no_passphrase, who="ada", anyway=anyway)

    def requiring(self) -> Config:
        return replace(self.config, seal=replace(self.config.seal, require=True))

    def path(self, name: str) -> bytes:
        return bytes(self.tree / name)

    def sql(self, statement: str, *values: Any) -> None:
        """Write into the store as root would who is not fimkit."""
        connection = sqlite3.connect(self.state / "fimkit.sqlite")
        with connection:
            connection.execute(statement, values)
        connection.close()
