"""A venv that is made in one place and moved to another starts there, and what pip wrote down of it is true."""

import base64
import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

__all__: list[str] = []

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def relocating() -> ModuleType:
    spec = importlib.util.spec_from_file_location("relocate", ROOT / "units/relocate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_moved_venv_runs_its_scripts_and_its_record_holds(tmp_path: Path, relocating: ModuleType) -> None:
    made, place = tmp_path / "made", tmp_path / "place with a space"
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", made], check=True)
    record = next((made / "lib").glob("python*/site-packages")) / "x-1.dist-info/RECORD"
    record.parent.mkdir()
    script = made / "bin/x"
    script.write_text(f"#!/bin/sh\nexec {made}/bin/python -I -c 'import sys; print(sys.prefix)'\n".replace(f"{made}", f"'{made}'"))
    script.chmod(0o755)
    record.write_text("../../../bin/x,sha256=old,1\nx.py,sha256=kept,2\n")
    links = {path.name: path.readlink() for path in (made / "bin").iterdir() if path.is_symlink()}
    changed = relocating.relocate(made, place)
    assert script in changed and made / "bin/activate" in changed
    made.rename(place)
    done = subprocess.run([place / "bin/x"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{place}\n"
    text = (place / "bin/x").read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).decode().rstrip("=")
    record = place / record.relative_to(made)
    assert record.read_text() == f"../../../bin/x,sha256={digest},{len(text)}\nx.py,sha256=kept,2\n"
    assert {path.name: path.readlink() for path in (place / "bin").iterdir() if path.is_symlink()} == links
    assert not [path for path in (place / "bin").iterdir() if not path.is_symlink() and bytes(made) + b"/" in path.read_bytes()]
