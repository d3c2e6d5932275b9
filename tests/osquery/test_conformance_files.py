"""What osqueryd's ``file_events`` tells and what it misses: each fact that fimkit relies on, on every osqueryd there is."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from osquery import ExtensionClient

from tests.osquery.conformance import Seen, WatchedTree, each_osqueryd, needs_stand_in, write
from tests.osqueryd import start_osqueryd, wait_for

pytestmark = [each_osqueryd, pytest.mark.skipif(os.geteuid() != 0, reason="osqueryd watches files as root")]

_FOLDERS = ("accessed", "beat", "deep", "deep/renamed", "excluded", "excluded/no", "flat", "flat/sub", "leaf", "mid/x/y", "once")
_FOLDERS += ("overlap", "single", "slash", "slash/sub", "outside")
_STATE = ("inode", "uid", "gid", "mode", "size", "atime", "mtime", "ctime")
_HASHES = ("md5", "sha1", "sha256")
_COLUMNS = sorted([*_STATE, *_HASHES, "action", "category", "hashed", "target_path", "time", "transaction_id"])
_READ_MAX = 100_000


def _config(root: Path) -> dict[str, object]:
    return {
        "file_paths": {
            "accessed": [f"{root}/accessed/%%"],
            "beat": [f"{root}/beat/%"],
            "deep": [f"{root}/deep/%%"],
            "excluded": [f"{root}/excluded/%%"],
            "flat": [f"{root}/flat/%"],
            "leaf": [f"{root}/leaf/%.conf"],
            "mid": [f"{root}/mid/%%/y"],
            "missing": [f"{root}/missing/%%"],
            "over_a": [f"{root}/overlap/%%"],
            "over_b": [f"{root}/overlap/%%"],
            "single": [f"{root}/single/f.txt"],
            "slash": [f"{root}/slash/"],
        },
        "file_accesses": ["accessed"],
        "exclude_paths": {
            "excluded": [f"{root}/excluded/no/%%", f"{root}/excluded/one.txt", f"{root}/excluded/%.swp"],
            "unheard_of": [f"{root}/deep/%%"],
        },
    }


@pytest.fixture(scope="module")
def tree(binary: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedTree]:
    home = tmp_path_factory.mktemp("files")
    root = home / "watched"
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True)
    write(root / "single" / "f.txt")
    with start_osqueryd(home / "osquery", config=_config(root), flags=[f"--read_max={_READ_MAX}"], binary=binary) as running:
        yield WatchedTree(running, root)


def test_one_write_of_a_new_file_is_created_updated_updated(tree: WatchedTree) -> None:
    before = int(time.time())
    path = write(tree.root / "deep" / "new", b"some content")
    rows = tree.rows("deep/new")
    assert [row["action"] for row in rows] == ["CREATED", "UPDATED", "UPDATED"]
    last, state = rows[-1], path.stat()
    assert last["sha256"] == hashlib.sha256(b"some content").hexdigest()
    assert (last["md5"], last["sha1"]) == (hashlib.md5(b"some content").hexdigest(), hashlib.sha1(b"some content").hexdigest())
    assert (last["hashed"], last["mode"], last["size"], last["inode"]) == ("1", "0644", "12", str(state.st_ino))
    assert (last["uid"], last["gid"], last["mtime"], last["category"]) == ("0", "0", str(int(state.st_mtime)), "deep")
    assert {row["transaction_id"] for row in rows} == {"0"}
    assert before <= int(last["time"]) <= int(time.time())


def test_the_visible_columns_are_these(tree: WatchedTree) -> None:
    write(tree.root / "deep" / "columns")
    tree.beat()
    assert sorted(tree.running.query("SELECT * FROM file_events LIMIT 1")[0]) == _COLUMNS


def test_state_and_hash_are_those_of_the_time_of_processing(tree: WatchedTree) -> None:
    path = tree.root / "deep" / "quick"
    for content in (b"", b"first", b"the last content"):
        write(path, content)
    rows = tree.rows("deep/quick")
    assert rows[-1]["sha256"] == hashlib.sha256(b"the last content").hexdigest()
    assert len({row["sha256"] for row in rows}) < len({b"", b"first", b"the last content"})


def test_a_file_gone_before_it_was_processed_has_neither_state_nor_hash(tree: WatchedTree) -> None:
    tree.beat()
    for name in ("busy", "gone"):  # the first one starts the pause in which the other comes and goes
        write(tree.root / "deep" / name)
    os.unlink(tree.root / "deep" / "gone")
    rows = tree.rows("deep/gone")
    assert (rows[-1]["action"], rows[-1]["hashed"]) == ("DELETED", "0")
    assert (rows[-2]["action"], rows[-2]["hashed"], rows[-2]["inode"], rows[-2]["sha256"]) == ("UPDATED", "-1", "", "")


def test_a_deleted_file_has_empty_stat_columns(tree: WatchedTree) -> None:
    path = write(tree.root / "deep" / "deleted")
    tree.beat()
    path.unlink()
    row = tree.rows("deep/deleted")[-1]
    assert (row["action"], row["hashed"]) == ("DELETED", "0")
    assert {row[name] for name in (*_STATE, *_HASHES)} == {""}


def test_a_change_of_mode_is_not_hashed(tree: WatchedTree) -> None:
    path = write(tree.root / "deep" / "mode")
    tree.beat()
    path.chmod(0o4755)
    row = tree.rows("deep/mode")[-1]
    assert (row["action"], row["mode"], row["hashed"], row["sha256"]) == ("ATTRIBUTES_MODIFIED", "4755", "0", "")


def test_a_rename_is_two_events_of_one_transaction_and_the_new_name_has_no_hash(tree: WatchedTree) -> None:
    path = write(tree.root / "deep" / "from")
    tree.beat()
    path.rename(tree.root / "deep" / "to")
    gone, came = tree.rows("deep/from")[-1], tree.rows("deep/to")[-1]
    assert (gone["action"], gone["hashed"], gone["inode"]) == ("MOVED_FROM", "0", "")
    assert (came["action"], came["hashed"], came["sha256"], came["mode"]) == ("MOVED_TO", "0", "", "0644")
    assert gone["transaction_id"] == came["transaction_id"] != "0"


def test_a_move_in_or_out_has_one_half(tree: WatchedTree) -> None:
    outside = write(tree.root / "outside" / "half")
    outside.rename(tree.root / "deep" / "half")
    tree.beat()
    (tree.root / "deep" / "half").rename(outside)
    rows = tree.rows("deep/half")
    assert [row["action"] for row in rows] == ["MOVED_TO", "MOVED_FROM"]
    assert rows[0]["transaction_id"] != rows[1]["transaction_id"] and "0" not in {row["transaction_id"] for row in rows}


def test_a_folder_cannot_be_hashed(tree: WatchedTree) -> None:
    (tree.root / "deep" / "folder").mkdir()
    row = tree.rows("deep/folder")[0]
    assert (row["action"], row["hashed"], row["mode"], row["sha256"]) == ("CREATED", "-1", "0755", "")


def test_a_file_over_read_max_has_no_hash(tree: WatchedTree) -> None:
    write(tree.root / "deep" / "large", b"x" * (_READ_MAX + 1))
    row = tree.rows("deep/large")[-1]
    assert (row["hashed"], row["size"], row["sha256"]) == ("-1", str(_READ_MAX + 1), "")


def test_a_symlink_carries_the_state_and_hash_of_its_target(tree: WatchedTree) -> None:
    target = write(tree.root / "outside" / "target", b"target's")
    (tree.root / "deep" / "link").symlink_to(target)
    (tree.root / "deep" / "dangling").symlink_to("nowhere")
    row = tree.rows("deep/link")[0]
    assert (row["action"], row["inode"], row["hashed"]) == ("CREATED", str(target.stat().st_ino), "1")
    assert row["sha256"] == hashlib.sha256(b"target's").hexdigest()
    assert [(row["hashed"], row["inode"]) for row in tree.rows("deep/dangling")] == [("-1", "")]


def test_a_new_folder_is_watched_once_it_was_told(tree: WatchedTree) -> None:
    (tree.root / "deep" / "later").mkdir()
    tree.beat()
    write(tree.root / "deep" / "later" / "file")
    assert Seen("CREATED", "file") in tree.seen("deep/later")


def test_what_is_made_at_once_with_its_folders_is_missed(tree: WatchedTree) -> None:
    tree.beat()
    write(tree.root / "deep" / "busy")  # osqueryd pauses after it
    (tree.root / "deep" / "a" / "b" / "c").mkdir(parents=True)
    write(tree.root / "deep" / "a" / "b" / "c" / "file")
    assert tree.rows("deep/a")[0]["action"] == "CREATED"
    assert "b/c/file" not in {seen.name for seen in tree.seen("deep/a")}


def test_a_folder_that_is_moved_in_is_never_watched(tree: WatchedTree) -> None:
    (tree.root / "outside" / "came").mkdir()
    (tree.root / "outside" / "came").rename(tree.root / "deep" / "came")
    tree.beat()
    write(tree.root / "deep" / "came" / "file")
    assert [row["action"] for row in tree.rows("deep/came")] == ["MOVED_TO"]


def test_what_happens_in_a_renamed_folder_is_told_under_its_old_path_without_a_hash(tree: WatchedTree) -> None:
    (tree.root / "deep" / "renamed").rename(tree.root / "deep" / "now")
    tree.beat()
    write(tree.root / "deep" / "now" / "file")
    assert {row["hashed"] for row in tree.rows("deep/renamed/file")} == {"-1"}
    assert Seen("UPDATED", "file") in tree.seen("deep/renamed")
    assert [row["action"] for row in tree.rows("deep/now")] == ["MOVED_TO"]


@pytest.mark.parametrize("folder", ["flat", "slash"])
def test_one_wildcard_or_a_slash_at_the_end_watches_one_level(tree: WatchedTree, folder: str) -> None:
    write(tree.root / folder / "here")
    write(tree.root / folder / "sub" / "below")
    names = {seen.name for seen in tree.seen(folder)}
    assert "here" in names and "sub/below" not in names


def test_a_wildcard_in_the_leaf_filters_nothing(tree: WatchedTree) -> None:
    write(tree.root / "leaf" / "a.conf")
    write(tree.root / "leaf" / "b.txt")
    assert {"a.conf", "b.txt"} <= {seen.name for seen in tree.seen("leaf")}


def test_a_double_wildcard_before_the_end_watches_nothing(tree: WatchedTree, binary: tuple[str, ...]) -> None:
    needs_stand_in(binary, "osquery calls such a pattern invalid, and promises nothing")
    write(tree.root / "mid" / "x" / "y" / "file")
    assert tree.rows("mid") == []
    assert "%% is valid at the end only" in tree.running.stderr_text()


def test_where_categories_overlap_one_gets_all_events(tree: WatchedTree) -> None:
    write(tree.root / "overlap" / "one")
    write(tree.root / "overlap" / "two")
    rows = tree.rows("overlap")
    assert len({row["category"] for row in rows}) == 1
    assert [row["action"] for row in rows if row["target_path"].endswith("/one")] == ["CREATED", "UPDATED", "UPDATED"]


def test_excludes_drop_a_tree_and_an_exact_file_but_no_leaf_pattern(tree: WatchedTree) -> None:
    for name in ("no/file", "one.txt", "file.swp", "kept"):
        write(tree.root / "excluded" / name)
    names = {seen.name for seen in tree.seen("excluded")}
    assert names & {"no/file", "one.txt", "file.swp", "kept"} == {"file.swp", "kept"}


def test_an_exclude_of_a_category_that_is_not_there_excludes_nothing(tree: WatchedTree) -> None:
    write(tree.root / "deep" / "not-excluded")
    assert tree.rows("deep/not-excluded")


def test_reading_is_told_where_file_accesses_says_so_and_nothing_is_hashed_there(tree: WatchedTree) -> None:
    path = write(tree.root / "accessed" / "file")
    tree.beat()
    path.read_bytes()
    rows = tree.rows("accessed")
    assert {"OPENED", "ACCESSED"} <= {row["action"] for row in rows}
    assert {row["hashed"] for row in rows} == {"0"}


def test_a_watched_file_that_is_replaced_is_lost_in_silence(tree: WatchedTree) -> None:
    path = tree.root / "single" / "f.txt"
    write(path, b"changed")
    assert "UPDATED" in {row["action"] for row in tree.rows("single")}
    write(tree.root / "single" / "f.new").rename(path)
    tree.beat()
    before = len(tree.rows("single"))
    write(path, b"unseen")
    assert len(tree.rows("single")) == before
    assert tree.running.query("SELECT active FROM osquery_events WHERE name = 'inotify'") == [{"active": "1"}]


def test_a_path_that_was_missing_at_the_start_is_not_picked_up(tree: WatchedTree) -> None:
    (tree.root / "missing").mkdir()
    write(tree.root / "missing" / "file")
    assert tree.rows("missing") == []


def test_a_query_that_is_not_scheduled_gets_everything_again(tree: WatchedTree) -> None:
    write(tree.root / "deep" / "again")
    assert tree.rows("deep/again") == tree.rows("deep/again") != []


@pytest.mark.parametrize("name", [b"new\nline", b"bad\xffname", "ünïcode-설정".encode(), b"with space"])
def test_hex_gives_a_name_byte_for_byte(tree: WatchedTree, name: bytes) -> None:
    path = os.path.join(os.fsencode(tree.root), b"deep", name)
    with open(path, "wb"):
        pass
    assert {row["action"] for row in tree.rows("deep") if os.fsencode(row["target_path"]) == path} == {"CREATED", "UPDATED"}


def test_the_raw_bytes_of_a_name_break_the_client_of_the_package(tree: WatchedTree) -> None:
    with open(os.fsencode(tree.root) + b"/deep/raw\xfe", "wb"):
        pass
    tree.beat()
    client = ExtensionClient(path=str(tree.running.socket))
    assert client.open()
    try:
        with pytest.raises(UnicodeDecodeError):
            client.extension_manager_client().query("SELECT target_path FROM file_events WHERE hex(target_path) LIKE '%726177FE'")
    finally:
        client.close()


def test_the_blind_spots_heal_when_the_content_of_the_configuration_changes(
    binary: tuple[str, ...], tmp_path: Path
) -> None:
    root = tmp_path / "watched"
    for folder in ("beat", "deep", "outside/came", "single"):
        (root / folder).mkdir(parents=True)
    single = write(root / "single" / "f.txt")
    paths = {"beat": [f"{root}/beat/%"], "deep": [f"{root}/deep/%%"], "late": [f"{root}/late/%%"], "single": [str(single)]}
    with start_osqueryd(
        tmp_path / "osquery", config={"file_paths": paths}, flags=["--config_refresh=1"], binary=binary
    ) as running:
        tree = WatchedTree(running, root)
        time.sleep(1.1)  # osquery compares change times in seconds
        (root / "outside" / "came").rename(root / "deep" / "came")
        (root / "late").mkdir()
        write(root / "single" / "new").rename(single)
        running.config.touch()
        tree.beat()
        time.sleep(1.5)
        for path in (root / "deep" / "came" / "a", root / "late" / "a", single):
            write(path, b"unseen")
        assert "deep/came/a" not in {seen.name for seen in tree.seen("")} and tree.rows("late") == []
        hash_before = running.query("SELECT config_hash FROM osquery_info")
        schedule = '{"unrelated": {"query": "SELECT 1", "interval": 3600}}'
        running.config.write_text(running.config.read_text().rstrip()[:-1] + f', "schedule": {schedule}}}')
        assert wait_for(lambda: running.query("SELECT config_hash FROM osquery_info") != hash_before)
        tree.beat()
        for path in (root / "deep" / "came" / "b", root / "late" / "b", single):
            write(path, b"seen again")
        names = {seen.name for seen in tree.seen("")}
        assert {"deep/came/b", "late/b"} <= names and Seen("UPDATED", "single/f.txt") in tree.seen("")


def test_without_events_the_table_is_empty_and_the_publisher_inactive(binary: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    config = {"file_paths": {"all": [f"{tmp_path}/watched/%%"]}}
    with start_osqueryd(tmp_path / "osquery", config=config, flags=["--enable_file_events=false"], binary=binary) as running:
        write(tmp_path / "watched" / "file")
        time.sleep(0.5)
        assert running.query("SELECT * FROM file_events") == []
        assert running.query("SELECT active FROM osquery_events WHERE name = 'inotify' AND active = 1") == []


def test_past_the_limit_of_watches_the_rest_is_unwatched_while_the_publisher_is_active(
    binary: tuple[str, ...], tmp_path: Path
) -> None:
    needs_stand_in(binary, "the host's own limit is left alone")
    root = tmp_path / "watched"
    for folder in ("beat", *(f"deep/{number}" for number in range(10))):
        (root / folder).mkdir(parents=True)
    config = {"file_paths": {"beat": [f"{root}/beat/%"], "deep": [f"{root}/deep/%%"]}}
    with start_osqueryd(tmp_path / "osquery", config=config, flags=["--standin_max_watches=5"], binary=binary) as running:
        tree = WatchedTree(running, root)
        for number in range(10):
            write(root / "deep" / str(number) / "file")
        assert len({seen.name for seen in tree.seen("deep")}) == 3  # five, less beat and deep themselves
        assert running.stderr_text().count("Could not add inotify watch on: ") == 7
        assert running.query("SELECT active FROM osquery_events WHERE name = 'inotify'") == [{"active": "1"}]


def test_without_an_inotify_instance_there_is_a_line_of_information_and_no_more(binary: tuple[str, ...], tmp_path: Path) -> None:
    needs_stand_in(binary, "the host's own limit is left alone")
    (tmp_path / "watched").mkdir()
    config = {"file_paths": {"all": [f"{tmp_path}/watched/%%"]}}
    with start_osqueryd(tmp_path / "osquery", config=config, flags=["--standin_no_inotify"], binary=binary) as running:
        assert running.query("SELECT active FROM osquery_events WHERE name = 'inotify'") == [{"active": "0"}]
        (line,) = [line for line in running.stderr_text().splitlines() if "inotify_init failed" in line]
        assert line.startswith("I")


def test_the_oldest_events_go_when_there_are_more_than_events_max(binary: tuple[str, ...], tmp_path: Path) -> None:
    needs_stand_in(binary, "a real one counts batches, and expires them when it likes")
    (tmp_path / "watched").mkdir()
    config = {"file_paths": {"all": [f"{tmp_path}/watched/%%"]}}
    with start_osqueryd(tmp_path / "osquery", config=config, flags=["--events_max=6"], binary=binary) as running:
        for number in range(5):
            write(tmp_path / "watched" / str(number))
        last = f"SELECT 1 FROM file_events WHERE target_path = '{tmp_path}/watched/4' AND eid = '0000000015'"
        assert wait_for(lambda: running.query(last))
        assert running.query("SELECT DISTINCT target_path AS path FROM file_events ORDER BY 1") == [
            {"path": f"{tmp_path}/watched/{number}"} for number in (3, 4)
        ]
