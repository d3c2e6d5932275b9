"""`fimkit fleet`: many hosts together, and which change is on how many of them."""

import argparse
import os
import sys
from pathlib import Path

from fimkit.commands.export_format import add_format, refuse_terminal
from fimkit.commands.printing import add_json, print_json, print_words, terminal_width
from fimkit.model.errors import UsageError
from fimkit.model.paths import render_path, render_terminal
from fimkit.report.export_formats import Format

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the hosts, who does the work, and how it is shown."""
    parser.add_argument(
        "folders", metavar="FOLDER", type=Path, nargs="+",
        help="what `fimkit collect` made of hosts, copied state folders, findings as JSON lines or Parquet, and folders of these",
    )  # fmt: skip
    parser.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="a Dask scheduler, as tcp://192.0.2.10:8786: its workers judge the hosts, and see the folders by the same names",
    )  # fmt: skip
    add_json(parser)
    add_format(parser, required=False)
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a report for people instead: one HTML file")


def run(arguments: argparse.Namespace) -> int:
    """Judge and print.

    Returns:
        1 if anything was found, else 2 if a host could not be judged, else 0.
    """
    if sum((arguments.json, arguments.format is not None, arguments.html is not None)) > 1:
        raise UsageError("--json, --format and --html are ways to show the same; give one")
    format = None if arguments.format is None else Format(arguments.format)
    if format is not None:
        refuse_terminal(format)
    from fimkit.commands.fleet_text import render_fleet
    from fimkit.model.json_form import render_finding
    from fimkit.report.text import render_summary
    from fimkit.verbs.fleet import judge_fleet, report_fleet  # pandas: only when it is needed

    fleet = judge_fleet(arguments.folders, scheduler=arguments.scheduler, on_done=_show_progress)
    if format is not None:
        from fimkit.report.export_rows import ExportRow
        from fimkit.verbs.export import write_rows

        write_rows(format, [ExportRow(finding=finding) for finding in fleet.findings], sys.stdout.buffer)
    elif arguments.html is not None:
        report_fleet(fleet, arguments.html)
        print(f"written: {render_terminal(render_path(os.fsencode(arguments.html)))}")
    elif arguments.json:
        print_json(map(render_finding, fleet.findings))
    else:
        for line in render_fleet(fleet.changes, width=terminal_width()):
            print(line)
    judged = f"{len(fleet.hosts):,} host{'' if len(fleet.hosts) == 1 else 's'} judged"
    if fleet.broken:
        judged += f", {len(fleet.broken):,} place{'' if len(fleet.broken) == 1 else 's'} could not be"
    print_words([*fleet.problems[:15], *_rest(fleet.problems), f"{judged}; {render_summary(fleet.findings)}"])
    return 1 if fleet.findings else 2 if fleet.broken else 0


def _rest(problems: tuple[str, ...]) -> list[str]:
    return [f"and {len(problems) - 15:,} more like these"] if len(problems) > 15 else []


def _show_progress(done: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{done:,} places judged\r")
        sys.stderr.flush()
