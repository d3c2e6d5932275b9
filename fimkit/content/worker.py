"""The process with few rights: reads the files whose descriptors it is handed, searches them, answers with hits.

Both sides talk in packets of JSON over a pair of sockets that nobody else has. What comes from here is believed by nobody: a file
may have taken this process over, and the other side checks every word.
"""

import contextlib
import importlib
import json
import mmap
import os
import re
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from fimkit.content.answers import PACKET_BYTES
from fimkit.content.confine import Confinement, confine
from fimkit.content.hit import ContentHit
from fimkit.content.keywords import KeywordRule, compile_names
from fimkit.content.reader import read_piece
from fimkit.content.rule_files import RuleSet, YaraPart
from fimkit.content.scan import ContentScanner

__all__ = ["MOST_FILES", "PROGRESS_BYTES", "main", "pack_setup"]

MOST_FILES = 32
"""Descriptors in one packet; the kernel takes 253."""

PROGRESS_BYTES = 8
"""A number in a file that both sides have: how many files were begun. It names the one that a worker was at when it was lost."""

_MOST_HITS = 200
_SILENT_S = 0.02
_MOST_TEXT = 1000
_LENGTH_BYTES = 8
_ROW_BYTES = PACKET_BYTES - 1024


def pack_setup(rules: RuleSet, *, most_bytes: int, file_s: float, user: tuple[str, int, int] | None) -> bytes:
    """Write what a worker needs to know: it is given it as a nameless file, before the first other one."""
    head = json.dumps({
        "keywords": [
            [one.id, one.pattern, one.description, one.severity, one.attack, one.files, [word.decode() for word in one.words]]
            for one in rules.keywords
        ],
        "yara": [[part.door, len(part.packed)] for part in rules.yara],
        "most_bytes": most_bytes, "file_s": file_s, "user": user,
    }).encode()  # fmt: skip
    return len(head).to_bytes(_LENGTH_BYTES, "big") + head + b"".join(part.packed for part in rules.yara)


def _unpack_rule(row: Sequence[Any]) -> KeywordRule:
    name, pattern, description, severity, attack, files, words = row
    return KeywordRule(
        id=name, pattern=pattern, description=description, severity=severity, attack=attack, files=tuple(files),
        words=tuple(word.encode() for word in words), compiled=re.compile(pattern.encode(), re.IGNORECASE | re.MULTILINE),
        names=compile_names(files),
    )  # fmt: skip


def _load_setup(file: int) -> tuple[dict[str, Any], list[YaraPart]]:
    with open(file, "rb") as stream:
        head = json.loads(stream.read(int.from_bytes(stream.read(_LENGTH_BYTES), "big")))
        return head, [YaraPart(door, stream.read(length)) for door, length in head["yara"]]


def _pack_hit(hit: ContentHit) -> list[Any]:
    return [
        hit.rule[:_MOST_TEXT], hit.severity, hit.description[:_MOST_TEXT], hit.attack[:_MOST_TEXT],
        hit.line, hit.offset, hit.text, hit.kind,
    ]  # fmt: skip


class _Reader:
    """Reads and searches one file after the other."""

    def __init__(self, scanner: ContentScanner, most_bytes: int) -> None:
        self._scanner = scanner
        self._most_bytes = most_bytes

    def answer(self, file: int, path: bytes, size: int) -> dict[str, Any]:
        """Give what was read and found, in what JSON can say."""
        try:
            piece = read_piece(file, size, self._most_bytes)
        except OSError as error:
            return {"problem": f"cannot be read: {error.strerror}"}
        except MemoryError:
            return {"problem": "needs more memory than it may take"}
        length = len(piece.content) - (piece.gap is not None)
        try:
            found = self._scanner.search(piece.content, path=path)
        except MemoryError:
            return {"read": length, "problem": "its search needs more memory than it may take"}
        hits = [_moved(hit, piece.gap, piece.tail) for hit in found.hits]
        said: dict[str, Any] = {"read": length}
        if hits:
            said["hits"] = [_pack_hit(hit) for hit in hits[:_MOST_HITS]]
            said["more"] = max(len(hits) - _MOST_HITS, 0)
        if piece.gap is not None:
            said["gap"] = True
        if found.problem:
            said["problem"] = found.problem
        return said


