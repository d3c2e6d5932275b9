"""Live: this kernel's inotify on trees of our own."""

import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.dirty.batch import Dirty
from fimkit.dirty.dirty_paths import DirtyPaths
from fimkit.model.config import Watch
from fimkit.model.paths import is_below
from fimkit.model.watches import WatchSet

__all__: list[str] = []

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "www/sub/deep").mkdir(parents=True)
    (tmp_path / "www/a.txt").write_text("a")
    (tmp_path / "www/sub/b.txt").write_text("b")
    return tmp_path / "www"


@pytest.fixture
def opened(tree: Path) -> Iterator[DirtyPaths]:
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree))])) as dirty:
        yield dirty


def of(dirty: DirtyPaths) -> dict[bytes, Dirty]:
    return {one.path: one for one in dirty.read()}


def names(dirty: DirtyPaths, tree: Path) -> dict[str, Dirty]:
    return {os.path.relpath(os.fsdecode(path), tree): one for path, one in of(dirty).items()}


def test_nothing_happened_nothing_is_dirty(opened: DirtyPaths) -> None:
    assert opened.read() == []
    assert (opened.problems, opened.unwatched, opened.wait_s) == ((), (), None)


def test_the_descriptor_is_readable_when_something_happened(opened: DirtyPaths, tree: Path) -> None:
    assert select.select([opened], [], [], 0)[0] == []
    (tree / "sub/b.txt").write_text("more")
    assert select.select([opened], [], [], 5)[0] == [opened]


def test_a_file_is_closed_when_its_writer_is_done(opened: DirtyPaths, tree: Path) -> None:
    with (tree / "sub/new").open("wb", buffering=0) as file:
        file.write(b"half")
        assert names(opened, tree) == {"sub/new": Dirty(os.fsencode(tree / "sub/new"))}
        file.write(b"whole")
    assert names(opened, tree)["sub/new"].closed_write


def test_a_file_that_is_moved_in_is_whole(opened: DirtyPaths, tree: Path) -> None:
    (tree.parent / "outside").write_text("x")
    (tree.parent / "outside").rename(tree / "inside")
    assert names(opened, tree) == {"inside": Dirty(os.fsencode(tree / "inside"), closed_write=True)}


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.chmod(0o600),
        lambda path: os.utime(path, (1, 1)),
        lambda path: os.truncate(path, 0),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("other")),
        lambda path: path.with_name("second").hardlink_to(path),
        lambda path: os.setxattr(path, "user.x", b"1"),
    ],
    ids=["mode", "times", "truncate", "unlink", "rename", "link", "xattr"],
)
def test_each_kind_of_change_is_told(opened: DirtyPaths, tree: Path, change: Callable[[Path], None]) -> None:
    change(tree / "sub/b.txt")
    assert any(name.startswith("sub/") for name in names(opened, tree))


def test_a_name_that_is_no_utf8_stays_as_it_is(opened: DirtyPaths, tree: Path) -> None:
    path = os.fsencode(tree) + b"/bad\xff\nname"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
    os.mkdir(path + b"dir")
    assert of(opened)[path].closed_write
    os.close(os.open(path + b"dir/in\xfe", os.O_WRONLY | os.O_CREAT))
    assert path + b"dir/in\xfe" in of(opened)


def test_what_was_put_into_a_new_folder_before_it_had_a_watch_is_below_a_recursive_one(opened: DirtyPaths, tree: Path) -> None:
    (tree / "x/y/z").mkdir(parents=True)
    (tree / "x/y/z/early").write_text("1")
    assert names(opened, tree)["x"].recursive
    (tree / "x/y/z/late").write_text("2")
    assert "x/y/z/late" in names(opened, tree)


def test_a_folder_that_is_moved_in_is_watched_whole(opened: DirtyPaths, tree: Path) -> None:
    (tree.parent / "kit/bin").mkdir(parents=True)
    (tree.parent / "kit").rename(tree / "kit")
    assert names(opened, tree)["kit"].recursive
    (tree / "kit/bin/tool").write_text("#!")
    assert "kit/bin/tool" in names(opened, tree)


def test_a_renamed_folder_is_told_under_its_new_path(opened: DirtyPaths, tree: Path) -> None:
    (tree / "sub").rename(tree / "moved")
    seen = names(opened, tree)
    assert seen["sub"].recursive
    assert seen["moved"].recursive
    (tree / "moved/deep/f").write_text("x")
    assert list(names(opened, tree)) == ["moved/deep/f"]


def test_a_folder_that_is_moved_out_is_not_told_of_any_more(opened: DirtyPaths, tree: Path) -> None:
    before = opened.folders
    (tree / "sub").rename(tree.parent / "gone")
    assert names(opened, tree)["sub"].recursive
    (tree.parent / "gone/deep/f").write_text("x")
    assert opened.read() == []
    assert opened.folders == before - 2


