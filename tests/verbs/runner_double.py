"""A small double of the panic's runner: it writes down what it is told, and answers, dies or hangs as its first argument says."""

import json
import os
import signal
import sys
import time
from pathlib import Path

__all__: list[str] = []


def main() -> None:
    kind, log = sys.argv[1], Path(sys.argv[2])
    for line in sys.stdin:
        row = json.loads(line)
        with log.open("a") as file:
            file.write(json.dumps({**row, "pid": os.getpid()}) + "\n")
        if row["do"] == "start":
            say({"phase": "armed"})
            if kind == "babbles":
                sys.stdout.write("no message\n[1]\n")
                sys.stdout.flush()
        if row["do"] == "end":
            return
        if "n" in row:
            answer(kind, row, log)


def answer(kind: str, row: dict[str, object], log: Path) -> None:
    starts = log.read_text().count('"do": "start"')
    if kind == "dies" or (kind == "dies once" and starts == 1):
        os._exit(7)
    if kind == "stops once" and starts == 1:
        log.with_suffix(".stopped").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    while kind == "hangs" and not log.with_suffix(".go").exists():
        time.sleep(0.01)
    say({"say": f"heard {row['do']}"})
    say({"done": row["n"], "panic": "2026-11-22T103000Z" if row.get("findings") else None})


def say(row: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":  # the doctests of the tests import this too
    main()
