"""The program that osqueryd starts by itself: a small script that runs ``fimkit extension`` with the arguments that osqueryd gives.

osqueryd starts a file that is named in its ``extensions.load``, ends in ``.ext``, belongs to root, and that nobody else can write
to; the same for its folder. It passes ``--socket S --timeout N --interval N`` and perhaps ``--verbose``.
"""

import os

from fimkit.model.errors import HostError, clip

__all__ = ["EXTENSION_FILE", "LOAD_LINE", "NAME", "render_script"]

NAME = "fimkit"
"""Under this name the extension registers: osqueryd knows at most one of it."""

EXTENSION_FILE = "/usr/lib/osquery/extensions/fimkit.ext"

LOAD_LINE = EXTENSION_FILE + "\n"
"""What ``extensions.load`` is to have, as a line of its own."""

# Linux before 5.1 cuts the first line of a script at 127 bytes, later ones at 255. Source: BINPRM_BUF_SIZE, binfmts.h.
_LONGEST_FIRST_LINE = 127

_DIRECT = """\
#!{python} -I
# Written by `fimkit install`: osqueryd starts this, and it adds fimkit's tables to osquery. Isolated (-I): neither the
# environment nor the working folder decides what is imported.
import sys

from fimkit.extension import main

sys.exit(main(["--config", {config}], sys.argv[1:]))
"""

_INDIRECT = """\
#!{base} -IS
# Written by `fimkit install`: osqueryd starts this, and it adds fimkit's tables to osquery. The interpreter's own path does not
# fit into a first line, so another one starts it; isolated (-I), both of them.
import os
import sys

PYTHON = {python}
CODE = {code}
os.execv(PYTHON, [PYTHON, "-I", "-c", CODE, *sys.argv[1:]])
"""

_CODE = 'import sys; from fimkit.extension import main; sys.exit(main(["--config", {config}], sys.argv[1:]))'


def _fits(python: str) -> bool:
    line = f"#!{python} -IS\n"
    return len(os.fsencode(line)) <= _LONGEST_FIRST_LINE and not any(char.isspace() for char in python)


def render_script(python: str, config_path: str, *, base: str | None = None) -> bytes:
    """Write the script.

    Args:
        python: The interpreter that has fimkit, absolute: that of a virtual environment stays what it is.
        config_path: fimkit's configuration, absolute.
        base: An interpreter that can start ``python`` where its path is too long for a script's first line, or has a blank in it;
            by default the one that ``python`` is a link to.

    Raises:
        HostError: If a path is relative, or none of the two fits.

    >>> print(render_script("/opt/fimkit/bin/python", "/etc/fimkit/fimkit.toml").decode().splitlines()[0])
    #!/opt/fimkit/bin/python -I
    """
    for path in (python, config_path):
        if not path.startswith("/") or "\0" in path:
            raise HostError(f"{clip(path)} is no absolute path: osqueryd could not start the extension")
    if _fits(python):
        return os.fsencode(_DIRECT.format(python=python, config=ascii(config_path)))
    starter = os.path.realpath(python) if base is None else base
    if not _fits(starter):
        raise HostError(f"neither {clip(python)} nor {clip(starter)} fits into a script's first line: use a shorter path")
    code = _CODE.format(config=ascii(config_path))
    return os.fsencode(_INDIRECT.format(base=starter, python=ascii(python), code=ascii(code)))
