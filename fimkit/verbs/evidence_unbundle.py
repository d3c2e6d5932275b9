"""Verifies a bundle that came from elsewhere: nothing of it is unpacked, and all that is read is bounded."""

import ast
import hashlib
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fimkit.evidence.chain_subjects import TAG_BYTES, split_tags
from fimkit.evidence.seal_keys import fingerprint, is_signed, load_public_key
from fimkit.model.chain import next_link
from fimkit.model.errors import HostError, SealError, UsageError, clip
from fimkit.model.paths import parse_path, render_path
from fimkit.verbs.evidence_bundle import BUNDLE_MARK, MANIFEST, SIGNATURE
from fimkit.verbs.evidence_key import load_trusted

__all__ = ["Unbundled", "render_unbundled", "verify_bundle"]

_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}/){0,4}[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}")
_MOST_PARTS = 20_000
_MANIFEST_BYTES = 32 << 20
_CHAIN_BYTES = 1 << 30
_TOTAL_BYTES = 64 << 30
_CHUNK = 1 << 18
_HEAD, _LAST_BYTES = struct.Struct("<26xHH"), 22
_END_BYTES, _LIST_BYTES, _ZIP64_BYTES = 66_000, 16 << 20, (1 << 31) - 1
_DAMAGE = (
    zipfile.BadZipFile, struct.error, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, OSError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbundled:
    """What verifying a bundle came to: what was altered, in words; ``signed`` says by whom, and who vouches for that."""

    altered: tuple[str, ...]
    signed: str
    fingerprint: str | None
    is_trusted: bool | None
    manifest: Mapping[str, Any] | None

    @property
    def whole(self) -> bool:
        """Whether nothing was altered, and the key is the expected one, where one was given."""
        return not self.altered and self.is_trusted is not False


def render_unbundled(seen: Unbundled) -> dict[str, Any]:
    """Give it as an object for JSON."""
    about = {} if seen.manifest is None else {name: seen.manifest[name] for name in ("what", "id", "host", "time", "head")}
    return {
        "whole": seen.whole, "altered": list(seen.altered), "signed": seen.signed, "key": seen.fingerprint,
        "trusted": seen.is_trusted, **about,
    }  # fmt: skip


def verify_bundle(file: Path, *, key: Path | None = None) -> Unbundled:
    """Verify a bundle: its signature, each part, and the chain that its rows are in.

    Args:
        file: The archive.
        key: The public key that must have signed it; without one, it is only said which one did.

    Raises:
        UsageError: If the file or the key cannot be read.
    """
    trusted = None if key is None else load_trusted(key)
    try:
        stream = os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # of a pipe nobody need ever write to
    except OSError as error:
        raise UsageError(f"{render_path(os.fsencode(file))} cannot be read: {error.strerror}") from error
    with stream:
        try:
            if words := _check_size(stream):
                return _refused(words)
            with zipfile.ZipFile(stream) as archive:
                return _Bundle(archive).verify(trusted)
        except _DAMAGE as error:
            return _refused(f"it is no whole archive: {error}")


def _check_size(stream: IO[bytes]) -> str | None:
    """Look at the end of an archive before its list of parts is read into memory, however long that says it is."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _END_BYTES))
    end = stream.read()
    stream.seek(0)
    place = end.rfind(b"PK\5\6")
    if place >= 0 and len(end) - place != _LAST_BYTES:
        return "there are bytes after its end"
    if place >= 0:
        count, length = struct.unpack_from("<10xHI", end, place)
        if count > _MOST_PARTS or length > _LIST_BYTES:
            return f"it has {count} parts or more; at most {_MOST_PARTS} are looked at"
    if end[max(0, place - 20) : max(0, place - 16)] == b"PK\6\7" and size < _ZIP64_BYTES:
        return "its list of parts is of a form that a file of its size has no need of"
    return None


def _refused(words: str, *, signed: str = "nobody's signature was verified") -> Unbundled:
    return Unbundled(altered=(words,), signed=signed, fingerprint=None, is_trusted=None, manifest=None)


class _Bundle:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._altered: list[str] = []

    def verify(self, trusted: bytes | None) -> Unbundled:
        infos = self._archive.infolist()
        if len(infos) > _MOST_PARTS:
            return _refused(f"it has {len(infos)} parts; at most {_MOST_PARTS} are looked at")
        names = [info.filename for info in infos]
        self._altered += [f"{clip(name)} is no name of a part" for name in names if not _NAME.fullmatch(name)]
        self._altered += [f"{clip(name)} is there more than once" for name, count in Counter(names).items() if count > 1]
        self._altered += self._check_layout(infos)
        try:
            text = self._read(MANIFEST, _MANIFEST_BYTES)
            manifest = _parse_manifest(text)
            raw = load_public_key(manifest["public_key"].encode())
            signature = bytes.fromhex(self._read(SIGNATURE, 1000).decode("ascii").strip())
        except (KeyError, SealError, UnicodeError, HostError, *_DAMAGE) as error:
            return _refused(f"its manifest or signature cannot be read: {error}")
        if not is_signed(raw, signature, BUNDLE_MARK + text):
            self._altered.append(f"{MANIFEST} was altered: the signature is of another one")
        self._check_parts(manifest["parts"], names)
        is_trusted = None if trusted is None else trusted == raw
        return Unbundled(
            altered=tuple(self._altered), signed=_signed_words(raw, is_trusted), fingerprint=fingerprint(raw),
            is_trusted=is_trusted, manifest=manifest,
        )  # fmt: skip

    def _check_layout(self, infos: list[zipfile.ZipInfo]) -> Iterator[str]:
        """See that there is nothing but parts, and that each is a plain file: who unpacks it makes what the list says."""
        stream, place = self._archive.fp, 0
        assert stream is not None
        for info in sorted(infos, key=lambda one: one.header_offset):
            if info.header_offset != place:
                yield f"before {clip(info.filename)} there are bytes that belong to no part"
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG) or info.comment:
                yield f"{clip(info.filename)} is listed as something else than a plain file"
            stream.seek(info.header_offset)
            place = info.header_offset + 30 + sum(_HEAD.unpack(stream.read(30))) + info.compress_size
        if place != self._archive.start_dir:
            yield "before its list of parts there are bytes that belong to no part"

    def _read(self, name: str, most_bytes: int) -> bytes:
        with self._archive.open(name) as part:
            text = part.read(most_bytes + 1)
        if len(text) > most_bytes:
            raise HostError(f"{name} is larger than {most_bytes >> 20} MiB")
        return text

    def _check_parts(self, parts: list[dict[str, Any]], names: list[str]) -> None:
        listed = {part["name"] for part in parts}
        strangers = sorted(set(names) - listed - {MANIFEST, SIGNATURE})
        self._altered += [f"{clip(name)} was put in: the manifest has no such part" for name in strangers]
        if sum(part["bytes"] for part in parts) > _TOTAL_BYTES:
            self._altered.append(f"its parts are larger than {_TOTAL_BYTES >> 30} GiB together: they were not looked at")
            return
        for part in parts:
            name = part["name"]
            if name not in names:
                self._altered.append(f"{name} is missing")
                continue
            words = self._check_part(name, part["bytes"], part["sha256"])
            if words:
                self._altered.append(f"{name} was altered: {words}")
        if {"chain.jsonl", "chained-rows.jsonl"} <= set(names) & listed:
            self._altered += self._check_chain()

    def _check_part(self, name: str, size: int, sha256: str) -> str | None:
        digest, count = hashlib.sha256(), 0
        try:
            with self._archive.open(name) as part:
                while chunk := part.read(_CHUNK):
                    count += len(chunk)
                    if count > size:
                        return f"it has more than its {size} bytes"
                    digest.update(chunk)
        except _DAMAGE as error:
            return f"it cannot be read: {error}"
        return None if (count, digest.hexdigest()) == (size, sha256) else "its bytes are others"

    def _check_chain(self) -> Iterator[str]:
        try:
            segment = [json.loads(line) for line in self._read("chain.jsonl", _CHAIN_BYTES).splitlines()]
            proofs = [json.loads(line) for line in self._read("chained-rows.jsonl", _CHAIN_BYTES).splitlines()]
            yield from _check_links(segment)
            yield from _check_rows(segment, proofs)
        except (KeyError, TypeError, AttributeError, SyntaxError, RecursionError, MemoryError, *_DAMAGE) as error:
            yield f"chain.jsonl cannot be read: {type(error).__name__}: {clip(str(error))}"


def _signed_words(raw: bytes, is_trusted: bool | None) -> str:
    name = fingerprint(raw)
    if is_trusted is None:
        return f"signed by key {name}, which nobody vouches for here: compare it with the host's mails or `fimkit evidence head`"
    return f"signed by the given key {name}" if is_trusted else f"signed by key {name}, which is NOT the given one"


def _parse_manifest(text: bytes) -> dict[str, Any]:
    said = json.loads(text)
    if not isinstance(said, dict) or said.get("fimkit_bundle") != 1:
        raise ValueError("it is no bundle of this fimkit")
    for name in ("host", "id", "what", "time", "public_key"):
        if not isinstance(said.get(name), str):
            raise ValueError(f"{name!r} is missing")
    if "head" not in said or not isinstance(said.get("parts"), list):
        raise ValueError("head or parts are missing")
    for part in said["parts"]:
        if not (isinstance(part, dict) and isinstance(part.get("bytes"), int) and part["bytes"] >= 0):
            raise ValueError("a part without a size")
        if not (isinstance(part.get("name"), str) and _NAME.fullmatch(part["name"]) and isinstance(part.get("sha256"), str)):
            raise ValueError("a part without a name or hash")
    return said


def _check_links(segment: list[dict[str, Any]]) -> Iterator[str]:
    """Hold each link against the one before."""
    if not segment:
        return
    before, expected = segment[0]["before"], None
    for link in segment[1:]:
        subject = parse_path(link["subject"]["bytes"]) if isinstance(link["subject"], dict) else link["subject"]
        fields = (link["seq"], link["time_ns"], link["kind"], subject, link["rows"], bytes.fromhex(link["digest"]))
        start = bytes(32) if before is None else bytes.fromhex(before)
        if expected not in (None, link["seq"]) or next_link(start, fields).hex() != link["link"]:
            yield f"chain.jsonl: link {clip(link['seq'])} does not follow from the one before"
            return
        before, expected = link["link"], link["seq"] + 1


def _check_rows(segment: list[dict[str, Any]], proofs: list[dict[str, Any]]) -> Iterator[str]:
    """Hold each row's text against the hash in its link."""
    digests = {link["seq"]: bytes.fromhex(link["digest"]) for link in segment[1:]}
    batches: dict[int, set[bytes]] = {}
    for proof in proofs:
        seq = proof["seq"]
        if "parts" in proof:
            parts = bytes.fromhex(proof["parts"])
            if hashlib.sha256(parts).digest() != digests.get(seq):
                yield f"chained-rows.jsonl: the batch of link {clip(seq)} is not the one that was stored"
            batches[seq] = set(split_tags(parts))
            continue
        text = proof["row"].encode("ascii")
        if proof["kind"] == "changes":
            process = proof["process"]
            tag = b"" if process is None else hashlib.sha256(process.encode("ascii")).digest()[:TAG_BYTES]
            good = hashlib.sha256(text + tag).digest()[:TAG_BYTES] in batches.get(seq, set())
        else:
            good = hashlib.sha256(text).digest() == digests.get(seq)
        if not good:
            yield f"chained-rows.jsonl: {proof['kind']} of link {clip(seq)}: {clip(_first(proof['row']))} is not what was stored"


def _first(row: str) -> object:
    return ast.literal_eval(row)[0]
