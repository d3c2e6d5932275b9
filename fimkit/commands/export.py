"""`fimkit export`: findings for other systems, once or as they come."""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from fimkit.commands.export_format import add_format, refuse_terminal
from fimkit.commands.finding_options import add_finding_options, selection_of, since_of
from fimkit.commands.printing import print_words
from fimkit.model.config_text import load_config
from fimkit.model.errors import UsageError
from fimkit.model.paths import render_path
from fimkit.report.export_formats import Format
from fimkit.verbs.export import ExportOptions, feed_findings, stream_export, write_export

__all__ = ["add_arguments", "run"]

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the format, where to, and which findings."""
    add_format(parser, required=True)
    parser.add_argument("--output", metavar="FILE", type=Path, help="write to FILE, private, in place of standard output")
    parser.add_argument(
        "--follow", action="store_true",
        help="go on as findings come, each once, whatever becomes of it later; with --output append, and follow a rotation",
    )  # fmt: skip
    parser.add_argument(
        "--cursor", metavar="FILE", type=Path,
        help="keep the place in FILE, so that each finding comes once, also in another run; with --follow and --output, "
        "by default the output's name with .cursor behind it",
    )  # fmt: skip
    add_finding_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Hand them out.

    Returns:
        0, whether there are any or not: their number is said on standard error.
    """
    config = load_config(arguments.config)
    output: Path | None = arguments.output
    goes_on = arguments.follow or arguments.cursor is not None
    if goes_on and arguments.all:
        raise UsageError("--follow and --cursor hand out each finding once, also those closed since: --all has no meaning there")
    options = ExportOptions(
        format=Format(arguments.format), selection=selection_of(arguments), since_ns=since_of(arguments),
        only_open=not arguments.all, cursor=arguments.cursor or _beside(output if arguments.follow else None),
    )  # fmt: skip
    if goes_on:
        with _stoppable() as wait:
            feed_findings(
                config, options, output, stream=sys.stdout.buffer, say=lambda words: print_words([words]),
                wait=wait if arguments.follow else None,
            )  # fmt: skip
    elif output is not None:
        count = write_export(config, options, output)
        print_words([f"{count} finding{'' if count == 1 else 's'} written to {render_path(os.fsencode(output))}"])
    else:
        refuse_terminal(options.format)
        stream_export(config, options, sys.stdout.buffer)
    return 0


def _beside(output: Path | None) -> Path | None:
    return None if output is None else output.with_name(output.name + ".cursor")


@contextlib.contextmanager
def _stoppable() -> Iterator[Callable[[float], bool]]:
    """Give what waits and says whether to go on: the first signal ends it between two looks, a second one at once."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        for one in _STOPS:
            signal.signal(one, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in _STOPS}
    try:
        yield lambda seconds: not stopped.wait(seconds)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
