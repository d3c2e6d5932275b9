"""Opens what is there to analyse, a host's or many hosts', and gives it as frames: findings, changes, events, baseline."""

import fnmatch
import os
import re
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pandas as pd

import fimkit.report.accessor  # noqa: F401  # frame.fim
from fimkit.audit.rotations import find_rotations
from fimkit.evidence.connection import store_path
from fimkit.evidence.past_rows import Span
from fimkit.model.config import Config
from fimkit.model.config_text import load_foreign_config
from fimkit.model.errors import FimkitError, SnapshotError, UsageError
from fimkit.model.paths import parse_path, render_terminal
from fimkit.report.acts import matches_path
from fimkit.report.change_frames import change_frame
from fimkit.report.frame_schema import KINDS, ORDERED
from fimkit.report.frames import Frame, baseline_frame, coverage_frame, events_frame, findings_frame
from fimkit.verbs.archive_parts import CollectedPart, FindingsPart, LogPart, ParquetPart, Part, SnapshotPart, StorePart
from fimkit.verbs.collected import AUDIT_LOG, OSQUERY_LOG, is_archive, read_contents, unpacked
from fimkit.verbs.since import parse_since

__all__ = ["Archive", "open_archive"]

_DEPTH = 4  # folders within folders: a collection of hosts, and host= and date= of Parquet
_PACKED = r"(\.gz|\.zst)?"
_JSONL = re.compile(rf".+\.(jsonl|ndjson){_PACKED}")
_BASELINE, _AFTER, _FOUND = (re.compile(rf"{name}\.jsonl{_PACKED}") for name in ("baseline", "after", "findings"))

Source = str | bytes | os.PathLike[str]
Time = str | pd.Timestamp | int | None
T = TypeVar("T")


class Archive:
    """All that was opened. Each call reads anew what is live; what could not be read is in ``problems``, and never ends a call."""

    def __init__(self, parts: Sequence[Part], problems: Sequence[str]) -> None:
        """Use :func:`open_archive`."""
        self._parts, self._problems = tuple(parts), list(problems)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The sources, one by one."""
        return self._parts

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read so far, in words; the frames carry it as ``attrs["problems"]``."""
        words = [*self._problems, *(problem for part in self._parts for problem in part.problems)]
        return tuple(dict.fromkeys(map(render_terminal, words)))

    def __repr__(self) -> str:
        """Say what it is made of."""
        problems = f", {len(self.problems)} problems" if self.problems else ""
        return f"<fimkit archive of {len(self._parts)} source{'s' if len(self._parts) != 1 else ''}{problems}>"

    def findings(
        self,
        *,
        since: Time = None,
        until: Time = None,
        host: str | None = None,
        tier: str | None = None,
        path: str | None = None,
        severity: str | None = None,
        status: str | None = None,
    ) -> Frame:
        """Give the FINDINGS frame, see :data:`fimkit.report.frame_schema.FINDINGS`.

        Args:
            since: Only what was still seen at this time or later: RFC 3339, a date, how long ago (``24h``), nanoseconds or a
                timestamp. A difference that is there now was last seen at the last look.
            until: Only what was first seen before this time.
            host: A host's name, or a pattern.
            tier: ``critical`` or ``watch``.
            path: A path with what lies below it, or a pattern; as text, with ``%XX``.
            severity: This one and worse.
            status: ``open``, ``accepted``, ``gone`` or ``superseded``; all without one.

        Raises:
            UsageError: If an argument makes no sense.
        """
        least = 0 if severity is None else ORDERED["severity"].index(_word("severity", severity, ORDERED["severity"]))
        span = replace(
            _span(since, until, path),
            severities=None if severity is None else ORDERED["severity"][least:],
            status=None if status is None else _word("status", status, KINDS["status"]),
            tier=None if tier is None else _word("tier", tier, ORDERED["tier"]),
        )
        frame = findings_frame(row for part in self._parts for row in self._safely(part, lambda part: part.findings(span)))
        if status is not None:
            frame = frame[frame["status"] == status]
        if severity is not None:
            frame = frame[frame["severity"] >= severity]
        return self._filtered(frame, host=host, tier=tier, path=path)

    def changes(
        self,
        *,
        since: Time = None,
        until: Time = None,
        host: str | None = None,
        tier: str | None = None,
        path: str | None = None,
    ) -> Frame:
        """Give the CHANGES frame, see :data:`fimkit.report.frame_schema.CHANGES`; the arguments are those of :meth:`findings`."""
        span = _span(since, until, path)
        frame = change_frame(block for part in self._parts for block in self._safely(part, lambda part: part.change_blocks(span)))
        return self._filtered(frame, host=host, tier=tier, path=path)

    def events(self, *, since: Time = None, until: Time = None, host: str | None = None, path: str | None = None) -> Frame:
        """Give the EVENTS frame, see :data:`fimkit.report.frame_schema.EVENTS`.

        A log has every event that was recorded, a store those that its changes came from: open the log beside the store to have
        both. The arguments are those of :meth:`findings`.
        """
        span = _span(since, until, path)
        frame = events_frame(row for part in self._parts for row in self._safely(part, lambda part: part.events(span)))
        if path is not None:
            flat = frame["paths"].explode()
            frame = frame[matches_path(flat.astype("str"), path).groupby(level=0).any()] if len(frame) else frame
        return self._filtered(frame, host=host, tier=None, path=None)

    def baseline(self, *, host: str | None = None, tier: str | None = None, path: str | None = None) -> Frame:
        """Give the BASELINE frame, see :data:`fimkit.report.frame_schema.BASELINE`; the arguments are those of :meth:`findings`."""
        below = _folder(path)
        frame = baseline_frame(row for part in self._parts for row in self._safely(part, lambda part: part.baseline(below)))
        return self._filtered(frame, host=host, tier=tier, path=path)

    def coverage(self, *, since: Time = None, until: Time = None, host: str | None = None, path: str | None = None) -> Frame:
        """Give the COVERAGE frame, see :data:`fimkit.report.frame_schema.COVERAGE`: when what could not be seen, and why.

        A gap is in it that lasts into the time asked for, and that bears on the path or what lies below it.
        """
        span = Span(since_ns=_time(since), until_ns=_time(until), below=_folder(path))
        frame = coverage_frame(row for part in self._parts for row in self._safely(part, lambda part: part.coverage(span)))
        return self._filtered(frame, host=host, tier=None, path=None)

    def _safely(self, part: Part, rows: Callable[[Part], Iterable[T]]) -> Iterable[T]:
        """Give a part's rows; a broken one is stated, and does not keep the others from being read."""
        try:
            yield from rows(part)
        except FimkitError as error:
            self._problems.append(str(error))

    def _filtered(self, frame: pd.DataFrame, *, host: str | None, tier: str | None, path: str | None) -> Frame:
        attrs = frame.attrs
        if host is not None:
            pattern = re.compile(fnmatch.translate(host))
            named = frame["host"].map(lambda name: name == host or pattern.fullmatch(name) is not None)
            frame = frame[named.astype(bool)]
        if tier is not None:
            frame = frame[(frame["tier"] == _word("tier", tier, ORDERED["tier"])).astype(bool)]
        if path is not None:
            hits = matches_path(frame["path"], path)
            frame = frame[hits | matches_path(frame["moved_to"], path) if "moved_to" in frame.columns else hits]
        whole = Frame(frame.reset_index(drop=True), copy=False)
        whole.attrs = {**attrs, "problems": list(self.problems)}
        return whole




