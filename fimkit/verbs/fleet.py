"""Judges many hosts together: each for itself, by a loop or on Dask's workers, and then how many of them have the same change."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fimkit.correlate.prevalence import PlacedChange, place_changes, weigh_findings
from fimkit.evidence.connection import store_path
from fimkit.model.errors import UsageError
from fimkit.model.findings import Finding
from fimkit.model.paths import render_path, render_terminal
from fimkit.report.html import ReportData, write_report
from fimkit.verbs.collected import is_archive
from fimkit.verbs.fleet_host import JudgedPlace, judge_place, parse_judged

__all__ = ["Fleet", "find_places", "judge_fleet", "report_fleet"]

_DEPTH = 4
_GAPS = "Gaps in the records of single hosts are not drawn here: `fimkit investigate --html` on what was collected of one does."
_FOUND = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson")
_OWN = ("fimkit.toml", "collected.json", "audit.log", "osqueryd.results.log")
_SNAPSHOTS = tuple(f"{name}.jsonl{end}" for name in ("baseline", "after") for end in ("", ".gz", ".zst"))

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Many hosts, judged.

    ``findings`` are weighed, the most severe first; ``changes`` are the same, by change. ``hosts`` are the names of those that were
    judged, ``broken`` the places where none could be, and ``problems`` words on all that could not be read.
    """

    findings: tuple[Finding, ...]
    changes: tuple[PlacedChange, ...]
    hosts: tuple[str, ...]
    broken: tuple[str, ...]
    problems: tuple[str, ...]


def find_places(folders: Sequence[Path]) -> list[str]:
    """Find the places of single hosts in folders of them, sorted; what looks like nothing at all is one too, and will say so.

    Raises:
        UsageError: If one of the folders is not there.
    """
    missing = [render_path(os.fsencode(folder)) for folder in folders if not os.path.lexists(folder)]
    if missing:
        raise UsageError(f"no such file or folder: {', '.join(missing)}")
    places = (os.path.abspath(place) for folder in folders for place in _places(folder, _DEPTH))
    return sorted(dict.fromkeys(places))


def _places(place: Path, depth: int) -> Iterator[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(place)) if place.is_dir() else None
    except OSError:
        names = None  # judging it says why
    if names is None or _is_one_host(place, names) or not depth:
        yield place
        return
    below = [name for name in names if _is_place(place / name)]
    for name in below:
        yield from _places(place / name, depth - 1)
    if not below:
        yield place


def _is_one_host(place: Path, names: Sequence[str]) -> bool:
    return os.path.lexists(store_path(os.fsencode(place))) or not {*_OWN, *_SNAPSHOTS}.isdisjoint(names)


def _is_place(place: Path) -> bool:
    if place.name.startswith("."):  # a collection that is being written
        return False
    if place.is_dir():
        return not place.is_symlink()
    return place.name.endswith(_FOUND) or is_archive(place.name)


def judge_fleet(
    folders: Sequence[Path], *, scheduler: str | None = None, now_ns: int | None = None, on_done: Progress | None = None
) -> Fleet:
    """Judge all hosts found in folders.

    Args:
        folders: Collected folders or archives, state folders, findings as JSON lines or Parquet, and folders of these.
        scheduler: The address of a Dask scheduler, whose workers do the work; without one it is done here, one after the other.
        now_ns: The present; the clock's time by default.
        on_done: Told how many places are done.

    Returns:
        The fleet. A place that is broken is stated, and stops no other.

    Raises:
        UsageError: If one of the folders is not there.
        HostError: If the scheduler cannot be used.
    """
    places, now = find_places(folders), time.time_ns() if now_ns is None else now_ns
    if scheduler is None:
        judged = list(_judge_here(places, now, on_done))
    else:
        from fimkit.verbs.fleet_dask import judge_by_dask

        judged = judge_by_dask(places, scheduler=scheduler, now_ns=now, on_done=on_done)
    return _join(judged)


def _judge_here(places: Sequence[str], now_ns: int, on_done: Progress | None) -> Iterator[JudgedPlace]:
    for number, place in enumerate(places, 1):
        yield parse_judged(judge_place(place, now_ns))  # by the same words as from a worker: the rows are the same
        if on_done is not None:
            on_done(number)


def _join(judged: Sequence[JudgedPlace]) -> Fleet:
    places_of: dict[str, list[str]] = {}
    findings: dict[tuple[str, str], Finding] = {}
    problems = []
    for one in judged:
        problems += [words if one.place in words else f"{one.place}: {words}" for words in one.problems]
        for host in one.hosts:
            places_of.setdefault(host, []).append(one.place)
        for finding in one.findings:
            known = findings.setdefault((finding.host, finding.id), finding)
            if finding.last_seen_ns > known.last_seen_ns:
                findings[finding.host, finding.id] = finding
    broken = tuple(one.place for one in judged if not one.hosts)
    problems += [f"{one.place}: no host could be judged here" for one in judged if not one.hosts and not one.problems]
    problems += [
        f"{host!r} comes from {len(places)} places, and counts as one host: {', '.join(places[:3])}{', …' * (len(places) > 3)}"
        for host, places in places_of.items() if len(places) > 1
    ]  # fmt: skip
    weighed = weigh_findings(place_changes(findings.values(), places_of))
    return Fleet(
        findings=tuple(weighed),
        changes=tuple(place_changes(weighed, places_of)),
        hosts=tuple(sorted(places_of)),
        broken=broken,
        problems=tuple(dict.fromkeys(map(render_terminal, problems))),
    )


def report_fleet(fleet: Fleet, file: Path, *, now_ns: int | None = None) -> None:
    """Write a fleet's report for people: one HTML file.

    Raises:
        HostError: If it cannot be written.
    """
    count = len(fleet.hosts)
    data = ReportData(
        host=fleet.hosts[0] if count == 1 else f"{count:,} hosts",
        made_ns=time.time_ns() if now_ns is None else now_ns,
        findings=fleet.findings,
        watched=(f"Judged together: {count:,} hosts, each for itself", *fleet.hosts),
        coverage=(*(f"Not judged: {place}" for place in fleet.broken), *fleet.problems, _GAPS),
    )
    write_report(file, data)
