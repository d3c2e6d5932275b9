"""What a collected folder is called and made of: its names, its list of contents, and how one comes out of an archive."""

import gzip
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, cast

import zstandard

from fimkit.model.errors import HostError, SnapshotError, clip
from fimkit.model.time import parse_time

__all__ = [
    "AFTER",
    "AUDIT_LOG",
    "BASELINE",
    "CONFIG",
    "CONTENTS",
    "FINDINGS",
    "OSQUERY_LOG",
    "Contents",
    "is_archive",
    "is_collected_name",
    "read_contents",
    "unpacked",
    "write_tar",
]

AUDIT_LOG, OSQUERY_LOG, CONFIG = "audit.log", "osqueryd.results.log", "fimkit.toml"
BASELINE, AFTER, FINDINGS = "baseline.jsonl.zst", "after.jsonl.zst", "findings.jsonl"
CONTENTS = "collected.json"

_ARCHIVE = re.compile(r".+\.(tar|tgz|tar\.gz|tar\.zst)")
_KNOWN = re.compile(
    r"(baseline|after|findings)\.jsonl(\.gz|\.zst)?|fimkit\.toml|collected\.json"
    r"|(audit|osqueryd\.results)([.-][\w.:-]{1,60})?\.log([.-][\w.:-]{1,60})?"
)
_MOST_MEMBERS = 10_000
_MOST_SHARE = 0.8  # of what is free where an archive is unpacked: one that would fill the disk is not
_CHUNK = 1 << 20
_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)


class Contents(NamedTuple):
    """What a collected folder says of itself: when it was made, and what is wrong with it, in words."""

    time_ns: int | None = None
    problems: tuple[str, ...] = ()


def is_archive(name: str) -> bool:
    """Tell an archive by its name.

    >>> is_archive("web01.tar.zst"), is_archive("web01.tgz"), is_archive("web01")
    (True, True, False)
    """
    return _ARCHIVE.fullmatch(name) is not None


def is_collected_name(name: str) -> bool:
    """Tell whether a collection has files of such a name.

    >>> is_collected_name("audit.log.1.gz"), is_collected_name("notes.txt")
    (True, False)
    """
    return _KNOWN.fullmatch(name) is not None


def read_contents(folder: Path) -> Contents:
    """Read a folder's list of contents, and hold the files' sizes against it: a copy that broke off is not to look whole.

    A folder without a list is one that somebody put together by hand, and nothing is wrong with that.
    """
    place = folder / CONTENTS
    try:
        row = json.loads(place.read_bytes())
        time_ns, files = parse_time(row["time"]), {str(one["name"]): int(one["size"]) for one in row["files"]}
    except FileNotFoundError:
        return Contents()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return Contents(problems=(f"{place}: no list of what was collected: {clip(str(error))}",))
    return Contents(time_ns, tuple(_differences(folder, files)))


def _differences(folder: Path, files: dict[str, int]) -> Iterator[str]:
    for name, size in files.items():
        try:
            seen = os.lstat(folder / os.path.basename(name)).st_size
        except OSError as error:
            yield f"{folder}: {clip(name)} was collected and is not here: {error.strerror}"
            continue
        if seen != size:
            yield f"{folder}: {clip(name)} has {seen:,} bytes, and had {size:,} when it was collected"


def write_tar(folder: Path, archive: Path, names: Sequence[str]) -> None:
    """Write files of a folder into an archive, compressed as its name says.

    Raises:
        OSError: If it cannot be written.
    """
    with ExitStack() as stack:
        raw = stack.enter_context(open(os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"))
        stack.callback(lambda: os.fsync(raw.fileno()))
        stack.callback(raw.flush)
        sink: IO[bytes] = raw
        if archive.name.endswith((".tgz", ".gz")):
            sink = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=raw, mode="wb", filename="", compresslevel=6)))
        elif archive.name.endswith(".zst"):
            sink = cast(IO[bytes], stack.enter_context(zstandard.ZstdCompressor().stream_writer(raw, closefd=False)))
        tar = stack.enter_context(tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT))
        for name in names:
            tar.add(folder / name, arcname=f"collected/{name}", recursive=False, filter=_nobody)


def _nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out whose the files were here: who unpacks them owns them."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


@contextmanager
def unpacked(archive: Path) -> Iterator[tuple[Path, list[str]]]:
    """Unpack a collection into a private folder, which goes at the end.

    An archive is a stranger's: only regular files with the names of a collection come out of it, into that folder and nowhere
    else, whatever else is in it, and no more than there is room for.

    Yields:
        The folder, and words on what was left in the archive.

    Raises:
        SnapshotError: If it is no archive.
        HostError: If there is no room, or it cannot be read.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="fimkit-"))
    except OSError as error:
        raise HostError(f"no folder can be made to unpack {archive} into: {error.strerror}") from error
    try:
        yield folder, _unpack(archive, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> list[str]:
    problems: list[str] = []
    taken, room = 0, int(shutil.disk_usage(folder).free * _MOST_SHARE)
    try:
        with _opened(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for number, member in enumerate(tar):
                name = PurePosixPath(member.name).name
                if number >= _MOST_MEMBERS:
                    problems.append(f"{archive}: more than {_MOST_MEMBERS:,} members; the rest was left in it")
                    break
                if not member.isreg() or not _KNOWN.fullmatch(name) or (folder / name).exists():
                    if not member.isdir():
                        problems.append(f"{archive}: {clip(member.name)} is nothing of a collection, and was left in it")
                    continue
                if taken + member.size > room:
                    raise HostError(f"{archive}: {clip(member.name)} has {member.size:,} bytes, and there is no room for it")
                taken += _take(tar, member, folder / name)
    except _BROKEN as error:
        if not any(folder.iterdir()):
            raise SnapshotError(f"{archive}: no archive can be read from it: {clip(str(error))}") from error
        problems.append(f"{archive}: it is damaged, what follows is lost: {clip(str(error))}")
    except OSError as error:
        if isinstance(error, HostError):
            raise
        raise HostError(f"{archive} cannot be unpacked: {error.strerror or error}") from error
    return problems


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> int:
    source = cast(IO[bytes], tar.extractfile(member))
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
    return member.size


@contextmanager
def _opened(archive: Path) -> Iterator[Any]:
    with open(os.open(archive, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as raw:
        if archive.name.endswith((".tgz", ".gz")):
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream
        elif archive.name.endswith(".zst"):
            yield zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        else:
            yield raw
