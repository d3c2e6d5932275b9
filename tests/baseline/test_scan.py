import contextlib
import hashlib
import json
import os
import resource
import socket
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimkit.baseline.folders import MOST_OPEN
from fimkit.baseline.problems import UNLISTED, VANISHED
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet
from tests.baseline.trees import needs_root, run_python, scan, scan_tree


def test_file_has_every_attribute_that_stat_and_sha256_give(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"hello")
    file.chmod(0o4751)
    seen = file.stat()
    assert scan_tree(tmp_path)[b"a"] == FileState(
        path=os.fsencode(file), type=FileType.FILE, mode=0o4751, uid=seen.st_uid, gid=seen.st_gid, size=5, inode=seen.st_ino,
        dev=seen.st_dev, nlink=1, mtime_ns=seen.st_mtime_ns, ctime_ns=seen.st_ctime_ns,
        sha256=hashlib.sha256(b"hello").hexdigest(), xattrs={},
    )  # fmt: skip


@pytest.mark.parametrize("size", [0, 1, 2**17 - 1, 2**17, 2**17 + 1, 2**18, 2**19 - 1, 2**19, 3 * 2**20 + 7])
def test_hash_is_right_at_every_boundary_of_the_ways_to_read(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    assert scan_tree(tmp_path)[b"a"].sha256 == hashlib.sha256(content).hexdigest()


def test_hashes_of_many_big_files_all_come_back(tmp_path: Path) -> None:
    for number in range(40):
        with (tmp_path / str(number)).open("wb") as file:
            file.write(bytes([number]))
            file.truncate(2**20)
    rows = scan_tree(tmp_path)
    assert len(rows) == 41
    for number in range(40):
        assert rows[str(number).encode()].sha256 == hashlib.sha256(bytes([number]) + bytes(2**20 - 1)).hexdigest()


def test_watched_folder_is_in_its_own_scan(tmp_path: Path) -> None:
    assert scan_tree(tmp_path)[b""].type is FileType.DIRECTORY


def test_link_gives_its_target_text_and_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"x")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "out").symlink_to("../outside")
    (tree / "loop").symlink_to(".")
    os.symlink(b"no\xffwhere", os.fsencode(tree / "dangling"))
    rows = scan_tree(tree)
    targets = {name: row.target for name, row in rows.items() if name}
    assert targets == {b"out": b"../outside", b"loop": b".", b"dangling": b"no\xffwhere"}
    assert {row.type for name, row in rows.items() if name} == {FileType.SYMLINK}
    assert rows[b"out"].sha256 is None and rows[b"out"].problem is None


def test_fifo_and_socket_are_rows_and_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fsencode(tmp_path / "socket"))
        rows = scan_tree(tmp_path)
    assert (rows[b"fifo"].type, rows[b"socket"].type) == (FileType.FIFO, FileType.SOCKET)
    assert rows[b"fifo"].problem is None and rows[b"fifo"].xattrs == {}


@needs_root
def test_devices_are_rows_and_are_not_opened(tmp_path: Path) -> None:
    # No driver has these numbers: an open would fail, and say so on the row.
    os.mknod(tmp_path / "char", stat.S_IFCHR | 0o600, os.makedev(4095, 77))
    os.mknod(tmp_path / "block", stat.S_IFBLK | 0o640, os.makedev(4095, 77))
    rows = scan_tree(tmp_path)
    assert [(rows[name].type, rows[name].mode, rows[name].problem) for name in (b"char", b"block")] == [
        (FileType.CHAR, 0o600, None),
        (FileType.BLOCK, 0o640, None),
    ]


