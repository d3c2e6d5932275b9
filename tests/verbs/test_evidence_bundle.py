"""A bundle is whole on another host, and each part of it that is altered, left out or put in is named."""

import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.incident_rows import IncidentRow
from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.errors import HostError, UsageError
from fimkit.model.findings import Kind
from fimkit.verbs.evidence_bundle import Made, make_bundle
from fimkit.verbs.evidence_key import load_own_public
from fimkit.verbs.evidence_unbundle import verify_bundle
from fimkit.verbs.seal import make_key
from tests.verbs.baseline_host import NOW, SmallHost, make_host

EVENT = f"{NOW // 10**9}.970:7"


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    made = make_host(tmp_path)
    (made.tree / "a").write_text("<script>alert(1)</script>")
    actor = Actor(
        auid=1000, uid=0, euid=0, user="eve", pid=7, ppid=1, exe=b"/bin/<b>", comm=b"x", cmdline="x \x1b[2J", cmdline_verified=True,
        tty=None, ses=None, syscall="openat", time_ns=NOW, event=EVENT,
    )  # fmt: skip
    finding = replace(made.found("a", Kind.MODIFIED), id="ab" * 16, evidence=(EVENT,), actors=(actor,))
    change = Change(
        source=Source.AUDIT, action=Action.OPENED, time_ns=NOW // 10**6 * 10**6, serial=7, item=1, path=finding.path,
        path_sure=True, dev=None, inode=None, parent_dev=None, parent_inode=None, mode=None, new_mode=None, actor=actor,
    )  # fmt: skip
    folder = tmp_path / "incident"
    folder.mkdir()
    (folder / "cause.json").write_text(json.dumps({"findings": [finding.id]}))
    (folder / "packets.pcapng").write_bytes(os.urandom(300_000))
    (folder / "odd\n<name>").write_text("odd")
    (folder / "out").symlink_to("/etc/passwd")
    with made.store() as store:
        store.add_changes([change, replace(change, path=b"/other", serial=8)])
        store.add_findings([finding], now_ns=NOW)
        store.accept([(made.path("b"), None)], who="ada", why="gone", time_ns=NOW)
        store.add_incident(
            IncidentRow(id="i-1", host="web01", cause="x", triggered_ns=NOW, updated_ns=NOW, phase="cut", folder=bytes(folder))
        )
    return made


def bundle(host: SmallHost, tmp_path: Path, number: str = "abab", name: str = "b.zip", **options: object) -> Made:
    return make_bundle(host.config, number, output=tmp_path / name, **options)  # type: ignore[arg-type]


