"""The kernel's live records and auditd's log tell of one event as the same claim, so that what is read twice is stored once."""

import os
from dataclasses import replace
from pathlib import Path

from fimkit.audit.changes import AuditChanges
from fimkit.audit.multicast import MulticastReader
from fimkit.audit.parser import EventAssembler
from fimkit.evidence.changes_rows import _identity
from fimkit.model.changes import Change
from fimkit.verbs.gather import gather_audit, name_user
from tests.watching import watched_host


def live_changes(reader: MulticastReader) -> list[Change]:
    assembler, changes = EventAssembler(), AuditChanges(name_user)
    lines = b"\n".join(reader.lines(0.3)) + b"\n"
    events = [*assembler.push(lines, file="kernel"), *assembler.flush()]
    return [change for event in events for change in changes.changes_of(event)]


def plain(change: Change) -> Change:
    """The log is written with names resolved; a live reader resolves them itself, where it can."""
    actor = change.actor
    return replace(change, actor=None if actor is None else replace(actor, user=None))


def test_the_log_and_the_live_records_make_the_same_changes(tmp_path: Path) -> None:
    with watched_host(tmp_path, lambda tree: [(tree / "etc" / name).write_text("x\n") for name in "abc"]) as host:
        etc = host.tree / "etc"
        host.live.sync()
        with MulticastReader() as reader:
            script = f"cd {etc}; echo new > 'with space'; mv a b; rm c; chmod 600 b; mkdir d; ln b d/e; echo x >> b; rm -r d"
            assert host.live.run(["/bin/sh", "-c", script], auid=1001).returncode == 0
            os.rename(etc / "b", os.fsencode(etc) + b"/odd\xff\n")
            host.live.sync()
            live = [change for change in live_changes(reader) if change.path and os.fsencode(host.tree) in change.path]
        logged = gather_audit([host.live.log], wanted=lambda change: change in live or change.time_ns >= live[0].time_ns,
                              host="live01", live=True, user_of=name_user).changes
    names = {(change.time_ns, _identity(change)) for change in live}
    assert len(live) == 13
    assert names <= {(change.time_ns, _identity(change)) for change in logged}
    assert set(map(plain, live)) <= set(map(plain, logged))
