"""`fimkit coverage`: from when to when which sources could see, and what kept the others from it."""

import argparse
import time
from collections.abc import Iterator

from fimkit.commands.printing import add_json, print_json, print_words
from fimkit.model.config_text import load_config
from fimkit.model.coverage import HIDES, Sense, render_gap, unseen_ns
from fimkit.model.coverage_json import render_interval
from fimkit.model.paths import parse_path, render_path, render_terminal
from fimkit.model.time import render_time
from fimkit.verbs.coverage import Coverage, coverage
from fimkit.verbs.since import parse_since

__all__ = ["add_arguments", "run"]

_SECOND_NS = 1_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_json(parser)
    parser.add_argument(
        "--since", metavar="TIME", help="from when: RFC 3339, a date, or how long ago (24h); by default since the baseline"
    )
    parser.add_argument("--until", metavar="TIME", help="up to when; by default now")
    parser.add_argument("--path", metavar="PATH", help="what bears on this path and what lies below it alone")
    parser.add_argument("--fail", action="store_true", help="exit with 1 where not all was seen: else this is a statement, and 0")


def run(arguments: argparse.Namespace) -> int:
    """Print it.

    Returns:
        0; with ``--fail`` 1 where there is a gap.
    """
    now_ns = time.time_ns()
    since_ns = None if arguments.since is None else parse_since(arguments.since, now_ns=now_ns)
    until_ns = None if arguments.until is None else parse_since(arguments.until, now_ns=now_ns)
    path = None if arguments.path is None else parse_path(arguments.path.rstrip("/") or "/")
    told = coverage(load_config(arguments.config), since_ns=since_ns, until_ns=until_ns, path=path)
    if arguments.json:
        print_json(map(render_interval, told.intervals()))
    else:
        for line in _lines(told):
            print(line)
    print_words([f"{len(told.gaps)} gap{'s' if len(told.gaps) != 1 else ''}"])
    return 1 if arguments.fail and told.gaps else 0


def _lines(told: Coverage) -> Iterator[str]:
    where = "" if told.path is None else f" of {render_terminal(render_path(told.path))}"
    since, until = (render_time(time_ns // _SECOND_NS * _SECOND_NS) for time_ns in (told.since_ns, told.until_ns))
    yield f"coverage{where} from {since} to {until}"
    for sense in Sense:
        if sense not in told.senses:
            yield f"{sense.value:<8} was never at work here"
            continue
        own = [gap for gap in told.gaps if gap.source is sense]
        if not own:
            yield f"{sense.value:<8} saw all of it"
            continue
        lost_s = unseen_ns(own, since_ns=told.since_ns, until_ns=told.until_ns) / 1e9
        yield f"{sense.value:<8} {len(own)} gap{'s' if len(own) != 1 else ''}, {lost_s:.0f} s in all: {HIDES[sense]}"
    for gap in told.gaps:
        yield f"  {render_gap(gap)}"
