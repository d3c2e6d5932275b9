"""The command of a process of fimkit's own: one module's ``main`` in a fresh interpreter. Pure."""

import sys
from pathlib import Path

import fimkit

__all__ = ["own_command"]


def own_command(module: str, *words: str) -> tuple[str, ...]:
    """Give the command that runs ``main()`` of a module of this very fimkit.

    With ``-I`` nothing is imported from a folder or an environment that somebody else chose; where fimkit is, is said.

    Args:
        module: Its whole name.
        words: What ``main`` finds in ``sys.argv[1:]``.

    >>> own_command("fimkit.verbs.watch_rescan")[1:3]
    ('-I', '-c')
    """
    code = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {module} import main; sys.exit(main())"
    return (sys.executable, "-I", "-c", code, str(Path(fimkit.__file__).parents[1]), *words)
