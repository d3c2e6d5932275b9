"""The columns of the store as text for a query's answer: which SQL gives a value, and what is made of it. Pure."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from fimkit.evidence.search import Place, Storage
from fimkit.evidence.values import text_out
from fimkit.model.paths import render_path
from fimkit.model.time import render_time

__all__ = ["CELLS", "Cell", "Cells"]

_SECOND_NS = 1_000_000_000


class Cell(NamedTuple):
    """One column of an answer.

    ``sql`` gives the value; ``text`` makes text of it, and is not asked for NULL. ``place`` is where conditions on it go, if any
    can. A cell of the body is made of a finding's JSON object.
    """

    sql: str
    text: Callable[[Any], str | None]
    place: Place | None = None


class Cells(NamedTuple):
    """The columns of one answer, by name; ``tables`` are FROM's, ``joined`` the prefixes of SQL that need ``join`` beside."""

    tables: str
    cells: dict[str, Cell]
    join: str = ""
    joined: str = ""


def _safe(value: str | bytes) -> str:
    """Give text that is UTF-8 and has no NUL in it, at which osquery would cut it."""
    text = text_out(value) or ""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    return text.replace("\0", "\\x00")


def _number(value: int | str) -> str:
    return str(int(value))


def _seconds(time_ns: int | str) -> str:
    return str(int(time_ns) // _SECOND_NS)


def _time(time_ns: int | str) -> str | None:
    try:
        return render_time(int(time_ns))
    except (ValueError, OverflowError, OSError):  # beyond the year 9999: the number beside it says it
        return None


def _octal(mode: int | str) -> str:
    return f"{int(mode):04o}"


def _hex(digest: bytes | str) -> str:
    return digest.hex() if isinstance(digest, bytes) else _safe(digest)


def _place(table: str, name: str, storage: Storage, *, indexed: bool = False) -> Place:
    return Place(table, name, storage, indexed)


def _name_cell(table: str, name: str, *, indexed: bool = False) -> Cell:
    return Cell(name, render_path, _place(table, name, Storage.NAME, indexed=indexed))


def _word_cell(table: str, name: str, *, indexed: bool = False) -> Cell:
    return Cell(name, _safe, _place(table, name, Storage.TEXT, indexed=indexed))


def _number_cell(table: str, name: str) -> Cell:
    return Cell(name, _number, _place(table, name, Storage.NUMBER))


def _time_cell(table: str, name: str, *, indexed: bool = False) -> Cell:
    return Cell(name, _seconds, _place(table, name, Storage.TIME_NS, indexed=indexed))


_BASELINE = Cells("baseline b", {
    "path": _name_cell("baseline b", "b.path", indexed=True),
    "type": _word_cell("baseline b", "b.type"),
    "mode": Cell("b.mode", _octal, _place("baseline b", "b.mode", Storage.OCTAL)),
    **{name: _number_cell("baseline b", f"b.{name}") for name in ("uid", "gid", "size", "inode", "dev", "nlink")},
    "mtime": _time_cell("baseline b", "b.mtime_ns"),
    "mtime_ns": _number_cell("baseline b", "b.mtime_ns"),
    "ctime": _time_cell("baseline b", "b.ctime_ns"),
    "ctime_ns": _number_cell("baseline b", "b.ctime_ns"),
    "sha256": Cell("b.sha256", _hex, _place("baseline b", "b.sha256", Storage.DIGEST)),
    "target": _name_cell("baseline b", "b.target"),
    "xattrs": Cell("b.xattrs", _safe),
    "problem": Cell("b.problem", _safe),
})  # fmt: skip

_IN_CHANGES = "changes c"
_IN_PROCESSES = "processes p"
_CHANGES = Cells(
    _IN_CHANGES,
    {
        "id": Cell(
            "c.time_ns || '-' || lower(hex(c.identity))", _safe, _place(_IN_CHANGES, "c.time_ns, c.identity", Storage.CLAIM)
        ),
        "source": _word_cell(_IN_CHANGES, "c.source"),
        "action": _word_cell(_IN_CHANGES, "c.action"),
        "path": _name_cell(_IN_CHANGES, "c.path", indexed=True),
        "path_sure": _number_cell(_IN_CHANGES, "c.path_sure"),
        "time": _time_cell(_IN_CHANGES, "c.time_ns", indexed=True),
        **{
            name: _number_cell(_IN_CHANGES, f"c.{name}")
            for name in (
                "serial", "item", "dev", "inode", "parent_dev", "parent_inode", "uid", "gid", "size", "mtime_ns", "hash_late",
            )
        },
        "time_ns": _number_cell(_IN_CHANGES, "c.time_ns"),
        "last_time_ns": _number_cell(_IN_CHANGES, "c.last_ns"),
        "mode": Cell("c.mode", _octal, _place(_IN_CHANGES, "c.mode", Storage.OCTAL)),
        "new_mode": Cell("c.new_mode", _octal, _place(_IN_CHANGES, "c.new_mode", Storage.OCTAL)),
        **{name: Cell(f"c.{name}", _safe) for name in ("sha256", "cookie", "error", "node", "syscall", "event")},
        "auid": _number_cell(_IN_PROCESSES, "p.auid"),
        "actor_uid": _number_cell(_IN_PROCESSES, "p.uid"),
        "actor_euid": _number_cell(_IN_PROCESSES, "p.euid"),
        **{name: _number_cell(_IN_PROCESSES, f"p.{name}") for name in ("pid", "ppid", "cmdline_verified", "ses")},
        **{name: _name_cell(_IN_PROCESSES, f"p.{name}") for name in ("exe", "comm")},
        **{name: Cell(f"p.{name}", _safe) for name in ("user", "cmdline", "tty")},
        "actor_time": Cell("CASE WHEN c.process IS NULL THEN NULL ELSE coalesce(c.actor_time_ns, c.time_ns) END", _seconds),
    },
    join="LEFT JOIN processes p ON p.id = c.process",
    joined="p.",
)  # fmt: skip

_IN_FINDINGS = "findings f"
_BODY = "f.body"


def _json(value: Any) -> str:
    return _safe(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _spaced(values: list[str]) -> str:
    return _safe(" ".join(values))


def _plain(value: object) -> str | None:
    if value is None:
        return None
    return str(int(value)) if isinstance(value, int) else _safe(str(value))


def _of_body(name: str, text: Callable[[Any], str | None] = _plain) -> Cell:
    return Cell(_BODY, lambda body: text(body[name]))


def _of_side(side: str, name: str) -> Cell:
    return Cell(_BODY, lambda body: None if body[side] is None else _plain(body[side].get(name)))


def _of_actor(name: str) -> Cell:
    return Cell(_BODY, lambda body: _plain(body["actors"][0].get(name)) if body["actors"] else None)


_FINDINGS = Cells(
    _IN_FINDINGS,
    {
        "id": _word_cell(_IN_FINDINGS, "f.id", indexed=True),
        "host": _word_cell(_IN_FINDINGS, "f.host"),
        "path": _name_cell(_IN_FINDINGS, "f.path", indexed=True),
        "moved_to": _name_cell(_IN_FINDINGS, "f.moved_to"),
        "kind": _word_cell(_IN_FINDINGS, "f.kind"),
        "severity": _word_cell(_IN_FINDINGS, "f.severity", indexed=True),
        "status": _word_cell(_IN_FINDINGS, "f.status"),
        **{name: _of_body(name) for name in ("tier", "verdict", "attribution")},
        **{name: _of_body(name, _spaced) for name in ("changed", "sources", "evidence")},
        **{name: _of_body(name, _json) for name in ("actors", "reasons")},
        "content": Cell(_BODY, lambda body: None if body.get("content") is None else _json(body["content"])),
        **{name: _of_body(name, lambda state: None if state is None else _json(state)) for name in ("before", "after")},
        **{
            name: _of_actor(name)
            for name in ("auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses",
                         "syscall", "event")
        },
        **{
            f"{side}_{name}": _of_side(side, name)
            for side in ("before", "after") for name in ("type", "sha256", "mode", "uid", "gid", "size")
        },
        "first_seen": Cell("f.first_seen_ns", _time),
        "first_seen_time": _time_cell(_IN_FINDINGS, "f.first_seen_ns"),
        "last_seen": Cell("f.last_seen_ns", _time),
        "last_seen_time": _time_cell(_IN_FINDINGS, "f.last_seen_ns"),
        "closed": Cell("f.closed_ns", _time),
        "closed_time": _time_cell(_IN_FINDINGS, "f.closed_ns"),
        "accepted_by": Cell("a.who", _safe),
        "accept_reason": Cell("a.why", _safe),
        "superseded_by": Cell("f.superseded_by", _safe),
    },
    join="LEFT JOIN acceptances a ON a.id = f.acceptance",
    joined="a.",
)  # fmt: skip

CELLS: dict[str, Cells] = {"baseline": _BASELINE, "changes": _CHANGES, "findings": _FINDINGS}
"""The columns of each table's answers."""
