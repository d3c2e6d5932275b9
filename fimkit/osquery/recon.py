"""Asks osqueryd the recon queries, what is lost first at first; what goes wrong with one is noted and never stops the others."""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fimkit.model.errors import OsqueryError, OsqueryQueryError
from fimkit.osquery.answer import Answer, ask
from fimkit.osquery.client import OsqueryClient
from fimkit.osquery.queries import Query, load_queries

__all__ = ["ReconResult", "plan_recon", "run_recon"]

_NO_TABLE = re.compile(r"no such table: (?P<table>\S+)")
_SHARE = 4  # of the time that is left at most: one that hangs leaves most of it to the others


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconResult:
    """What one query gave: ``answer``, or ``note`` on why not; ``lacks`` is the table that this osqueryd does not have."""

    query: Query
    answer: Answer | None
    note: str | None
    lacks: str | None
    took_s: float


def plan_recon(extra: Sequence[str] = ()) -> tuple[Query, ...]:
    """Give the project's recon queries, in the order of volatility, and then those of ``[panic].recon_queries``.

    Source: RFC 3227, section 2.1.

    >>> plan_recon(["SELECT 1"])[-1].name
    'configured_1'
    """
    configured = [
        Query(name=f"configured_{number}", folder="", sql=sql, description="from [panic].recon_queries")
        for number, sql in enumerate(extra, 1)
    ]
    return (*load_queries("recon"), *configured)


def run_recon(
    client: OsqueryClient, queries: Iterable[Query], *, deadline_s: float, each_s: float | None = None
) -> list[ReconResult]:
    """Ask each query in turn.

    Args:
        client: Whom to ask.
        queries: In the order in which they are to be asked.
        deadline_s: For all of them. What it does not reach is noted so.
        each_s: For one of them; by default a quarter of what is left.

    Returns:
        One result for each query, in order. Nothing that osqueryd does raises.
    """
    end = time.monotonic() + deadline_s
    return [_run_one(client, query, end=end, each_s=each_s, deadline_s=deadline_s) for query in queries]


def _run_one(client: OsqueryClient, query: Query, *, end: float, each_s: float | None, deadline_s: float) -> ReconResult:
    started = time.monotonic()
    left_s = end - started
    answer, note, lacks = None, None, None
    if left_s <= 0:
        note = f"not asked: the {deadline_s:g} s for all queries were over"
    else:
        try:
            answer = ask(client, query.sql, deadline_s=min(left_s, each_s or left_s / _SHARE))
        except OsqueryQueryError as error:
            table = _NO_TABLE.search(error.message)
            lacks = table["table"] if table else None
            note = f"this osqueryd has no table {lacks}" if lacks else f"osqueryd refuses it: {error.message}"
        except OsqueryError as error:
            note = str(error)
    return ReconResult(query=query, answer=answer, note=note, lacks=lacks, took_s=time.monotonic() - started)
