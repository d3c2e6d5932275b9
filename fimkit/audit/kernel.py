"""The kernel's audit, over its own netlink socket: status, switches, and the rules.

Needs ``CAP_AUDIT_CONTROL`` in the initial user namespace. No library stands between: the ``audit`` binding cannot make a rule on
a file (its map for that call is missing), and a rule without conditions, which it makes by mistake, records every system call.
"""

import errno
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from fimkit.model.errors import HostError

__all__ = ["IMMUTABLE", "NETLINK_AUDIT", "AuditKernel", "AuditStatus", "KernelRefusal"]

NETLINK_AUDIT = 9
IMMUTABLE = 2
"""``enabled`` of a kernel whose rules are locked until the next boot (``auditctl -e 2``)."""

_REQUEST, _ACK = 1, 4
_ERROR, _DONE = 2, 3
# Source: linux/audit.h, message types 1000 and on.
_GET, _SET, _USER, _ADD_RULE, _DEL_RULE, _LIST_RULES, _JOIN = 1000, 1001, 1005, 1011, 1012, 1013, 1015
_SET_ENABLED, _SET_BACKLOG_LIMIT, _SET_BACKLOG_WAIT = 1, 16, 32
_HEADER = struct.Struct("=IHHII")
_TIMEOUT_S = 5.0
_CONTROL = (_SET, _ADD_RULE, _DEL_RULE, _JOIN)


class KernelRefusal(HostError):
    """The kernel answered with an error number; ``errno`` has it (EEXIST: there already, ENOENT: no such folder or rule)."""

    def __str__(self) -> str:
        """The words alone: the number is for programs."""
        return self.strerror or ""


class AuditStatus(NamedTuple):
    """What the kernel says of its audit. ``pid`` owns the audit socket (0: nobody); ``lost`` is no count of events.

    Source: linux/audit.h, struct audit_status. Kernels older than a field leave it 0.
    """

    enabled: int
    failure: int
    pid: int
    rate_limit: int
    backlog_limit: int
    lost: int
    backlog: int
    features: int = 0
    backlog_wait_time: int = 0
    backlog_wait_time_actual: int = 0