def _word(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise UsageError(f"{name}={value!r}: expected one of {', '.join(known)}")
    return value


def _time(value: Time) -> int | None:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        return parse_since(value, now_ns=time.time_ns())
    stamp = value.tz_localize("UTC") if value.tzinfo is None else value
    return int(stamp.as_unit("ns").value)


def _folder(path: str | None) -> bytes | None:
    """Give the folder that all that is meant lies in: the store need not be read whole."""
    if path is None:
        return None
    plain = re.split(r"[*?\[]", path, maxsplit=1)[0]
    if plain == path:
        return parse_path(path.rstrip("/") or "/")
    folder = parse_path(plain.rpartition("/")[0])
    return folder or None


def _span(since: Time, until: Time, path: str | None) -> Span:
    return Span(since_ns=_time(since), until_ns=_time(until), below=_folder(path))


def open_archive(*sources: Source, config: Source | None = None, host: str | None = None) -> Archive:
    """Open state folders, collected folders, logs, snapshots and findings, of one host or of many.

    Args:
        sources: Any of: a state folder (live or a copy); a folder collected from a host (``baseline.jsonl``, ``after.jsonl``,
            ``findings.jsonl``, ``audit.log``, ``osqueryd.results.log`` with their rotations, ``fimkit.toml``), or the archive that
            `fimkit collect` made of one; a folder of such folders; audit logs; snapshots; findings as JSON lines or Parquet, and
            folders of these; a configuration, for its state folder. Without any, the state folder of the configuration.
        config: The configuration of what has none beside it, for tiers and the host's name; by default ``$FIMKIT_CONFIG``, else
            ``/etc/fimkit/fimkit.toml``, for its own state folder.
        host: The name of the host whose logs and snapshots these are, where nothing names it.

    Returns:
        The archive. Of several sources, one that cannot be read is in its ``problems``.

    Raises:
        UsageError: If there is no such file, or none of the sources is anything that can be opened.
        ConfigError: If a configuration that was asked for is wrong.
    """
    given = None if config is None else load_foreign_config(os.fsdecode(config))
    if not sources:
        own = given or load_foreign_config(os.environ.get("FIMKIT_CONFIG") or _DEFAULT_CONFIG)
        return Archive([StorePart(own.host.state_dir, config=own, host=host)], ())
    missing = [os.fsdecode(source) for source in sources if not os.path.lexists(source)]
    if missing:
        raise UsageError(f"no such file or folder: {', '.join(map(render_terminal, missing))}")
    problems: list[str] = []
    parts = [part for source in sources for part in _open(Path(os.fsdecode(source)), given, host, problems, _DEPTH)]
    if not parts:
        seen = "; ".join(problems) or "they are empty, or hold other things"
        raise UsageError(f"nothing to analyse in {', '.join(render_terminal(os.fsdecode(source)) for source in sources)}: {seen}")
    return Archive(parts, problems)


_DEFAULT_CONFIG = "/etc/fimkit/fimkit.toml"


def _open(place: Path, config: Config | None, host: str | None, problems: list[str], depth: int) -> list[Part]:
    try:
        return _open_folder(place, config, host, problems, depth) if place.is_dir() else _open_file(place, config, host, problems)
    except (FimkitError, OSError) as error:
        words = str(error)
        problems.append(words if str(place) in words else f"{place}: {words}")
        return []


def _own_config(state_dir: bytes) -> Config | None:
    """Find this host's configuration, if it is the one of this state folder: it says the tiers."""
    try:
        config = load_foreign_config(os.environ.get("FIMKIT_CONFIG") or _DEFAULT_CONFIG)
    except FimkitError:
        return None
    return config if os.path.realpath(config.host.state_dir) == os.path.realpath(state_dir) else None


def _open_packed(file: Path, config: Config | None, host: str | None, problems: list[str]) -> list[Part]:
    """Open what `fimkit collect` packed; what comes out of it stays as long as one of the parts does."""
    with ExitStack() as stack:
        folder, words = stack.enter_context(unpacked(file))
        problems += words
        parts = _open_folder(folder, config, host, problems, 0)
        if not parts:
            problems.append(f"{file}: no collected files in it")
        kept = stack.pop_all()
    if parts:
        weakref.finalize(parts[0], kept.close)
    else:
        kept.close()
    return parts


def _open_file(file: Path, config: Config | None, host: str | None, problems: list[str]) -> list[Part]:
    if is_archive(file.name):
        return _open_packed(file, config, host, problems)
    if file.suffix == ".toml":
        own = load_foreign_config(file)
        return [StorePart(own.host.state_dir, config=own, host=host)]
    if file.suffix == ".parquet":
        return [ParquetPart(file)]
    if _JSONL.fullmatch(file.name):
        return [_open_lines(file, config, host)]
    place = file.parent.name or "host"
    if ".results.log" in file.name:
        return [LogPart((), [file], config=config, host=host, place=place)]
    return [LogPart([file], config=config, host=host, place=place)]


def _open_lines(file: Path, config: Config | None, host: str | None) -> Part:
    """Tell a snapshot from findings by what its lines are."""
    from fimkit.baseline.snapshot import read_snapshot

    findings = FindingsPart(file)
    if any(True for _ in findings.findings(Span())):
        return findings
    try:
        read_snapshot(file)
    except SnapshotError:
        return findings  # an empty export, or one whose lines are broken: its problems say which
    return SnapshotPart(file, config=config, host=host)


def _open_folder(folder: Path, config: Config | None, host: str | None, problems: list[str], depth: int) -> list[Part]:
    if os.path.lexists(store_path(os.fsencode(folder))):
        own = config or _own_config(os.fsencode(folder))
        return [StorePart(os.fsencode(folder), config=own, host=host)]
    names = sorted(entry.name for entry in os.scandir(folder))
    own_config = folder / "fimkit.toml"
    known = load_foreign_config(own_config) if own_config.is_file() else config
    audit, osquery = ([file for file in find_rotations(folder / name) if file.is_file()] for name in (AUDIT_LOG, OSQUERY_LOG))
    baseline, after, found = (
        next((folder / name for name in names if pattern.fullmatch(name)), None) for pattern in (_BASELINE, _AFTER, _FOUND)
    )
    contents = read_contents(folder)
    problems += contents.problems
    if baseline is not None and known is not None:
        return [CollectedPart(
            audit, osquery, config=known, baseline=baseline, after=after, found=found, looked_ns=contents.time_ns
        )]  # fmt: skip
    parts: list[Part] = []
    if audit or osquery:
        parts.append(LogPart(audit, osquery, config=known, host=host, place=folder.name or "host"))
    for name in names:
        if name.endswith(".parquet") or _JSONL.fullmatch(name) or (depth and is_archive(name)):
            parts += _open(folder / name, known, host, problems, depth)
        elif depth and (folder / name).is_dir() and not (folder / name).is_symlink():
            parts += _open(folder / name, known, host, problems, depth - 1)
    if not parts and depth == _DEPTH:
        problems.append(f"{folder}: no evidence store, no collected files, no findings in it")
    return parts


