"""The recon of a panic: facts in the order of volatility, then the configured commands, then copies of what was changed."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fimkit.model.paths import render_path, render_terminal
from fimkit.panic import host_facts, network_facts, process_facts
from fimkit.panic.incident import Sink
from fimkit.panic.read import open_regular
from fimkit.panic.steps import Step, StepAbsent

__all__ = ["plan_copies", "plan_facts", "plan_rows"]

_FACTS: tuple[tuple[str, Callable[[], Iterator[dict[str, Any]]]], ...] = (
    ("connections", network_facts.list_connections),
    ("neighbours", network_facts.list_neighbours),
    ("routes", network_facts.list_routes),
    ("interfaces", network_facts.list_interfaces),
    ("processes", process_facts.list_processes),
    ("deleted_files", process_facts.list_deleted_files),
    ("kernel", host_facts.list_kernel),
    ("modules", host_facts.list_modules),
    ("logins", host_facts.list_logins),
    ("mounts", host_facts.list_mounts),
    ("temporary_files", host_facts.list_temporary_files),
    ("cron", host_facts.list_cron),
    ("authorized_keys", host_facts.list_authorized_keys),
    ("units", host_facts.list_units),
)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_COPY_BYTES = 16 << 20
_MOST_COPIES = 50
_CHUNK_BYTES = 1 << 18


def plan_rows(name: str, list_rows: Callable[[], Iterable[dict[str, Any]]], *, subject: str = "", most_s: float = 5.0) -> Step:
    """Make a step that writes rows as JSON lines; also for rows of others, as osquery's.

    Args:
        name: Of the step, and of its file.
        list_rows: Called in the step's thread; rows are written as they come.
        subject: What it is about, for the index.
        most_s: The most that it gets.
    """

    def write(sink: Sink) -> str:
        count = 0
        try:
            for row in list_rows():
                sink.write(json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n")
                count += 1
        except FileNotFoundError as error:  # as /proc/modules, on a kernel without modules
            raise StepAbsent(f"this host has no {error.filename}") from None
        return f"{count} row{'' if count == 1 else 's'}"

    return Step(name=name, write=write, file=f"{_UNSAFE.sub('_', name)}.jsonl", subject=subject, most_s=most_s)


def plan_facts() -> tuple[Step, ...]:
    """Give the built-in steps, what is lost first at first.

    Source: RFC 3227, section 2.1.

    >>> [step.name for step in plan_facts()][:3]
    ['connections', 'neighbours', 'routes']
    """
    return tuple(plan_rows(name, list_rows) for name, list_rows in _FACTS)


def plan_copies(paths: Sequence[bytes], *, most_bytes: int = _COPY_BYTES, most: int = _MOST_COPIES) -> tuple[Step, ...]:
    """Give a step for a copy of each file that was changed; the index has its hash.

    Args:
        paths: What to copy, the weightiest first. A link is not followed, and what is no regular file is not copied.
        most_bytes: Of each; of a larger one this much is kept.
        most: How many are copied; a last step says how many are not.
    """
    steps = [
        Step(
            name=f"copy_{number}",
            write=_copier(path),
            file=f"copy-{number:03d}-{_UNSAFE.sub('_', os.path.basename(path).decode('ascii', 'replace'))[:64]}",
            subject=render_terminal(render_path(path)),
            most_bytes=most_bytes,
        )
        for number, path in enumerate(paths[:most], 1)
    ]
    if len(paths) > most:
        rest = [{"path": render_path(path)} for path in paths[most:]]
        steps.append(plan_rows("not_copied", lambda: rest, subject=f"not copied: {len(rest)} more"))
    return tuple(steps)


def _copier(path: bytes) -> Callable[[Sink], str | None]:
    def write(sink: Sink) -> str:
        try:
            with open_regular(path) as (descriptor, before):
                while chunk := os.read(descriptor, _CHUNK_BYTES):
                    sink.write(chunk)
                after = os.fstat(descriptor)
        except FileNotFoundError:
            raise StepAbsent("there is no such file any more") from None
        moved = (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (after.st_size, after.st_mtime_ns, after.st_ctime_ns)
        state = f"mode {before.st_mode:o}, owner {before.st_uid}:{before.st_gid}, inode {before.st_ino}, {before.st_size} bytes"
        return state + (", changed while it was read" if moved else "")

    return write
