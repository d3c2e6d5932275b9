"""`check` with this host's own osquery log: late hashes are stored as late, renamed folders are understood, who is named."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.changes import Change, Source
from tests.checked_host import CheckedHost, make_checked_host
from tests.osquery.result_rows import FILE_ROW, PROCESS_ROW, event

EMPTY = dict.fromkeys(("atime", "ctime", "gid", "inode", "mode", "mtime", "sha256", "size", "uid"), "")


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    return make_checked_host(tmp_path, "kept", "d/inner", tier="watch")


def tell(host: CheckedHost, *rows: dict[str, Any], log: str = "osqueryd.results.log") -> Path:
    path = host.base / "log" / log
    with path.open("ab") as file:
        file.writelines(event(row) + b"\n" for row in rows)
    return path


def file_row(action: str, path: Path, **more: object) -> dict[str, Any]:
    """A row as osquery writes it now; without a hash."""
    row = {**FILE_ROW, **EMPTY, "action": action, "target_path": str(path), "time": str(int(time.time())), "hashed": "0"}
    if path.exists() and action not in ("DELETED", "MOVED_FROM"):
        seen = path.stat()
        row |= {"inode": str(seen.st_ino), "size": str(seen.st_size), "mtime": str(int(seen.st_mtime)), "mode": "0644", "uid": "0"}
    return {**row, **{name: str(value) for name, value in more.items()}}


def stored(host: CheckedHost) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = {}
    with open_store(os.fsencode(host.state)) as store:
        for change in store.changes():
            if change.source is Source.OSQUERY:
                found.setdefault(os.fsdecode(os.path.relpath(change.path or b"/", os.fsencode(host.tree))), []).append(change)
    return found


def test_a_file_that_osquery_did_not_hash_is_hashed_late_and_stored_as_late(host: CheckedHost) -> None:
    brought = host.put("brought", "from elsewhere\n")
    big = host.put("big", "too large for osquery\n")
    tell(host, file_row("MOVED_TO", brought, transaction_id=9), file_row("UPDATED", big, hashed="-1"))
    outcome = host.check()
    assert outcome.kinds == {"brought": "created", "big": "created"}
    changes = stored(host)
    for path in (brought, big):
        (change,) = changes[path.name]
        assert (change.sha256, change.hash_late) == (hashlib.sha256(path.read_bytes()).hexdigest(), True)
    assert outcome.of("brought")["sources"] == ["scan", "osquery"]
    assert not any("SHA-256" in reason for finding in outcome.findings for reason in finding["reasons"])


def test_a_log_given_by_hand_is_not_mended_with_hashes(host: CheckedHost) -> None:
    brought = host.put("brought", "from elsewhere\n")
    log = tell(host, file_row("MOVED_TO", brought, transaction_id=9), log="copied.log")
    assert host.check("--osquery-log", log).kinds == {"brought": "created"}
    (change,) = stored(host)["brought"]
    assert (change.sha256, change.hash_late) == (None, False)


def test_what_happens_in_a_renamed_folder_under_its_old_name_is_told_of_the_file_there(host: CheckedHost) -> None:
    old, new = host.tree / "d", host.tree / "e"
    old.rename(new)
    tell(host, file_row("MOVED_FROM", old, transaction_id=7), file_row("MOVED_TO", new, transaction_id=7))
    assert host.check().kinds == {"d": "moved"}
    (new / "inner").write_text("changed in the renamed folder\n")
    tell(host, file_row("UPDATED", old / "inner", hashed="-1"))
    outcome = host.check("--all")
    assert outcome.of("inner")["sources"] == ["scan", "osquery"]
    (change,) = stored(host)["e/inner"]
    assert (change.inode, change.hash_late) == ((new / "inner").stat().st_ino, True)
    assert f"osquery names {new} by its old name {old}: changes told under the new one: 1" in outcome.words


def test_who_osquery_names_is_in_the_finding_with_both_its_tables(host: CheckedHost) -> None:
    kept = host.tree / "kept"
    time.sleep(6.2)  # osquery's stamps may be 5 s late: nearer to the baseline than that they tell nothing
    kept.write_text("changed\n")
    process = {**PROCESS_ROW, "path": str(kept), "time": str(int(kept.stat().st_mtime)), "auid": "4294967295", "uid": "0"}
    tell(host, file_row("UPDATED", kept, time=process["time"]), process)
    finding = host.check().of("kept")
    assert (finding["attribution"], finding["sources"]) == ("exact", ["scan", "osquery"])
    (actor,) = finding["actors"]
    assert (actor["pid"], actor["auid"], actor["user"], actor["exe"]) == (4711, None, "root", "/usr/bin/vim")
    assert host.check("--all").of("kept")["actors"] == [actor]


def test_a_query_that_lacks_columns_is_told_in_words_and_ends_nothing(host: CheckedHost) -> None:
    host.put("new")
    with (host.base / "log" / "osqueryd.results.log").open("ab") as file:
        file.write(json.dumps({"name": "mine", "columns": {"path": "x", "hashed": "1"}, "action": "added"}).encode() + b"\n")
    outcome = host.check()
    assert outcome.kinds == {"new": "created"}
    assert "query 'mine' of osquery looks like one of file_events without target_path, action, time" in outcome.words
