"""The command line: finds the verb, turns errors into words and exit statuses. Imports a verb only when it is called."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from fimkit import __version__
from fimkit.model.errors import ConfigError, FimkitError, SealError, SnapshotError, UsageError
from fimkit.model.paths import render_terminal

__all__ = ["DEFAULT_CONFIG", "VERBS", "main"]

DEFAULT_CONFIG = "/etc/fimkit/fimkit.toml"

VERBS = {
    "init": "write a commented configuration for this host",
    "install": "put the audit rules and the osquery pack in place",
    "uninstall": "take exactly those away again",
    "baseline": "create, show, compare or accept the known good state",
    "check": "rescan, correlate with the records, and print what is new",
    "expect": "announce a change: what comes just so is expected, what departs from it or never comes is a finding",
    "watch": "the same live, as it happens, until it is stopped; --status says how it is doing",
    "investigate": "the same on files collected elsewhere",
    "findings": "what was found on this host, as a table to look through",
    "coverage": "from when to when which sources could see, and what kept the others from it",
    "show": "one finding whole, with the records that it stands on",
    "report": "findings for people: one HTML file with everything in it",
    "export": "findings for other systems: JSON lines, CSV, Parquet, ECS, OCSF, osquery's own; once or as they come",
    "collect": "what an analyst needs of this host, without its secrets, in a folder or an archive",
    "fleet": "many collected hosts together, by a loop or by Dask: what is on nearly all is a roll-out, on one a lead",
    "evidence": "the chain that all evidence is in: its head, whether the store agrees with it, and bundles for other hosts",
    "panic": "arm, try, trigger and undo the defence: evidence, mail, cut",
    "notify": "try the ways to people, see what waits for them, and mute for a time",
    "scan": "content rules on the files of existing trees: keywords and YARA, hits with line and text",
    "notebook": "run an investigation on this host's data, and write it as a page",
    "query": "ask this host's osqueryd, one query or all of the recon",
    "selftest": "a canary in each watched root: which source sees it, and after how long",
    "extension": "fimkit's tables in osquery; osqueryd starts it, see install --extension",
    "doctor": "what on this host would keep a change from being seen, or a panic from working, each with its remedy",
    "completion": "completion for bash, zsh and fish, to be put where the shell reads it",
    "man": "the manual page, to be put where man reads it",
    "demo": "a tampering on a throw-away tree under real audit, found and attributed",
}


def _first_parser() -> tuple[argparse.ArgumentParser, "argparse._SubParsersAction[argparse.ArgumentParser]"]:
    parser = argparse.ArgumentParser(
        prog="fimkit",
        description="What changed, who did it, and is it explained.",
        epilog="Exit status: 0 clean, 1 findings, 2 usage or configuration, 3 the host refused.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help=f"default: $FIMKIT_CONFIG, else {DEFAULT_CONFIG}")
    parser.add_argument("--version", action="version", version=f"fimkit {__version__}")
    return parser, parser.add_subparsers(dest="verb", metavar="VERB", required=True)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = _first_parser()
    for verb, words in VERBS.items():
        verbs.add_parser(verb, help=words, add_help=False)
    return parser


def _whole_parser() -> argparse.ArgumentParser:
    """Make a parser of everything at once, for completion and the manual page: what parses loads one verb alone."""
    parser, verbs = _first_parser()
    for verb, words in VERBS.items():
        importlib.import_module(f"fimkit.commands.{verb}").add_arguments(
            verbs.add_parser(verb, help=words, description=words, allow_abbrev=False)
        )
    return parser


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Part the words up to the verb from the verb's own, which may be anything, ``--`` included."""
    for position, word in enumerate(words):
        if word in VERBS and words[position - 1 : position] != ["--config"]:
            return words[: position + 1], words[position + 1 :]
    return words, []


def _say(words: str) -> None:
    print(f"fimkit: {render_terminal(words)}", file=sys.stderr)


def _say_fault(error: Exception) -> None:
    import traceback

    for line in "".join(traceback.format_exception(error)).splitlines():
        print(render_terminal(line), file=sys.stderr)
    _say("a fault of fimkit's own ended this; what is above belongs into a report of it")


def _drop_output() -> None:
    """What could not be written would be tried again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 clean, 1 findings, 2 usage or configuration, 3 the host refused.
    """
    words, rest = _split(list(sys.argv[1:] if argv is None else argv))
    if not words:
        _parser().print_help(sys.stderr)
        print("\nfimkit: expected a verb", file=sys.stderr)
        return 2
    first = _parser().parse_args(words)
    module = importlib.import_module(f"fimkit.commands.{first.verb}")
    parser = argparse.ArgumentParser(prog=f"fimkit {first.verb}", description=VERBS[first.verb], allow_abbrev=False)
    module.add_arguments(parser)
    arguments = parser.parse_args(rest)
    arguments.whole_parser, arguments.version = _whole_parser, __version__
    arguments.usual_config = os.environ.get("FIMKIT_CONFIG") or DEFAULT_CONFIG
    arguments.config = first.config or arguments.usual_config
    try:
        status: int = module.run(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        for problem in error.problems:
            _say(problem)
        return 2
    except (UsageError, SealError, SnapshotError) as error:
        _say(str(error))
        return 2
    except FimkitError as error:
        _say(str(error))
        return 3
    except BrokenPipeError:
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:  # a full disk behind standard output, say
        _drop_output()
        _say(str(error))
        return 3
    except KeyboardInterrupt:
        print("fimkit: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:  # the edge: Python's own ending would print raw bytes, and its status says that something was found
        _say_fault(error)
        return 3
    return status
