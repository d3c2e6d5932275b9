"""Archives of strangers: what comes out of one, and what stays in it."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from fimkit.model.errors import SnapshotError
from fimkit.verbs.collected import read_contents, unpacked, write_tar


def make_tar(place: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(place, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return place


def named(name: str, type: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = type, link, 0o4777
    return member


def test_only_plain_files_of_a_collection_come_out_and_nothing_leaves_the_folder(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    archive = make_tar(
        tmp_path / "x.tar",
        (named("collected/audit.log"), b"a line\n"),
        (named(f"../../..{tmp_path}/victim"), b"gone"),
        (named(str(victim)), b"gone"),
        (named("collected/after.jsonl", tarfile.SYMTYPE, str(victim)), b""),
        (named("collected/after.jsonl"), b"not through the link"),
        (named("collected/baseline.jsonl", tarfile.LNKTYPE, "/etc/passwd"), b""),
        (named("collected/fimkit.toml", tarfile.FIFOTYPE), b""),
        (named("collected/findings.jsonl", tarfile.CHRTYPE), b""),
        (named("collected/evil\x1b[2J.sh"), b"#!/bin/sh"),
        (named("../audit.log.1"), b"inside\n"),
        (named("collected/audit.log"), b"a second one\n"),
    )
    with unpacked(archive) as (folder, problems):
        assert {place.name: place.read_bytes() for place in folder.iterdir()} == {
            "audit.log": b"a line\n", "after.jsonl": b"not through the link", "audit.log.1": b"inside\n",
        }
        assert all(place.stat().st_mode & 0o7777 == 0o600 for place in folder.iterdir())
        assert len(problems) == 8  # two victims, two links, two special files, a script, and a second audit.log
    assert victim.read_text() == "whole" and not folder.exists()


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.zst"])
def test_a_damaged_archive_gives_what_was_whole_and_says_so(tmp_path: Path, ending: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("audit.log", "osqueryd.results.log"):
        (source / name).write_bytes(os.urandom(300_000))
    archive = tmp_path / f"x.{ending}"
    write_tar(source, archive, ["audit.log", "osqueryd.results.log"])
    with unpacked(archive) as (folder, problems):
        assert not problems
        assert all((folder / name).read_bytes() == (source / name).read_bytes() for name in os.listdir(source))
    archive.write_bytes(archive.read_bytes()[:400_000])
    with unpacked(archive) as (folder, problems):
        assert (folder / "audit.log").read_bytes() == (source / "audit.log").read_bytes()
        assert any("damaged" in words for words in problems)
    archive.write_bytes(b"no archive at all" * 100)
    with pytest.raises(SnapshotError), unpacked(archive):
        pass


def test_a_member_larger_than_the_room_there_is_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    member = named("collected/audit.log")
    member.size = 1 << 60
    (tmp_path / "bomb.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(OSError, match="no room"), unpacked(tmp_path / "bomb.tar"):
        pass


def test_a_copy_that_broke_off_does_not_look_whole(tmp_path: Path) -> None:
    row = {"time": "2026-11-22T03:49:01Z", "files": [{"name": "audit.log", "size": 9}, {"name": "after.jsonl", "size": 1}]}
    (tmp_path / "collected.json").write_text(json.dumps(row))
    (tmp_path / "audit.log").write_text("short")
    contents = read_contents(tmp_path)
    assert contents.time_ns == 1_795_319_341_000_000_000
    assert len(contents.problems) == 2 and "5 bytes, and had 9" in contents.problems[0] and "not here" in contents.problems[1]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"time": 5}', '{"time": "soon", "files": []}', '{"time": "2026-01-01", "files": [3]}', "[" * 99999]
)
def test_any_list_of_contents_is_one_or_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "collected.json").write_text(text)
    (words,) = read_contents(tmp_path).problems
    assert "no list of what was collected" in words
