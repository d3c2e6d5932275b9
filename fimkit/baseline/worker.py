"""The process beside the scan: reads files of folders that it is handed open, and answers with their states.

A message is its length in four bytes and a marshalled value: only this program talks to itself here, in one version, over a pair
of sockets that nobody else has. A request is a list of names for each folder, the folders' descriptors travelling with it. An
answer is the bytes read for it, and for each name in turn the fields of its state after the path, or the few of a plain file.
"""

import marshal
import os
import socket
import sys
from typing import Any

from fimkit.baseline.entry import EntryReader, Place
from fimkit.baseline.plain import PLAIN_FIELDS, state_of_plain
from fimkit.model.states import FileState, FileType

__all__ = ["MOST_FOLDERS", "main", "pack_state", "receive", "send", "unpack_state"]

MOST_FOLDERS = 12
"""In one request: every folder is an open descriptor here and there."""

_FORM = 2
"""Of marshal: the later ones look for what comes twice, which takes as long as all the rest."""

_TYPES = {kind.value: kind for kind in FileType}


def send(peer: socket.socket, value: Any, *descriptors: int) -> None:
    """Send one message.

    Raises:
        OSError: If the other side is gone.
    """
    body = marshal.dumps(value, _FORM)
    message = len(body).to_bytes(4, "big") + body
    peer.sendall(message[socket.send_fds(peer, [message], descriptors) :])


def receive(peer: socket.socket, most_descriptors: int = 0) -> tuple[Any, list[int]]:
    """Wait for one message; give its value and the descriptors that came with it.

    Raises:
        EOFError: If the other side is gone.
        OSError: The same, in the kernel's words.
    """
    head, descriptors, _, _ = socket.recv_fds(peer, 4, most_descriptors)
    head = _complete(peer, head, 4)
    return marshal.loads(_complete(peer, b"", int.from_bytes(head, "big"))), descriptors


def _complete(peer: socket.socket, start: bytes, length: int) -> bytes:
    parts = [start]
    missing = length - len(start)
    while missing:
        part = peer.recv(missing)
        if not part:
            raise EOFError("the other side of the scan is gone")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def pack_state(state: FileState) -> tuple[Any, ...]:
    """Give what can be marshalled: all but the path."""
    return (state.type.value, *state[2:])


def unpack_state(path: bytes, fields: tuple[Any, ...]) -> FileState:
    """Make the state again, of :func:`pack_state`'s fields or a plain file's.

    >>> state = FileState(b"/a", FileType.FIFO, 0o600, xattrs={})
    >>> unpack_state(b"/a", pack_state(state)) == state
    True
    """
    if len(fields) == PLAIN_FIELDS:
        return state_of_plain(path, fields)
    return FileState(path, _TYPES[fields[0]], *fields[1:])


def _read(reader: EntryReader, folder: int, name: bytes) -> tuple[Any, ...]:
    return reader.read_plain(folder, name) or pack_state(reader.read_exactly(Place(folder, name, name)))


def main(descriptor: int, *wishes: str) -> None:
    """Answer until the other side is gone; a scan that was killed is noticed at the next block of a file.

    Args:
        descriptor: The socket.
        wishes: ``spare`` leaves the page cache as it was found.
    """
    parent = os.getppid()
    reader = EntryReader(goes_on=lambda: os.getppid() == parent, spares_cache="spare" in wishes)
    with socket.socket(fileno=descriptor) as peer:
        while True:
            try:
                lists, folders = receive(peer, MOST_FOLDERS)
                before = reader.bytes_read
                rows = []
                for folder, names in zip(folders, lists, strict=True):
                    rows += [_read(reader, folder, name) for name in names]
                    os.close(folder)
                send(peer, (reader.bytes_read - before, rows))
            except (EOFError, OSError, ValueError):
                return  # ValueError: descriptors that this process may not have; the scan reads the parcel itself


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
