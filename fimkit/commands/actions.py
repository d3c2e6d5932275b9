"""The actions of a verb that has several, as ``create`` of ``fimkit baseline``: each one's own help says what it does."""

import argparse

__all__ = ["add_action"]


def add_action(actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, words: str) -> argparse.ArgumentParser:
    """Declare one action: what the verb's help says in its list begins the action's own help too."""
    return actions.add_parser(name, help=words, description=words, allow_abbrev=False)
