"""Runs the killswitch of a panic with the rights that its runner gave up: a child, started before, which does nothing else.

The runner keeps what recon and capture need. What a person configured to end a host for good, ``poweroff`` say, may need more: this
child keeps all that its unit, or root, gave. It ends with its runner, and runs what that asks for, once for each panic.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Protocol, Self

from fimkit.model.errors import HostError
from fimkit.model.own_process import own_command
from fimkit.model.paths import render_terminal
from fimkit.panic.commands import plan_commands
from fimkit.panic.incident import Entry, Incident, open_incident, parse_entry, render_entry
from fimkit.panic.steps import start_steps

__all__ = ["Running", "Switch", "main", "start_killswitch"]

_EACH_S = 10.0
_ANSWER_S = 5.0
_LATE_S = 15.0  # their end is told late where the machine or its disk is busy
_PART_BYTES = 1 << 16
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Running(Protocol):
    """Commands under way."""

    def wait(self) -> Sequence[Entry]:
        """Wait for their end, for a time, and give their lines of the index."""
        ...


class _Uncounted(Incident):
    """The folder of an incident whose index is another process's to write."""

    def note(self, entry: Entry) -> None:
        """Leave the index as it is."""


class Switch:
    """The child, seen from the runner."""

    def __init__(self, line: socket.socket, process: subprocess.Popen[bytes]) -> None:
        """Take over the line to it."""
        self._line, self._process = line, process
        self.pid = process.pid

    @classmethod
    def start(cls) -> Self:
        """Start it, with all rights that are held now.

        Raises:
            HostError: If it cannot be started.
        """
        mine, other = socket.socketpair()
        with other:
            try:
                process = subprocess.Popen(
                    own_command("fimkit.verbs.panic_switch"), stdin=other.fileno(),
                    stdout=subprocess.DEVNULL, start_new_session=True, cwd="/",
                )
            except OSError as error:
                mine.close()
                raise HostError(f"no process can be had that keeps rights for the killswitch: {error.strerror}") from error
        return cls(mine, process)

    def begin(self, incident: Incident, commands: Sequence[Sequence[str]]) -> Running:
        """Have commands run beside each other.

        Raises:
            OSError: If the child is gone.
        """
        row = {"folder": os.fsdecode(incident.folder), "commands": [list(command) for command in commands]}
        self._line.settimeout(_ANSWER_S)
        self._line.sendall(json.dumps(row).encode("ascii") + b"\n")
        return _Asked(self._line, incident)


    def close(self) -> None:
        """Let it end, when what it runs has."""
        self._line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ANSWER_S)


class _Asked:
    """What the child was asked for; a thread takes its answer, so that whoever waits may give up."""

    def __init__(self, line: socket.socket, incident: Incident) -> None:
        self._line, self._incident = line, incident
        self._entries: list[Entry] = []
        self._thread = threading.Thread(target=self._take, name="fimkit killswitch", daemon=True)
        self._thread.start()

    def _take(self) -> None:
        self._line.settimeout(_EACH_S + _LATE_S)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for row in json.loads(_read_line(self._line)):
                entry = parse_entry(row)
                self._incident.note(entry)
                self._entries.append(entry)

    def wait(self) -> Sequence[Entry]:
        self._thread.join(_EACH_S + _LATE_S)
        return tuple(self._entries)


def start_killswitch(switch: Switch | None, incident: Incident, commands: Sequence[Sequence[str]]) -> tuple[Running, str]:
    """Begin the commands of a killswitch: by the child with its rights; where there is none, from here.

    Returns:
        What is under way, and words on who does it, where that is not as it should be.
    """
    words = ""
    if switch is not None:
        try:
            return switch.begin(incident, commands), ""
        except OSError as error:
            words = f"the process that kept rights for them is gone ({error.strerror or error}): they have the runner's alone"
    steps = plan_commands("killswitch", commands, most_s=_EACH_S, share=1.0, may_leave=True)
    return start_steps(incident, steps, deadline_s=_EACH_S, side_by_side=len(steps)), words


# In the child.


def main() -> None:
    """Take standard input, which is the line to the runner, and do what it asks for until it is gone."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    line = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    while text := _read_line(line):
        try:
            answer = [render_entry(entry) for entry in _run(json.loads(text))]
        except Exception as error:  # the next panic's is as important
            sys.stderr.write(f"fimkit: killswitch: {render_terminal(f'{type(error).__name__}: {error}')}\n")
            answer = []
        with contextlib.suppress(OSError):
            line.sendall(json.dumps(answer).encode("ascii") + b"\n")


def _run(row: dict[str, Any]) -> Sequence[Entry]:
    opened = open_incident(os.fsencode(row["folder"]))
    incident = _Uncounted(opened.folder, os.open(opened.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
    opened.close()
    try:
        steps = plan_commands("killswitch", row["commands"], most_s=_EACH_S, share=1.0, may_leave=True)
        return start_steps(incident, steps, deadline_s=_EACH_S, side_by_side=len(steps)).wait()
    finally:
        incident.close()


def _read_line(line: socket.socket) -> bytes:
    """Read to the end of a line; empty when the other side is gone."""
    text = b""
    while not text.endswith(b"\n"):
        part = line.recv(_PART_BYTES)
        if not part:
            return b""
        text += part
    return text