def test_an_excluded_folder_uses_no_watch_and_is_not_told_of(tree: Path) -> None:
    (tree / "cache/a/b").mkdir(parents=True)
    watches = WatchSet([Watch(path=os.fsencode(tree), exclude=(f"{tree}/cache", "*.swp"))])
    with DirtyPaths(watches) as dirty:
        bare = dirty.folders
        (tree / "cache/a/b/storm").write_text("x")
        (tree / "cache/new").mkdir()
        (tree / "sub/.b.swp").write_text("x")
        assert dirty.read() == []
        assert dirty.folders == bare
    shutil.rmtree(tree / "cache")
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree))])) as dirty:
        assert dirty.folders == bare


def test_a_watch_that_is_not_recursive_tells_of_what_lies_directly_in_it(tree: Path) -> None:
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree), recursive=False)])) as dirty:
        (tree / "sub/b.txt").write_text("unseen")
        (tree / "a.txt").write_text("seen")
        assert list(names(dirty, tree)) == ["a.txt"]


def test_a_single_file_is_followed_through_its_replacement(tree: Path) -> None:
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree / "a.txt"))])) as dirty:
        for number in range(3):  # osquery loses such a watch at the first
            (tree / "a.new").write_text(str(number))
            (tree / "a.new").rename(tree / "a.txt")
            assert list(names(dirty, tree)) == ["a.txt"]
        (tree / "a.txt").write_text("in place")
        assert names(dirty, tree)["a.txt"].closed_write


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_configured_path_that_is_not_there_is_taken_up_when_it_comes(tmp_path: Path, is_folder: bool) -> None:
    late = tmp_path / "srv/app/late"
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(late))])) as dirty:
        late.parent.mkdir(parents=True)
        (late / "sub").mkdir(parents=True) if is_folder else late.write_text("x")
        assert of(dirty)[os.fsencode(late)].recursive
        (late / "sub/f" if is_folder else late).write_text("y")
        assert list(of(dirty)) == [os.fsencode(late / "sub/f" if is_folder else late)]


def test_a_configured_folder_that_is_replaced_from_above_is_taken_up_again(tree: Path) -> None:
    root = tree / "sub/deep"
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(root))])) as dirty:
        tree.rename(tree.with_name("old"))
        root.mkdir(parents=True)
        assert of(dirty)[os.fsencode(root)].recursive
        (root / "planted").write_text("x")
        assert os.fsencode(root / "planted") in of(dirty)
        (tree.with_name("old") / "sub/deep/f").write_text("not ours any more")
        assert dirty.read() == []


def test_a_link_on_the_way_that_leads_elsewhere_now_makes_the_path_another_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "app").mkdir(parents=True)
    (tmp_path / "current").symlink_to("one")
    root = tmp_path / "current/app"
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(root))])) as dirty:
        (tmp_path / "one/app/f").write_text("x")
        assert list(of(dirty)) == [os.fsencode(root / "f")]
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "current")
        assert of(dirty)[os.fsencode(root)].recursive
        (tmp_path / "two/app/f").write_text("x")
        assert list(of(dirty)) == [os.fsencode(root / "f")]


def test_two_configured_paths_to_one_folder_are_both_told(tree: Path) -> None:
    tree.with_name("alias").symlink_to(tree)
    alias = tree.with_name("alias") / "sub"
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree)), Watch(path=os.fsencode(alias))])) as dirty:
        (tree / "sub/f").write_text("x")
        assert sorted(of(dirty)) == sorted([os.fsencode(tree / "sub/f"), os.fsencode(alias / "f")])


def test_another_file_system_is_not_entered_unless_it_is_wanted(tree: Path) -> None:
    mounts = [os.fsencode(tree / "sub"), b"/proc"]
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree))]), mounts=lambda: mounts) as dirty:
        (tree / "sub/b.txt").write_text("x")
        assert dirty.read() == []
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree), cross_mounts=True)]), mounts=lambda: mounts) as dirty:
        (tree / "sub/b.txt").write_text("x")
        assert list(names(dirty, tree)) == ["sub/b.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to be refused, and then not")
