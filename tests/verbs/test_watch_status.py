"""The file of a watch's numbers is read whatever is in it, and never through a link or a pipe."""

import json
import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fimkit.verbs.watch_status import StatusFile, WatchStatus, load_watch_status

__all__: list[str] = []

_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4), st.lists, max_leaves=4)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    status = WatchStatus(pid=7, records="kernel", lag_s=0.5, lost={"inotify": 3}, problem="a\nb")
    with StatusFile(os.fsencode(tmp_path)) as file:
        file.write(status)
    assert load_watch_status(os.fsencode(tmp_path)) == status


@given(row=st.dictionaries(st.sampled_from([*WatchStatus.__slots__, "other"]), _JSON, max_size=6))
def test_values_of_other_types_are_left_out(row: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "watch.json").write_text(json.dumps(row))
        status = load_watch_status(os.fsencode(folder))
    assert status is not None
    assert not status.running
    plain = WatchStatus()
    for name in WatchStatus.__slots__:
        wanted = type(getattr(plain, name))
        assert isinstance(getattr(status, name), (int, float) if wanted is float else wanted), name
    assert status.uptime_s >= 0


def test_a_link_or_a_pipe_in_its_place_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("{}")
    (tmp_path / "watch.json").symlink_to(tmp_path / "real")
    assert load_watch_status(os.fsencode(tmp_path)) is None
    (tmp_path / "watch.json").unlink()
    os.mkfifo(tmp_path / "watch.json")
    assert load_watch_status(os.fsencode(tmp_path)) is None
