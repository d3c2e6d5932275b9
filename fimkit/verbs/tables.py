"""Fills fimkit's tables in osquery from the evidence store, which is opened for each request and never written to."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from fimkit import __version__
from fimkit.evidence.connection import store_path
from fimkit.evidence.reader import Reader, StoreStatus, open_reader
from fimkit.evidence.schema import MIGRATIONS
from fimkit.evidence.search import Condition
from fimkit.model.advice import Level
from fimkit.model.chain import render_head
from fimkit.model.config import Config
from fimkit.model.coverage import say_gaps, weighty
from fimkit.model.errors import FimkitError, HostError, StoreError
from fimkit.model.findings import Severity
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.osquery.columns import BASELINE, CHANGES, DOCTOR_CHECKS, FINDINGS, STATUS, Table
from fimkit.osquery.extension_server import Answer
from fimkit.osquery.tables import Asked, Limits, Operator
from fimkit.verbs.coverage import coverage_of
from fimkit.verbs.doctor_desk import DoctorAnswer, DoctorDesk
from fimkit.verbs.watch_status import WatchStatus, load_watch_status

__all__ = ["StoreTables"]

_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_DOCTOR_S = 10.0
_STORED = {FINDINGS: "findings", CHANGES: "changes", BASELINE: "baseline"}

Row = tuple[str | None, ...]


def _condition(limits: Limits) -> Condition:
    return Condition(
        texts=limits.texts,
        numbers=limits.numbers,
        low=limits.low,
        high=limits.high,
        likes=tuple(pattern.text for pattern in limits.patterns if pattern.operator is Operator.LIKE),
        globs=tuple(pattern.text for pattern in limits.patterns if pattern.operator is Operator.GLOB),
    )


class StoreTables:
    """The tables of one host's store. A store that cannot be read gives empty tables; ``fimkit_status`` says why."""

    def __init__(
        self, config: Config, *, say: Callable[[str], None], deadline_s: float = 60.0, doctor: DoctorDesk | None = None
    ) -> None:
        """Take the host, where to say what was refused, how long one request may read, and whom to ask for the doctor's answer."""
        self._config, self._say, self._deadline_s, self._doctor = config, say, deadline_s, doctor
        self._started_ns = time.time_ns()
        self._lock = threading.Lock()
        self._refused, self._refused_words = 0, ""

    def answer(self, table: Table, asked: Asked) -> Answer:
        """Give the rows of one request, as of one moment.

        Raises:
            HostError: While rows are read, if it takes too long, or the host refuses.
            StoreError: While rows are read, if the store turns out to be damaged.
        """
        columns = (*asked.columns, *(name for name in asked.limits if name not in asked.columns))
        if table not in _STORED:
            status = self._status(asked)
            found = self._doctors_rows(columns)
            return Answer(columns, [tuple({**status, **row}[name] for name in columns) for row in found])
        try:
            reader = open_reader(self._config.host.state_dir, deadline_s=self._deadline_s)
        except (StoreError, HostError):
            return Answer(columns, ())
        conditions = {name: _condition(limits) for name, limits in asked.limits.items()}
        return Answer(columns, _read(reader, _STORED[table], columns, conditions))

    def refused(self, words: str) -> None:
        """Remember a request that was refused, for ``fimkit_status``."""
        with self._lock:
            self._refused, self._refused_words = self._refused + 1, words
        self._say(f"refused: {words}")

    def _doctors_rows(self, columns: tuple[str, ...]) -> Iterable[Mapping[str, str | None]]:
        """Give what the doctor says, if it is asked for: a row for each thing found where one is named, else one row."""
        if not any(name.startswith("doctor_") for name in columns):
            return ({},)
        answer = DoctorAnswer(words="no doctor is at work here") if self._doctor is None else self._doctor.ask(_DOCTOR_S)
        summary = _of_doctor(answer)
        if DOCTOR_CHECKS.isdisjoint(columns) or not answer.rows:
            return ({**dict.fromkeys(DOCTOR_CHECKS), **summary},)
        return [{**summary, **_of_advice(row)} for row in answer.rows]

    def _status(self, asked: Asked) -> Mapping[str, str | None]:
        status, problem, gaps, head = None, "", dict[str, str | None](), None
        try:
            with open_reader(self._config.host.state_dir, deadline_s=self._deadline_s) as reader:
                status = reader.status(count_baseline="baseline_rows" in {*asked.columns, *asked.limits})
                head = reader.head()
                gaps = _of_gaps(reader, load_watch_status(self._config.host.state_dir))
        except FimkitError as error:
            problem = str(error)
        with self._lock:
            refused, words = self._refused, self._refused_words
        return {
            "host": self._config.host.name,
            "version": __version__,
            "ok": "0" if problem else "1",
            "problem": problem,
            "state_dir": render_path(self._config.host.state_dir),
            "schema_known": str(len(MIGRATIONS)),
            "store_bytes": _store_bytes(self._config.host.state_dir),
            "evidence_head": None if head is None else render_head(head),
            "refused_answers": str(refused),
            "refused_words": words,
            "started_time": _seconds(self._started_ns),
            "pid": str(os.getpid()),
            **_of_store(status),
            **(gaps or dict.fromkeys(("gaps_now", "gaps_24h", "gaps_words"))),
            **_of_watch(load_watch_status(self._config.host.state_dir)),
        }


