import gzip
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fimkit.baseline.order import sort_lines
from fimkit.baseline.snapshot import parse_line, read_snapshot, render_line, write_snapshot
from fimkit.model.errors import SnapshotError
from fimkit.model.json_form import render_state
from fimkit.model.states import FileState, FileType
from tests.baseline.states import paths, states

DATA = Path(__file__).parents[1] / "data" / "incident-01"
ROW = FileState(b"/etc/a", FileType.FILE, 0o644, 0, 0, 1, 2, 3, 1, 4, 5, "00" * 32, None, {"user.a": b"\x00"}, None)


@given(states, st.booleans())
def test_usual_rows_are_written_as_all_others_are(state: FileState, usual: bool) -> None:
    if usual:
        state = state._replace(sha256="ab" * 32, target=None, problem=None, xattrs={})
    text = json.dumps(render_state(state), ensure_ascii=False, separators=(",", ":"))
    assert render_line(state) == text.encode("utf-8", "backslashreplace") + b"\n"


@given(states)
def test_line_gives_the_state_back(state: FileState) -> None:
    line = render_line(state)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert parse_line(line) == state


keys = st.sampled_from(["path", "type", "mode", "size", "xattrs", "sha256"])
leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.sampled_from(["/a", "file"])
objects = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner))


@given(st.binary(max_size=60) | objects.map(lambda row: json.dumps(row).encode()))
def test_any_line_is_a_state_or_a_snapshot_error(line: bytes) -> None:
    try:
        assert isinstance(parse_line(line), FileState)
    except SnapshotError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"type": "alien"}, "type is 'alien', expected file, directory, symlink"),
        ({"mode": "rwx"}, "mode is 'rwx', expected octal text as '0644'"),
        ({"mode": ""}, "mode is '', expected octal text"),
        ({"path": "etc/passwd"}, "path is b'etc/passwd', expected an absolute path"),
    ],
)
def test_a_value_that_is_none_says_what_was_expected(row: dict[str, str], said: str) -> None:
    with pytest.raises(SnapshotError) as refused:
        parse_line(json.dumps({"path": "/etc/a", "type": "file"} | row).encode())
    assert str(refused.value).startswith(said)


def test_deeply_nested_json_is_a_snapshot_error() -> None:
    with pytest.raises(SnapshotError, match="no JSON"):
        parse_line(b"[" * 1_000_000)


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_written_snapshot_is_read_back_sorted_and_for_its_owner_alone(tmp_path: Path, suffix: str) -> None:
    rows = [ROW._replace(path=path) for path in (b"/b", b"/a/\xff", b"/a%", b"/a", b"/a/b")]
    place = tmp_path / f"snapshot.{suffix}"
    assert write_snapshot(place, iter(rows)) == 5
    read = read_snapshot(place)
    assert read.problems == () and list(read.states.values()) == sorted(rows)
    assert place.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == [place.name]


@pytest.mark.parametrize("name", ["baseline.jsonl", "after.jsonl"])
def test_recorded_snapshot_is_read_without_a_problem_and_writes_back_the_same(tmp_path: Path, name: str) -> None:
    snapshot = read_snapshot(DATA / name)
    assert snapshot.problems == () and len(snapshot.states) > 100
    write_snapshot(tmp_path / "again", snapshot.states.values())
    assert read_snapshot(tmp_path / "again").states == snapshot.states


def test_bad_lines_are_kept_with_their_place_and_the_others_count(tmp_path: Path) -> None:
    good = render_line(ROW)
    place = tmp_path / "s"
    place.write_bytes(b"{\n" + good + b'\n{"path":"/x"}\n' + good + render_line(ROW._replace(path=b"/z"))[:-1])
    snapshot = read_snapshot(place)
    assert list(snapshot.states) == [b"/etc/a", b"/z"]
    assert [problem.rsplit("(", 1)[1] for problem in snapshot.problems] == [f"{place}:{line})" for line in (1, 4, 5)]
    assert "second time" in snapshot.problems[2]


def test_line_without_an_end_is_not_held_in_memory(tmp_path: Path) -> None:
    place = tmp_path / "s.zst"
    packer = zstandard.ZstdCompressor().compressobj()
    with place.open("wb") as file:
        for _ in range(200):
            file.write(packer.compress(bytes(2**20)))
        file.write(packer.compress(b"\n" + render_line(ROW)))
        file.write(packer.flush())
    snapshot = read_snapshot(place)
    assert list(snapshot.states) == [ROW.path] and "a line of more than" in snapshot.problems[0]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", zstandard.ZstdCompressor().compress)])
def test_compressed_file_that_breaks_off_says_so(tmp_path: Path, suffix: str, pack: object) -> None:
    assert callable(pack)
    place = tmp_path / f"s.{suffix}"
    lines = b"".join(render_line(ROW._replace(path=b"/%d" % number, sha256=os.urandom(32).hex())) for number in range(9000))
    place.write_bytes(pack(lines)[:-2000])
    snapshot = read_snapshot(place)
    assert 0 < len(snapshot.states) < 9000
    assert snapshot.problems and f"({place}:" in snapshot.problems[-1]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello\n", b"\x1f\x8b"])
def test_file_without_any_state_is_no_snapshot(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(SnapshotError, match="is a state of a snapshot"):
        read_snapshot(tmp_path / "s")


def test_missing_file_and_folder_are_no_snapshots(tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(SnapshotError, match="can be read from"):
            read_snapshot(place)


def test_writing_that_fails_leaves_the_old_snapshot_and_nothing_else(tmp_path: Path) -> None:
    def broken() -> Iterator[FileState]:
        yield ROW._replace(path=b"/new")
        raise KeyboardInterrupt

    write_snapshot(tmp_path / "s", [ROW])
    with pytest.raises(KeyboardInterrupt):
        write_snapshot(tmp_path / "s", broken())
    assert list(read_snapshot(tmp_path / "s").states) == [ROW.path]
    assert os.listdir(tmp_path) == ["s"]


@given(st.lists(st.tuples(paths, st.binary(max_size=5))), st.integers(1, 4))
def test_lines_are_sorted_however_short_the_runs(lines: list[tuple[bytes, bytes]], run: int) -> None:
    assert list(sort_lines(lines, Path(tempfile.gettempdir()), run)) == [line for _, line in sorted(lines)]
