"""Makes a venv ready for another place, with the standard library alone: python -I relocate.py MADE PLACE.

Its scripts, its activation and its configuration name the folder that it was made in; what pip wrote down of the scripts follows.
"""

import base64
import hashlib
import sys
from pathlib import Path

__all__ = ["main", "relocate"]


def relocate(made: Path, place: Path) -> list[Path]:
    """Have a venv name the place that it is going to; give the files that were changed. Links, and what is compiled, stay."""
    old, new = bytes(made), bytes(place)
    changed = []
    for path in sorted([*(made / "bin").iterdir(), made / "pyvenv.cfg"]):
        if not path.is_symlink() and path.is_file() and old in (text := path.read_bytes()):
            path.write_bytes(text.replace(old, new))
            changed.append(path)
    for record in made.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        text = record.read_text(encoding="utf-8")
        lines = [_renew(line, changed) for line in text.splitlines(keepends=True)]
        if lines != text.splitlines(keepends=True):
            record.write_text("".join(lines), encoding="utf-8", newline="")
    return changed


def _renew(line: str, changed: list[Path]) -> str:
    """Give a script's line anew. Source: the packaging guide, recording installed projects: path, hash, size."""
    for path in changed:
        if line.startswith(f"../../../bin/{path.name},"):
            text = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode("ascii")
            return f"../../../bin/{path.name},sha256={digest},{len(text)}\n"
    return line


def main() -> int:
    """Relocate; give 0."""
    relocate(Path(sys.argv[1]), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
