"""Which links are up, by another way than the one that took them down: names from /proc, flags by ioctl."""

import fcntl
import socket
import struct
from types import TracebackType
from typing import NamedTuple, Self

from fimkit.model.errors import HostError
from fimkit.model.paths import parse_path, render_path
from fimkit.panic.links import IFF_LOOPBACK, IFF_UP
from fimkit.panic.namespaces import Namespace

__all__ = ["Readback", "Seen"]

_SIOCGIFFLAGS = 0x8913  # Source: linux/sockios.h, netdevice(7)
_REQUEST = struct.Struct("=16sH22x")
_HEAD_LINES = 2


class Seen(NamedTuple):
    """A link as the other reader sees it."""

    name: str
    flags: int

    @property
    def is_up(self) -> bool:
        """Whether it is up and leads out."""
        return bool(self.flags & IFF_UP) and not self.flags & IFF_LOOPBACK


class Readback:
    """The second reader, opened while all is well. Shares nothing with netlink."""

    def __init__(self, where: Namespace) -> None:
        """Open it in a namespace, which this thread must be in.

        Raises:
            HostError: If this is another namespace, or /proc is not there.
        """
        where.check()
        # Any socket can be asked for a link's flags; of this family the helper's sandbox gives it one.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._table = open("/proc/thread-self/net/dev", "rb", buffering=0)  # noqa: SIM115 (kept open: its namespace is that of now)
        except OSError as error:
            self._socket.close()
            raise HostError(f"the links cannot be read back: {error}") from error

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both files."""
        self.close()

    def close(self) -> None:
        """Close both files."""
        self._table.close()
        self._socket.close()

    def up(self) -> list[str]:
        """Name the links that are up, without loopback.

        Raises:
            HostError: If the table cannot be read.
        """
        return [seen.name for seen in self.links() if seen.is_up]

    def links(self) -> list[Seen]:
        """List all links, with their flags."""
        try:
            self._table.seek(0)
            lines = self._table.read().split(b"\n")[_HEAD_LINES:]
        except OSError as error:
            raise HostError(f"the links cannot be read back: {error}") from error
        seen = []
        for line in lines:
            name = line.partition(b":")[0].strip()
            if name and (flags := self._flags(name)) is not None:
                seen.append(Seen(render_path(name), flags))
        return seen

    def is_up(self, name: str) -> bool:
        """Ask for one link, by the text of its name; one that is gone is not up."""
        return bool((self._flags(parse_path(name)) or 0) & IFF_UP)

    def _flags(self, name: bytes) -> int | None:
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFFLAGS, _REQUEST.pack(name, 0))
        except OSError:
            return None  # it is gone since the table was read
        return int(_REQUEST.unpack(answer)[1])
