"""The two ways of listing a folder: the same names, each of its kind."""

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.baseline.compiled import Way, best_way
from fimkit.baseline.listing import listing_of

WAYS = sorted({Way.PYTHON, best_way()})


def listed(folder: Path | str, way: Way) -> tuple[list[bytes], list[bytes], list[bytes]]:
    file = os.open(folder, os.O_RDONLY)
    all_names: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
    before = len(os.listdir("/proc/self/fd"))
    try:
        for piece in listing_of(way)(file):
            for names, more in zip(all_names, piece, strict=True):
                names += more
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        os.close(file)
    for names in all_names:
        names.sort()
    return all_names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("listed")
    draw = random.Random(2)
    for name in {bytes(draw.choices(range(48, 256), k=draw.randrange(3, 60))) for _ in range(9000)}:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).touch()
    for name in ("...", ".hidden", "..x", " ", "\n", "x" * 255):
        (folder / name).touch()
    for name in ("folder", ".folder"):
        (folder / name).mkdir()
    (folder / "link").symlink_to("folder")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket"))
    yield folder


@pytest.mark.parametrize("way", WAYS)
def test_each_name_comes_once_and_with_its_kind(folder: Path, way: Way) -> None:
    files, folders, others = listed(folder, way)
    assert folders == [b".folder", b"folder"]
    assert others == [b"fifo", b"link", b"socket"]
    names = sorted(map(os.fsencode, os.listdir(folder)))
    assert sorted([*files, *folders, *others]) == names and len(set(names)) == len(names) > 9000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("of_the_kernel", ["/dev", "/proc/self", "/sys"])
def test_folders_of_the_kernel_are_listed_alike(of_the_kernel: str, way: Way) -> None:
    assert listed(of_the_kernel, way) == listed(of_the_kernel, Way.PYTHON)


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_folder_has_nothing(tmp_path: Path, way: Way) -> None:
    assert listed(tmp_path, way) == ([], [], [])


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_listed_says_why(tmp_path: Path, way: Way) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        listed(tmp_path / "file", way)
    with pytest.raises(OSError):
        list(listing_of(way)(1 << 20))


@pytest.mark.parametrize("way", WAYS)
def test_a_large_folder_comes_in_pieces(folder: Path, way: Way) -> None:
    file = os.open(folder, os.O_RDONLY)
    pieces = [sum(map(len, piece)) for piece in listing_of(way)(file)]
    os.close(file)
    assert len(pieces) > 1 and max(pieces) < 6000
