"""One query's answer with its columns in the order of the query, which the rows themselves do not keep."""

import time
from typing import NamedTuple

from fimkit.model.errors import OsqueryError
from fimkit.osquery.client import OsqueryClient

__all__ = ["Answer", "ask"]


class Answer(NamedTuple):
    """``columns`` are name and type, in order, each name once; ``rows`` have a text for each of them."""

    columns: tuple[tuple[str, str], ...]
    rows: list[dict[str, str]]


def ask(client: OsqueryClient, sql: str, *, deadline_s: float | None = None) -> Answer:
    """Run a query, and ask for its columns.

    Two columns of one name are one in osqueryd's rows: name them apart with AS.

    Args:
        client: Whom to ask.
        sql: One SELECT.
        deadline_s: For all of it; the client's own by default.

    Raises:
        OsqueryQueryError: If osqueryd refuses it, with its words.
        OsqueryError: Another of its family, if osqueryd cannot be asked.
    """
    end = time.monotonic() + (client.deadline_s if deadline_s is None else deadline_s)
    rows = client.query(sql, deadline_s=end - time.monotonic())
    columns: dict[str, str] = {}
    try:
        for name, kind in client.query_columns(sql, deadline_s=end - time.monotonic()):
            columns.setdefault(name, kind)
    except OsqueryError:  # the rows are here: they are not to be lost for want of an order
        pass
    if rows:
        columns |= {name: "UNKNOWN" for name in rows[0] if name not in columns}
    return Answer(tuple(columns.items()), rows)
