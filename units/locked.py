"""Reads requirements.lock for bootstrap, with the standard library alone: it runs before anything is installed.

python -I locked.py CHECKOUT hashes [EXTRA…]   what fimkit needs with these extras, and builds with: pinned, with hashes
python -I locked.py CHECKOUT constraints       all that is in the lock: pinned, without hashes
python -I locked.py CHECKOUT sbom BOM          a CycloneDX document, with the lock's hashes put in
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Locked", "load_lock", "main", "normal", "parse_lock", "pick", "put_hashes", "roots_of", "version_of"]

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?")
_HASH = re.compile(r" +--hash=sha256:(?P<hash>[0-9a-f]{64})(?: \\)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Locked(NamedTuple):
    """One pin. ``via`` are the names of what asks for it; ours, and what it builds with, are not among them."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    via: tuple[str, ...]

    def requirement(self) -> str:
        """Give it as pip reads it, without hashes."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def normal(name: str) -> str:
    """Give a name as the index compares it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_lock(text: str) -> list[Locked]:
    """Read a lock, in its order.

    Raises:
        ValueError: At a line that is none of a lock's, with its number.
    """
    found: list[Locked] = []
    for number, line in enumerate(text.splitlines(), 1):
        if pin := _PIN.fullmatch(line):
            found.append(Locked(normal(pin["name"]), pin["version"], pin["marker"] or "", (), ()))
        elif found and (seen := _HASH.fullmatch(line)):
            found[-1] = found[-1]._replace(hashes=(*found[-1].hashes, seen["hash"]))
        elif found and line.startswith("    #"):
            words = line.removeprefix("    #").strip().removeprefix("via").strip()
            if _NAME.fullmatch(words):
                found[-1] = found[-1]._replace(via=(*found[-1].via, normal(words)))
        elif line and not line.startswith("#"):
            raise ValueError(f"requirements.lock:{number}: {line[:120]!r} is none of a lock's lines")
    return found


def load_lock(checkout: Path) -> list[Locked]:
    """Read a checkout's lock."""
    return parse_lock((checkout / "requirements.lock").read_text(encoding="utf-8"))


def roots_of(project: Mapping[str, Any], extras: Iterable[str]) -> set[str]:
    """Name what pyproject.toml asks for by itself, with some extras, and what it builds with."""
    asked = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in extras:
        asked += project["project"]["optional-dependencies"][extra]
    return {normal(found[0]) for one in asked if (found := _NAME.match(one))}


def pick(locked: Sequence[Locked], roots: Iterable[str]) -> list[Locked]:
    """Choose the roots and all that they need, in the lock's order."""
    wanted = set(roots)
    while more := {one.name for one in locked if not wanted.isdisjoint(one.via)} - wanted:
        wanted |= more
    return [one for one in locked if one.name in wanted]


def put_hashes(bom: dict[str, Any], locked: Iterable[Locked]) -> dict[str, Any]:
    """Give each component of a CycloneDX document the hashes of the files that it may have been installed from.

    They belong to the distribution, of which there are several: one for each Python and processor. Source: CycloneDX 1.6, hashes of
    an external reference.
    """
    known = {(one.name, one.version): one.hashes for one in locked}
    for component in bom.get("components", ()):
        hashes = known.get((normal(component["name"]), component.get("version", "")))
        if hashes:
            component.setdefault("externalReferences", []).append(
                {
                    "type": "distribution",
                    "url": f"https://pypi.org/project/{normal(component['name'])}/{component['version']}/#files",
                    "comment": "one of these files, as requirements.lock has them",
                    "hashes": [{"alg": "SHA-256", "content": content} for content in hashes],
                }
            )
    return bom


def version_of(checkout: Path) -> str:
    """Read fimkit's own version, which pyproject.toml takes from the code."""
    text = (checkout / "fimkit/__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    return str(version)


def main(words: Sequence[str]) -> int:
    """Print what is asked for.

    Returns:
        0.
    """
    checkout, what, *rest = Path(words[0]), *words[1:]
    locked = load_lock(checkout)
    if what == "hashes":
        project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
        for one in pick(locked, roots_of(project, rest)):
            print(one.requirement(), *(f"--hash=sha256:{content}" for content in one.hashes), sep=" \\\n    ")
    elif what == "constraints":
        print("\n".join(one.requirement() for one in locked))
    elif what == "sbom":
        bom = put_hashes(json.loads(Path(rest[0]).read_text(encoding="utf-8")), locked)
        bom["metadata"]["component"]["version"] = version_of(checkout)
        print(json.dumps(bom, indent=2))
    else:
        raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
