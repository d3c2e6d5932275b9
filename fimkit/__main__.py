"""`python -m fimkit`: the same as the command `fimkit`."""

import sys

from fimkit.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
