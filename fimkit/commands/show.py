"""`fimkit show`: one finding whole, with its evidence."""

import argparse
import os
import sys

from fimkit.commands.printing import add_json, print_json, print_words
from fimkit.model.config_text import load_config
from fimkit.model.paths import render_path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the finding."""
    parser.add_argument("id", metavar="ID", help="the finding's id, or as much of its beginning as no other has")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it.

    Returns:
        1 if it is open, else 0.
    """
    config = load_config(arguments.config)
    from fimkit.report.change_json import render_change
    from fimkit.report.color import Palette, wants_color
    from fimkit.report.export_formats import render_json
    from fimkit.report.finding_text import render_whole
    from fimkit.verbs.show import show_finding

    shown = show_finding(config, arguments.id)
    if arguments.json:
        records = [{"file": file, "record": render_path(line)} for file, line in shown.records]
        beside = {"diff": shown.diff, "claims": [render_change(change) for change in shown.changes], "records": records}
        print_json([render_json(shown.row) | beside])
    else:
        palette = Palette(colored=wants_color(os.environ, is_terminal=sys.stdout.isatty()))
        for line in render_whole(shown.row, shown.changes, shown.records, diff=shown.diff, palette=palette):
            print(line)
    print_words(shown.words)
    return 1 if shown.row.status == "open" else 0
