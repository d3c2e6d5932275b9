"""Every record is read once, however the log is turned, packed, cut or torn between two checks."""

import gzip
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from fimkit.evidence.store import open_store
from tests.auditlog import ALICE, BOB, ROOT, AuditLog, Who
from tests.checked_host import CheckedHost, make_checked_host

NAMES = ("a", "b", "c", "d", "e", "f")
CROWD = [Who(auid=3000 + number, uid=3000 + number, pid=5000 + number) for number in range(6)]


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    return make_checked_host(tmp_path, *NAMES)


def deny_all(host: CheckedHost, names: str, crowd: list[Who]) -> None:
    """Let one try happen on each file: a try leaves nothing but its record, so each finding is a record that was read."""
    for name, who in zip(names, crowd, strict=False):
        host.log.deny(host.tree / name, who)


def compress_gzip(path: Path) -> None:
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def compress_zstd(path: Path) -> None:
    path.with_name(path.name + ".zst").write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()


def stored_events(host: CheckedHost) -> list[str]:
    with open_store(os.fsencode(host.base / "state")) as store:
        return [change.actor.event for change in store.changes() if change.actor is not None]


def tries(host: CheckedHost) -> dict[str, list[int]]:
    """Give who tried what, over all checks; each once."""
    every = host.check("--all")
    found = {finding["path"].rpartition("/")[2]: [actor["pid"] for actor in finding["actors"]] for finding in every.findings}
    events = stored_events(host)
    assert len(events) == len(set(events))
    return found


def test_rotation_by_rename_between_two_checks_loses_and_doubles_nothing(host: CheckedHost) -> None:
    deny_all(host, "a", CROWD)
    assert host.check().kinds == {"a": "attempted"}
    deny_all(host, "b", CROWD[1:])
    host.log.rotate()
    deny_all(host, "c", CROWD[2:])
    second = host.check()
    assert second.kinds == {"b": "attempted", "c": "attempted"}
    assert tries(host) == {"a": [5000], "b": [5001], "c": [5002]}


def test_several_rotations_between_two_checks(host: CheckedHost) -> None:
    deny_all(host, "a", CROWD)
    host.check()
    for place, name in enumerate("bcdef", 1):
        deny_all(host, name, CROWD[place:])
        host.log.rotate()
    assert host.check().kinds == dict.fromkeys("bcdef", "attempted")
    assert tries(host) == {name: [5000 + place] for place, name in enumerate("abcdef")}


@pytest.mark.parametrize("compress", [compress_gzip, compress_zstd])
def test_rotated_logs_that_were_packed_are_read_on(host: CheckedHost, compress: Callable[[Path], None]) -> None:
    deny_all(host, "a", CROWD)
    host.check()
    deny_all(host, "b", CROWD[1:])
    host.log.rotate()
    compress(host.log.path.with_name("audit.log.1"))
    deny_all(host, "c", CROWD[2:])
    found = host.check()
    assert found.kinds == {"b": "attempted", "c": "attempted"}
    assert "audit.log" not in found.words
    assert tries(host) == {"a": [5000], "b": [5001], "c": [5002]}


def test_logrotate_with_copytruncate(host: CheckedHost) -> None:
    deny_all(host, "a", CROWD)
    host.check()
    deny_all(host, "b", CROWD[1:])
    copy = host.log.path.with_name("audit.log.1")
    copy.write_bytes(host.log.path.read_bytes())
    os.truncate(host.log.path, 0)
    deny_all(host, "c", CROWD[2:])
    assert host.check().kinds == {"b": "attempted", "c": "attempted"}
    assert tries(host) == {"a": [5000], "b": [5001], "c": [5002]}


def test_check_in_the_middle_of_a_copytruncate(host: CheckedHost) -> None:
    deny_all(host, "ab", CROWD)
    host.log.path.with_name("audit.log.1").write_bytes(host.log.path.read_bytes())
    found = host.check()
    assert found.kinds == {"a": "attempted", "b": "attempted"}
    os.truncate(host.log.path, 0)
    deny_all(host, "c", CROWD[2:])
    assert host.check().kinds == {"c": "attempted"}
    assert tries(host) == {"a": [5000], "b": [5001], "c": [5002]}


def test_deleted_and_recreated_log_is_read_from_its_start_and_said(host: CheckedHost) -> None:
    deny_all(host, "a", CROWD)
    host.check()
    host.log.path.unlink()
    host.log.path.write_bytes(b"")
    deny_all(host, "b", CROWD[1:])
    found = host.check()
    assert found.kinds == {"b": "attempted"}
    assert "is gone: what it got after byte" in found.words
    assert "is gone" not in host.check().words
    assert tries(host) == {"a": [5000], "b": [5001]}


def test_incomplete_last_line_is_read_once_it_is_whole(host: CheckedHost) -> None:
    event = host.log.written(host.tree / "a", "new\n", ALICE)
    whole = b"".join(event)
    host.log.append(whole[:-40])
    found = host.check()
    assert found.kinds == {"a": "modified"}
    assert "audit.log" not in found.words
    host.log.append(whole[-40:])
    host.check()
    (now,) = host.check("--all").findings
    assert (now["id"], now["attribution"], [actor["pid"] for actor in now["actors"]]) == (found.ids[0], "exact", [ALICE.pid])


