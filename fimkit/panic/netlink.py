"""A netlink socket of our own: dumps, requests in one send, and what the kernel tells by itself.

pyroute2 is not used here: its event loop must be neither forked nor re-entered, taking 1,000 links down by its batches takes twice
as long, and its import half a second. This is a plain socket, opened while all is well and used when it is not.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from fimkit.model.errors import HostError
from fimkit.panic.attributes import find_attribute, text_of
from fimkit.panic.namespaces import Namespace

__all__ = ["ACK", "BATCH", "CREATE", "Answer", "Message", "Netlink", "Request", "pack_message"]

# Source: linux/netlink.h.
_HEADER = struct.Struct("=IHHII")
_REQUEST, ACK, _DUMP, CREATE = 1, 4, 0x300, 0x400
_ERROR, _DONE = 2, 3
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the table changed while it was read
_CAPPED, _HAS_WORDS = 0x100, 0x200
_SOL_NETLINK, _ADD_GROUP, _CAP_ACK, _EXT_ACK, _STRICT = 270, 1, 10, 11, 12
_WORDS = 1  # NLMSGERR_ATTR_MSG
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11  # Source: linux/netfilter/nfnetlink.h
_RECEIVE = 1 << 16  # the kernel sends 32 KB at most
_RECEIVE_BUFFER = 8 << 20
BATCH = 64
"""Requests in one send: more gains nothing, and the answers must fit into the socket's buffer."""


class Message(NamedTuple):
    """One message of the kernel. ``port`` is the socket that caused it, as far as the kernel says."""

    kind: int
    flags: int
    sequence: int
    port: int
    body: bytes


class Request(NamedTuple):
    """One request; ``flags`` beside those for a request with an answer."""

    kind: int
    body: bytes
    flags: int = 0


class Answer(NamedTuple):
    """What became of a request: an error number (0: done) and the kernel's words, if it had any."""

    code: int
    words: str = ""

    def __str__(self) -> str:
        """The error in words."""
        return f"{os.strerror(self.code)} ({self.words})" if self.words else os.strerror(self.code)


def pack_message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Write one message, with its padding."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


