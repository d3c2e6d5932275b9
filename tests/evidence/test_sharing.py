"""A group may read the store, and nothing else: another real uid, in a process of its own."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import open_shared_store, open_store
from fimkit.model.states import FileState, FileType

__all__: list[str] = []

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")

ROOT = Path(__file__).parents[2]
GROUP, MEMBER, STRANGER = 64_123, 64_124, 64_125

READ = """
import os, sys
state_dir, uid, gid, *program = sys.argv[1:]
from fimkit.evidence.store import open_shared_store, open_store
from fimkit.evidence.reader import open_reader
from fimkit.model.errors import FimkitError
os.setgroups([]); os.setgid(int(gid)); os.setuid(int(uid))
state_dir = os.fsencode(state_dir)
try:
    exec(program[0])
except FimkitError as error:
    print(type(error).__name__, error)
"""
SHOW = "with open_shared_store(state_dir) as store: print(sorted(store.baseline()))"


@pytest.fixture
def shared() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    state = folder / "state"
    state.mkdir()
    os.chown(state, 0, GROUP)
    state.chmod(0o750)
    with open_store(os.fsencode(state), create=True) as store:
        store.write_baseline([FileState(b"/a", FileType.FILE)], who="root", why="", time_ns=1)
    yield state
    shutil.rmtree(folder)


def as_user(state: Path, program: str, *, uid: int = MEMBER, gid: int = GROUP) -> str:
    done = subprocess.run(
        [sys.executable, "-c", READ, state, str(uid), str(gid), program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def access(state: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (stat.S_IMODE(path.lstat().st_mode), path.lstat().st_gid) for path in state.iterdir()}


def test_the_files_follow_the_folder_and_stay_after_the_writer_has_gone(shared: Path) -> None:
    files = ("fimkit.sqlite", "fimkit.sqlite-wal", "fimkit.sqlite-shm")
    assert access(shared) == dict.fromkeys(files, (0o640, GROUP))


def test_a_member_reads_while_nobody_writes(shared: Path) -> None:
    assert as_user(shared, SHOW) == "[b'/a']"


def test_a_member_reads_what_a_writer_has_not_checkpointed_yet(shared: Path) -> None:
    with open_store(os.fsencode(shared)) as store:
        store.accept([(b"/b", FileState(b"/b", FileType.FILE))], who="root", why="", time_ns=2)
        assert as_user(shared, SHOW) == "[b'/a', b'/b']"
    assert as_user(shared, SHOW) == "[b'/a', b'/b']"


def test_a_members_reading_is_of_one_moment_though_a_writer_comes_and_goes(shared: Path) -> None:
    program = """
with open_shared_store(state_dir) as store, store.reading():
    first = len(store.baseline())
    print("first", flush=True)
    sys.stdin.readline()
    print(first, len(store.baseline()))
"""
    member = subprocess.Popen(
        [sys.executable, "-c", READ, shared, str(MEMBER), str(GROUP), program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert member.stdout is not None
    assert member.stdout.readline() == "first\n"
    with open_store(os.fsencode(shared)) as store:
        many = [(b"/%d" % number, FileState(b"/%d" % number, FileType.FILE)) for number in range(20_000)]
        store.accept(many, who="root", why="", time_ns=2)
        store.apply_limits(keep_days=1, max_mb=1, now_ns=10**18)
    assert member.communicate("\n", timeout=60)[0] == "1 1\n"
    assert as_user(shared, SHOW.replace("sorted", "len")) == "20001"


def test_a_member_reads_after_a_writer_was_killed(shared: Path) -> None:
    program = f"""
import os, signal
from fimkit.evidence.store import open_store
from fimkit.model.states import FileState, FileType
store = open_store({os.fsencode(shared)!r})
store.accept([(b"/c", FileState(b"/c", FileType.FILE))], who="root", why="", time_ns=2)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT)
    assert as_user(shared, SHOW) == "[b'/a', b'/c']"


