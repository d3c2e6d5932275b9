"""Asks this host's osqueryd: one query as rows or as a frame, or all recon queries."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fimkit.model.paths import render_path
from fimkit.osquery.answer import Answer, ask
from fimkit.osquery.client import DEFAULT_SOCKET, OsqueryClient
from fimkit.osquery.recon import ReconResult, plan_recon, run_recon

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_of", "query", "query_frame", "recon"]

_INTEGERS = {"INTEGER": "int64", "BIGINT": "int64", "UNSIGNED BIGINT": "uint64"}


def query(sql: str, *, socket: bytes | str = DEFAULT_SOCKET, deadline_s: float = 10.0) -> Answer:
    """Run one query.

    Raises:
        OsqueryQueryError: If osqueryd refuses it, with its words.
        OsqueryError: Another of its family, if osqueryd cannot be asked.
    """
    with OsqueryClient(socket, deadline_s=deadline_s) as client:
        return ask(client, sql)


def recon(extra: Sequence[str] = (), *, socket: bytes | str = DEFAULT_SOCKET, deadline_s: float = 60.0) -> list[ReconResult]:
    """Run all recon queries, and then ``extra``; see :func:`fimkit.osquery.recon.run_recon`."""
    with OsqueryClient(socket) as client:
        return run_recon(client, plan_recon(extra), deadline_s=deadline_s)


def query_frame(sql: str, *, socket: bytes | str = DEFAULT_SOCKET, deadline_s: float = 10.0) -> "pd.DataFrame":
    """Run one query and give a typed frame; see :func:`frame_of`.

    Raises:
        OsqueryQueryError: If osqueryd refuses it, with its words.
        OsqueryError: Another of its family, if osqueryd cannot be asked.
    """
    return frame_of(query(sql, socket=socket, deadline_s=deadline_s))


def frame_of(answer: Answer) -> "pd.DataFrame":
    """Make a frame of an answer.

    Returns:
        The answer's columns and n rows, in its order. INTEGER and BIGINT are Int64, UNSIGNED BIGINT UInt64, DOUBLE float64, with
        missing values where osquery's text is empty; all else is str, escaped as paths are in every output (``%XX``). A column
        with a value that is no number of its type stays str: ``attrs["notes"]`` says so.
    """
    import pandas as pd  # slow to load: only when a frame is wanted

    frame, notes = pd.DataFrame(index=range(len(answer.rows))), []
    for name, kind in answer.columns:
        texts = [row.get(name, "") for row in answer.rows]
        try:
            frame[_text(name)] = _column(texts, kind)
        except (ValueError, OverflowError) as error:
            notes.append(f"{name} stays text: {error}")
            frame[_text(name)] = _column(texts, "TEXT")
    frame.attrs["notes"] = notes
    return frame


def _text(value: str) -> str:
    return render_path(value.encode("utf-8", "surrogateescape"))


def _column(texts: Sequence[str], kind: str) -> "pd.Series[Any]":
    import numpy as np
    import pandas as pd

    if kind in _INTEGERS:
        # By way of numpy's own type: pandas may go by way of floats, which have 53 bits, and does not say where that is too few.
        whole = np.array([int(text) if text else 0 for text in texts], dtype=_INTEGERS[kind])
        return pd.Series(pd.arrays.IntegerArray(whole, np.array([not text for text in texts], dtype=bool)))
    if kind == "DOUBLE":
        return pd.Series([float(text) if text else None for text in texts], dtype="float64")
    return pd.Series([_text(text) for text in texts], dtype="str")