class Netlink:
    """An open socket in one namespace. It stays there, wherever the process goes. Use it in a ``with`` block."""

    def __init__(self, where: Namespace, *, protocol: int = socket.NETLINK_ROUTE, timeout_s: float = 5.0) -> None:
        """Open it.

        Args:
            where: The namespace to work in; this thread must be in it.
            protocol: The netlink family.
            timeout_s: How long to wait for one answer.

        Raises:
            HostError: If this is another namespace, or the kernel lacks the family.
        """
        where.check()
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        except OSError as error:
            raise HostError(f"no netlink socket of family {protocol}: {error.strerror}") from error
        self._socket.bind((0, 0))
        self._socket.settimeout(timeout_s)
        self._sequence = int(time.time()) & 0xFFFFFF
        self._timeout_s = timeout_s
        for option in (_CAP_ACK, _EXT_ACK, _STRICT):
            self._set_option(_SOL_NETLINK, option, 1)
        # The forced size needs NET_ADMIN; the other one is cut at the host's limit.
        if not self._set_option(socket.SOL_SOCKET, 33, _RECEIVE_BUFFER):
            self._set_option(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket."""
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """Give the descriptor, to wait for it."""
        return self._socket.fileno()

    def _set_option(self, level: int, option: int, value: int) -> bool:
        try:
            self._socket.setsockopt(level, option, value)
        except OSError:
            return False  # an older kernel, or no right: it works without
        return True

    def join(self, group: int) -> None:
        """Be told of what happens, by the number of a multicast group.

        Raises:
            HostError: If the kernel refuses.
        """
        if not self._set_option(_SOL_NETLINK, _ADD_GROUP, group):
            raise HostError(f"the kernel would not tell of changes (netlink group {group})")

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return self._sequence

    def _received(self) -> Iterator[Message]:
        try:
            raw = self._socket.recv(_RECEIVE)
        except TimeoutError as error:
            raise HostError(f"the kernel did not answer on netlink within {self._timeout_s:g} s") from error
        except OSError as error:
            raise HostError(error.errno, f"netlink: {error.strerror}") from error
        yield from _split_messages(raw)

    def _send(self, raw: bytes) -> None:
        try:
            self._socket.sendto(raw, (0, 0))
        except OSError as error:
            raise HostError(error.errno, f"netlink: {error.strerror}") from error

    def dump(self, kind: int, body: bytes, flags: int = 0, *, tries: int = 5) -> list[Message]:
        """Ask for a whole table, again where it changed while it was read.

        Returns:
            Its messages. Where it never stood still, those of the last try: the flags of some say so.

        Raises:
            HostError: With the kernel's error number, if it refuses.
        """
        for _ in range(tries):
            found, settled = self._dump_once(kind, body, flags)
            if settled:
                break
        return found

    def _dump_once(self, kind: int, body: bytes, flags: int) -> tuple[list[Message], bool]:
        sequence = self._next()
        self._send(pack_message(kind, _REQUEST | _DUMP | flags, sequence, body))
        found: list[Message] = []
        settled = True
        while True:
            for message in self._received():
                if message.sequence != sequence:
                    continue  # an earlier request that was given up
                settled = settled and not message.flags & _INTERRUPTED
                if message.kind in (_DONE, _ERROR):
                    answer = _read_answer(message)
                    if answer.code:
                        raise HostError(answer.code, f"the kernel would not list (netlink {kind}): {answer}")
                    return found, settled
                found.append(message)

    def request(self, request: Request) -> Answer:
        """Send one request and wait for what became of it.

        Raises:
            HostError: If no answer comes.
        """
        return self.batch([request])[0]

    def batch(self, requests: Sequence[Request]) -> list[Answer]:
        """Send requests, up to :data:`BATCH` at a time, and give what became of each, in their order.

        Raises:
            HostError: If no answer comes.
        """
        answers: list[Answer] = []
        for start in range(0, len(requests), BATCH):
            part = requests[start : start + BATCH]
            numbers = [self._next() for _ in part]
            self._send(b"".join(
                pack_message(request.kind, _REQUEST | ACK | request.flags, number, request.body)
                for request, number in zip(part, numbers, strict=True)
            ))
            came = self._answers(set(numbers))
            answers += [came[number] for number in numbers]
        return answers

    def push(self, requests: Sequence[Request]) -> dict[int, Answer]:
        """Send up to :data:`BATCH` requests at once, of which only the last one is answered if all goes well.

        Half the time of :meth:`batch`: the kernel need not tell of each.

        Returns:
            The errors, by position.

        Raises:
            HostError: If no answer comes.
        """
        numbers = [self._next() for _ in requests]
        flags = [_REQUEST] * (len(requests) - 1) + [_REQUEST | ACK]
        self._send(b"".join(
            pack_message(request.kind, flag | request.flags, number, request.body)
            for request, number, flag in zip(requests, numbers, flags, strict=True)
        ))
        errors, is_done = dict[int, Answer](), not requests
        while not is_done:
            for message in self._received():
                if message.kind == _ERROR and message.sequence in numbers:
                    answer = _read_answer(message)
                    if answer.code:
                        errors[numbers.index(message.sequence)] = answer
                    is_done = is_done or message.sequence == numbers[-1]
        return errors

    def _answers(self, waiting: set[int]) -> dict[int, Answer]:
        came: dict[int, Answer] = {}
        while waiting:
            for message in self._received():
                if message.kind == _ERROR and message.sequence in waiting:
                    came[message.sequence] = _read_answer(message)
                    waiting.discard(message.sequence)
        return came

    def transact(self, subsystem: int, requests: Sequence[Request]) -> Answer:
        """Have netfilter take requests as one: all of them, or none.

        Args:
            subsystem: That of netfilter which they are for.
            requests: What comes between the begin and the end of the batch, which are put here.

        Returns:
            The first error, or 0 if all was taken.

        Raises:
            HostError: If no answer comes.
        """
        mark = struct.pack(">BBH", 0, 0, subsystem)
        begin, numbers, end = self._next(), [self._next() for _ in requests], self._next()
        self._send(b"".join((
            pack_message(_BATCH_BEGIN, _REQUEST, begin, mark),
            *(
                pack_message(request.kind, _REQUEST | ACK | request.flags, number, request.body)
                for request, number in zip(requests, numbers, strict=True)
            ),
            pack_message(_BATCH_END, _REQUEST, end, mark),
        )))
        waiting = set(numbers)
        while waiting:
            for message in self._received():
                # Without the right, the answer is to the begin.
                if message.kind == _ERROR and message.sequence in (begin, end, *numbers):
                    answer = _read_answer(message)
                    if answer.code:
                        return answer
                    waiting.discard(message.sequence)
        return Answer(0)

    def told(self) -> list[Message]:
        """Take what the kernel told by itself, without waiting.

        Raises:
            HostError: With ENOBUFS, if it told more than was read: some is lost, and the state must be asked for.
        """
        found: list[Message] = []
        self._socket.settimeout(0)  # MSG_DONTWAIT would not do: a socket with a timeout is waited for before it is asked
        try:
            while True:
                found += _split_messages(self._socket.recv(_RECEIVE))
        except BlockingIOError:
            return found
        except OSError as error:
            raise HostError(error.errno, f"netlink: {error.strerror}") from error
        finally:
            self._socket.settimeout(self._timeout_s)


def _split_messages(raw: bytes) -> Iterator[Message]:
    start = 0
    while start + _HEADER.size <= len(raw):
        length, kind, flags, sequence, port = _HEADER.unpack_from(raw, start)
        if length < _HEADER.size:
            return
        yield Message(kind, flags, sequence, port, raw[start + _HEADER.size : start + length])
        start += (length + 3) & ~3


def _read_answer(message: Message) -> Answer:
    if len(message.body) < 4:
        return Answer(0)  # the end of a dump on an older kernel
    code = -int(struct.unpack_from("=i", message.body)[0])
    if message.kind == _DONE or not message.flags & _HAS_WORDS:
        return Answer(max(code, 0))
    # After the number comes the header of the request, with its body unless it was capped.
    size = _HEADER.size if message.flags & _CAPPED else int(struct.unpack_from("=I", message.body, 4)[0])
    words = find_attribute(message.body, 4 + ((size + 3) & ~3), _WORDS)
    return Answer(code, text_of(words or b"").decode("utf-8", "replace"))
