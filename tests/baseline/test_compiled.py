"""The compiled reader: when it is used, and what it refuses. That it says what the exact way says is test_thread_pool's."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fimkit.baseline import compiled
from fimkit.baseline.compiled import REVISION, Way, best_way, new_readers, why_python
from fimkit.baseline.xattrs import NO_XATTRS
from fimkit.model.states import FileState, FileType

if best_way() is Way.PYTHON:
    pytest.skip(f"the Python way is used: {why_python()}", allow_module_level=True)

from fimkit.baseline._plain import Readers


def test_a_change_of_the_sources_raises_the_revision() -> None:
    digests = json.loads((Path(__file__).parents[1] / "data" / "baseline" / "plain-revisions.json").read_text())
    source = Path(compiled.__file__).with_name("_plain.c").read_bytes()
    assert digests[str(REVISION)] == hashlib.sha256(source).hexdigest(), "raise REVISION in both files, and note the digest"
    assert b"#define REVISION %d " % REVISION in source
    assert list(digests) == [str(number) for number in range(1, REVISION + 1)]


def test_a_module_built_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    older = ModuleType("fimkit.baseline._plain")
    monkeypatch.setitem(sys.modules, "fimkit.baseline._plain", older)
    for revision in (None, REVISION - 1, REVISION + 1):
        if revision is not None:
            older.REVISION = revision  # type: ignore[attr-defined]
        assert best_way() is Way.PYTHON
        assert f"revision {revision}, not {REVISION}" in (why_python() or "")
    monkeypatch.undo()
    assert why_python() is None


def test_a_library_that_cannot_be_opened_is_said_and_the_python_way_is_used() -> None:
    """A limit on memory keeps the library from being mapped: the one that hashlib uses is kept out of the way first."""
    code = """
import sys
sys.modules["_hashlib"] = sys.modules["_ssl"] = None
import resource
import fimkit.baseline.compiled as compiled
import fimkit.baseline.scan
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 20), resource.RLIM_INFINITY))
print(compiled.why_python(), compiled.best_way())
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "libcrypto.so.3" in printed and printed.endswith("Python\n")


@pytest.mark.parametrize("type_", [FileState(b"/a", FileType.FILE), int, object, type("Wide", (tuple,), {})])
def test_other_than_a_named_tuples_type_is_refused(type_: object) -> None:
    with pytest.raises(TypeError):
        Readers(state=type_, kind=FileType.FILE, no_xattrs=NO_XATTRS, render=str, lanes=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [["text"], [b"zero\0byte"], [7], 7])
def test_names_that_are_none_are_refused(tmp_path: Path, names: object) -> None:
    readers = new_readers(best_way())
    with pytest.raises((TypeError, ValueError)):
        readers.put(0, b"/", names)  # type: ignore[arg-type]
    assert readers.waiting == 0


def test_a_descriptor_that_is_none_is_refused() -> None:
    readers = new_readers(best_way())
    with pytest.raises(OSError):
        readers.put(-1, b"/", [b"name"])
    assert readers.waiting == 0


def test_what_may_still_be_read_is_not_cleared() -> None:
    readers = new_readers(best_way())
    with pytest.raises(RuntimeError):
        readers.clear()
    readers.stop()
    readers.clear()
    readers.work()  # a thread that comes late returns at once
