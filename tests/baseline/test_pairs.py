"""Two messages hashed at once by libipsec-mb: always as OpenSSL has it, and not used where it is not."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.baseline.compiled import REVISION, Way, best_way, new_readers, why_python
from fimkit.baseline.pairs import find_difference, why_single
from fimkit.baseline.xattrs import NO_XATTRS
from fimkit.model.states import FileState, FileType

if best_way() is Way.PYTHON:
    pytest.skip(f"the Python way is used: {why_python()}", allow_module_level=True)

from fimkit.baseline import _plain

BLOCK = 1 << 17
"""Of the compiled reader: bytes of one read."""
HEADER = Path("/usr/include/intel-ipsec-mb.h")
with_pairs = pytest.mark.skipif(_plain.LANES == 1, reason=_plain.WHY_ONE)
with_own_library = pytest.mark.skipif(not HEADER.exists() or not shutil.which("gcc"), reason="needs gcc, and the library's header")


def of_hashlib(*messages: bytes) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(message).digest() for message in messages)


@with_pairs
def test_known_answers() -> None:
    """Source: FIPS 180-2, B.1 to B.3, and the hash of nothing."""
    two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
    answers = {
        b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        two: "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        b"a" * 1_000_000: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    }
    for one in answers:
        for other in answers:
            assert [digest.hex() for digest in _plain.hash_pair(one, other)] == [answers[one], answers[other]]


@with_pairs
def test_every_length_beside_every_kind_of_other() -> None:
    text = os.urandom(700)
    for length in range(600):
        for other in (0, 63, 64, 300, 599):
            messages = text[:length], text[700 - other :]
            assert _plain.hash_pair(*messages) == of_hashlib(*messages)


@with_pairs
@pytest.mark.parametrize("length", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, 9 << 16, _plain.TABLE - 1])
def test_lengths_of_more_than_16_bits(length: int) -> None:
    text = os.urandom(_plain.TABLE)
    for other in (0, 1, length, _plain.TABLE - 64):
        messages = text[:length], text[_plain.TABLE - other :]
        assert _plain.hash_pair(*messages) == of_hashlib(*messages)
    with pytest.raises(ValueError, match="less than"):
        _plain.hash_pair(text, b"")


@with_pairs
@settings(max_examples=300, deadline=None)
@given(one=st.binary(max_size=3000), other=st.binary(max_size=3000), shift=st.integers(0, 63))
def test_any_two_messages_anywhere_in_memory(one: bytes, other: bytes, shift: int) -> None:
    placed = memoryview(bytes(shift) + one)[shift:]
    assert _plain.hash_pair(placed, other) == of_hashlib(one, other)
    assert _plain.hash_pair(other, placed) == of_hashlib(other, one)


@with_pairs
@pytest.mark.parametrize("messages", [("text", b""), (b"", None), (b"",), (b"", b"", b"")])
def test_what_is_no_message_is_refused(messages: Sequence[object]) -> None:
    with pytest.raises(TypeError):
        _plain.hash_pair(*messages)  # type: ignore[arg-type]


def read_by_one_thread(folder: Path, names: list[bytes], way: Way) -> dict[bytes, str | None]:
    """Give the hashes of a folder's files, which all are there before a thread begins."""
    readers, opened = new_readers(way), os.open(folder, os.O_RDONLY)
    readers.put(opened, b"", names)
    os.close(opened)
    thread = threading.Thread(target=readers.work)
    thread.start()
    states, left = readers.take(1, 60_000)
    readers.stop()
    thread.join()
    assert not left
    assert [state.path for state in states] == names
    return {state.path: state.sha256 for state in states}


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(
        st.integers(0, 300)
        | st.integers(0, 5000)
        | st.integers(BLOCK - 70, BLOCK + 70)
        | st.integers(0, 3 * BLOCK)
        | st.integers(_plain.TABLE - 70, _plain.TABLE + 70),
        min_size=1,
        max_size=12,
    ),
    start=st.integers(0, 1000),
)
def test_files_of_any_sizes_side_by_side(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], start: int) -> None:
    folder, text = tmp_path_factory.mktemp("sizes"), hashlib.shake_256(b"text").digest(_plain.TABLE + BLOCK)
    expected: dict[bytes, str | None] = {}
    for number, size in enumerate(sizes):
        content = text[start + number :][:size]
        (folder / str(number)).write_bytes(content)
        expected[b"%d" % number] = hashlib.sha256(content).hexdigest()
    for way in {Way.COMPILED, best_way()}:
        assert read_by_one_thread(folder, list(expected), way) == expected


