"""`fimkit extension`: fimkit's tables in osquery. osqueryd starts it, or anybody who may talk to osqueryd's socket."""

import argparse
import sys
from collections.abc import Iterable

from fimkit.model.config_text import load_config
from fimkit.model.paths import render_terminal
from fimkit.osquery.columns import TABLES

__all__ = ["add_arguments", "run"]


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is no time; expected seconds, at most a day")
    return seconds


def _megabytes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text} is no size; expected megabytes, 1 to 1024")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: the first four are those that osqueryd gives an extension."""
    parser.add_argument("--socket", metavar="S", help="osqueryd's --extensions_socket; default: [sources].osquery_socket")
    parser.add_argument("--timeout", metavar="N", type=_seconds, default=3.0, help="seconds to wait for osqueryd at the start (3)")
    parser.add_argument("--interval", metavar="N", type=_seconds, default=3.0, help="seconds between two looks for it (3)")
    parser.add_argument("--verbose", action="store_true", help="say on standard error what happens, not only what is refused")
    parser.add_argument(
        "--max-answer-mb", metavar="N", type=_megabytes, default=64,
        help="refuse answers larger than this (64); Thrift's readers take up to 100, osqueryd's watchdog ends it at 200",
    )  # fmt: skip
    parser.add_argument("--columns", action="store_true", help="print what the tables and columns mean, and end")


_HIDDEN = " (hidden: only where it is named)"


def _reference() -> Iterable[str]:
    for table in TABLES:
        yield f"{table.name}: {table.words}"
        width = max(len(column.name) for column in table.columns)
        for column in table.columns:
            yield f"  {column.name:<{width}} {column.type.value:<6}  {column.words}{_HIDDEN * column.hidden}"


def _say(words: str) -> None:
    print(f"fimkit: {render_terminal(words)}", file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> int:
    """Serve, or print the reference.

    Returns:
        0.
    """
    if arguments.columns:
        print("\n".join(_reference()))
        return 0
    config = load_config(arguments.config)
    from fimkit.verbs.extension import ExtensionOptions, serve_tables

    serve_tables(
        config,
        ExtensionOptions(
            socket=arguments.socket or config.sources.osquery_socket.decode("utf-8", "surrogateescape"),
            timeout_s=arguments.timeout,
            interval_s=max(arguments.interval, 0.1),
            most_mb=arguments.max_answer_mb,
            config_file=arguments.config,
        ),
        say=_say if arguments.verbose else lambda words: _say(words) if words.startswith("refused: ") else None,
    )
    return 0
