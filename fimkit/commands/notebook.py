"""`fimkit notebook`: an investigation, run on this host's data and written as a page."""

import argparse
from pathlib import Path

from fimkit.model.errors import UsageError
from fimkit.verbs.notebook_places import list_notebooks

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to run, on what, and where it goes."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="such as 01_triage, or 01; without one, the notebooks there are")
    parser.add_argument(
        "--source", metavar="PATH", action="append", default=[],
        help="a state folder, a collected folder or many of them, logs, findings; may be repeated; default: this host's store",
    )  # fmt: skip
    parser.add_argument("--sample", action="store_true", help="run it on the sample that fimkit carries")
    parser.add_argument("--since", metavar="TIME", help="only what was still seen then or later: RFC 3339, a date, or e.g. 24h")
    parser.add_argument(
        "-p", "--parameter", metavar="NAME=VALUE", action="append", default=[], help="one of the notebook's own; may be repeated"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="the page to write; default: NAME.html here")
    parser.add_argument("--ipynb", metavar="FILE", type=Path, help="the executed notebook to write, to go on in Jupyter")


def run(arguments: argparse.Namespace) -> int:
    """List the notebooks, or run one and print where it is.

    Returns:
        0, also where the notebook shows findings.
    """
    if arguments.name is None:
        for name, title in list_notebooks().items():
            print(f"{name:22} {title}")
        return 0
    if arguments.sample and arguments.source:
        raise UsageError("--sample and --source: expected one of them")
    from fimkit.verbs.notebook import Ask, run_notebook
    from fimkit.verbs.notebook_places import find_notebook

    parameters = dict(_pair(text) for text in arguments.parameter)
    if arguments.since is not None:
        parameters["since"] = arguments.since
    config = "" if arguments.sample or (arguments.source and not Path(arguments.config).is_file()) else arguments.config
    stem = find_notebook(arguments.name).stem
    html = arguments.html or (Path(f"{stem}.html") if arguments.ipynb is None else None)
    ask = Ask(name=stem, sources=arguments.source, config=config, parameters=parameters)
    run_notebook(ask, html=html, ipynb=arguments.ipynb)
    for file in (html, arguments.ipynb):
        if file is not None:
            print(file)
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise UsageError(f"--parameter {text!r}: expected NAME=VALUE")
    return name, value
