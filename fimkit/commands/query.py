"""`fimkit query`: ask this host's osqueryd, one query or all of the recon."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimkit.commands.printing import add_json, print_json, print_words, terminal_width
from fimkit.model.config import Config
from fimkit.model.config_text import load_config
from fimkit.model.errors import OsqueryQueryError, UsageError
from fimkit.model.paths import render_path
from fimkit.report.rows import render_rows

if TYPE_CHECKING:
    from fimkit.osquery.recon import ReconResult

__all__ = ["add_arguments", "run"]

_DEADLINE_S = 10.0
_RECON_DEADLINE_S = 60.0


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is no time; expected seconds, more than 0 and at most a day")
    return seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("sql", metavar="SQL", nargs="?", help="one SELECT, in osquery's SQLite")
    parser.add_argument("--recon", action="store_true", help="run all recon queries and [panic].recon_queries, most volatile first")
    parser.add_argument("--socket", metavar="PATH", help="osqueryd's --extensions_socket; default: [sources].osquery_socket")
    parser.add_argument(
        "--deadline",
        metavar="S",
        type=_seconds,
        help=f"seconds for the whole; default: {_DEADLINE_S:g}, with --recon {_RECON_DEADLINE_S:g}",
    )
    add_json(parser)


def _config(arguments: argparse.Namespace) -> Config | None:
    """Read the configuration; a host that has none yet can be asked with ``--socket``."""
    if arguments.socket is not None and (not arguments.recon or not Path(arguments.config).exists()):
        return None
    return load_config(arguments.config)


def run(arguments: argparse.Namespace) -> int:
    """Ask and print.

    Returns:
        0 if osqueryd has answered; for --recon, if it has answered anything.

    Raises:
        UsageError: If osqueryd refuses the SQL (exit 2).
        OsqueryError: If it cannot be asked (exit 3).
    """
    if (arguments.sql is None) != arguments.recon:
        raise UsageError("expected one query, as in `fimkit query \"SELECT * FROM listening_ports\"`, or --recon")
    config = _config(arguments)
    socket = arguments.socket if config is None or arguments.socket is not None else config.sources.osquery_socket
    if arguments.recon:
        return _recon(arguments, socket, config.panic.recon_queries if config else ())
    from fimkit.verbs.query import query  # Thrift: only when it is needed

    try:
        answer = query(arguments.sql, socket=socket, deadline_s=arguments.deadline or _DEADLINE_S)
    except OsqueryQueryError as error:
        raise UsageError(f"osqueryd refuses the query: {error}") from error
    if arguments.json:
        print_json(_objects([name for name, _ in answer.columns], answer.rows))
        return 0
    if answer.rows:
        for line in render_rows(answer.columns, answer.rows, width=terminal_width()):
            print(line)
    print_words([f"{len(answer.rows)} rows" if len(answer.rows) != 1 else "1 row"])
    return 0


def _objects(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Give rows as objects: texts, as osquery itself gives them, in the form that paths have in every output."""
    shown = {name: _text(name) for name in names}
    for row in rows:
        yield {shown[name]: _text(row.get(name, "")) for name in names}


def _text(value: str) -> str:
    return render_path(value.encode("utf-8", "surrogateescape"))


def _recon(arguments: argparse.Namespace, socket: bytes | str, extra: Sequence[str]) -> int:
    from fimkit.verbs.query import recon

    results = recon(extra, socket=socket, deadline_s=arguments.deadline or _RECON_DEADLINE_S)
    if arguments.json:
        print_json(map(_recon_object, results))
    else:
        for result in results:
            _print_result(result)
    answered = sum(result.answer is not None for result in results)
    lacking = sorted({result.lacks for result in results if result.lacks})
    print_words([f"{answered} of {len(results)} queries answered" + (f"; no table {', '.join(lacking)}" if lacking else "")])
    # An answer is an answer, also that it has none of the tables.
    return 0 if answered or lacking else 3


def _recon_object(result: "ReconResult") -> dict[str, Any]:
    names = [name for name, _ in result.answer.columns] if result.answer else []
    return {
        "query": result.query.name,
        "description": result.query.description,
        "sql": result.query.sql,
        "took_s": round(result.took_s, 3),
        "note": result.note,
        "rows": list(_objects(names, result.answer.rows)) if result.answer else None,
    }


def _print_result(result: "ReconResult") -> None:
    print(f"== {result.query.name}: {result.query.description}")
    if result.answer is None:
        print(f"({_text(result.note or '')})")
    elif not result.answer.rows:
        print("(no rows)")
    else:
        for line in render_rows(result.answer.columns, result.answer.rows, width=terminal_width()):
            print(line)
    print()
