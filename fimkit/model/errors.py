"""The one error tree. Pure.

FimkitError
├── UsageError (ValueError)        exit 2: the command line makes no sense
├── ConfigError (ValueError)       exit 2: every problem of a configuration, at once
├── RecordError (ValueError)       one bad line of a log; counted and kept, never fatal
├── SnapshotError (ValueError)     a snapshot file that is none
├── PackageError (ValueError)      a package, index, signature or package database that is none; never fatal
├── SealError (ValueError)         a seal, a key or a request to seal that is none
├── StoreError (RuntimeError)      the evidence store is of a later version, or damaged
├── OsqueryError                   exit 3: osqueryd did not give what was asked for
│   ├── OsqueryAbsentError (ConnectionError)    no socket, or nobody behind it
│   ├── OsqueryDeniedError (PermissionError)    no right to its socket
│   ├── OsqueryLostError (ConnectionError)      it went away in the middle of an answer
│   ├── OsqueryProtocolError (ValueError)       what answers there is no osqueryd
│   ├── OsqueryQueryError (ValueError)          it refuses the query, in its own words
│   └── OsqueryTimeoutError (TimeoutError)      no whole answer before the deadline
└── HostError (OSError)            exit 3: the host refused (no right, no audit, locked)
"""

from collections.abc import Sequence

__all__ = [
    "ConfigError",
    "FimkitError",
    "HostError",
    "OsqueryAbsentError",
    "OsqueryDeniedError",
    "OsqueryError",
    "OsqueryLostError",
    "OsqueryProtocolError",
    "OsqueryQueryError",
    "OsqueryTimeoutError",
    "RecordError",
    "SealError",
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


class PackageError(FimkitError, ValueError):
    """A package, an index, a signature or a package database that cannot be used: what it would prove stays unproved."""


class SealError(FimkitError, ValueError):
    """A seal, a key or a request to seal that is none, or is not what is needed."""


class StoreError(FimkitError, RuntimeError):
    """The evidence store cannot be used."""


class OsqueryError(FimkitError):
    """Anything that keeps osqueryd's answer from us."""


class OsqueryAbsentError(OsqueryError, ConnectionError):
    """There is no socket, or nobody listens behind it."""


class OsqueryDeniedError(OsqueryError, PermissionError):
    """This user may not talk to osqueryd."""


class OsqueryLostError(OsqueryError, ConnectionError):
    """The connection ended in the middle of an answer."""


class OsqueryProtocolError(OsqueryError, ValueError):
    """What answers there is no osqueryd, or not its manager's socket."""


class OsqueryQueryError(OsqueryError, ValueError):
    """osqueryd refuses the query; ``message`` is its own words, ``code`` its own code."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        """Take osqueryd's words."""
        self.message = message
        self.code = code
        super().__init__(message)


class OsqueryTimeoutError(OsqueryError, TimeoutError):
    """No whole answer came before the deadline."""


class HostError(FimkitError, OSError):
    """The host refused: a missing right, a missing feature, a lock."""

    def __str__(self) -> str:
        """Give the words alone: an error number beside them is no help to who reads them.

        >>> str(HostError(2, "no helper answers"))
        'no helper answers'
        """
        return self.strerror or super().__str__()
