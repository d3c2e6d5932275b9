"""The store's own files are no change of the host; what else lies in its folder is."""

import os
from dataclasses import replace
from pathlib import Path

from fimkit.model.config import Config, Host, Watch
from fimkit.verbs.baseline import compare_with_baseline, create_baseline
from fimkit.verbs.own_files import scanned_watches


def test_state_folder_in_a_watched_tree_differs_by_strangers_alone(tmp_path: Path) -> None:
    state = tmp_path / "odd [state]*"
    config = Config(host=Host(name="x", state_dir=os.fsencode(state)), paths=(Watch(path=os.fsencode(tmp_path)),))
    create_baseline(config, who="eve", why="")
    assert compare_with_baseline(config).diffs == ()
    (state / "stranger").write_text("x")
    assert [diff.path for diff in compare_with_baseline(config).diffs] == [os.fsencode(state / "stranger")]


def test_watches_elsewhere_are_left_as_they_are() -> None:
    config = Config(host=Host(name="x"), paths=(Watch(path=b"/etc"), Watch(path=b"/var/lib/fimkit-more")))
    assert scanned_watches(config) == list(config.paths)
    around = replace(config, paths=(Watch(path=b"/var", exclude=("*.tmp",)),))
    assert scanned_watches(around)[0].exclude[0] == "*.tmp"


def test_a_panics_evidence_and_the_queue_of_mails_are_no_findings(tmp_path: Path) -> None:
    state = tmp_path / "state"
    config = Config(host=Host(name="x", state_dir=os.fsencode(state)), paths=(Watch(path=os.fsencode(tmp_path)),))
    create_baseline(config, who="eve", why="")
    (state / "panic/incidents/2026-11-22T103000Z").mkdir(parents=True)
    for name in ("panic/record.json", "panic/incidents/2026-11-22T103000Z/cause.json", "outbox.sqlite3", "outbox.sqlite3-wal"):
        (state / name).write_text("x")
    assert compare_with_baseline(config).diffs == ()
    (state / "panics").write_text("x")
    assert [diff.path for diff in compare_with_baseline(config).diffs] == [os.fsencode(state / "panics")]
