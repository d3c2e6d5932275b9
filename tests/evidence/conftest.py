"""A store in a folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.evidence.store import Store, open_store


@pytest.fixture
def state_dir(tmp_path: Path) -> bytes:
    return os.fsencode(tmp_path / "state")


@pytest.fixture
def store(state_dir: bytes) -> Iterator[Store]:
    with open_store(state_dir, create=True) as opened:
        yield opened
