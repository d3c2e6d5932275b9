"""Which files are one log."""

from pathlib import Path

import pytest

from fimkit.audit.rotations import find_rotations


def names_of(tmp_path: Path, *names: str, log: str = "audit.log") -> list[str]:
    for name in names:
        (tmp_path / name).touch()
    return [path.name for path in find_rotations(tmp_path / log)]


def test_numbers_count_back_also_when_packed(tmp_path: Path) -> None:
    found = names_of(tmp_path, "audit.log", "audit.log.2.gz", "audit.log.10.zst", "audit.log.1", "audit.log.9.xz")
    assert found == ["audit.log.10.zst", "audit.log.9.xz", "audit.log.2.gz", "audit.log.1", "audit.log"]


def test_dates_count_up(tmp_path: Path) -> None:
    found = names_of(tmp_path, "audit.log", "audit.log-20261102.gz", "audit.log-20261101.zst", "audit.log-20261102-1200")
    assert found == ["audit.log-20261101.zst", "audit.log-20261102.gz", "audit.log-20261102-1200", "audit.log"]


def test_extension_after_the_date_is_found(tmp_path: Path) -> None:
    found = names_of(tmp_path, "audit.log", "audit-20261101.log.gz", "audit-20261102.log")
    assert found == ["audit-20261101.log.gz", "audit-20261102.log", "audit.log"]


@pytest.mark.parametrize("name", ["audit.log.bak", "audit.log~", "audit.log.1.swp", "xaudit.log.1", "audit.logs.1"])
def test_other_files_are_left_alone(tmp_path: Path, name: str) -> None:
    assert names_of(tmp_path, "audit.log", name) == ["audit.log"]


def test_log_itself_may_be_missing(tmp_path: Path) -> None:
    assert names_of(tmp_path, "audit.log.1") == ["audit.log.1"]
    assert find_rotations(b"/nowhere/audit.log") == []


def test_folder_that_cannot_be_read_gives_the_log_to_be_opened_for_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert find_rotations(tmp_path / "file/audit.log") == [tmp_path / "file/audit.log"]


def test_name_that_is_no_utf8_is_found(tmp_path: Path) -> None:
    log = bytes(tmp_path) + b"/a\xff.log"
    with open(log, "wb"), open(log + b".1", "wb"):
        assert [bytes(path) for path in find_rotations(log)] == [log + b".1", log]
