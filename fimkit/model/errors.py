"""The one error tree. Pure.

FimkitError
├── UsageError (ValueError)        exit 2: the command line makes no sense
├── ConfigError (ValueError)       exit 2: every problem of a configuration, at once
├── RecordError (ValueError)       one bad line of a log; counted and kept, never fatal
├── SnapshotError (ValueError)     a snapshot file that is none
├── StoreError (RuntimeError)      the evidence store is of a later version, or damaged
└── HostError (OSError)            exit 3: the host refused (no right, no audit, locked)
"""

from collections.abc import Sequence

__all__ = [
    "ConfigError",
    "FimkitError",
    "HostError",
    "RecordError",
    "SnapshotError",
    "StoreError",
    "UsageError",
    "clip",
]


def clip(value: object, limit: int = 120) -> str:
    """Show a value in a message: its repr, cut at ``limit`` characters.

    >>> clip("abc")
    "'abc'"
    >>> clip("x" * 500, 10)
    "'xxxxxxxx…"
    """
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class FimkitError(Exception):
    """Anything that fimkit itself refuses."""


class UsageError(FimkitError, ValueError):
    """The arguments make no sense together."""


class ConfigError(FimkitError, ValueError):
    """A configuration with one or more problems, each with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Take every problem found, in the order of the file."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class RecordError(FimkitError, ValueError):
    """A line of a log that cannot be read."""


class SnapshotError(FimkitError, ValueError):
    """A snapshot line that is none."""


class StoreError(FimkitError, RuntimeError):
    """The evidence store cannot be used."""


class HostError(FimkitError, OSError):
    """The host refused: a missing right, a missing feature, a lock."""
