"""Gathers what the HTML report shows: from the evidence store, or from an investigation of files collected elsewhere."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fimkit.evidence.finding_life import FindingRow, FindingStatus
from fimkit.evidence.kept_diff import load_diffs
from fimkit.evidence.log_rows import LAST_CHECK
from fimkit.evidence.reader import open_reader
from fimkit.evidence.store import Store, open_shared_store
from fimkit.model.chain import render_head
from fimkit.model.config import Config
from fimkit.model.coverage import Gap, weighty
from fimkit.model.findings import Attribution, Finding
from fimkit.model.paths import render_path
from fimkit.report.html import Blind, Incident, ReportData, write_report
from fimkit.report.html_blind import blind_of, find_blind
from fimkit.report.html_verdict import event_ns, render_when
from fimkit.verbs.coverage import all_gaps, last_look_ns
from fimkit.verbs.investigate import Investigation
from fimkit.verbs.report_parents import load_parents
from fimkit.verbs.watch_status import load_watch_status

__all__ = ["investigation_data", "report_investigation", "report_store", "store_data"]

_DAY_NS = 86_400 * 1_000_000_000
_MOST_WORDS = 50
_ALWAYS = (
    "Never seen by any source: what was done while the disk was mounted elsewhere, and by whom a file was changed through a memory"
    " mapping or a name outside the watched paths. The rescan finds such a difference; then nobody is named."
)


def report_store(config: Config, file: Path, *, since_ns: int | None = None, now_ns: int | None = None) -> ReportData:
    """Write the report of this host's evidence.

    Args:
        config: The host, and what is watched.
        file: Where to.
        since_ns: Leaves out what was seen last before; by default all that is open is shown, and nothing else.
        now_ns: The present; the clock's time by default.

    Returns:
        What was written.

    Raises:
        StoreError: If there is no store, or it is damaged.
        HostError: If the store may not be read, or the file not be written.
    """
    with open_shared_store(config.host.state_dir) as store, store.reading():
        data = store_data(config, store, since_ns=since_ns, now_ns=time.time_ns() if now_ns is None else now_ns)
    with open_reader(config.host.state_dir) as reader:
        data = replace(data, processes=load_parents(reader, data.findings))
    diffs = load_diffs(config.host.state_dir, sorted(data.findings, key=lambda finding: -finding.severity.rank))
    data = replace(data, diffs=diffs.texts, coverage=(*data.coverage, *diffs.words))
    write_report(file, data)
    return data


def report_investigation(config: Config, found: Investigation, file: Path, *, now_ns: int | None = None) -> None:
    """Write the report of files collected elsewhere.

    Raises:
        HostError: If it cannot be written.
    """
    write_report(file, investigation_data(config, found, now_ns=time.time_ns() if now_ns is None else now_ns))


def investigation_data(config: Config, found: Investigation, *, now_ns: int) -> ReportData:
    """Give what an investigation's report shows; an old gap far from all that was found is left out."""
    blind = _near(find_blind(found.notes, until_ns=max(map(event_ns, found.findings), default=now_ns)), found.findings)
    return ReportData(
        host=config.host.name,
        made_ns=now_ns,
        findings=found.findings,
        blind=blind,
        watched=(*_watched(config), *found.sources),
        coverage=(*_nobody(found.findings), *_first(found.problems), *_excluded(config), _ALWAYS),
        processes=found.processes,
    )


def store_data(config: Config, store: Store, *, since_ns: int | None, now_ns: int) -> ReportData:
    """Give what the store's report shows."""
    rows = _latest(store.finding_rows(FindingStatus.OPEN if since_ns is None else None), since_ns)
    findings = tuple(row.finding for row in rows)
    gaps = _gaps(config, store, now_ns=now_ns)  # what began before the time asked for may last into it
    blind = blind_of(gaps, until_ns=now_ns)
    meta = store.baseline_meta()
    clean_ns = 0 if meta is None else meta.time_ns
    return ReportData(
        host=config.host.name,
        made_ns=now_ns,
        since_ns=since_ns,
        findings=findings,
        statuses=_statuses(rows, store),
        blind=_near(blind, findings, clean_ns=clean_ns) if since_ns is None else _ended_after(blind, since_ns),
        watched=(*_watched(config), *_looked(store)),
        coverage=(*_nobody([row.finding for row in rows if row.status is FindingStatus.OPEN]), *_gaps_of(store), *_excluded(config),
                  _ALWAYS),
        incidents=tuple(
            Incident(id=row.id, cause=row.cause, triggered_ns=row.triggered_ns, phase=row.phase, folder=row.folder)
            for row in store.incidents() if since_ns is None or row.updated_ns >= since_ns
        ),
        has_store=True,
        head=None if (head := store.head()) is None else render_head(head),
    )  # fmt: skip


