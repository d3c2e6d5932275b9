"""`fimkit findings`: what was found on this host, as a table to look through."""

import argparse
import os
import sys

from fimkit.commands.finding_options import add_finding_options, selection_of, since_of
from fimkit.commands.printing import add_json, print_json, print_words, terminal_width
from fimkit.model.config_text import load_config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the filters."""
    add_finding_options(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them.

    Returns:
        1 if there are any, else 0.
    """
    selection, since_ns = selection_of(arguments), since_of(arguments)
    config = load_config(arguments.config)
    from fimkit.report.color import Palette, wants_color
    from fimkit.report.export_formats import render_json
    from fimkit.report.findings_table import render_table
    from fimkit.report.text import render_summary
    from fimkit.verbs.coverage import gap_words
    from fimkit.verbs.findings import find_findings

    rows = find_findings(config, selection, since_ns=since_ns, only_open=not arguments.all)
    if arguments.json:
        print_json(map(render_json, rows))
    else:
        is_terminal = sys.stdout.isatty()
        palette = Palette(colored=wants_color(os.environ, is_terminal=is_terminal))
        width = terminal_width() if is_terminal else None  # who reads it in a pipe looks for whole paths
        for line in render_table(rows, width=width, palette=palette, with_status=arguments.all):
            print(line)
    unseen = gap_words(config, since_ns=since_ns)
    print_words([render_summary([row.finding for row in rows]) + (f"; {unseen}" if unseen else "")])
    return 1 if rows else 0
