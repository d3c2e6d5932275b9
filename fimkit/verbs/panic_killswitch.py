"""What the killswitch of a panic may do on the day: found before, for whoever arms has more rights than whoever watches."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.panic.rights import RIGHTS
from fimkit.verbs.watch_status import load_watch_status

__all__ = ["check_killswitch"]


def check_killswitch(config: Config, proc: Path = Path("/proc")) -> Iterator[Advice]:
    """The killswitch has the rights of who watches, not of who arms."""
    if not config.panic.killswitch:
        return
    status = load_watch_status(config.host.state_dir)
    kept = _killswitch_rights(status.pid, proc) if status is not None and status.running else None
    if kept is None:
        problem = (
            "no watch runs that would keep rights for the killswitch commands: a check gives them what it has itself, which is all"
            " of root's from cron, and DAC_READ_SEARCH, NET_RAW and SYS_PTRACE in fimkit-check.service."
        )
    elif kept >= set(RIGHTS[: _last_right(proc) + 1]):
        return
    else:
        problem = (
            f"in a panic the killswitch commands have these rights alone: {', '.join(sorted(kept)) or 'none'}. A command that needs"
            " another one fails then (poweroff -f: SYS_BOOT; systemctl poweroff asks systemd, and needs none)."
        )
    yield Advice(
        code="panic-killswitch-rights",
        level=Level.WARNING,
        where="[panic] killswitch",
        problem=problem,
        remedy="systemctl edit fimkit-watch fimkit-check: under [Service], CapabilityBoundingSet=CAP_… and SystemCallFilter=@… of"
        " what the commands need; systemctl restart fimkit-watch; then fimkit panic arm",
    )


def _killswitch_rights(watch: int, proc: Path) -> set[str] | None:
    """Name the rights of the process that a watch's runner keeps for the killswitch; ``None`` where there is none to be seen."""
    parents: dict[int, int] = {}
    for entry in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(entry.name)] = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
    for pid, parent in parents.items():
        with contextlib.suppress(OSError, ValueError, StopIteration):
            if parents.get(parent) == watch and b"panic_switch" in (proc / f"{pid}/cmdline").read_bytes():
                lines = (proc / f"{pid}/status").read_text().splitlines()
                word = int(next(line for line in lines if line.startswith("CapPrm")).split()[1], 16)
                return {name for number, name in enumerate(RIGHTS) if word >> number & 1}
    return None


def _last_right(proc: Path) -> int:
    try:
        return int((proc / "sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        return len(RIGHTS) - 1