class AuditKernel:
    """An open audit socket. Use it in a ``with`` block."""

    def __init__(self) -> None:
        """Open the socket.

        Raises:
            HostError: If this kernel was built without audit.
        """
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_AUDIT)
        except OSError as error:
            if error.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
                raise HostError("this kernel has no audit (built without CONFIG_AUDIT)") from error
            raise HostError(f"no audit socket: {error.strerror}") from error
        self._socket.bind((0, 0))
        self._socket.settimeout(_TIMEOUT_S)
        self._sequence = 0

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, kind: int, payload: bytes, flags: int) -> None:
        self._sequence += 1
        try:
            self._socket.sendto(
                _HEADER.pack(_HEADER.size + len(payload), kind, flags, self._sequence, 0) + payload, (0, 0)
            )
        except OSError as error:
            raise _refusal(error.errno or 0, kind) from error

    def _receive(self) -> tuple[int, bytes]:
        while True:
            try:
                raw = self._socket.recv(1 << 16)
            except TimeoutError as error:
                raise HostError(f"the kernel's audit did not answer within {_TIMEOUT_S:.0f} s") from error
            _, kind, _, sequence, _ = _HEADER.unpack_from(raw)
            # What an earlier request left unread is not ours. The length in the header is no guide: listed rules leave it short.
            if sequence == self._sequence:
                return kind, raw[_HEADER.size :]

    def _call(self, kind: int, payload: bytes = b"") -> None:
        self._send(kind, payload, _REQUEST | _ACK)
        while True:
            answer, body = self._receive()
            if answer == _ERROR:
                (code,) = struct.unpack_from("=i", body)
                if code:
                    raise self._explain(-code, kind)
                return

    def _explain(self, code: int, kind: int) -> KernelRefusal:
        if code == errno.EPERM and kind in _CONTROL:
            try:
                locked = self.status().enabled == IMMUTABLE
            except HostError:
                locked = False
            if locked:
                return KernelRefusal(code, "the audit rules are locked until the next boot (auditctl -e 2 was given)")
        return _refusal(code, kind)

    def status(self) -> AuditStatus:
        """Ask how the audit stands.

        Raises:
            HostError: Without the right, in a container, or without audit.
        """
        self._send(_GET, b"", _REQUEST | _ACK)
        acked, found = False, None
        while not (acked and found):
            kind, body = self._receive()
            if kind == _ERROR:
                (code,) = struct.unpack_from("=i", body)
                if code:
                    raise _refusal(-code, _GET)
                acked = True
            elif kind == _GET:
                numbers = struct.unpack_from(f"={min(11, len(body) // 4)}I", body)
                found = AuditStatus(*numbers[1:])
        return found

    def _set(self, bit: int, *, enabled: int = 0, backlog_limit: int = 0, wait: int = 0) -> None:
        self._call(_SET, struct.pack("=11I", bit, enabled, 0, 0, 0, backlog_limit, 0, 0, 0, wait, 0))

    def enable(self) -> None:
        """Turn auditing on. Processes older than the first time stay unrecorded, unless the kernel booted with ``audit=1``."""
        self._set(_SET_ENABLED, enabled=1)

    def disable(self) -> None:
        """Turn auditing off."""
        self._set(_SET_ENABLED, enabled=0)

    def set_backlog_limit(self, records: int) -> None:
        """Set how many records may wait in the kernel; beyond that, writers wait and then records are lost."""
        self._set(_SET_BACKLOG_LIMIT, backlog_limit=records)

    def set_backlog_wait(self, ticks: int) -> None:
        """Set how long a writer waits while the backlog is full."""
        self._set(_SET_BACKLOG_WAIT, wait=ticks)

    def rules(self) -> list[bytes]:
        """List every rule of every filter list, as bytes that :meth:`delete` takes back.

        The rules on the task list come first, then exit, exclude, file systems, io_uring; inside a list in the order of matching.
        """
        self._send(_LIST_RULES, b"", _REQUEST | _ACK)
        listed: list[bytes] = []
        while True:
            kind, body = self._receive()
            if kind == _LIST_RULES:
                listed.append(body)
            elif kind == _DONE:
                return listed
            elif kind == _ERROR:
                (code,) = struct.unpack_from("=i", body)
                if code:
                    raise _refusal(-code, _LIST_RULES)

    def add(self, rule: bytes) -> None:
        """Add one rule at the end of its list.

        Raises:
            KernelRefusal: EEXIST if it is there, ENOENT if its folder is not, EINVAL if the kernel does not take it.
        """
        self._call(_ADD_RULE, rule)

    def delete(self, rule: bytes) -> None:
        """Delete one rule, given by the bytes that :meth:`rules` listed (the kernel changes the mask of what was added).

        Raises:
            KernelRefusal: ENOENT if there is no such rule.
        """
        self._call(_DEL_RULE, rule)

    def join_mount(self, mount: bytes, tree: bytes) -> None:
        """Make the rules on a tree hold for a file system that was mounted in it after they were added; again does no harm.

        Raises:
            KernelRefusal: ENOENT if one of the two is not there.

        Source: auditctl(8), ``-q``.
        """
        self._call(_JOIN, struct.pack("=II", len(mount), len(tree)) + mount + tree)

    def say(self, text: str) -> None:
        """Put a record of type USER into the stream: a marker."""
        self._call(_USER, text.encode() + b"\0")


def _in_user_namespace() -> bool:
    try:
        words = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return False
    return words != ["0", "0", "4294967295"]


def _refusal(code: int, kind: int) -> KernelRefusal:
    what = {
        _GET: "read the audit status", _SET: "change the audit status", _ADD_RULE: "add an audit rule", _USER: "write a record",
        _DEL_RULE: "delete an audit rule", _LIST_RULES: "list the audit rules",
        _JOIN: "join a mount to an audit rule",
    }[kind]
    if code in (errno.EPERM, errno.EACCES):
        inside = _in_user_namespace() or os.geteuid() == 0
        where = " of the host itself, and not of a container" if inside else ""
        words = f"no right to {what}: this needs root (CAP_AUDIT_CONTROL){where}"
    elif code == errno.ECONNREFUSED and _in_user_namespace():
        words = f"no right to {what} from inside a user namespace (a container): do it on the host itself"
    elif code == errno.ECONNREFUSED:
        words = "this kernel's audit does not answer: it was switched off at boot (audit=0), or this is a container"
    else:
        words = f"the kernel would not {what}: {os.strerror(code)}"
    return KernelRefusal(code, words)
