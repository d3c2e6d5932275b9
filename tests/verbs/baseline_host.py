"""A small host: a tree that is watched, a state folder, findings as a check would store them."""

import os
from dataclasses import dataclass
from pathlib import Path

from fimkit.evidence.store import Store, open_store
from fimkit.model.config import Config, Host, Watch
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.verbs.baseline import create_baseline
from fimkit.verbs.look import Looker

__all__ = ["NOW", "SmallHost", "make_host"]

NOW = 1_795_319_341_970_000_000


@dataclass
class SmallHost:
    """One tree with a baseline."""

    tree: Path
    config: Config

    def path(self, name: str) -> bytes:
        return os.fsencode(self.tree / name) if name else os.fsencode(self.tree)

    def store(self) -> Store:
        return open_store(self.config.host.state_dir)

    def found(self, name: str, kind: Kind, *, moved_to: str | None = None, host: str = "web01") -> Finding:
        """Store a finding of what is there now, against the baseline; the first letters of the kind and the name are its id."""
        path = self.path(name)
        new_path = path if moved_to is None else self.path(moved_to)
        with self.store() as store:
            finding = Finding(
                id=f"{kind.value}-{name}", host=host, path=path, kind=kind, tier=Tier.CRITICAL, severity=Severity.CRITICAL,
                verdict=Verdict.UNEXPLAINED, changed=(), before=store.baseline_row(path), after=Looker().look(new_path),
                moved_to=None if moved_to is None else new_path, actors=(), attribution=Attribution.UNATTRIBUTED, reasons=(),
                sources=(), first_seen_ns=NOW, last_seen_ns=NOW,
            )
            store.add_findings([finding], now_ns=NOW)
        return finding

    def open_ids(self) -> set[str]:
        with self.store() as store:
            return {finding.id for finding in store.findings()}


def make_host(folder: Path, **watch: object) -> SmallHost:
    """Make a tree of some files and take its baseline."""
    tree = folder / "tree"
    (tree / "conf" / "deep").mkdir(parents=True)
    for name in ("a", "b", "conf/x", "conf/deep/y"):
        (tree / name).write_text(name)
    (tree / "link").symlink_to("a")
    config = Config(
        host=Host(name="web01", state_dir=os.fsencode(folder / "state")),
        paths=(Watch(path=os.fsencode(tree), tier=Tier.CRITICAL, **watch),),
    )
    create_baseline(config, who="eve", why="first")
    return SmallHost(tree, config)
