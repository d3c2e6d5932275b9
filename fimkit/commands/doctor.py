"""`fimkit doctor`: what on this host would keep a change from being seen, or a panic from working, each with its remedy."""

import argparse
import sys
from collections import Counter

from fimkit.commands.advice_text import render_advice_lines
from fimkit.commands.printing import add_json, print_json
from fimkit.model.advice import Level, render_advice
from fimkit.model.config_text import load_config
from fimkit.model.meanings import MEANINGS

__all__ = ["add_arguments", "run"]

_WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json`` and ``--checks``."""
    add_json(parser)
    parser.add_argument("--checks", action="store_true", help="print what each check means, by its code, and end")


def run(arguments: argparse.Namespace) -> int:
    """Look and print.

    Returns:
        1 if there is a trap or a warning, else 0; 0 after ``--checks``.
    """
    if arguments.checks:
        _print_meanings(as_json=arguments.json)
        return 0
    config = load_config(arguments.config)
    from fimkit.verbs.doctor import DoctorHost, doctor, is_healthy

    found = doctor(config, DoctorHost(config_file=arguments.config))
    if arguments.json:
        print_json(map(render_advice, found))
    else:
        for line in render_advice_lines(found, width=_WIDTH):
            print(line)
    counts = Counter(one.level for one in found)
    words = ", ".join(f"{counts[level]} {level.value}{'' if counts[level] == 1 else 's'}" for level in Level if counts[level])
    print(f"found: {words or 'nothing'}", file=sys.stderr)
    return 0 if is_healthy(found) else 1


def _print_meanings(*, as_json: bool) -> None:
    if as_json:
        print_json({"code": code, "meaning": words} for code, words in MEANINGS.items())
        return
    width = max(map(len, MEANINGS))
    for code, words in MEANINGS.items():
        print(f"{code:<{width}}  {words}")
