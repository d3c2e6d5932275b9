"""`fimkit collect`: what an analyst needs of this host, in a folder or an archive."""

import argparse
import os
from pathlib import Path

from fimkit.commands.printing import add_json, print_json, print_words
from fimkit.commands.progress import Progress
from fimkit.model.config_text import load_config
from fimkit.model.paths import render_path, render_terminal

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where to."""
    parser.add_argument(
        "--output", metavar="FOLDER|ARCHIVE", type=Path, required=True,
        help="a new folder, or an archive by its name: .tar.zst, .tar.gz, .tgz, .tar; for its owner alone",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="take the hash of a file whose times did not move from the baseline"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Collect.

    Returns:
        0, also where something could not be had: that is said on standard error, and in the collection.
    """
    config = load_config(arguments.config)
    from fimkit.verbs.collect import CollectOptions, collect

    with Progress("looking") as progress:
        found = collect(
            config, CollectOptions(output=Path(os.path.abspath(arguments.output)), quick=arguments.quick, on_progress=progress.show)
        )
    if arguments.json:
        print_json({"name": file.name, "size": file.size, "sha256": file.sha256} for file in found.files)
    else:
        for file in found.files:
            print(f"{file.sha256}  {file.size:>14,}  {render_terminal(file.name)}")
        print(f"collected into {render_terminal(render_path(os.fsencode(found.output)))}")
    print_words(found.words)
    return 0