def _moved(hit: ContentHit, gap: int | None, tail: int) -> ContentHit:
    """Give a hit behind what was left out its place in the file; which line that is, nobody knows."""
    if gap is None or hit.offset <= gap:
        return hit
    return hit._replace(offset=tail + hit.offset - gap - 1, line=0)


def _encode(said: dict[str, Any]) -> bytes:
    if said.keys() == {"read"}:
        return b"%d" % said["read"]
    row = json.dumps(said, separators=(",", ":")).encode()
    while len(row) > _ROW_BYTES:
        hits = said["hits"]
        half = len(hits) // 2
        said |= {"hits": hits[:half], "more": said["more"] + len(hits) - half}
        row = json.dumps(said, separators=(",", ":")).encode()
    return row


class _Answers:
    """What was said of files and is not sent yet: one packet says it of several, as long as they are quick."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._rows: list[bytes] = []
        self._size = 0
        self._sent_s = time.monotonic()

    def add(self, row: bytes) -> None:
        if self._size + len(row) > _ROW_BYTES:
            self.send()
        self._rows.append(row)
        self._size += len(row) + 1
        if time.monotonic() - self._sent_s > _SILENT_S:
            self.send()

    def send(self) -> None:
        self._sent_s = time.monotonic()
        if not self._rows:
            return
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._peer.send(b'{"cpu":%.3f,"files":[%s]}' % (usage.ru_utime + usage.ru_stime, b",".join(self._rows)))
        self._rows, self._size = [], 0


def _serve(peer: socket.socket, reader: _Reader, progress: mmap.mmap) -> None:
    begun = 0
    answers = _Answers(peer)
    while True:
        packet, files, _, _ = socket.recv_fds(peer, PACKET_BYTES, MOST_FILES)
        if not packet:
            return
        for file, (path, size) in zip(files, json.loads(packet), strict=True):
            begun += 1
            progress[:] = begun.to_bytes(PROGRESS_BYTES, sys.byteorder)
            said = reader.answer(file, path.encode("latin-1"), size)
            os.close(file)
            answers.add(_encode(said))
        answers.send()


def _hello(made: Confinement) -> dict[str, Any]:
    return {"user": made.user, "filtered": made.filtered, "no_network": made.no_network, "lacks": made.lacks}


def main(socket_file: int, progress_file: int) -> None:
    """Make ready, give up what is not needed, and answer until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")
    with contextlib.suppress(ImportError):  # what takes long to import, while the other side reads the rules
        importlib.import_module("yara_x")
    with socket.socket(fileno=socket_file) as peer:
        _, setup_files, _, _ = socket.recv_fds(peer, 1, 1)
        if not setup_files:
            return
        try:
            progress = mmap.mmap(progress_file, PROGRESS_BYTES)
            setup, yara = _load_setup(setup_files[0])
            keywords = [_unpack_rule(row) for row in setup["keywords"]]
            scanner = ContentScanner(keywords, yara, file_s=setup["file_s"])
            reader = _Reader(scanner, setup["most_bytes"])
            scanner.search(b"<?php echo 1;", path=b"/warm.php")  # whatever is imported late is imported now
            made = confine(setup["user"])
        except (ImportError, OSError, ValueError) as error:
            peer.send(json.dumps({"refused": f"{type(error).__name__}: {error}"[:_MOST_TEXT]}).encode())
            return
        peer.send(json.dumps(_hello(made)).encode())
        with contextlib.suppress(OSError):  # the other side is gone
            _serve(peer, reader, progress)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
