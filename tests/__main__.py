"""The whole test command, `python -m tests [PYTEST ARGUMENT…]`: the house rules, then every test. All run, whatever fails."""

import json
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


CACHE = ".pytest_cache/whole"  # of whole runs alone: what failed in others is no concern of this
FAILED = 1  # pytest's exit status for failed tests, and for nothing else
FEW = 3


def _run(title: str, words: list[str]) -> int:
    print(f"== {title}: {' '.join(words)}", flush=True)
    return subprocess.run([SCRIPTS / words[0], *words[1:]], cwd=ROOT, check=False).returncode


def _failed() -> list[str]:
    try:
        return list(json.loads((ROOT / CACHE / "v/cache/lastfailed").read_text("utf-8")))
    except (OSError, ValueError):
        return []


def _run_tests(arguments: list[str]) -> bool:
    """Run the tests; of very few that failed, ask once more, by themselves.

    Many tests are held against the kernel's audit, real networks and clocks: one that fails beside others and passes alone is a
    matter of this machine's load. Both looks are printed; a test that fails twice, or more than a few that fail, is a failure.
    """
    words = ["pytest", f"--override-ini=cache_dir={CACHE}", *arguments]
    status = _run("tests", [*words, "--cache-clear"])
    failed = _failed()
    if status != FAILED or not 0 < len(failed) <= FEW:
        return status == 0
    print("== failed once:", *failed, sep="\n   ", flush=True)
    again = _run("those alone, a second and last time", [*words, "--last-failed"])
    print("== failed twice" if again else "== each of them passed alone", flush=True)
    return again == 0


def main(arguments: list[str]) -> int:
    """Run all of it; the tests come last, so that their summary is the last line.

    Returns:
        0 if everything passed, 1 if anything did not.
    """
    broken = [title for title, words in HOUSE_RULES.items() if _run(title, words)]
    print(f"== house rules: {'broken: ' + ', '.join(broken) if broken else 'kept'}", flush=True)
    passed = _run_tests(arguments)
    return 0 if passed and not broken else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
