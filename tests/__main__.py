"""The whole test command, `python -m tests [PYTEST ARGUMENT…]`: the house rules, then every test. All run, whatever fails."""

import subprocess
import sys
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(sys.executable).parent
HOUSE_RULES = {
    "ruff": ["ruff", "check", "--output-format=concise"],
    "types": ["mypy"],
    "floors": ["lint-imports", "--no-logo"],
}


def _run(title: str, words: list[str]) -> bool:
    print(f"== {title}: {' '.join(words)}", flush=True)
    return subprocess.run([SCRIPTS / words[0], *words[1:]], cwd=ROOT, check=False).returncode == 0


def main(arguments: list[str]) -> int:
    """Run all of it; the tests come last, so that their summary is the last line.

    Returns:
        0 if everything passed, 1 if anything did not.
    """
    broken = [title for title, words in HOUSE_RULES.items() if not _run(title, words)]
    print(f"== house rules: {'broken: ' + ', '.join(broken) if broken else 'kept'}", flush=True)
    passed = _run("tests", ["pytest", *arguments])
    return 0 if passed and not broken else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
