"""The line to the helper, which alone may cut: asked by a panic, and by whoever arms, restores or looks."""

import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Self

from fimkit.model.errors import HostError, RecordError
from fimkit.model.own_process import own_command
from fimkit.model.paths import render_path
from fimkit.panic.helper_wire import (
    SOCKET_NAME,
    BeginReply,
    CutReply,
    Hello,
    PacketReader,
    PlanReply,
    RestoreReply,
    parse_reply,
    split_packets,
)
from fimkit.panic.record import PANIC_FOLDER

__all__ = [
    "BeginReply",
    "CutReply",
    "Hello",
    "Helper",
    "PlanReply",
    "RestoreReply",
    "connect_helper",
    "render_cut_reply",
    "start_helper",
]

_ASK_S, _CUT_S, _RESTORE_S = 15.0, 60.0, 180.0


class Helper:
    """An open line to a helper. Threads may share it. Use it in a ``with`` block."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over ``connection``."""
        self._socket = connection
        self._reader = PacketReader()
        self._lock = threading.Lock()
        self._number = 0

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the line."""
        self.close()

    def close(self) -> None:
        """Close the line. Where a panic was begun on it that is not cut yet, the helper cuts."""
        self._socket.close()

    def fileno(self) -> int:
        """Give the descriptor; between two questions, it is readable when the helper is gone."""
        return self._socket.fileno()

    def hello(self) -> Hello:
        """Ask who answers, and how far it has come."""
        return parse_reply(Hello, self._ask("hello"))

    def plan(self, settings: Mapping[str, Any] | None = None) -> PlanReply:
        """Ask what a cut would do now.

        Args:
            settings: Go by these, frozen as for arming; ``None``: by those that are armed.
        """
        return parse_reply(PlanReply, self._ask("plan", settings=settings))

    def arm(self, settings: Mapping[str, Any], *, by: str, seen: Sequence[str]) -> None:
        """Arm the host, or arm it anew with other settings.

        Args:
            settings: The frozen configuration, which holds from now on.
            by: Who does.
            seen: The ids of findings that are open now: they start nothing.

        Raises:
            HostError: While a panic goes on, if the settings make no sense, or if that cannot be stored.
        """
        self._ask("arm", settings=settings, by=by, seen=list(seen))

    def disarm(self, *, by: str) -> None:
        """Disarm the host.

        Raises:
            HostError: While a panic goes on: restore first. Or if that cannot be stored.
        """
        self._ask("disarm", by=by)

    def judged(self, seen: Sequence[str], counted: Sequence[str]) -> None:
        """Add findings that have been judged, and those that count towards the threshold; stored when this returns."""
        self._ask("judged", seen=list(seen), counted=list(counted))

    def forget(self, ids: Sequence[str]) -> None:
        """Say that what findings tell of was undone: done again, it is judged again, and counts once more; durably.

        Args:
            ids: Of the findings; those that were never judged are passed over.
        """
        self._ask("forget", ids=list(ids))

    def is_gone(self) -> bool:
        """Tell whether the helper has ended the line; an answer that waits to be read is no end. Any thread may ask."""
        waiting = select.poll()
        try:
            waiting.register(self._socket, select.POLLRDHUP)
        except (OSError, ValueError):  # closed on this side
            return True
        return bool(waiting.poll(0))

    def begin(self, incident: str, cause: str, *, nokill: bool, armed_ns: int | None = None) -> BeginReply:
        """Say that a panic begins. From now on the helper cuts at ``deadline_s``, and when this line ends.

        Args:
            incident: The name of its folder.
            cause: In words.
            nokill: Nothing is to be cut: no clock runs.
            armed_ns: The arming by which that was judged; it is refused where another one holds by now.

        Raises:
            HostError: If the host is not armed, or was armed anew since.
        """
        return parse_reply(BeginReply, self._ask("begin", incident=incident, cause=cause, nokill=nokill, armed_ns=armed_ns))

    def add(self, cause: str, *, armed_ns: int | None = None) -> None:
        """Add a cause to the panic that goes on: this begins none.

        Args:
            cause: In words.
            armed_ns: As for :meth:`begin`.

        Raises:
            HostError: If none goes on, or not by that arming.
        """
        self._ask("add", cause=cause, armed_ns=armed_ns)

    def cut(self) -> CutReply:
        """Have it cut, now. Where it has already, the receipt of that.

        Raises:
            HostError: If no panic has begun, or one that is not to cut.
        """
        return parse_reply(CutReply, self._ask("cut", timeout_s=_CUT_S))

    def finish(self, words: str) -> None:
        """End a panic that was not to cut: the host is armed as before."""
        self._ask("finish", words=words)

    def restore(self, *, by: str) -> RestoreReply:
        """Put the network back. Again, it puts back what was missing."""
        return parse_reply(RestoreReply, self._ask("restore", timeout_s=_RESTORE_S, by=by))

    def _ask(self, do: str, *, timeout_s: float = _ASK_S, **more: Any) -> dict[str, Any]:
        with self._lock:
            self._number += 1
            until = time.monotonic() + timeout_s
            try:
                self._socket.settimeout(timeout_s)
                for packet in split_packets({"n": self._number, "do": do} | more):
                    self._socket.send(packet)
                return self._answer(do, until)
            except TimeoutError as error:
                raise HostError(f"the panic helper did not answer {do!r} within {timeout_s:g} s") from error
            except (OSError, EOFError, RecordError) as error:
                if isinstance(error, HostError):
                    raise
                raise HostError(f"the panic helper is gone ({do}): {error}") from error

    def _answer(self, do: str, until: float) -> dict[str, Any]:
        while True:
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            found = self._reader.receive(self._socket)
            if found is None or found.get("n") not in (self._number, None):
                continue  # a part, or the late answer to a question that was given up
            if "error" in found:
                raise HostError(f"the panic helper refuses ({do}): {found['error']}")
            answer: dict[str, Any] = found.get("ok") or {}
            return answer


def render_cut_reply(reply: CutReply) -> dict[str, Any]:
    """Give the JSON object, as it is in the record."""
    return asdict(reply)


def connect_helper(state_dir: bytes, *, timeout_s: float = 2.0) -> Helper:
    """Open a line to the helper of a state folder.

    Raises:
        HostError: If none answers, or it refuses who asks.
    """
    folder = os.path.join(state_dir, PANIC_FOLDER)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(timeout_s)
        # By the opened folder: a socket's address has 107 bytes, and a state folder's name may be longer.
        handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{handle}/{SOCKET_NAME}")
        finally:
            os.close(handle)
        helper = Helper(connection)
        helper._ask("hello", timeout_s=timeout_s)
    except HostError:
        connection.close()
        raise
    except OSError as error:
        connection.close()
        raise HostError(error.errno, f"no panic helper answers at {render_path(folder)}: {error.strerror or error}") from error
    return helper


def start_helper(
    state_dir: bytes, *, timeout_s: float = 10.0, confined: bool = False, include_namespaces: bool = False
) -> Helper:
    """Start a helper that lives while somebody has a line to it, or while it holds something; for hosts without its unit.

    Where one answers already, the line is to that one.

    Args:
        state_dir: The state folder.
        timeout_s: How long it may take to start.
        confined: It is to refuse to work in the machine's own network.
        include_namespaces: It keeps the rights for other network namespaces.

    Raises:
        HostError: If it cannot be started, or has no right to cut.
    """
    with suppress(HostError):
        return connect_helper(state_dir, timeout_s=min(2.0, timeout_s))
    reader, writer = os.pipe()
    try:
        options = [*(["--confined"] if confined else []), *(["--include-namespaces"] if include_namespaces else [])]
        words = own_command("fimkit.panic.helper", os.fsdecode(state_dir), str(writer), *options)
        subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(writer,),
            start_new_session=True, check=False, cwd="/", timeout=timeout_s,
        )  # the first process ends at once: the helper is its child, and nobody's here
    except (OSError, subprocess.TimeoutExpired) as error:
        os.close(reader)
        raise HostError(f"cannot start a panic helper: {error}") from error
    finally:
        os.close(writer)
    try:
        _wait_ready(reader, timeout_s)
    except HostError:
        with suppress(HostError):  # somebody else has started one at the same time
            return connect_helper(state_dir, timeout_s=timeout_s)
        raise
    return connect_helper(state_dir, timeout_s=timeout_s)


def _wait_ready(reader: int, timeout_s: float) -> None:
    """Wait until the helper has said that it listens, or why it does not."""
    told, until = b"", time.monotonic() + timeout_s
    try:
        while select.select([reader], [], [], max(0.0, until - time.monotonic()))[0]:
            part = os.read(reader, 4096)
            told += part
            if not part:
                break
        else:
            raise HostError(f"the panic helper did not start within {timeout_s:g} s")
    finally:
        os.close(reader)
    if told != b"ready\n":
        raise HostError(f"the panic helper does not start: {told.decode('utf-8', 'replace').strip() or 'it ended without a word'}")
