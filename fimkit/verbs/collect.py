"""Collects what an analyst needs of this host into a folder or an archive: what `fimkit.open`, `fleet` and `investigate` read.

What was accepted as good, what is there now, the logs of both sources, what was found, and what is watched. Secrets stay: of the
configuration only what a judgement needs is written anew, so nothing of mail, channels, commands or a panic can be in it.
"""

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fimkit import __version__
from fimkit.audit.rotations import find_rotations
from fimkit.baseline.scan import scan_watches
from fimkit.baseline.snapshot import write_snapshot
from fimkit.evidence.reader import Reader, open_reader
from fimkit.evidence.store import open_shared_store
from fimkit.model.config import Config
from fimkit.model.errors import FimkitError, HostError, UsageError
from fimkit.model.paths import render_path
from fimkit.model.states import FileState
from fimkit.model.time import render_time
from fimkit.report.export_formats import Format, render_line
from fimkit.report.selection import Selection
from fimkit.verbs.canaries import Canaries
from fimkit.verbs.collect_folder import clear_left_folders, working_folder
from fimkit.verbs.collected import AFTER, AUDIT_LOG, BASELINE, CONFIG, CONTENTS, FINDINGS, OSQUERY_LOG, is_archive, write_tar
from fimkit.verbs.findings import read_findings
from fimkit.verbs.init_text import render_toml
from fimkit.verbs.look import Looker
from fimkit.verbs.own_files import scanned_watches

__all__ = ["CollectOptions", "CollectedFile", "Collection", "collect", "render_judging_config"]

_WATCH_KEYS = ("path", "tier", "recursive", "include", "exclude", "cross_mounts", "scan_content")
_CHUNK = 1 << 20
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """Where to, and how: ``quick`` takes the hash of a file whose times did not move from the baseline."""

    output: Path
    quick: bool = False
    on_progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedFile:
    """One file of a collection."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What was collected, and what could not be, in words; what a run that was killed had left, and was taken away."""

    output: Path
    files: tuple[CollectedFile, ...]
    words: tuple[str, ...]


@dataclass(slots=True)
class _Work:
    config: Config
    options: CollectOptions
    folder: Path
    words: list[str] = field(default_factory=list)


def collect(config: Config, options: CollectOptions) -> Collection:
    """Collect this host; what cannot be had is said, and keeps nothing else from being collected.

    Args:
        config: The host's configuration.
        options: A folder that is not there or empty, or an archive that is not there (``.tar``, ``.tar.gz``, ``.tgz``,
            ``.tar.zst``), and how. It takes its name when it is whole, and is for its owner alone.

    Raises:
        UsageError: If there is something of that name already.
        HostError: If it cannot be written, or nothing of the host could be had.
    """
    output = options.output
    _refuse_existing(output)
    name = render_path(os.fsencode(output))
    left = clear_left_folders(output)
    try:
        with working_folder(output) as folder:
            work = _Work(config, options, folder)
            files = _fill(work)
            _put_in_place(folder, output, [*(file.name for file in files), CONTENTS])
    except OSError as error:
        if isinstance(error, HostError):
            raise
        raise HostError(f"cannot write {name}: {error.strerror or error}") from error
    return Collection(output=output, files=files, words=tuple(dict.fromkeys((*left, *work.words))))


def _refuse_existing(output: Path) -> None:
    name = render_path(os.fsencode(output))
    if not output.name:
        raise UsageError(f"--output {name!r}: expected the name of a folder or an archive")
    if not os.path.lexists(output):
        return
    try:
        empty = stat.S_ISDIR(os.lstat(output).st_mode) and not os.listdir(output)
    except OSError as error:
        raise HostError(f"{name} cannot be looked at: {error.strerror}") from error
    if not empty or is_archive(output.name):
        raise UsageError(f"{name} is there already; expected a new name, or an empty folder")


