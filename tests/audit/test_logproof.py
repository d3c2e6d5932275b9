"""A log that was altered where it had been read is told from one that was rotated, compressed, or has grown."""

import gzip
import os
from pathlib import Path

import pytest

from fimkit.audit.logfile import find_rotations, read_log
from fimkit.audit.logproof import LogProof, find_altered, prove_log

__all__: list[str] = []

LINES = b"".join(b"type=X msg=audit(1.%03d:%d): auid=1000\n" % (n % 1000, n) for n in range(3000))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_bytes(LINES)
    return path


def proved(log: Path) -> LogProof:
    paths = find_rotations(os.fsencode(log))
    reader = read_log(paths, live=True)
    for _ in reader:
        pass
    assert reader.cursor is not None
    proof = prove_log(paths, reader.cursor, time_ns=1)
    assert proof is not None
    assert proof.offset == len(LINES)
    return proof


def altered(log: Path, proof: LogProof) -> str:
    return find_altered(find_rotations(os.fsencode(log)), proof)


def test_one_that_grew_or_was_rotated_or_compressed_is_not_altered(log: Path) -> None:
    proof = proved(log)
    with log.open("ab") as file:
        file.write(b"more\n")
    assert altered(log, proof) == ""
    log.rename(log.with_name("audit.log.1"))
    log.write_bytes(b"type=Y\n")
    assert altered(log, proof) == ""
    old = log.with_name("audit.log.1")
    log.with_name("audit.log.2.gz").write_bytes(gzip.compress(old.read_bytes()))
    old.unlink()
    assert altered(log, proof) == ""


def test_one_byte_that_is_another_one_is_told_also_in_a_file_put_in_its_place(log: Path) -> None:
    proof = proved(log)
    with log.open("r+b") as file:
        file.seek(LINES.index(b"auid=1000", len(LINES) // 2) + 5)
        file.write(b"9")
    assert "was altered since its first" in altered(log, proof)
    log.unlink()  # as `sed -i` does it: another inode
    log.write_bytes(LINES.replace(b":999): auid=1000", b":999): auid=1001"))
    assert "was altered since its first" in altered(log, proof)


def test_lines_that_were_taken_out_are_told(log: Path) -> None:
    proof = proved(log)
    lines = LINES.splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:1500] + lines[1501:]))
    assert "was cut to" in altered(log, proof)
    log.write_bytes(b"".join(lines[:1500] + lines[1501:]) + b"type=NEW msg=audit(2.0:9): x\n" * 40)
    assert "was altered" in altered(log, proof)


def test_one_that_is_gone_is_none_that_was_altered(log: Path) -> None:
    proof = proved(log)
    log.write_bytes(b"another log altogether\n" * 100)
    assert altered(log, proof) == ""
    log.unlink()
    assert altered(log, proof) == ""


def test_a_name_in_the_words_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2K.log"
    path.write_bytes(LINES)
    proof = proved(path)
    path.write_bytes(LINES[:-9])
    assert altered(path, proof).isprintable()
