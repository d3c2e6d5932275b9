"""Files and lines of ours: what install makes of any file, uninstall undoes to the byte."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fimkit.verbs.installed import Installed, Memory, Part
from fimkit.verbs.planned import FileChange, Known, PlannedFile, plan_removals, plan_writes, render_changes

LINE = b"/opt/ours.ext"
_CONTENT = st.none() | st.lists(st.sampled_from([b"/opt/theirs.ext", b"# x", b"", b"\xff\r"]), max_size=4).map(b"\n".join)


def planned(path: Path) -> PlannedFile:
    return PlannedFile(path=str(path), part=Part.EXTENSION, line=LINE)


def write(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)


def install(path: Path, memory: Memory | None = None) -> Memory:
    changes, rows = plan_writes([planned(path)], memory, None)
    for change in changes:
        change.make()
    return Memory(files=tuple(rows))


def uninstall(memory: Memory) -> None:
    for change in plan_removals(memory.files, (), None):
        change.make()


@given(_CONTENT)
def test_a_line_comes_and_goes_to_the_byte(tmp_path_factory: object, content: bytes | None) -> None:
    path = Path(os.path.join(tmp_path_factory.mktemp("line"), "extensions.load"))  # type: ignore[attr-defined]
    write(path, content)
    memory = install(path)
    lines = path.read_bytes().split(b"\n")
    assert lines.count(LINE) == 1 and set(lines) - {LINE, b""} == set((content or b"").split(b"\n")) - {b""}
    assert install(path, memory) == memory
    uninstall(memory)
    assert (path.read_bytes() if path.exists() else None) == content


def test_lines_that_others_add_later_stay(tmp_path: Path) -> None:
    path = tmp_path / "extensions.load"
    memory = install(path)
    path.write_bytes(path.read_bytes() + b"/opt/later.ext\n")
    uninstall(install(path, memory))
    assert path.read_bytes() == b"/opt/later.ext\n"


def test_a_line_that_was_there_before_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "extensions.load"
    path.write_bytes(LINE + b"\n")
    memory = install(path)
    uninstall(memory)
    assert memory.files == () and path.read_bytes() == LINE + b"\n"


def test_a_file_of_lines_that_is_gone_stays_gone(tmp_path: Path) -> None:
    path = tmp_path / "extensions.load"
    path.write_bytes(b"/opt/theirs.ext\n")
    memory = install(path)
    path.unlink()
    uninstall(memory)
    assert not path.exists()


def test_a_line_is_found_without_a_memory(tmp_path: Path) -> None:
    path = tmp_path / "extensions.load"
    path.write_bytes(b"/opt/theirs.ext\n" + LINE + b"\n")
    [change] = plan_removals((), [Known(str(path), LINE), Known(str(tmp_path / "none"))], None)
    assert change.after == b"/opt/theirs.ext\n"


def test_a_mode_of_ours_is_set_again_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "fimkit.ext"
    path.write_bytes(b"x")
    path.chmod(0o666)
    ours = PlannedFile(path=str(path), part=Part.EXTENSION, content=b"x", mode=0o755, keep_mode=False)
    [change] = plan_writes([ours], None, None)[0]
    assert render_changes([change]) == f"--- {path}\n+++ {path}\nmode 0666 becomes 0755\n" and not change.is_none
    change.make()
    assert path.stat().st_mode & 0o7777 == 0o755
    change.undo()
    assert path.stat().st_mode & 0o7777 == 0o666 and path.read_bytes() == b"x"


def test_undo_brings_back_a_file_and_its_absence(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "new"
    there.write_bytes(b"old")
    for change in (FileChange(there, b"old", b"new"), FileChange(new, None, b"new")):
        change.make()
        assert change.path.read_bytes() == b"new"
        change.undo()
    assert there.read_bytes() == b"old" and not new.exists()


def test_a_last_line_without_an_end_is_shown_as_such(tmp_path: Path) -> None:
    text = render_changes([FileChange(tmp_path / "a", b"one", b"one\ntwo\n")])
    assert "\n\\ No newline at end of file\n" in text and "\n+two\n" in text


def test_a_file_changed_since_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "fimkit.conf"
    path.write_bytes(b"mine")
    [change] = plan_removals([Installed(path=str(path), part=Part.OSQUERY, before=None, written=b"ours")], (), None)
    change.make()
    assert not path.exists() and (tmp_path / "fimkit.conf.changed").read_bytes() == b"mine"