def _put_in_place(folder: Path, output: Path, names: Sequence[str]) -> None:
    if not is_archive(output.name):
        os.rename(folder, output)  # also over a folder that is empty
        return
    packed = folder / output.name
    write_tar(folder, packed, names)
    os.link(packed, output)  # a rename would take the place of what came meanwhile


def _fill(work: _Work) -> tuple[CollectedFile, ...]:
    began_ns = time.time_ns()
    before = _from_store(work)
    _look(work, before, began_ns)
    sources = work.config.sources
    for log, name in ((sources.audit_log, AUDIT_LOG), (sources.osquery_log, OSQUERY_LOG)):
        _copy_logs(work, log, name)
    if not any(work.folder.iterdir()):
        raise HostError("; ".join(["nothing of this host can be collected", *work.words[:3]]))
    (work.folder / CONFIG).write_text(render_judging_config(work.config, work.words), encoding="utf-8")
    files = tuple(_describe(place) for place in sorted(work.folder.iterdir()))
    row = {
        "fimkit": __version__, "host": work.config.host.name, "time": render_time(began_ns),
        "files": [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in files], "words": work.words,
    }  # fmt: skip
    text = json.dumps(row, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace")
    (work.folder / CONTENTS).write_bytes(text + b"\n")
    for place in work.folder.iterdir():
        place.chmod(0o600)
    return files


def _describe(place: Path) -> CollectedFile:
    with place.open("rb") as file:
        return CollectedFile(name=place.name, size=place.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _from_store(work: _Work) -> dict[bytes, FileState] | None:
    """Write the baseline and the findings, as of one moment; give the baseline where a look needs it."""
    try:
        with open_reader(work.config.host.state_dir, deadline_s=3600.0) as reader:
            before = {state.path: state for state in reader.baseline()}
            _write_findings(work, reader)
    except FimkitError as error:
        work.words.append(f"no baseline and no findings were collected: {error}")
        return None
    if not before:
        work.words.append("no baseline was collected: there is none in the store")
        return None
    write_snapshot(work.folder / BASELINE, before.values())
    return before


def _write_findings(work: _Work, reader: Reader) -> None:
    rows = read_findings(reader, Selection(), since_ns=None, only_open=False)
    with (work.folder / FINDINGS).open("wb") as file:
        for row in rows:
            file.write(render_line(Format.JSONL, row).encode() + b"\n")


def _look(work: _Work, before: dict[bytes, FileState] | None, began_ns: int) -> None:
    scan = scan_watches(
        scanned_watches(work.config),
        known=before if work.options.quick else None,
        on_progress=work.options.on_progress,
        limits=work.config.scan,
    )
    after = {state.path: state for state in scan}
    work.words += [f"{render_path(problem.path)}: {problem.text}" for problem in scan.problems]
    work.words += [f"{render_path(path)}: a file system is mounted here, and was not looked at" for path in scan.mounts]
    work.words += [f"{render_path(state.path)}: {state.problem}" for state in after.values() if state.problem is not None]
    if before is not None:
        work.words += _without_canaries(work, after, began_ns)
    if after:
        write_snapshot(work.folder / AFTER, after.values())
    else:
        work.words.append("no present state was collected: nothing of what is configured can be seen")


def _without_canaries(work: _Work, after: dict[bytes, FileState], began_ns: int) -> list[str]:
    """Take out what a selftest that runs just now has planted, as a check does."""
    try:
        with open_shared_store(work.config.host.state_dir) as store, store.reading():
            canaries = Canaries(store.canaries())
    except FimkitError as error:
        return [f"whether a selftest runs cannot be known: {error}"]
    return canaries.take_out(after, began_ns=began_ns, now_ns=time.time_ns(), look=Looker().look)


def _copy_logs(work: _Work, log: bytes, name: str) -> None:
    """Copy a log and its rotations under the names that a collection has, each as it was at one moment."""
    if not log:
        return
    with contextlib.ExitStack() as stack:
        opened = _open_all(log, stack, work.words)
        if not opened:
            work.words.append(f"no log was collected from {render_path(log)}: there is none that can be read")
        for place, descriptor in opened:
            target = work.folder / _name_in_collection(place.name, Path(os.fsdecode(log)), Path(name))
            size = _copy(descriptor, target)
            if place.name == os.path.basename(os.fsdecode(log)):
                _cut_half_line(target, size)


def _open_all(log: bytes, stack: contextlib.ExitStack, words: list[str]) -> list[tuple[Path, int]]:
    """Open a log's files all at once: where it was rotated in between, one would be missing, or there twice; then again."""
    problems: list[str] = []
    opened: list[tuple[Path, int]] = []
    for _ in range(_TRIES):
        opened, problems = [], []
        for place in find_rotations(log):
            try:
                descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append(f"{render_path(os.fsencode(place))} cannot be read: {error.strerror}")
                continue
            stack.callback(os.close, descriptor)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                opened.append((place, descriptor))
        if all(_is_still(place, descriptor) for place, descriptor in opened):
            break
    words += problems
    return opened


def _is_still(place: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(place), os.fstat(descriptor))
    except OSError:
        return False


def _name_in_collection(name: str, log: Path, wanted: Path) -> str:
    """Give a rotation's name with the log's own name replaced.

    >>> _name_in_collection("a.txt.1.gz", Path("/x/a.txt"), Path("audit.log")), _name_in_collection("a-20261101.txt", Path("a.txt"),
    ... Path("audit.log"))
    ('audit.log.1.gz', 'audit-20261101.log')
    """
    if name.startswith(log.name):
        return wanted.name + name[len(log.name) :]
    return wanted.stem + name[len(log.stem) :].replace(log.suffix, wanted.suffix, 1)


def _copy(descriptor: int, target: Path) -> int:
    """Copy what is in a file now, and not what is written to it meanwhile."""
    left = size = os.fstat(descriptor).st_size
    with target.open("wb") as file:
        while left > 0 and (chunk := os.read(descriptor, min(left, _CHUNK))):
            file.write(chunk)
            left -= len(chunk)
    return size - left


def _cut_half_line(target: Path, size: int) -> None:
    """Leave out the beginning of a line that was being written."""
    with target.open("rb+") as file:
        place = size
        while place > 0:
            start = max(0, place - _CHUNK)
            file.seek(start)
            newline = file.read(place - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            place = start


def render_judging_config(config: Config, words: list[str]) -> str:
    """Write the configuration anew with what a judgement needs: the host's name, and what is watched; links are followed here.

    Args:
        config: The host's.
        words: Told what cannot be written: a path that is no UTF-8.

    >>> from fimkit.model.config import Host, Mail, Watch
    >>> config = Config(host=Host(name="web01"), paths=(Watch(path=b"/nowhere"),), mail=Mail(username="secret"))
    >>> print(render_judging_config(config, []))
    # Written by `fimkit collect`: what was watched. Mail, channels, commands and the panic are left out.
    [host]
    name = "web01"
    <BLANKLINE>
    [[paths]]
    path = "/nowhere"
    tier = "watch"
    recursive = true
    include = []
    exclude = []
    cross_mounts = false
    scan_content = false
    <BLANKLINE>
    """
    return "\n".join(_config_lines(config, words)) + "\n"


def _config_lines(config: Config, words: list[str]) -> Iterator[str]:
    yield "# Written by `fimkit collect`: what was watched. Mail, channels, commands and the panic are left out."
    yield "[host]"
    yield f"name = {render_toml(config.host.name)}"
    for watch in scanned_watches(config):
        try:
            lines = [f"{key} = {render_toml(getattr(watch, key))}" for key in _WATCH_KEYS]
            "\n".join(lines).encode()
        except UnicodeError:
            words.append(f"{render_path(watch.path)}: its place is no UTF-8 text, and is not in the collected configuration")
            continue
        yield from ("", "[[paths]]", *lines)