@needs_root
def test_capability_acl_and_user_attributes_are_all_there(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x")
    os.setxattr(file, "user.note", b"\x00\xff")
    os.setxattr(file, b"user.odd\xff%", b"1")
    subprocess.run(["setcap", "cap_net_raw+ep", file], check=True)
    subprocess.run(["setfacl", "-m", "u:65534:r", file], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:65534:rx", tmp_path], check=True)
    rows = scan_tree(tmp_path)
    assert rows[b"a"].xattrs is not None
    assert rows[b"a"].xattrs.keys() == {"user.note", "user.odd%FF%25", "security.capability", "system.posix_acl_access"}
    assert rows[b"a"].xattrs["user.note"] == b"\x00\xff"
    assert rows[b""].xattrs is not None and rows[b""].xattrs.keys() == {"system.posix_acl_default"}


@needs_root
def test_attributes_of_links_and_devices_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo"):
        try:
            os.setxattr(tmp_path / name, "trusted.note", name.encode(), follow_symlinks=False)
        except OSError as error:
            pytest.skip(f"this file system refuses trusted attributes: {error}")
    rows = scan_tree(tmp_path)
    assert rows[b"link"].xattrs == {"trusted.note": b"link"}
    assert rows[b"fifo"].xattrs == {"trusted.note": b"fifo"}


def test_names_are_bytes(tmp_path: Path) -> None:
    names = {b"new\nline", b"bad\xff\xfename", "ünï".encode(), b"100%", b" ", b"-rf"}
    for name in names:
        (Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))).write_bytes(name)
    rows = scan_tree(tmp_path)
    assert {name: row.sha256 for name, row in rows.items() if name} == {name: hashlib.sha256(name).hexdigest() for name in names}


def test_hard_links_are_rows_each_with_the_same_inode_and_link_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    os.link(tmp_path / "a", tmp_path / "b")
    rows = scan_tree(tmp_path)
    assert rows[b"a"].key == rows[b"b"].key and rows[b"a"].nlink == rows[b"b"].nlink == 2


def test_what_goes_while_the_folder_is_read_is_a_row_that_says_so(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"file{number}").write_bytes(b"x")
        (tmp_path / f"link{number}").symlink_to("x")
        (tmp_path / f"folder{number}").mkdir()
    under_way = scan_watches([Watch(path=os.fsencode(tmp_path))])
    first = next(under_way)
    for path in tmp_path.iterdir():
        if os.fsencode(path) != first.path:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    rest = [row for row in under_way if row.path != os.fsencode(tmp_path)]
    assert first.problem is None and len(rest) == 59
    assert {row.problem for row in rest} == {VANISHED}


def test_tree_that_is_torn_down_and_built_up_never_ends_the_scan(tmp_path: Path) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                deep = tmp_path / "a" / "b" / "c"
                deep.mkdir(parents=True)
                (deep / "file").write_bytes(os.urandom(700_000))
                (deep / "file").rename(tmp_path / "moved")
                (tmp_path / "a").rename(tmp_path / "z")
                (tmp_path / "moved").unlink()
                for folder in (tmp_path / "z/b/c", tmp_path / "z/b", tmp_path / "z"):
                    folder.rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(60):
            for row in scan_watches([Watch(path=os.fsencode(tmp_path))]):
                assert row.type is not FileType.FILE or row.sha256 is not None or row.problem is not None
    finally:
        stop.set()
        thread.join()


@needs_root
def test_unreadable_file_and_folder_say_why_and_keep_their_attributes() -> None:
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        tree.chmod(0o755)
        (tree / "secret").write_bytes(b"x")
        (tree / "secret").chmod(0o600)
        (tree / "closed").mkdir(mode=0o700)
        (tree / "listed").mkdir(mode=0o744)
        (tree / "listed" / "inside").write_bytes(b"x")
        (tree / "open").write_bytes(b"x")
        code = """
import json
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
print(json.dumps([[r.path.decode(), r.type, r.mode, r.sha256 is not None, r.problem]
                  for r in scan_watches([Watch(path=sys.argv[1].encode())])]))
"""
        printed = run_python(code, name, user=65534, group=65534, extra_groups=[])
    rows = {path[len(name) + 1 :]: rest for path, *rest in json.loads(printed)}
    assert rows["secret"] == ["file", 0o600, False, "cannot be read: Permission denied"]
    assert rows["closed"] == ["directory", 0o700, False, f"{UNLISTED}, it cannot be opened: Permission denied"]
    assert rows["listed/inside"] == ["file", None, False, "cannot be looked at: Permission denied"]
    assert rows["open"][2:] == [True, None]


def test_missing_path_is_reported_without_a_row(tmp_path: Path) -> None:
    states, under_way = scan([Watch(path=os.fsencode(tmp_path / "none")), Watch(path=os.fsencode(tmp_path))])
    assert list(states) == [os.fsencode(tmp_path)]
    assert [(problem.path, problem.text) for problem in under_way.problems] == [
        (os.fsencode(tmp_path / "none"), "is configured and not there")
    ]


