"""The live stream of audit records, read from the kernel's multicast group beside auditd.

Needs ``CAP_AUDIT_READ`` and the initial network namespace: the group reaches no other one.
"""

import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from fimkit.audit.kernel import NETLINK_AUDIT
from fimkit.model.errors import HostError

__all__ = ["TYPE_NAMES", "MulticastReader"]

_READLOG = 1           # Source: linux/audit.h, AUDIT_NLGRP_READLOG
_SO_RCVBUFFORCE = 33   # Source: asm-generic/socket.h; Python has no name for it
_HEADER = struct.Struct("=IHHII")

TYPE_NAMES = {
    1005: "USER", 1006: "LOGIN", 1100: "USER_AUTH", 1101: "USER_ACCT", 1103: "CRED_ACQ", 1104: "CRED_DISP", 1105: "USER_START",
    1106: "USER_END", 1107: "USER_AVC", 1112: "USER_LOGIN", 1123: "USER_CMD", 1130: "SERVICE_START", 1131: "SERVICE_STOP",
    1300: "SYSCALL", 1302: "PATH", 1303: "IPC", 1304: "SOCKETCALL", 1305: "CONFIG_CHANGE", 1306: "SOCKADDR", 1307: "CWD",
    1309: "EXECVE", 1311: "IPC_SET_PERM", 1312: "MQ_OPEN", 1313: "MQ_SENDRECV", 1314: "MQ_NOTIFY", 1315: "MQ_GETSETATTR",
    1316: "KERNEL_OTHER", 1317: "FD_PAIR", 1318: "OBJ_PID", 1319: "TTY", 1320: "EOE", 1321: "BPRM_FCAPS", 1322: "CAPSET",
    1323: "MMAP", 1324: "NETFILTER_PKT", 1325: "NETFILTER_CFG", 1326: "SECCOMP", 1327: "PROCTITLE", 1328: "FEATURE_CHANGE",
    1329: "REPLACE", 1330: "KERN_MODULE", 1331: "FANOTIFY", 1332: "TIME_INJOFFSET", 1333: "TIME_ADJNTPVAL", 1334: "BPF",
    1335: "EVENT_LISTENER", 1336: "URINGOP", 1337: "OPENAT2", 1338: "DM_CTRL", 1339: "DM_EVENT", 1400: "AVC", 1401: "SELINUX_ERR",
    1403: "MAC_POLICY_LOAD", 1404: "MAC_STATUS", 1700: "ANOM_PROMISCUOUS", 1701: "ANOM_ABEND", 1702: "ANOM_LINK",
    1703: "ANOM_CREAT", 2000: "KERNEL",
}
"""Names of the record types that reach the group. Source: linux/audit.h and libaudit's audit-records.h. Others: UNKNOWN[N]."""


def _binding_name() -> Callable[[int], str | None] | None:
    """The audit binding's table is the whole one, where the binding is installed."""
    try:
        import audit
    except ImportError:
        return None
    lookup: Callable[[int], str | None] = audit.audit_msg_type_to_name
    return lookup


class MulticastReader:
    """Every record of the host as it is made, in the lines that auditd would write (RAW), the end-of-event records too.

    ``lost`` counts the times that the kernel said ENOBUFS: at each, an unknown number of records was lost, because this reader
    was slower than the host.
    """

    def __init__(self, *, buffer_bytes: int = 64 << 20, joined: int | None = None) -> None:
        """Join the group; what is made from here on is seen.

        Args:
            buffer_bytes: How much may wait unread. More than the system's limit needs ``CAP_NET_ADMIN``, else that limit holds.
            joined: The descriptor of a reader's socket, made in another process: it is taken over as it is.

        Raises:
            HostError: Without the right, or without audit in the kernel.
        """
        self.lost = 0
        self._binding = _binding_name()
        self._names = dict(TYPE_NAMES)
        if joined is not None:
            self._socket = socket.socket(fileno=joined)
            self._socket.setblocking(False)
            return
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_AUDIT)
        except OSError as error:
            raise HostError(f"this kernel has no audit: {error.strerror}") from error
        try:
            self._socket.bind((0, _READLOG))
        except OSError as error:
            self._socket.close()
            if error.errno in (errno.EPERM, errno.EACCES):
                raise HostError("no right to read the live audit records: this needs root (CAP_AUDIT_READ)") from error
            raise HostError(f"the live audit records cannot be read: {error.strerror}") from error
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the group."""
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor, for ``select`` and its like."""
        return self._socket.fileno()

    @property
    def buffer_bytes(self) -> int:
        """How much the kernel really lets wait (it doubles what was asked for)."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def lines(self, wait_s: float) -> Iterator[bytes]:
        """Give what comes until nothing has come for ``wait_s``; 0 gives what is there.

        Yields:
            ``type=NAME msg=audit(SEC.MS:SERIAL): …`` without the newline, in the kernel's order.
        """
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        while True:
            try:
                raw = self._socket.recv(1 << 16)
            except BlockingIOError:
                if not _ready(poller, wait_s):
                    return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
            else:
                yield self._line(raw)

    def _line(self, raw: bytes) -> bytes:
        kind = _HEADER.unpack_from(raw)[1]
        body = raw[_HEADER.size :].rstrip(b"\0\n").replace(b"\n", b" ")
        return b"type=%s msg=%s" % (self._name(kind).encode(), body)

    def _name(self, kind: int) -> str:
        if kind not in self._names:
            self._names[kind] = (self._binding and self._binding(kind)) or f"UNKNOWN[{kind}]"
        return self._names[kind]


def _ready(poller: select.poll, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while (left := until - time.monotonic()) > 0:
        if poller.poll(left * 1000):
            return True
    return False
