"""The door that osqueryd takes: the same as ``fimkit extension``, for the script that ``install`` writes."""

import sys
from collections.abc import Sequence

from fimkit import cli

__all__ = ["main"]


def main(before: Sequence[str] = (), arguments: Sequence[str] | None = None) -> int:
    """Run the extension.

    Args:
        before: Words before the verb, as ``--config FILE``.
        arguments: What osqueryd gave; by default this process's own.

    Returns:
        The exit status of ``fimkit extension``.
    """
    return cli.main([*before, "extension", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
