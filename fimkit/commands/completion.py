"""`fimkit completion`: a shell's completion, made of the same arguments as the help."""

import argparse
from collections.abc import Iterator

__all__ = ["add_arguments", "run"]

_SHELLS = ("bash", "zsh", "fish")
_FILES, _FOLDERS = frozenset({"FILE", "PATH"}), frozenset({"DIR"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the shell."""
    parser.add_argument("shell", choices=_SHELLS, help="which shell's; the output belongs into a file that it reads")
    parser.epilog = (
        "bash: fimkit completion bash > /usr/share/bash-completion/completions/fimkit; "
        "zsh: > /usr/local/share/zsh/site-functions/_fimkit; fish: > /etc/fish/completions/fimkit.fish"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print it.

    Returns:
        0.
    """
    import shtab  # only here

    parser: argparse.ArgumentParser = arguments.whole_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Walk through a parser's actions, and those of its verbs; argparse has no other way to them."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