def write_by_halves(host: CheckedHost) -> tuple[str, list[bytes], str]:
    """Write a file, log half of the event, and check within the two seconds that an event is waited for.

    Returns:
        The file's name, the records that are still to come, and the finding's id.
    """
    for number in range(8):
        name, began = f"half{number}", time.time()
        syscall, *others = host.log.written(host.tree / name, "new\n", BOB)
        host.log.append(syscall)
        first = host.check()
        if time.time() - began < 1.9:
            assert first.of(name)["attribution"] == "unattributed"
            return name, others, first.of(name)["id"]
    pytest.skip("no check ended within two seconds on this busy machine")


def test_event_half_written_at_the_first_check_is_joined_at_the_second(host: CheckedHost) -> None:
    name, others, first_id = write_by_halves(host)
    host.log.append(others)
    host.check()
    now = host.check("--all").of(name)
    assert (now["id"], now["attribution"], now["actors"][0]["pid"]) == (first_id, "exact", BOB.pid)


def test_half_an_event_whose_other_half_comes_in_a_rotated_log(host: CheckedHost) -> None:
    name, others, _ = write_by_halves(host)
    host.log.rotate()
    host.log.append(others)
    host.check()
    now = host.check("--all").of(name)
    assert (now["attribution"], now["actors"][0]["pid"]) == ("exact", BOB.pid)


def test_records_that_come_late_are_waited_for(host: CheckedHost) -> None:
    event = b"".join(host.log.written(host.tree / "a", "new\n", ALICE))
    running = subprocess.Popen([*host.command, "check", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.05)
    host.log.append(event)
    stdout, _ = running.communicate(timeout=60)
    assert '"attribution":"exact"' in stdout


def test_bad_line_is_said_with_its_place_kept_and_never_said_again(host: CheckedHost) -> None:
    deny_all(host, "a", CROWD)
    host.log.append(b"\x00\xffgarbage\n")
    deny_all(host, "b", CROWD[1:])
    first = host.check()
    second = host.check()
    place = f"{host.log.path}:5: "
    assert first.kinds == {"a": "attempted", "b": "attempted"}
    assert (first.words.count(place), second.words.count(place)) == (1, 0)
    with open_store(os.fsencode(host.base / "state")) as store:
        assert store.bad_line_counts() == {str(host.log.path): 1}
        (line,) = store.bad_lines()
    assert (line.line, line.text) == (5, b"\x00\xffgarbage")


def test_flood_of_bad_lines_is_counted_in_full_and_said_in_short(host: CheckedHost) -> None:
    host.log.append(b"no record\n" * 12_000)
    found = host.check()
    assert len(found.words.splitlines()) <= 22
    assert "more like these" in found.words
    with open_store(os.fsencode(host.base / "state")) as store:
        assert store.bad_line_counts() == {str(host.log.path): 12_000}


def test_host_without_an_audit_log_says_so_and_still_finds(host: CheckedHost) -> None:
    host.log.path.unlink()
    host.put("a", "new\n")
    found = host.check()
    assert (found.status, found.of("a")["attribution"]) == (1, "unattributed")
    assert f"no audit log at {host.log.path}: what changed is known, who did it is not" in found.words
    now = make_empty_log(host).check().words
    assert "what changed is known" not in now
    assert "not all was seen: there is no audit log at" in now  # of the time before


def test_a_host_without_the_folder_of_its_logs_has_no_log_and_nothing_that_could_not_be_read(host: CheckedHost) -> None:
    host.log.path.unlink()
    host.log.path.parent.rmdir()
    now = host.check().words
    assert "cannot be read" not in now
    assert f"not all was seen: there is no audit log at {host.log.path}" in now


def test_a_log_that_cannot_be_read_is_a_time_that_was_not_seen(host: CheckedHost) -> None:
    host.log.path.unlink()
    host.log.path.mkdir()
    now = host.check().words
    assert f"the audit log {host.log.path} cannot be read: it is no regular file" in now.split("not all was seen:")[1]


def make_empty_log(host: CheckedHost) -> CheckedHost:
    host.log.path.write_bytes(b"")
    return host


def test_log_that_vanishes_after_a_check_is_said(host: CheckedHost) -> None:
    deny_all(host, "a", CROWD)
    host.check()
    host.log.path.unlink()
    assert "no audit log at" in host.check().words


def test_raw_log_is_read_as_an_enriched_one(host: CheckedHost) -> None:
    host.log = AuditLog(host.log.path, enriched=False)
    host.log.write(host.tree / "a", "new\n", ROOT)
    (actor,) = host.check().of("a")["actors"]
    assert (actor["auid"], actor["uid"], actor["pid"], actor["exe"]) == (2003, 0, 4303, "/usr/bin/install")
