"""``python -m fimkit.testing.osqueryd FLAGS…``: runs the stand-in until it is asked to stop."""

import sys

from fimkit.testing.osqueryd.daemon import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
