"""One finding whole: what became of it, the claims of audit and osquery that it stands on, and auditd's own records of them."""

from dataclasses import dataclass

from fimkit.audit.record_search import find_records
from fimkit.evidence.contents import open_contents_reading
from fimkit.evidence.finding_life import FindingRow
from fimkit.evidence.kept_diff import diff_of, said_differently
from fimkit.evidence.reader import Reader, open_reader
from fimkit.model.changes import Change, Source, place_of
from fimkit.model.config import Config
from fimkit.model.errors import HostError, StoreError, UsageError, clip
from fimkit.model.findings import Finding
from fimkit.report.export_rows import ExportRow
from fimkit.verbs.findings import join_life
from fimkit.verbs.keep_contents import ContentKeeper

__all__ = ["Shown", "show_finding"]

_MINUTE_NS = 60 * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A finding, the claims that it stands on, and raw records by file; ``words`` say what is not there any more.

    ``diff`` is the unified diff of what its file said, where that was kept.
    """

    row: ExportRow
    changes: tuple[Change, ...]
    records: tuple[tuple[str, bytes], ...]
    words: tuple[str, ...]
    diff: str | None = None


def show_finding(config: Config, id_prefix: str) -> Shown:
    """Load the finding whose id begins so: the open one, else the last that was closed.

    Args:
        config: The host; its audit log is searched for the records.
        id_prefix: An id, or as much of it as no other has.

    Raises:
        UsageError: If no id begins so, or several do.
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read.
    """
    with open_reader(config.host.state_dir) as reader:
        found = reader.finding(id_prefix)
        if found is None:
            raise UsageError(f"no finding's id begins with {clip(id_prefix)}; 'fimkit findings --all' lists them")
        row = join_life(found, reader.acceptances(), reader.replaced([found.finding.id]))
        changes = _changes(reader, found)
    logged = find_records(config.sources.audit_log, found.finding.evidence) if config.sources.audit_log else None
    problems = [] if logged is None else logged.problems
    missing = _missing(found.finding, changes)
    words = [*problems, f"the store has no claims any more of {', '.join(missing)}"] if missing else problems
    diff, why = _diff(config, found.finding)
    words = [*words, f"no text diff: {why}"] if why else words
    records = tuple(logged.lines if logged else ())
    return Shown(row=row, changes=tuple(changes), records=records, words=tuple(words), diff=diff)


def _diff(config: Config, finding: Finding) -> tuple[str | None, str | None]:
    """Give the text diff, or why there is none of a file whose content is kept."""
    keeper = ContentKeeper(config)
    wanted = said_differently(finding) and any(map(keeper.wants, (finding.path, finding.moved_to or finding.path)))
    try:
        contents = open_contents_reading(config.host.state_dir)
        if contents is None:
            return None, "nothing was kept yet: the next `fimkit check` does it" if wanted else None
        with contents:
            diff = diff_of(contents, finding)
    except (HostError, StoreError) as error:
        return None, str(error) if wanted else None
    if diff is None or diff.text is not None:
        return (None, None) if diff is None else (diff.text, None)
    return None, (keeper.why_not(finding) or diff.why) if wanted else None


def _changes(reader: Reader, row: FindingRow) -> list[Change]:
    """Load what audit says of the events that the finding names, and what osquery says of its paths in its time."""
    finding = row.finding
    paths = [name for name in (finding.path, finding.moved_to) if name is not None]
    about = reader.changes_about(paths, (), since_ns=finding.first_seen_ns - _MINUTE_NS)
    seen = [change for change in about if change.source is Source.OSQUERY and change.time_ns <= finding.last_seen_ns]
    return sorted([*reader.changes_of(finding.evidence), *seen], key=place_of)


def _missing(finding: Finding, changes: list[Change]) -> list[str]:
    names = {_event(change) for change in changes}
    return [event for event in finding.evidence if event not in names and ":" in event and not event.startswith("osquery:")]


def _event(change: Change) -> str:
    if change.actor is not None:
        return change.actor.event
    seconds, rest = divmod(change.time_ns, 1_000_000_000)
    return f"{seconds}.{rest // 1_000_000:03d}:{change.serial}"