def test_more_files_than_are_read_before_they_are_hashed(tmp_path: Path) -> None:
    """Small ones by the hundred, then a large one amid them, then so many that they have to share the thread's memory."""
    text = hashlib.shake_256(b"many").digest(_plain.TABLE + 1000)
    sizes = [*range(300), _plain.TABLE + 100, *range(100), *[_plain.TABLE // 3] * 10]
    sizes += [_plain.TABLE, 0, _plain.TABLE - 1, 55, 56, 63, 64, 65]
    expected: dict[bytes, str | None] = {}
    for number, size in enumerate(sizes):
        (tmp_path / str(number)).write_bytes(text[number:][:size])
        expected[b"%d" % number] = hashlib.sha256(text[number:][:size]).hexdigest()
    for way in {Way.COMPILED, best_way()}:
        assert read_by_one_thread(tmp_path, list(expected), way) == expected


def test_a_file_that_is_left_does_not_touch_the_one_beside_it(tmp_path: Path) -> None:
    """Sizes that lie, links, fifos and absent names among files of several blocks."""
    for number in range(30):
        (tmp_path / f"{number}").write_bytes(b"%d" % number * 90_000)
        (tmp_path / f"link{number}").symlink_to("0")
        os.mkfifo(tmp_path / f"fifo{number}")
    names = [name for number in range(30) for name in (b"link%d" % number, b"%d" % number, b"absent", b"fifo%d" % number)]
    for way in {Way.COMPILED, best_way()}:
        readers, opened = new_readers(way), os.open(tmp_path, os.O_RDONLY)
        readers.put(opened, b"", names)
        thread = threading.Thread(target=readers.work)
        thread.start()
        states, left = readers.take(1, 60_000)
        readers.stop()
        thread.join()
        os.close(opened)
        for folder, _, _ in left:
            os.close(folder)
        assert {(state.path, state.sha256) for state in states} == {
            (b"%d" % number, hashlib.sha256(b"%d" % number * 90_000).hexdigest()) for number in range(30)
        }
        assert [len(rest) for _, _, rest in left] == [90]
        assert readers.bytes_read == sum(state.size or 0 for state in states)


def test_a_difference_is_found_whichever_of_the_two_it_is_in() -> None:
    def refuse(one: bytes, other: bytes) -> tuple[bytes, bytes]:
        raise RuntimeError

    wrong = bytes(32)
    assert find_difference(refuse) == (0, 0)
    assert find_difference(lambda one, other: of_hashlib(one, other)) is None  # type: ignore[arg-type,return-value]
    assert find_difference(lambda one, other: (of_hashlib(one)[0], wrong)) is not None
    assert find_difference(lambda one, other: (wrong, of_hashlib(other)[0])) is not None
    for bad in (0, 55, 56, 63, 64, 65, 1000):
        found = find_difference(
            lambda one, other, bad=bad: (of_hashlib(one)[0], wrong if len(other) == bad else of_hashlib(other)[0])  # type: ignore[misc]
        )
        assert found is not None
        assert found[1] == bad


def replaced(monkeypatch: pytest.MonkeyPatch, **otherwise: object) -> None:
    """Have the compiled module say something else."""
    module = ModuleType("fimkit.baseline._plain")
    vars(module).update({"REVISION": REVISION, "LANES": 2, "WHY_ONE": "", "hash_pair": of_hashlib, **otherwise})
    monkeypatch.setitem(sys.modules, "fimkit.baseline._plain", module)


def test_a_library_that_says_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch)
    assert (best_way(), why_single()) == (Way.PAIRS, None)
    replaced(monkeypatch, hash_pair=lambda one, other: (bytes(32), bytes(32)))
    assert best_way() is Way.COMPILED
    assert "is not OpenSSL's (lengths 0 and 0)" in (why_single() or "")


def test_without_the_library_openssl_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, LANES=1, WHY_ONE="it is not here", hash_pair=SimpleNamespace())
    assert (best_way(), why_single()) == (Way.COMPILED, "it is not here")