def test_configured_link_is_its_own_row_and_named(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    states, under_way = scan([Watch(path=os.fsencode(tmp_path / "link"))])
    assert [(row.type, row.target) for row in states.values()] == [(FileType.SYMLINK, b"real")]
    assert "is a link to real" in under_way.problems[0].text


def test_configured_file_is_watched_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    states, _ = scan([Watch(path=os.fsencode(tmp_path / "a"))])
    assert list(states) == [os.fsencode(tmp_path / "a")]


def test_path_longer_than_the_kernel_takes_is_scanned_to_its_bottom(tmp_path: Path) -> None:
    name = "d" * 50
    depth = 120
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        for branch in (name, "e"):
            os.mkdir(branch, dir_fd=handle)
        lower = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = lower
    with os.fdopen(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=handle), "wb") as file:
        file.write(b"bottom")
    os.symlink("x", "link", dir_fd=handle)
    os.close(handle)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + MOST_OPEN + 30, hard))
    try:
        rows = scan_tree(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        subprocess.run(["rm", "-rf", "--", tmp_path / name], check=True)
    bottom = b"/".join([name.encode()] * depth)
    assert len(bottom) > 4096
    assert len(rows) == 2 * depth + 3
    assert rows[bottom + b"/file"].sha256 == hashlib.sha256(b"bottom").hexdigest()
    assert rows[bottom + b"/link"].xattrs == {}
    assert all(row.problem is None for row in rows.values())


def test_folder_moved_away_deep_in_a_walk_leaves_rows_that_say_what_is_not_known(tmp_path: Path) -> None:
    depth = MOST_OPEN + 10
    deep = tmp_path.joinpath(*["d"] * depth)
    deep.mkdir(parents=True)
    (tmp_path / "d" / "e").mkdir()
    (deep / "file").write_bytes(b"x")
    under_way = scan_watches([Watch(path=os.fsencode(tmp_path))])
    rows = []
    for row in under_way:
        rows.append(row)
        if row.path.endswith(b"/file"):
            (tmp_path / "d" / "d" / "d").rename(tmp_path / "away")
    assert all(row.problem is None or UNLISTED in row.problem for row in rows)
    assert os.fsencode(deep) in {row.path for row in rows}


MOUNTED = """
import json, os, subprocess
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
tree = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "none", tree + "/tmpfs"], check=True)
subprocess.run(["mount", "--bind", tree + "/source", tree + "/bind"], check=True)
open(tree + "/tmpfs/inside", "w").close()
found = {}
for crosses in (False, True):
    for root in (tree, sys.argv[2]):
        scan = scan_watches([Watch(path=root.encode(), cross_mounts=crosses)])
        paths = sorted(os.fsdecode(row.path)[len(root):] for row in scan)
        found[f"{crosses} {root == tree}"] = [paths, sorted(os.fsdecode(path)[len(root):] for path in scan.mounts)]
print(json.dumps(found))
"""


@needs_root
def test_mounts_are_entered_only_when_asked_also_those_of_the_same_device(tmp_path: Path) -> None:
    may = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    if may.returncode:
        pytest.skip(f"no mount namespace here: {may.stderr}")
    tree = tmp_path / "tree"
    for name in ("tmpfs", "bind", "source"):
        (tree / name).mkdir(parents=True)
    (tree / "source" / "file").write_bytes(b"x")
    (tmp_path / "alias").symlink_to(".")
    by_link = str(tmp_path / "alias" / "tree")  # the kernel lists mounts by their real path
    found = json.loads(run_python(MOUNTED, str(tree), by_link, before=("unshare", "--mount", "--propagation", "private")))
    outside = ["", "/bind", "/source", "/source/file", "/tmpfs"]
    for root in ("True", "False"):
        assert found[f"False {root}"] == [outside, ["/bind", "/tmpfs"]]
        assert found[f"True {root}"] == [sorted([*outside, "/bind/file", "/tmpfs/inside"]), []]


def test_known_state_with_the_same_times_is_repeated_unread(tmp_path: Path) -> None:
    for name in ("same", "changed", "unknown"):
        (tmp_path / name).write_bytes(b"x")
    first, _ = scan([Watch(path=os.fsencode(tmp_path))])
    known = {path: row._replace(sha256="0" * 64) if row.type is FileType.FILE else row for path, row in first.items()}
    del known[os.fsencode(tmp_path / "unknown")]
    (tmp_path / "changed").write_bytes(b"y")
    again, under_way = scan([Watch(path=os.fsencode(tmp_path))], known)
    assert {os.path.basename(path): row.sha256 for path, row in again.items() if row.type is FileType.FILE} == {
        b"same": "0" * 64,
        b"changed": hashlib.sha256(b"y").hexdigest(),
        b"unknown": hashlib.sha256(b"x").hexdigest(),
    }
    assert under_way.bytes_read == 2


@pytest.mark.parametrize("name", ["sha256", "xattrs", "mtime_ns", "inode", "dev", "size", "ctime_ns"])
def test_known_state_that_differs_or_lacks_something_is_not_repeated(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    path = os.fsencode(tmp_path / "a")
    first, _ = scan([Watch(path=path)])
    wrong = None if name in ("sha256", "xattrs") else 77
    known = {path: first[path]._replace(**{"sha256": "0" * 64, name: wrong})}
    again, _ = scan([Watch(path=path)], known)
    assert again == first


def test_scan_that_is_given_up_leaves_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    for number in range(30):
        with (tmp_path / str(number)).open("wb") as file:
            file.truncate(2**24)
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    under_way = scan_watches([Watch(path=os.fsencode(tmp_path))])
    next(under_way)
    under_way.close()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (descriptors, threads)


def test_progress_ends_with_all_paths_and_all_bytes(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).write_bytes(b"xy")
    told: list[tuple[int, int]] = []
    rows = list(scan_watches([Watch(path=os.fsencode(tmp_path))], on_progress=lambda paths, size: told.append((paths, size))))
    assert told[-1] == (len(rows), 600) == (301, 600)
    assert told == sorted(told) and len(told) > 2


def test_access_times_stay(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    os.utime(tmp_path / "a", ns=(1, 10**18))
    scan_tree(tmp_path)
    assert (tmp_path / "a").stat().st_atime_ns == 1


FOLDERS = ("a", "b", "a/a", "a/b", "b/a", "a/d.tmp", "a/b/a", "a/b/e.conf")
PATHS = (*FOLDERS, *(f"{folder}/{name}" for folder in ("", *FOLDERS) for name in ("c.conf", "f.tmp", "g")))


@pytest.fixture(scope="module")
def bushy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose folders are named as files are elsewhere."""
    tree = tmp_path_factory.mktemp("bushy")
    for path in PATHS:
        place = tree / path.lstrip("/")
        if path in FOLDERS:
            place.mkdir()
        else:
            place.write_bytes(b"x")
    return tree


def _expected(tree: Path, watches: list[Watch]) -> set[bytes]:
    judge = WatchSet(watches)
    everything = [tree, *(Path(folder, name) for folder, folders, files in os.walk(tree) for name in folders + files)]
    return {os.fsencode(path) for path in everything if judge.watch_of(os.fsencode(path), is_folder=path.is_dir())}


places = st.sampled_from(["", "none", *(path.lstrip("/") for path in PATHS)])
patterns = st.lists(st.sampled_from(["*.conf", "*.tmp", "a", "b", "[!a]", "TREE/a/b", "TREE/a/*", "*/b/a", "TREE/b"]), max_size=2)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(places, st.tuples(st.booleans(), patterns, patterns), min_size=1, max_size=4))
def test_scan_takes_exactly_what_the_watch_set_says(bushy: Path, entries: dict[str, tuple[bool, list[str], list[str]]]) -> None:
    watches = [
        Watch(
            path=os.fsencode(bushy / path),
            recursive=recursive,
            include=tuple(pattern for pattern in include if "/" not in pattern),
            exclude=tuple(pattern.replace("TREE", str(bushy)) for pattern in exclude),
        )
        for path, (recursive, include, exclude) in entries.items()
    ]
    states, under_way = scan(watches)
    assert set(states) == _expected(bushy, watches)
    missing = {os.fsencode(bushy / path) for path in entries if not (bushy / path).exists()}
    assert {problem.path for problem in under_way.problems} == missing, render_path(b" ".join(missing))
