"""Runs the schedule: each query on the seconds that its interval divides, and its results to the logs.

The first run of a differential query logs all rows, the later ones what differs; ``counter`` is 0 then and grows with every result.
An event query logs its new rows. State lives on over restarts in the database folder, unless there is to be none.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fimkit.testing.osqueryd.config import Config, ScheduledQuery
from fimkit.testing.osqueryd.flags import Flags
from fimkit.testing.osqueryd.results import Difference, LineForm, diff_rows, render_results, render_snapshot
from fimkit.testing.osqueryd.sql import Answer, SqlError, Table, Value, run_query
from fimkit.testing.osqueryd.status_log import StatusLog

__all__ = ["Schedule"]


@dataclass(slots=True)
class _Run:
    """What is known of a query from its last run."""

    sql: str
    counter: int | None = None
    rows: list[dict[str, Value]] | None = None
    executions: int = 0
    last: int = 0
    output_bytes: int = 0
    wall_ms: int = 0
    last_wall_ms: int = 0


class Schedule:
    """One thread, a look each second."""

    def __init__(
        self,
        flags: Flags,
        log: StatusLog,
        *,
        tables: Callable[[], Mapping[str, Table]],
        host: str,
        write: Callable[[str, bytes], None],
    ) -> None:
        """Begin with no queries.

        Args:
            flags: The daemon's.
            log: For what fails.
            tables: The tables of the moment.
            host: The identifier that lines carry.
            write: Takes ``results`` or ``snapshots``, and a line.
        """
        self._flags, self._log, self._tables, self._host, self._write = flags, log, tables, host, write
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._queries: dict[str, ScheduledQuery] = {}
        self._intervals: dict[str, int] = {}
        self._decorators = Config()
        self._loaded: dict[str, str] = {}
        self._state_file = self._place_of_state()
        self._runs = self._load_state()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def _place_of_state(self) -> Path | None:
        if self._flags.on("disable_database") or self._flags.on("ephemeral"):
            return None
        return Path(self._flags.text("database_path")) / "standin.json"

    def _load_state(self) -> dict[str, _Run]:
        try:
            stored = json.loads(self._state_file.read_text()) if self._state_file else {}
        except (OSError, ValueError):
            return {}
        return {name: _Run(run["sql"], run["counter"], run["rows"]) for name, run in stored.items()}

    def _save_state(self) -> None:
        if self._state_file is None:
            return
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        state = {name: {"sql": run.sql, "counter": run.counter, "rows": run.rows} for name, run in self._runs.items()}
        fresh = self._state_file.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self._state_file)

    def configure(self, config: Config) -> None:
        """Take over the queries and decorators of a configuration."""
        with self._lock:
            self._queries = dict(config.schedule)
            self._intervals = {name: self._splayed(query.interval_s) for name, query in self._queries.items()}
            self._decorators = config
            self._loaded = self._decorate(config.decorators.get("load", []))
            for seconds in config.decorators_every:
                self._loaded |= self._decorate(config.decorators_every[seconds])

    def _splayed(self, interval_s: int) -> int:
        """Spread queries of one interval, so that not all run in one second."""
        spread = interval_s * self._flags.number("schedule_splay_percent") // 100
        return max(1, random.randint(interval_s - spread, interval_s + spread))

    def _decorate(self, queries: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        if self._flags.on("disable_decorators"):
            return found
        for sql in queries:
            try:
                rows = run_query(self._tables(), sql).rows
            except SqlError as error:
                self._log.error(f"Error executing decorator query: {sql}: {error}")
                continue
            found |= {name: str(value) for name, value in (rows[0] if rows else {}).items()}
        return dict(sorted(found.items()))

    def start(self) -> None:
        """Begin to run queries."""
        self._thread.start()

    def stop(self) -> None:
        """Let the query that runs end, and run no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        second = int(time.time())
        while not self._stopped.wait(max(0.0, second + 1 - time.time())):
            second += 1
            with self._lock:
                due = [query for name, query in self._queries.items() if second % self._intervals[name] == 0]
                for seconds, queries in self._decorators.decorators_every.items():
                    if second % seconds == 0:
                        self._loaded |= self._decorate(queries)
                for query in due:
                    self._execute(query)

    def _execute(self, query: ScheduledQuery) -> None:
        began = time.monotonic()
        if self._flags.on("schedule_lognames"):
            self._log.info(f"Executing scheduled query {query.name}: {query.sql}")
        try:
            answer = run_query(self._tables(), query.sql, scheduled_as=query.name)
        except SqlError as error:
            self._log.error(f"Error executing scheduled query {query.name}: {error}")
            return
        run = self._runs.get(query.name)
        if run is None or run.sql != query.sql:
            self._log.info(f"Storing initial results for new scheduled query: {query.name}")
            run = self._runs[query.name] = _Run(query.sql)
        lines = list(self._lines(query, run, answer))
        for line in lines:
            self._write("snapshots" if query.snapshot else "results", line)
        if lines:
            self._save_state()
        self._note(run, lines, began)

    def _note(self, run: _Run, lines: list[bytes], began: float) -> None:
        run.executions += 1
        run.last = int(time.time())
        run.output_bytes += sum(map(len, lines))
        run.last_wall_ms = int((time.monotonic() - began) * 1000)
        run.wall_ms += run.last_wall_ms

    def _lines(self, query: ScheduledQuery, run: _Run, answer: Answer) -> Iterable[bytes]:
        now, form = int(time.time()), self._form()
        if query.snapshot:
            return render_snapshot(query.name, answer.rows, now, form)
        if answer.evented:
            difference = Difference((), answer.rows)
            if not answer.rows:
                return ()
        else:
            difference = diff_rows(run.rows or [], answer.rows)
            first, run.rows = run.rows is None, answer.rows
            if not first and not difference.added and not difference.removed:
                return ()
        run.counter = 0 if run.counter is None else run.counter + 1
        if not query.removed:
            difference = difference._replace(removed=())
        return render_results(query.name, difference, run.counter, now, form)

    def _form(self) -> LineForm:
        return LineForm(
            host=self._host,
            epoch=self._flags.number("schedule_epoch"),
            numerics=self._flags.on("logger_numerics"),
            events=self._flags.on("logger_event_type"),
            decorations=dict(sorted({**self._loaded, **self._decorate(self._decorators.decorators.get("always", []))}.items())),
            decorations_top_level=self._flags.on("decorations_top_level"),
            snapshot_events=self._flags.on("logger_snapshot_event_type"),
            null=self._flags.text("nullvalue"),
        )

    def rows(self) -> Iterable[Mapping[str, Any]]:
        """Tell of the queries, as ``osquery_schedule`` does."""
        for name, query in sorted(self._queries.items()):
            run = self._runs.get(name) or _Run(query.sql)
            yield {
                "name": name,
                "query": query.sql,
                "interval": query.interval_s,
                "executions": run.executions,
                "last_executed": run.last,
                "denylisted": 0,
                "output_size": run.output_bytes,
                "wall_time": run.wall_ms // 1000,
                "wall_time_ms": run.wall_ms,
                "last_wall_time_ms": run.last_wall_ms,
                **dict.fromkeys(
                    ("user_time", "last_user_time", "system_time", "last_system_time", "average_memory", "last_memory"), 0
                ),
            }