def _of_doctor(answer: DoctorAnswer) -> dict[str, str | None]:
    status = None if answer.time_ns is None else str(int(any(row["level"] != Level.NOTE for row in answer.rows)))
    return {
        "doctor_time": _seconds(answer.time_ns),
        "doctor_status": status,
        "doctor_words": answer.words,
    }


def _of_advice(row: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f"doctor_{'check' if name == 'code' else name}": value for name, value in row.items()}


def _of_gaps(reader: Reader, watch: WatchStatus | None) -> dict[str, str | None]:
    """Say what could not be seen in the last day: "no findings" of a blind host is no good news."""
    now_ns = time.time_ns()
    gaps = weighty(coverage_of(reader, since_ns=now_ns - _DAY_NS, until_ns=now_ns, status=watch).gaps)
    return {
        "gaps_now": str(sum(gap.to_ns is None for gap in gaps)), "gaps_24h": str(len(gaps)), "gaps_words": say_gaps(gaps),
    }  # fmt: skip


def _read(reader: Reader, table: str, columns: tuple[str, ...], conditions: Mapping[str, Condition]) -> Iterator[Row]:
    with reader:
        yield from reader.rows(table, columns, conditions)


def _seconds(time_ns: int | None) -> str | None:
    return None if time_ns is None else str(time_ns // _SECOND_NS)


def _number(number: int | None) -> str | None:
    return None if number is None else str(number)


def _of_store(status: StoreStatus | None) -> dict[str, str | None]:
    known = status or StoreStatus(schema=0)
    severities = {
        f"open_{severity}": _number(known.open.get(severity.value, 0) if status else None) for severity in Severity
    }
    return {
        "schema": _number(status.schema if status else None),
        "last_check": None if known.last_check_ns is None else render_time(known.last_check_ns),
        "last_check_time": _seconds(known.last_check_ns),
        "open_findings": _number(sum(known.open.values()) if status else None),
        **severities,
        "baseline_rows": _number(known.baseline_rows),
        "baseline_time": _seconds(known.baseline_ns),
        "baseline_by": known.baseline_who,
        "accepted_time": _seconds(known.accepted_ns),
        "first_change_time": _seconds(known.first_change_ns),
        "last_change_time": _seconds(known.last_change_ns),
        "bad_lines": _number(known.bad_lines if status else None),
        "audit_enabled": _number(None if known.audit_enabled is None else int(known.audit_enabled)),
        "audit_time": _seconds(known.audit_ns),
        "records_lost_time": _seconds(known.records_lost_ns),
    }


def _of_watch(status: WatchStatus | None) -> dict[str, str | None]:
    if status is None:
        return dict.fromkeys(column.name for column in STATUS.columns if column.name.startswith("watch_"))
    row: dict[str, int | str | None] = {
        "running": int(status.running),
        "pid": status.pid,
        "uptime_s": int(status.uptime_s),
        "records": status.records,
        "problem": status.problem,
        "written_time": status.written_ns // _SECOND_NS,
        "events": status.events,
        "events_per_s": round(status.events_per_s),
        "findings_per_s": round(status.findings_per_s),
        "lag_ms": round(status.lag_s * 1000),
        "waiting": status.waiting,
        "backlog_bytes": status.backlog_bytes,
        "lost": sum(status.lost.values()),
        "blind_intervals": status.blind_intervals,
        "last_blind_time": status.last_blind_ns // _SECOND_NS or None,
        "last_rescan_time": status.last_rescan_ns // _SECOND_NS or None,
        "memory_bytes": status.memory_bytes,
        "cpu_s": round(status.cpu_s),
    }
    return {f"watch_{name}": None if value is None else str(value) for name, value in row.items()}


def _store_bytes(state_dir: bytes) -> str:
    total = 0
    for ending in (b"", b"-wal", b"-shm"):
        with suppress(OSError):
            total += os.stat(store_path(state_dir) + ending).st_size
    return str(total)
