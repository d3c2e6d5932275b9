"""How a watch is doing, in a small file of the state folder that it writes anew each second and anybody with the right may read."""

import contextlib
import fcntl
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from fimkit.evidence.folder import check_private_file
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path

__all__ = ["LOCK_NAME", "StatusFile", "WatchStatus", "load_watch_status", "refuse_stranger"]

LOCK_NAME = b"watch.lock"
_NAME = b"watch.json"
_BYTES = 8192
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(slots=True, kw_only=True)
class WatchStatus:
    """The numbers of one run. Times are nanoseconds since the epoch, rates of the last ten seconds; ``lag_s`` is of the records.

    ``lost`` counts what was lost on the way, by source; ``last_blind_ns`` is the end of the last blind interval, 0 for none.
    ``problem`` says why nothing is recorded just now, if so. ``held_up_s`` is for how long nobody has read the output, ``unshown``
    how many findings were not shown for that; ``stuck`` is one that ended so. ``panic`` is the phase of the panic, empty where
    nothing is critical; ``panic_problem`` is what keeps one from working. ``unsearched`` counts the findings that wait for their
    file to be searched, ``content_problem`` is what keeps that from working, ``mail_problem`` what keeps somebody from being told.
    ``running`` is not written: it is whether the lock is held now.
    """

    pid: int = 0
    records: str = ""
    started_ns: int = 0
    written_ns: int = 0
    stopped_ns: int = 0
    ready: bool = False
    events: int = 0
    changes: int = 0
    findings: int = 0
    open: int = 0
    looks: int = 0
    osquery_rows: int = 0
    events_per_s: float = 0.0
    findings_per_s: float = 0.0
    lag_s: float = 0.0
    backlog_bytes: int = 0
    waiting: int = 0
    held: int = 0
    remembered: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    blind_intervals: int = 0
    last_blind_ns: int = 0
    rescans: int = 0
    last_rescan_ns: int = 0
    rescanning: bool = False
    memory_bytes: int = 0
    cpu_s: float = 0.0
    problem: str = ""
    unshown: int = 0
    held_up_s: float = 0.0
    stuck: bool = False
    panic: str = ""
    panic_problem: str = ""
    unsearched: int = 0
    content_problem: str = ""
    mail_problem: str = ""
    running: bool = False

    @property
    def uptime_s(self) -> float:
        """How long the run has lasted, or did."""
        return max(0, (self.stopped_ns or self.written_ns) - self.started_ns) / 1e9


_KNOWN = frozenset(item.name for item in fields(WatchStatus)) - {"running"}


class StatusFile:
    """The file, open: one write in place a second, so that no record is made by writing it."""

    def __init__(self, state_dir: bytes) -> None:
        """Open or make it.

        Raises:
            HostError: If it cannot be opened, or could have been put there by another.
        """
        path = os.path.join(state_dir, _NAME)
        check_private_file(path)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HostError(f"cannot open {render_path(path)}: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        os.close(self._file)

    def write(self, status: WatchStatus) -> None:
        """Write the numbers; a full disk does not end the watch."""
        status.written_ns = time.time_ns()
        row = asdict(status)
        del row["running"]
        text = json.dumps(row, separators=(",", ":")).encode()
        with contextlib.suppress(OSError):
            os.pwrite(self._file, text.ljust(_BYTES - 1) + b"\n", 0)


def load_watch_status(state_dir: bytes) -> WatchStatus | None:
    """Read how the watch of a state folder is doing, or how the last one ended.

    Returns:
        The numbers; ``None`` where none ever ran, or they cannot be read.
    """
    row: Any = None
    try:
        with open(os.open(os.path.join(state_dir, _NAME), _READ), "rb") as file:
            row = json.loads(file.read(1 << 16))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    plain = WatchStatus()
    status = replace(plain, **{name: row[name] for name in row.keys() & _KNOWN if _is_like(row[name], getattr(plain, name))})
    status.running = _is_held(os.path.join(state_dir, LOCK_NAME))
    return status


def refuse_stranger(state_dir: bytes) -> None:
    """Refuse a user to whom the folder or the numbers are closed: whether a watch ever ran is not for him to know.

    Raises:
        HostError: If they are.
    """
    path = os.path.join(state_dir, _NAME)
    try:
        os.close(os.open(path, _READ))
    except PermissionError as error:
        raise HostError(error.errno, f"this user may not read {render_path(path)}: how a watch does is not known") from error
    except OSError:
        return


def _is_like(value: object, default: object) -> bool:
    """Tell whether a value is of the type that it must have: the file may be damaged, or of somebody else's making."""
    if isinstance(default, dict):
        return isinstance(value, dict) and all(type(one) is int for one in value.values())
    if isinstance(default, float):
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    return type(value) is type(default) and (not isinstance(value, int) or abs(value) < 1 << 63)


def _is_held(path: bytes) -> bool:
    try:
        file = os.open(path, _READ)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