def test_a_folder_that_may_not_be_read_is_a_problem_that_names_it(tree: Path) -> None:
    os.chmod(tree / "sub", 0o000)
    for folder in (tree, *tree.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    program = f"""
import os
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from fimkit.dirty.dirty_paths import DirtyPaths
from fimkit.model.config import Watch
from fimkit.model.watches import WatchSet
with DirtyPaths(WatchSet([Watch(path={os.fsencode(tree)!r})])) as dirty:
    print(*dirty.problems, sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout == f"{tree}/sub is not watched: Permission denied\n", done.stderr


def in_small_namespace(program: str, tree: Path, *, watches: int = 1000, instances: int = 10) -> str:
    """Run a program where the kernel allows few watches: the limits of a user namespace of its own, and not of this host."""
    set_limits = f"echo {watches} >/proc/sys/user/max_inotify_watches; echo {instances} >/proc/sys/user/max_inotify_instances"
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-ec", f'{set_limits}; exec "$0" -c "$1" "$2"', sys.executable, program, tree],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def why_no_namespace() -> str | None:
    probe = ["unshare", "-Ur", "sh", "-ec", "echo 5 >/proc/sys/user/max_inotify_watches"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"needs unshare: {error.strerror}"
    return None if done.returncode == 0 else f"no user namespace to be had here: {done.stderr.strip()}"


needs_namespace = pytest.mark.skipif(why_no_namespace() is not None, reason=str(why_no_namespace()))

FULL = """
import os, sys, time
from pathlib import Path
from fimkit.dirty.dirty_paths import DirtyPaths
from fimkit.model.config import Watch
from fimkit.model.watches import WatchSet
tree = Path(sys.argv[1])
dirty = DirtyPaths(WatchSet([Watch(path=os.fsencode(tree))]), poll_s=0.05)
"""


@needs_namespace
def test_without_a_watch_left_the_rest_is_named_and_polled(tree: Path) -> None:
    for number in range(8):
        (tree / f"d{number}").mkdir()
    ways = len(tree.parents)
    program = FULL + """
print(len(dirty.unwatched), dirty.problems[0])
for folder in dirty.unwatched:
    Path(os.fsdecode(folder), 'f').write_text('x')
time.sleep(0.06)
print([os.path.basename(one.path) for one in dirty.read()].count(b'f'), 0 < dirty.wait_s <= 0.05)
blind = Path(os.fsdecode(dirty.unwatched[0]))
(blind / 'new/er').mkdir(parents=True)
(blind / 'f').unlink()
time.sleep(0.06)
print(sorted(os.path.relpath(one.path, os.fsencode(blind)).decode() for one in dirty.read()))
print(len(dirty.unwatched))
Path('/proc/sys/user/max_inotify_watches').write_text('1000')
time.sleep(0.06)
(blind / 'new/last').write_text('x')
print(b'last' in [os.path.basename(one.path) for one in dirty.read()], dirty.unwatched, dirty.problems)
(blind / 'new/er/last').write_text('x')
print([os.path.basename(one.path) for one in dirty.read()], dirty.wait_s)
"""
    lines = in_small_namespace(program, tree, watches=ways + 5).splitlines()
    assert lines[0].startswith(f"6 no inotify watch is left for 6 folders ({tree}/")
    assert "and 1 more), looked at every 0.05 s instead; fs.inotify.max_user_watches is " in lines[0]
    assert "remedy: sysctl -w fs.inotify.max_user_watches=" in lines[0]
    assert lines[1:] == ["6 True", "['.', 'f', 'new']", "8", "True () ()", "[b'last'] None"]


@needs_namespace
def test_without_an_instance_the_refusal_has_its_remedy(tree: Path) -> None:
    program = """
from fimkit.dirty.dirty_paths import DirtyPaths
from fimkit.model.errors import HostError
from fimkit.model.watches import WatchSet
try:
    DirtyPaths(WatchSet([]))
except HostError as error:
    print(error)
"""
    words = in_small_namespace(program, tree, instances=0)
    assert words.startswith("no inotify instance is left (fs.inotify.max_user_instances is ")
    assert "remedy: sysctl -w fs.inotify.max_user_instances=" in words


def test_an_overflow_makes_everything_dirty_and_new_folders_are_watched(tree: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip(f"this kernel queues {limit} events")
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree))])) as dirty:
        one, other = os.fsencode(tree / "a.txt"), os.fsencode(tree / "sub/b.txt")
        for _ in range(limit // 2 + 10):  # two names in turn, else the kernel makes one event of them
            os.utime(one)
            os.utime(other)
        (tree / "after/the").mkdir(parents=True)
        assert of(dirty)[os.fsencode(tree)] == Dirty(os.fsencode(tree), recursive=True)
        assert dirty.overflows == 1
        assert "overflowed 1 time, and every path was looked at again" in dirty.problems[0]
        assert f"fs.inotify.max_queued_events is {limit}; remedy: " in dirty.problems[0]
        (tree / "after/the/f").write_text("x")
        assert list(names(dirty, tree)) == ["after/the/f"]


def test_refresh_takes_up_what_was_mounted_or_freed(tree: Path) -> None:
    mounts = [os.fsencode(tree / "sub")]
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree))]), mounts=lambda: mounts) as dirty:
        mounts.clear()
        dirty.refresh()
        (tree / "sub/deep/f").write_text("x")
        assert list(names(dirty, tree)) == ["sub/deep/f"]


def test_other_paths_are_watched_by_the_same_descriptor(tree: Path) -> None:
    (tree / "other").mkdir()
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree / "sub"))])) as dirty:
        number, folders = dirty.fileno(), dirty.folders
        dirty.reconfigure(WatchSet([Watch(path=os.fsencode(tree / "other"))]))
        (tree / "sub/b.txt").write_text("not any more")
        (tree / "other/f").write_text("x")
        assert list(names(dirty, tree)) == ["other/f"]
        assert dirty.read() == []
        assert (dirty.fileno(), dirty.folders) == (number, folders - 1)


def test_what_stays_configured_is_watched_all_the_time(opened: DirtyPaths, tree: Path) -> None:
    (tree / "a.txt").write_text("before it is read")
    opened.reconfigure(WatchSet([Watch(path=os.fsencode(tree), exclude=("*.swp",))]))
    (tree / "sub/b.txt").write_text("after")
    assert sorted(names(opened, tree)) == ["a.txt", "sub/b.txt"]


# Whatever is done: each difference between two looks is at, or below, a path that was told in between.


def look(root: Path) -> dict[bytes, tuple[int, ...]]:
    seen = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            found = os.lstat(path)
            rest = () if os.path.isdir(path) else (found.st_size, found.st_ctime_ns)
            seen[path] = (found.st_ino, found.st_mode, *rest)
    return seen


def uncovered(before: dict[bytes, tuple[int, ...]], after: dict[bytes, tuple[int, ...]], told: list[Dirty]) -> list[bytes]:
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    exact, deep = {one.path for one in told}, [one.path for one in told if one.recursive]
    return [path for path in changed if path not in exact and not any(is_below(path, one) for one in deep)]


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
STEPS = st.one_of(
    st.tuples(st.just("write"), PATHS),
    st.tuples(st.just("mkdirs"), PATHS),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("out"), PATHS),
    st.tuples(st.just("in"), PATHS),
    st.tuples(st.just("chmod"), PATHS),
    st.tuples(st.just("read")),
)


def do(step: tuple[str, ...], root: Path, outside: Path) -> None:
    match step:
        case ("write", path):
            (root / path).write_text(str(time.monotonic_ns()))
        case ("mkdirs", path):
            (root / path).mkdir(parents=True)
        case ("remove", path):
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()
        case ("rename", path, target):
            (root / path).rename(root / target)
        case ("out", path):
            (root / path).rename(outside)
        case ("in", path):
            outside.rename(root / path)
        case ("chmod", path):
            (root / path).chmod((root / path).stat().st_mode ^ 0o010)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=40))
def test_no_difference_is_missed(steps: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "root/a/b").mkdir(parents=True)
        root = base / "root/a"  # its parent is not watched, and the path may be replaced
        with DirtyPaths(WatchSet([Watch(path=os.fsencode(root))])) as dirty:
            before, told = look(root), list[Dirty]()
            for step in [*steps, ("read",)]:
                if step == ("read",):
                    told = dirty.read()
                    after = look(root)
                    assert uncovered(before, after, told) == []
                    before = after
                    continue
                try:
                    do(step, base / "root", base / "out")
                except OSError:
                    continue  # nothing there, or in the way


def test_nothing_is_missed_while_another_thread_is_at_work(tree: Path) -> None:
    outside, done = tree.parent / "out", threading.Event()

    def work() -> None:
        for round_ in range(150):
            for path in (f"n{round_}/x/y", f"m{round_ % 7}/z"):
                (tree / path).mkdir(parents=True, exist_ok=True)
                (tree / path / "file").write_text("x" * round_)
            (tree / f"n{round_}/x").rename(tree / f"r{round_}")
            (tree / f"r{round_}/y/late").write_text("y")
            if round_ % 5 == 0:
                (tree / f"r{round_}").rename(outside)
                (outside / "y/out").write_text("z")
                outside.rename(tree / f"back{round_}")
        done.set()

    before = look(tree)
    told: list[Dirty] = []
    with DirtyPaths(WatchSet([Watch(path=os.fsencode(tree))])) as dirty:
        worker = threading.Thread(target=work)
        worker.start()
        while not done.is_set():
            told += dirty.read()
        worker.join()
        told += dirty.read()
        assert uncovered(before, look(tree), told) == []
        folders = [one for one, *_ in os.walk(tree)]
        for number, one in enumerate(folders):  # and every folder there is has its watch now
            Path(one, f"probe{number}").write_text("x")
        assert {os.path.basename(path) for path in of(dirty)} == {f"probe{number}".encode() for number in range(len(folders))}