def test_who_may_not_enter_the_folder_is_not_told_that_it_is_empty(shared: Path) -> None:
    words = as_user(shared, "open_reader(state_dir)", gid=GROUP + 1)
    assert words.startswith("HostError the evidence store in ")
    assert words.endswith("cannot be opened: Permission denied")


def test_a_member_can_write_nothing(shared: Path) -> None:
    before = {path: path.read_bytes() for path in shared.iterdir() if path.name != "fimkit.sqlite-shm"}
    words = as_user(shared, "with open_shared_store(state_dir) as store: store.set_cursor('audit', b'/x', {})")
    assert words.startswith("HostError the evidence store ")
    assert "readonly" in words
    assert as_user(shared, "open_store(state_dir)").startswith("HostError ")
    tries = "\n".join(
        f"""
for how in (os.O_WRONLY, os.O_RDWR | os.O_CREAT):
    try: os.open(os.path.join(state_dir, {name!r}), how); print("opened", {name!r})
    except OSError: pass"""
        for name in (b"fimkit.sqlite", b"fimkit.sqlite-wal", b"fimkit.sqlite-shm", b"new")
    )
    assert as_user(shared, tries) == ""
    assert {path: path.read_bytes() for path in before} == before


def test_a_member_asks_the_tables_too(shared: Path) -> None:
    assert as_user(shared, "with open_reader(state_dir) as reader: print(reader.status().baseline_rows)") == "1"


def test_a_stranger_reads_nothing(shared: Path) -> None:
    words = as_user(shared, SHOW, uid=STRANGER, gid=STRANGER)
    assert words.startswith(f"HostError this user may not read the evidence store in {shared}")
    as_user(shared, "try: os.open(os.path.join(state_dir, b'fimkit.sqlite'), os.O_RDONLY)\nexcept PermissionError: pass",
            uid=STRANGER, gid=STRANGER)  # fmt: skip


def test_nothing_but_the_store_is_shared(shared: Path) -> None:
    with lock_state(os.fsencode(shared), verb="check"):
        peek = "try: os.open(os.path.join(state_dir, b'lock'), os.O_RDONLY)\nexcept PermissionError: print('refused')"
        assert as_user(shared, peek) == "refused"
    assert access(shared)["lock"] == (0o600, 0)


def test_a_folder_that_is_closed_again_closes_its_files_at_the_next_opening(shared: Path) -> None:
    shared.chmod(0o700)
    open_store(os.fsencode(shared)).close()
    assert {name: mode for name, (mode, _) in access(shared).items()} == {"fimkit.sqlite": 0o600}


def test_a_private_folder_is_shared_later(shared: Path) -> None:
    shared.chmod(0o700)
    open_store(os.fsencode(shared)).close()
    shared.chmod(0o750)
    open_store(os.fsencode(shared)).close()
    assert as_user(shared, SHOW) == "[b'/a']"


def test_a_store_of_another_user_than_root_is_not_believed(shared: Path) -> None:
    for path in (shared, *shared.iterdir()):
        os.chown(path, STRANGER, GROUP)
    assert as_user(shared, SHOW) == f"HostError {shared} belongs to uid {STRANGER}, and fimkit runs as uid {MEMBER}"
    with pytest.raises(OSError, match="belongs to uid"):
        open_shared_store(os.fsencode(shared))


def test_a_member_can_read_whatever_a_writer_does_meanwhile(shared: Path) -> None:
    program = f"""
import time
from fimkit.evidence.store import open_store
end = time.monotonic() + 3
number = 0
while time.monotonic() < end:
    number += 1
    with open_store({os.fsencode(shared)!r}) as store:
        store.set_cursor("audit", b"/x", {{"offset": number}})
print(number)
"""
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    reads = """
import time
end, seen = time.monotonic() + 2, 0
while time.monotonic() < end:
    with open_shared_store(state_dir) as store:
        store.cursor("audit", b"/x")
        seen += 1
print(seen > 20)
"""
    assert as_user(shared, reads) == "True"
    assert int(writer.communicate(timeout=60)[0]) > 20