OWN_LIBRARY = """
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

static IMB_JOB *all[2], jobs[2];
static int count;

static IMB_JOB *next_job(IMB_MGR *manager) { return &jobs[count]; }

static IMB_JOB *take_job(IMB_MGR *manager)
{
    jobs[count].status = STATUS;
    memset(jobs[count].auth_tag_output, 7, 32);
    all[count] = &jobs[count];
    count++;
    return NULL;
}

static IMB_JOB *give_job(IMB_MGR *manager) { return count > 0 ? all[--count] : NULL; }

unsigned imb_get_version(void) { return IMB_VERSION_NUM + OTHER; }
int imb_get_errno(IMB_MGR *manager) { return ERROR; }
void free_mb_mgr(IMB_MGR *manager) { free(manager); }
void init_mb_mgr_sse(IMB_MGR *manager)
{
    manager->features = FEATURES;
    manager->get_next_job = next_job;
    manager->submit_job = manager->submit_job_nocheck = take_job;
    manager->flush_job = give_job;
}
#ifndef WITHOUT
IMB_MGR *alloc_mb_mgr(uint64_t flags) { return calloc(1, sizeof(IMB_MGR)); }
#endif
"""
OWN = {"STATUS": "IMB_STATUS_COMPLETED", "OTHER": "0", "ERROR": "0", "FEATURES": "IMB_FEATURE_SHANI"}
SCAN = """
import hashlib, os, sys
from fimkit.baseline.compiled import best_way
from fimkit.baseline.pairs import why_single
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
print(best_way().name, why_single())
rows = [row for row in scan_watches([Watch(path=os.fsencode(sys.argv[1]))]) if row.type == "file"]
print(len(rows), all(row.sha256 == hashlib.sha256(open(row.path, "rb").read()).hexdigest() for row in rows))
"""


def scan_beside(library: Path, tree: Path) -> str:
    """Scan a tree in a process that has another library first on its path."""
    tree.mkdir()
    for number in range(20):
        (tree / str(number)).write_bytes(b"%d" % number * 1000)
    beside = os.environ | {"LD_LIBRARY_PATH": str(library.parent)}
    return subprocess.run([sys.executable, "-c", SCAN, tree], env=beside, check=True, capture_output=True, text=True).stdout


def library_name() -> str:
    found = re.search(r"libIPSec_MB\.so\.\d+", Path("/proc/self/maps").read_text())
    assert found is not None
    return found.group()


@with_pairs
def test_a_library_that_cannot_be_opened_is_said_and_openssl_hashes(tmp_path: Path) -> None:
    name = library_name()
    (tmp_path / name).write_bytes(b"no library")
    assert scan_beside(tmp_path / name, tmp_path / "tree") == f"COMPILED {name} (libipsec-mb) cannot be opened\n20 True\n"


@with_pairs
@with_own_library
@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"OTHER": "0x100"}, "is not of version"),
        ({"OTHER": "-0x100"}, "is not of version"),
        ({"FEATURES": "0"}, "for this processor"),
        ({"ERROR": "IMB_ERR_SELFTEST"}, "for this processor"),
        ({"WITHOUT": "1"}, "for this processor"),
        ({}, "is not OpenSSL's (lengths 0 and 0)"),
        ({"STATUS": "IMB_STATUS_INVALID_ARGS"}, "is not OpenSSL's (lengths 0 and 0)"),
    ],
)
def test_another_library_of_that_name_is_said_and_openssl_hashes(tmp_path: Path, other: dict[str, str], why: str) -> None:
    (tmp_path / "own.c").write_text(OWN_LIBRARY)
    values = [f"-D{name}={value}" for name, value in (OWN | other).items()]
    library = tmp_path / library_name()
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", *values, "-o", library, tmp_path / "own.c"], check=True)
    way, scanned = scan_beside(library, tmp_path / "tree").splitlines()
    assert way.startswith("COMPILED ") and why in way
    assert scanned == "20 True"


@pytest.mark.parametrize("lanes", [-1, 0, _plain.LANES + 1, 1 << 20])
def test_other_numbers_of_files_at_once_are_refused(lanes: int) -> None:
    with pytest.raises(ValueError, match="hashed at once"):
        _plain.Readers(state=FileState, kind=FileType.FILE, no_xattrs=NO_XATTRS, render=str, lanes=lanes)  # type: ignore[arg-type]