def rewrite(file: Path, edit: Callable[[str, bytes], bytes | None], more: dict[str, bytes] | None = None) -> Path:
    """Write an archive again with other bytes in it, as who altered it would, checksums and all."""
    out = file.with_name("altered.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            content = edit(info.filename, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return out


def parts_of(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as archive:
        return archive.namelist()


def test_bundle_of_a_finding_is_whole_elsewhere_and_by_its_key(host: SmallHost, tmp_path: Path) -> None:
    made = bundle(host, tmp_path)
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    own = load_own_public(host.config.host.state_dir)
    assert own is not None and own.fingerprint == made.fingerprint
    key = os.path.join(host.config.host.state_dir, b"evidence.key")
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    public = tmp_path / "host.pub"
    public.write_text(own.pem)
    seen = verify_bundle(made.file, key=public)
    assert seen.whole and seen.is_trusted and seen.manifest is not None
    assert seen.manifest["what"] == "finding" and len(seen.manifest["parts"]) == made.parts
    names = parts_of(made.file)
    about = ("finding.json", "claims.jsonl", "records.jsonl", "baseline.json")
    assert {f"findings/{'ab' * 16}/{name}" for name in about} < set(names)
    assert {"chain.jsonl", "chained-rows.jsonl", "report.html", "incidents/i-1/packets.pcapng"} < set(names)
    assert any(name.endswith("-odd-name") for name in names) and not any(name.endswith("/out") for name in names)
    assert any("out" in words for words in made.words)


def test_each_part_that_is_altered_is_named(host: SmallHost, tmp_path: Path) -> None:
    made = bundle(host, tmp_path)
    for name in parts_of(made.file):
        altered = rewrite(made.file, lambda part, content, name=name: content + b" " if part == name else content)  # type: ignore[misc]
        seen = verify_bundle(altered)
        if name == "manifest.sig":
            assert seen.whole  # white space around the signature is none of it
            altered = rewrite(made.file, lambda part, content: b"00" * 64 if part == "manifest.sig" else content)
            seen = verify_bundle(altered)
        assert not seen.whole and any(name in words or "manifest.json" in words for words in seen.altered), name


def test_parts_left_out_put_in_or_doubled_are_named(host: SmallHost, tmp_path: Path) -> None:
    made = bundle(host, tmp_path)
    gone = rewrite(made.file, lambda part, content: None if part == "report.html" else content)
    assert verify_bundle(gone).altered == ("report.html is missing",)
    more = rewrite(made.file, lambda part, content: content, {"extra.txt": b"x", "../../etc/cron.d/x": b"y"})
    assert {"'extra.txt' was put in: the manifest has no such part", "'../../etc/cron.d/x' is no name of a part"} <= set(
        verify_bundle(more).altered
    )
    assert not (tmp_path.parent / "etc").exists()


def test_bundle_signed_anew_by_another_key_is_not_the_hosts(host: SmallHost, tmp_path: Path) -> None:
    make_key(str(tmp_path / "k"), None)
    other = bundle(host, tmp_path, key=tmp_path / "k")
    bundle(host, tmp_path, name="own.zip")
    own = load_own_public(host.config.host.state_dir)
    assert own is not None
    (tmp_path / "host.pub").write_text(own.pem)
    assert verify_bundle(other.file, key=tmp_path / "k.pub").whole
    seen = verify_bundle(other.file, key=tmp_path / "host.pub")
    assert not seen.whole and "NOT the given one" in seen.signed
    assert "nobody vouches" in verify_bundle(other.file).signed


def test_row_that_is_not_what_was_stored_shows_even_in_a_bundle_signed_by_the_host(host: SmallHost, tmp_path: Path) -> None:
    with host.store() as store:
        store._connection.execute("UPDATE processes SET uid = 33")
    seen = verify_bundle(bundle(host, tmp_path).file)
    assert any("is not what was stored" in words for words in seen.altered)


def test_bundle_of_an_incident_has_its_findings_and_files(host: SmallHost, tmp_path: Path) -> None:
    made = bundle(host, tmp_path, "i-1")
    assert verify_bundle(made.file).whole
    assert {f"findings/{'ab' * 16}/finding.json", "incidents/i-1.json"} < set(parts_of(made.file))


def test_page_runs_nothing_from_a_file_name_or_command_line(host: SmallHost, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle(host, tmp_path).file) as archive:
        page = archive.read("report.html").decode()
    assert "<script" not in page and "<b>" not in page and "\x1b" not in page and "&lt;b&gt;" in page


def test_name_that_is_taken_is_refused_and_stays(host: SmallHost, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        bundle(host, tmp_path)
    assert (tmp_path / "b.zip").read_text() == "mine"
    with pytest.raises(UsageError, match="no finding's id"):
        bundle(host, tmp_path, "ffff", name="c.zip")
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".fimkit")]


def test_key_that_others_may_read_signs_nothing(host: SmallHost, tmp_path: Path) -> None:
    bundle(host, tmp_path)
    os.chmod(os.path.join(host.config.host.state_dir, b"evidence.key"), 0o640)
    with pytest.raises(HostError, match="others may read it"):
        bundle(host, tmp_path, name="c.zip")


@pytest.mark.parametrize(
    "content", [b"", b"PK\5\6", b"x" * 100, b"PK\5\6" + b"\xff" * 18, b"PK\6\7" + b"\0" * 16 + b"PK\5\6" + b"\0" * 18]
)
def test_what_is_no_archive_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    seen = verify_bundle(tmp_path / "x.zip")
    assert not seen.whole and seen.altered


def test_truncated_and_flipped_archives_are_never_whole_and_never_raise(host: SmallHost, tmp_path: Path) -> None:
    whole = bundle(host, tmp_path).file.read_bytes()
    file = tmp_path / "cut.zip"
    for place in range(0, len(whole), len(whole) // 40):
        file.write_bytes(whole[:place])
        assert not verify_bundle(file).whole
        flipped = bytearray(whole)
        flipped[place] ^= 0x55
        file.write_bytes(flipped)
        verify_bundle(file)  # a byte between two parts is none of any


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda raw: b"#!/bin/sh\n" + raw, "there are bytes that belong to no part"),
        (lambda raw: raw + b"more", "there are bytes after its end"),
        (lambda raw: raw[:-2] + b"\4\0more", "there are bytes after its end"),
    ],
)
def test_bytes_beside_the_parts_are_named(
    host: SmallHost, tmp_path: Path, edit: Callable[[bytes], bytes], expected: str
) -> None:
    made = bundle(host, tmp_path).file
    other = tmp_path / "other.zip"
    other.write_bytes(edit(made.read_bytes()))
    assert any(expected in words for words in verify_bundle(other).altered)


def test_bytes_between_parts_and_a_part_listed_as_a_link_are_named(host: SmallHost, tmp_path: Path) -> None:
    made = bundle(host, tmp_path).file
    gap, link = tmp_path / "gap.zip", tmp_path / "link.zip"
    with zipfile.ZipFile(made) as old, gap.open("wb") as stream, zipfile.ZipFile(stream, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
            stream.write(b"hidden")
            new.start_dir = stream.tell()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(link, "w") as new:
        for info in old.infolist():
            copy = zipfile.ZipInfo(info.filename)
            copy.external_attr = ((stat.S_IFLNK if info.filename == "report.html" else stat.S_IFREG) | 0o600) << 16
            new.writestr(copy, old.read(info))
    assert any("belong to no part" in words for words in verify_bundle(gap).altered)
    assert verify_bundle(link).altered == ("'report.html' is listed as something else than a plain file",)


def test_pipe_in_the_place_of_a_bundle_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not verify_bundle(tmp_path / "pipe").whole


def test_part_that_swells_is_read_no_further_than_the_manifest_says(host: SmallHost, tmp_path: Path) -> None:
    made = bundle(host, tmp_path)
    swollen = rewrite(made.file, lambda part, content: bytes(50 << 20) if part == "report.html" else content)
    assert swollen.stat().st_size < 1 << 20
    assert any("report.html was altered: it has more than its" in words for words in verify_bundle(swollen).altered)


def test_same_evidence_gives_the_same_parts(host: SmallHost, tmp_path: Path) -> None:
    first, second = (bundle(host, tmp_path, name=name).file for name in ("1.zip", "2.zip"))
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as two:
        assert one.namelist() == two.namelist()
        assert all(one.read(name) == two.read(name) for name in one.namelist() if not name.startswith("manifest"))


def test_nested_json_of_a_hostile_manifest_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("manifest.json", "[" * 100_000)
        archive.writestr("manifest.sig", "00")
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    assert "manifest" in verify_bundle(tmp_path / "x.zip").altered[0]