def _latest(rows: Iterable[FindingRow], since_ns: int | None) -> list[FindingRow]:
    """Take each finding once, the open life before the closed ones; what another took the place of is part of that."""
    latest: dict[str, FindingRow] = {}
    for row in rows:
        if row.status is FindingStatus.SUPERSEDED or (since_ns is not None and _last_ns(row) < since_ns):
            continue
        was = latest.get(row.finding.id)
        if was is None or _life(row) >= _life(was):
            latest[row.finding.id] = row
    return list(latest.values())


def _life(row: FindingRow) -> tuple[bool, int]:
    return row.status is FindingStatus.OPEN, row.closed_ns or 0


def _last_ns(row: FindingRow) -> int:
    return max(row.finding.last_seen_ns, row.closed_ns or 0)


def _statuses(rows: Sequence[FindingRow], store: Store) -> Mapping[str, str]:
    accepted = {one.id: one for one in store.acceptances()} if any(row.acceptance is not None for row in rows) else {}
    statuses = {}
    for row in rows:
        if row.status is FindingStatus.OPEN:
            continue
        when = "" if row.closed_ns is None else f" {render_when(row.closed_ns)}"
        if (by := accepted.get(row.acceptance or 0)) is not None:
            statuses[row.finding.id] = f"accepted{when} by {by.who}" + (f": {by.why}" if by.why else "")
        elif row.status is FindingStatus.GONE:
            statuses[row.finding.id] = f"undone; found as in the baseline{when}"
        else:
            statuses[row.finding.id] = f"{row.status.value}{when}"
    return statuses


def _gaps(config: Config, store: Store, *, now_ns: int) -> list[Gap]:
    """Give what could not be seen, as `fimkit coverage` does; that somebody stopped the watch hides nothing from a check."""
    status = load_watch_status(config.host.state_dir)
    return weighty(all_gaps(store.gaps(), store.notes(), now_ns=now_ns, last_ns=last_look_ns(store), status=status))


def _ended_after(blind: Sequence[Blind], since_ns: int) -> tuple[Blind, ...]:
    return tuple(one for one in blind if one.to_ns >= since_ns)


def _near(blind: Sequence[Blind], findings: Sequence[Finding], *, clean_ns: int = 0) -> tuple[Blind, ...]:
    """Leave out the gaps that ended more than a day before the first finding: what bears on nothing shown hides what does.

    Where there is nothing to show, each since ``clean_ns`` bears on that.
    """
    if not findings:
        return tuple(one for one in blind if one.to_ns >= clean_ns)
    first_ns = min(map(event_ns, findings)) - _DAY_NS
    return tuple(one for one in blind if one.to_ns >= first_ns)


def _watched(config: Config) -> Iterator[str]:
    for watch in config.paths:
        yield f"{render_path(watch.path)}: {watch.tier.value}" + ("" if watch.recursive else ", not what lies in its folders")


def _excluded(config: Config) -> Iterator[str]:
    for watch in config.paths:
        if watch.exclude:
            yield f"Excluded below {render_path(watch.path)}: {', '.join(watch.exclude)}"
        if watch.include:
            yield f"Below {render_path(watch.path)} only names like {', '.join(watch.include)} were looked at"


def _nobody(findings: Sequence[Finding]) -> Iterator[str]:
    for attribution, words in (
        (Attribution.UNATTRIBUTED, "nobody is named: nothing that was recorded explains the change"),
        (Attribution.AMBIGUOUS, "more than one process could have made the change"),
    ):
        count = sum(finding.attribution is attribution for finding in findings)
        if count:
            yield f"Of {len(findings):,} open findings, for {count:,} {words}."


def _first(words: Sequence[str]) -> Iterator[str]:
    yield from words[:_MOST_WORDS]
    if len(words) > _MOST_WORDS:
        yield f"And {len(words) - _MOST_WORDS:,} more like these."


def _gaps_of(store: Store) -> Iterator[str]:
    meta = store.baseline_meta()
    if meta is None:
        yield "There is no baseline: nothing says what was there before."
    else:
        if meta.problems:
            yield f"Of {meta.problems:,} paths in the baseline something could not be known (not readable, changed meanwhile)."
        yield from _first(meta.notes)
    for file, count in sorted(store.bad_line_counts().items()):
        yield f"{count:,} line{'' if count == 1 else 's'} of {file} could not be read; their text is in the store."


def _looked(store: Store) -> Iterator[str]:
    meta, cursor = store.baseline_meta(), store.cursor(*LAST_CHECK)
    if meta is not None:
        yield f"Compared with the baseline of {render_when(meta.time_ns)} by {meta.who}: {meta.count:,} paths" + (
            "" if meta.accepted_ns is None else f"; paths were accepted last {render_when(meta.accepted_ns)}"
        )
    yield f"Looked at last: {render_when(int(cursor['seen_ns']))}" if cursor else "No check has looked at all of it yet"
    yield f"Evidence: {render_path(store.path)}"
