"""The pure readers: what they read, and that whatever else they are given ends in their own error, in bounded memory."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.model.errors import PackageError
from fimkit.model.states import COMPARED, FileState, FileType
from fimkit.packages.apt_sources import parse_list_file, parse_sources_file
from fimkit.packages.ar import read_ar
from fimkit.packages.dpkg_text import parse_alternative, parse_diversions, parse_md5sums, parse_status
from fimkit.packages.openpgp import Keyring, split_certificates
from fimkit.packages.pins import Diversion, PackagePins, PinnedKey, PinnedPackage, parse_pins, render_pins
from fimkit.packages.proof import Proof
from fimkit.packages.release import parse_release
from fimkit.packages.rpm_header import parse_rpm_header, shipped_by_rpm
from fimkit.packages.shipped import Shipped, matching_attributes, tidy_name
from fimkit.packages.stanzas import parse_stanzas
from fimkit.packages.streams import blocks_of, open_regular, read_whole, unpacked
from fimkit.packages.tar_list import TarLimits, list_tar, read_members
from fimkit.packages.versions import deb_is_older, rpm_is_older

__all__: list[str] = []

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lz4": lambda data: bytes(lz4.frame.compress(data, content_checksum=True)),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def tar_of(*members: tuple[tarfile.TarInfo, bytes], style: int = tarfile.GNU_FORMAT) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=style) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


# -- compressed streams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", PACKERS)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_every_packing_gives_the_bytes_back_also_of_several_streams_in_a_row(suffix: str, parts: list[bytes]) -> None:
    packed = io.BytesIO(b"".join(map(PACKERS[suffix], parts)))
    assert b"".join(blocks_of(unpacked(packed, suffix), 10_000)) == b"".join(parts)


@pytest.mark.parametrize("suffix", [suffix for suffix in PACKERS if suffix])
def test_a_cut_or_damaged_stream_is_an_error_and_never_a_shorter_file(suffix: str) -> None:
    packed = PACKERS[suffix](os.urandom(50_000))
    for broken in (packed[:-1], packed[: len(packed) // 2], b"\xff\0\xff" + packed, packed[:9] + b"\xee" * 40 + packed[49:]):
        with pytest.raises(PackageError):
            list(blocks_of(unpacked(io.BytesIO(broken), suffix), 1 << 20))


@pytest.mark.parametrize("suffix", PACKERS)
@given(rubbish=st.binary(max_size=200))
def test_rubbish_is_an_error_or_bytes(suffix: str, rubbish: bytes) -> None:
    try:
        list(blocks_of(unpacked(io.BytesIO(rubbish), suffix), 1 << 20))
    except PackageError:
        assert rubbish or suffix


@pytest.mark.parametrize("suffix", [suffix for suffix in PACKERS if suffix])
def test_a_bomb_is_given_up_at_the_limit(suffix: str) -> None:
    bomb = PACKERS[suffix](bytes(1 << 26))
    assert len(bomb) < 1 << 20
    with pytest.raises(PackageError, match="more than 1000000 bytes"):
        list(blocks_of(unpacked(io.BytesIO(bomb), suffix), 1_000_000))


def test_an_unknown_packing_is_an_error() -> None:
    with pytest.raises(PackageError, match=r"'\.rar'"):
        unpacked(io.BytesIO(b""), ".rar")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), tmp_path / "none"):
        with pytest.raises(PackageError), open_regular(os.fsencode(path)):
            pass
    (tmp_path / "long").write_bytes(bytes(11))
    with pytest.raises(PackageError, match="longer than 10 bytes"):
        read_whole(os.fsencode(tmp_path / "long"), 10)
    assert read_whole(os.fsencode(tmp_path / "long"), 11) == bytes(11)


# -- ar and tar ---------------------------------------------------------------------------------------------------------------


def ar_of(*members: tuple[str, bytes]) -> bytes:
    whole = b"!<arch>\n"
    for name, content in members:
        whole += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return whole


@given(contents=st.lists(st.binary(max_size=50), max_size=5), read=st.booleans())
def test_the_members_of_an_ar_archive_come_in_turn_whether_they_are_read_or_not(contents: list[bytes], read: bool) -> None:
    archive = ar_of(*((f"m{number}/", content) for number, content in enumerate(contents)))
    seen = [(one.name, one.content.read(100) if read else b"", one.size_bytes) for one in read_ar(io.BytesIO(archive))]
    assert seen == [(f"m{number}", content if read else b"", len(content)) for number, content in enumerate(contents)]


@given(archive=st.binary(max_size=200) | st.binary(max_size=150).map(lambda data: b"!<arch>\n" + data))
def test_ar_rubbish_is_an_error(archive: bytes) -> None:
    try:
        for one in read_ar(io.BytesIO(archive)):
            one.content.read(10)
    except PackageError:
        assert archive != b"!<arch>\n"


def test_an_ar_archive_that_is_cut_is_an_error() -> None:
    whole = ar_of(("a", b"12345678"))
    with pytest.raises(PackageError, match="too early"):
        list(read_ar(io.BytesIO(whole[:-2])))


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_a_tar_archive_is_listed_with_hashes_links_and_long_names(style: int) -> None:
    long = "./" + "/".join(["d" * 60] * (2 if style == tarfile.USTAR_FORMAT else 9))
    archive = tar_of(
        member("./", type=tarfile.DIRTYPE, mode=0o755),
        member("./usr/bin/a", b"content", mode=0o4755, uid=7, gid=8, mtime=1_700_000_000),
        member("./usr/bin/hard", type=tarfile.LNKTYPE, linkname="./usr/bin/a"),
        member("./usr/bin/soft", type=tarfile.SYMTYPE, linkname="../a"),
        member(long, b"x" * 1000, mode=0o600),
        style=style,
    )
    listing = list_tar(io.BytesIO(archive))
    assert listing.problems == ()
    sha256 = hashlib.sha256(b"content").hexdigest()
    first = Shipped(b"/usr/bin/a", FileType.FILE, sha256, None, 0o4755, 7, 8, 7, 1_700_000_000, {})
    assert listing.entries[b"/usr/bin/a"] == first
    assert listing.entries[b"/usr/bin/hard"] == first._replace(path=b"/usr/bin/hard")
    assert listing.entries[b"/usr/bin/soft"].target == b"../a"
    assert listing.entries[long[1:].encode()].sha256 == hashlib.sha256(b"x" * 1000).hexdigest()
    assert listing.entries[b"/"].type is FileType.DIRECTORY


@pytest.mark.parametrize(
    "hostile",
    [
        member("../../etc/passwd", b"x"),
        member("./a/../../etc/passwd", b"x"),
        member("/etc/passwd", b"x"),
        member("./etc/passwd", type=tarfile.LNKTYPE, linkname="/etc/shadow"),
        member("./etc/passwd", type=tarfile.LNKTYPE, linkname="./not/there"),
        member("./etc/passwd", type=tarfile.LNKTYPE, linkname="../before"),
        member("./etc/passwd", type=b"Z"),
        member("x" * 5000, b"x"),
    ],
)
def test_a_name_that_leads_astray_is_left_out_and_said(hostile: tuple[tarfile.TarInfo, bytes]) -> None:
    archive = tar_of(member("./before", b"1"), hostile, member("./behind", b"2"))
    listing = list_tar(io.BytesIO(archive))
    assert sorted(listing.entries) == [b"/before", b"/behind"]
    assert len(listing.problems) == 1


def test_a_sparse_file_is_left_out(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 20)
        file.write(b"x")
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "--sparse", "-cf", archive, "-C", tmp_path, "sparse"], check=True)
    listing = list_tar(io.BytesIO(archive.read_bytes()))
    assert (listing.entries, len(listing.problems)) == ({}, 1)


def test_a_header_that_asks_for_a_gibibyte_at_once_is_an_error() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with pytest.raises(PackageError):
        list_tar(io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))


def test_an_endless_chain_of_headers_is_an_error() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    with pytest.raises(PackageError):
        list_tar(io.BytesIO((info.tobuf(tarfile.GNU_FORMAT) + b"x" + bytes(511)) * 3000))


def test_a_broken_tar_archive_is_never_taken_for_a_shorter_one() -> None:
    whole = tar_of(member("./a", b"1"), member("./b", b"2"))
    broken = bytearray(whole)
    broken[1024 + 150] ^= 0xFF  # in the checksum of the second header
    for archive in (bytes(broken), whole[:700], whole[:1300]):
        with pytest.raises(PackageError):
            list_tar(io.BytesIO(archive))


def test_limits_on_bytes_and_members_hold() -> None:
    archive = tar_of(*(member(f"./{number}", bytes(1000)) for number in range(20)))
    with pytest.raises(PackageError, match="more than 10 members"):
        list_tar(io.BytesIO(archive), TarLimits(members=10))
    with pytest.raises(PackageError, match="more than 9000 bytes"):
        list_tar(io.BytesIO(archive), TarLimits(bytes=9000))
    assert len(list_tar(io.BytesIO(archive), TarLimits(members=20)).entries) == 20


@settings(max_examples=300)
@given(rubbish=st.binary(max_size=1500), at=st.integers(0, 2000), flip=st.integers(1, 255))
def test_tar_rubbish_is_an_error_and_nothing_else(rubbish: bytes, at: int, flip: int) -> None:
    good = bytearray(tar_of(member("./a", b"1" * 600), member("./l" * 60, type=tarfile.SYMTYPE, linkname="t" * 150)))
    good[at] ^= flip
    for archive in (rubbish, bytes(good), bytes(good)[:at]):
        try:
            listing = list_tar(io.BytesIO(archive))
            read_members(io.BytesIO(archive), frozenset({b"/a"}), 1000)
        except PackageError:
            continue
        assert all(path.startswith(b"/") and b".." not in path.split(b"/") for path in listing.entries)


@given(st.binary(max_size=40))
def test_a_tidied_name_is_absolute_and_leads_nowhere_else(name: bytes) -> None:
    try:
        path = tidy_name(name)
    except PackageError:
        return
    assert os.path.normpath(path) == path


# -- texts --------------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=300) | st.text(alphabet="SHA256: \n0aPackges/", max_size=300))
def test_a_release_file_is_read_or_refused(text: str) -> None:
    try:
        release = parse_release(text)
    except PackageError:
        return
    assert all(len(one.sha256) == 64 for one in release.indexes.values())


def test_a_release_file_with_two_hashes_of_one_index_is_refused() -> None:
    line = " {} 7 main/binary-amd64/Packages\n"
    with pytest.raises(PackageError, match="two hashes"):
        parse_release("SHA256:\n" + line.format("0" * 64) + line.format("1" * 64))


def test_hashes_of_other_sections_do_not_count() -> None:
    with pytest.raises(PackageError, match="no SHA-256"):
        parse_release("SHA512:\n " + "0" * 64 + " 7 main/binary-amd64/Packages\n")


@given(cuts=st.lists(st.integers(0, 120), max_size=6))
def test_stanzas_are_the_same_wherever_the_text_is_cut(cuts: list[int]) -> None:
    text = b"Package: a\nDescription: x\n Package: not\nversion: 1:2\n\n\n\nPackage: b\r\nVersion: 3\nVersion: 4\n\nOther: x\n"
    places = [0, *sorted(cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(places)]
    assert list(parse_stanzas(chunks, ["Package", "Version"])) == [
        {b"package": b"a", b"version": b"1:2"},
        {b"package": b"b", b"version": b"3"},
    ]


def test_an_endless_stanza_is_an_error() -> None:
    with pytest.raises(PackageError, match="a stanza of more than"):
        list(parse_stanzas([b"Package: a\n" + bytes(1 << 20)] * 6, ["Package"]))


@given(st.binary(max_size=300) | st.lists(st.sampled_from([b"auto", b"/a", b"", b"x", b"50", b":"]), max_size=20).map(b"\n".join))
def test_dpkgs_texts_are_read_whatever_they_are(data: bytes) -> None:
    assert all(one.path and one.target for one in parse_diversions(data))
    assert parse_alternative(b"vi", data).choices.keys() >= set(parse_alternative(b"vi", data).links) or data
    assert all(one.name for one in parse_status([data]))
    assert parse_md5sums(data, b"/usr/bin/a") is None or b"usr/bin/a" in data
    text = data.decode("utf-8", "surrogateescape")
    list(parse_list_file(text))
    list(parse_sources_file(text))


def test_slaves_of_an_alternative_have_links_and_choices_of_their_own() -> None:
    text = b"auto\n/usr/bin/vi\nvi.1.gz\n/usr/share/man/vi.1.gz\n\n/usr/bin/vim\n50\n/m/vim.1.gz\n/usr/bin/nano\n9\n\n\n"
    group = parse_alternative(b"vi", text)
    assert group.links == {b"vi": b"/usr/bin/vi", b"vi.1.gz": b"/usr/share/man/vi.1.gz"}
    assert group.choices == {b"vi": {b"/usr/bin/vim", b"/usr/bin/nano"}, b"vi.1.gz": {b"/m/vim.1.gz"}}


def test_sources_name_their_keys_in_every_form() -> None:
    one = "deb [signed-by=/a.gpg,/b.gpg arch=amd64] http://x y z # [signed-by=/c.gpg]\ndeb-src http://x y\n#deb http://x y\n"
    (found,) = parse_list_file(one)
    assert found.files == (b"/a.gpg", b"/b.gpg")
    fingerprint = "A" * 40
    text = f"""Types: deb deb-src
URIs: http://x
Signed-By: {fingerprint}!

Enabled: no
Types: deb

# a comment
Types: deb
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
# inside
 -----END PGP PUBLIC KEY BLOCK-----
"""
    first, second = parse_sources_file(text)
    assert first.fingerprints == (fingerprint.lower(),)
    assert second.embedded == (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n",)


# -- versions -----------------------------------------------------------------------------------------------------------------

VERSIONS = st.from_regex(r"\A(?:[0-3]:)?[0-9][0-9a-b.+~]{0,6}(?:-[0-9a-b.+~]{1,4})?\Z")

RPM_VERSIONS = st.from_regex(r"\A[0-9][0-9ab.+~^_]{0,7}\Z")


@pytest.mark.skipif(not shutil.which("dpkg"), reason="asks dpkg itself")
@settings(max_examples=100)
@given(VERSIONS, VERSIONS)
def test_debian_versions_compare_as_dpkg_compares_them(one: str, other: str) -> None:
    expected = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False, stderr=subprocess.DEVNULL).returncode
    assert deb_is_older(one, other) is (expected == 0)


@pytest.mark.skipif(not shutil.which("rpm"), reason="asks rpm itself")
@settings(max_examples=60)
@given(RPM_VERSIONS, RPM_VERSIONS)
def test_rpm_versions_compare_as_rpm_compares_them(one: str, other: str) -> None:
    words = f"%{{lua: print(rpm.vercmp('{one}', '{other}'))}}"
    done = subprocess.run(["rpm", "--eval", words], check=True, capture_output=True, text=True)
    assert rpm_is_older(one, other) is (int(done.stdout) < 0)


@given(st.text(max_size=12), st.text(max_size=12))
def test_whatever_stands_for_a_version_is_compared_or_not_known(one: str, other: str) -> None:
    assert deb_is_older(one, other) in (True, False, None)
    assert rpm_is_older(one, other) in (True, False, None)


# -- OpenPGP, pins, proofs ----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_rubbish_is_no_signature_and_no_keyring(data: bytes) -> None:
    with pytest.raises(PackageError):
        Keyring([]).verify_inline(data)
    with pytest.raises(PackageError):
        Keyring([]).verify_detached(b"x", data)
    with suppress(PackageError):
        assert split_certificates(data) == {}


NAMES = st.text(alphabet="ab-+.", min_size=1, max_size=5)


@given(
    st.builds(
        PackagePins,
        keys=st.tuples(st.builds(PinnedKey, NAMES, st.binary(max_size=9), st.binary(max_size=9), NAMES)),
        packages=st.lists(st.builds(PinnedPackage, NAMES, NAMES, NAMES, st.none() | NAMES), max_size=3).map(tuple),
        diversions=st.frozensets(
            st.builds(Diversion, st.binary(max_size=5), st.binary(max_size=5), st.none() | NAMES), max_size=3
        ),
    )
)
def test_pins_come_back_from_their_json_form(pins: PackagePins) -> None:
    assert parse_pins(render_pins(pins)) == pins


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["keys", "packages", "diversions", "fingerprint"]), inner)))  # fmt: skip
def test_what_are_no_pins_is_refused(row: object) -> None:
    if row == {"keys": [], "packages": [], "diversions": []}:
        assert parse_pins(row) == PackagePins()
        return
    with pytest.raises(PackageError):
        parse_pins(row)


STATES = st.builds(
    FileState, path=st.just(b"/a"), type=st.sampled_from([FileType.FILE, FileType.SYMLINK, FileType.DIRECTORY]),
    mode=st.sampled_from([None, 0o644, 0o4755]), uid=st.sampled_from([None, 0, 7]), gid=st.sampled_from([None, 0, 7]),
    sha256=st.sampled_from([None, "0" * 64, "1" * 64]), target=st.sampled_from([None, b"x", b"y"]),
    xattrs=st.sampled_from([None, {}, {"user.x": b"x"}, {"security.selinux": b"l"}]),
)  # fmt: skip
SHIPPED = st.builds(
    Shipped, path=st.just(b"/a"), type=st.sampled_from([FileType.FILE, FileType.SYMLINK, FileType.DIRECTORY]),
    mode=st.sampled_from([None, 0o644, 0o4755]), uid=st.sampled_from([None, 0]), gid=st.sampled_from([None, 0]),
    sha256=st.sampled_from([None, "0" * 64]), target=st.sampled_from([None, b"x"]), xattrs=st.sampled_from([None, {}]),
)  # fmt: skip


@given(SHIPPED, STATES)
def test_nothing_is_proved_of_an_attribute_that_differs_or_is_not_known(shipped: Shipped, state: FileState) -> None:
    proved = matching_attributes(shipped, state)
    for name in proved & {"sha256", "target", "uid", "gid", "type"}:
        assert getattr(shipped, name) is not None
        assert getattr(shipped, name) == getattr(state, name)
    if "mode" in proved and state.type is not FileType.SYMLINK:
        assert shipped.mode == state.mode is not None
    if "xattrs" in proved:
        assert set(state.xattrs or {}) <= {"security.selinux"}
    if state.type is FileType.FILE and "sha256" not in proved:
        assert not proved


@given(st.frozensets(st.sampled_from([*COMPARED, "deleted"])), STATES, STATES, st.lists(st.sampled_from(COMPARED)))
def test_a_difference_in_what_is_not_proved_is_never_explained(
    proved: frozenset[str], before: FileState, after: FileState, changed: list[str]
) -> None:
    proof = Proof(path=b"/a", proved=proved)
    if proof.explains(before, after, changed):
        assert {"sha256", "target", "mode", "uid", "gid", "xattrs", "type"} & set(changed) <= proved
    if proof.explains(None, after, ()):
        assert {"type", "mode", "uid", "gid", "xattrs"} <= proved
    assert proof.explains(before, None, ()) == ("deleted" in proved)


# -- rpm headers --------------------------------------------------------------------------------------------------------------


def header_of(region: list[tuple[int, int, int, bytes]], added: list[tuple[int, int, int, bytes]]) -> bytes:
    """Make a header as rpm's database has it: (tag, type, count, bytes); strings and bytes only, which need no alignment."""
    store, entries = b"", []
    for tag, kind, count, value in region:
        entries.append(struct.pack(">IIiI", tag, kind, len(store), count))
        store += value
    trailer = struct.pack(">IIiI", 63, 7, -16 * (len(entries) + 1), 16)
    first = struct.pack(">IIiI", 63, 7, len(store), 16)
    store += trailer
    for tag, kind, count, value in added:
        entries.append(struct.pack(">IIiI", tag, kind, len(store), count))
        store += value
    return struct.pack(">II", len(entries) + 1, len(store)) + first + b"".join(entries) + store


REGION = [
    (1000, 6, 1, b"tool\0"),
    (1117, 8, 1, b"tool\0"),
    (1118, 8, 1, b"/usr/bin/\0"),
    (1116, 4, 1, struct.pack(">I", 0)),
    (1030, 3, 1, struct.pack(">H", 0o100755)),
    (1035, 8, 1, b"1" * 64 + b"\0"),
    (5011, 4, 1, struct.pack(">I", 8)),
]


def test_values_come_from_the_signed_region_alone() -> None:
    added = [(1035, 8, 1, b"2" * 64 + b"\0"), (1117, 8, 1, b"evil\0"), (1000, 6, 1, b"evil\0"), (268, 7, 3, b"sig")]
    header = parse_rpm_header(header_of(REGION, added))
    assert (header.name, header.signatures) == ("tool", (b"sig",))
    assert b"evil" not in header.signed
    shipped = shipped_by_rpm(header, b"/usr/bin/tool")
    assert shipped is not None
    assert (shipped.sha256, shipped.mode, shipped.uid) == ("1" * 64, 0o755, None)
    assert shipped_by_rpm(header, b"/usr/bin/evil") is None
    assert shipped_by_rpm(header, b"/usr/sbin/tool") is None


def test_a_digest_of_another_kind_than_sha256_proves_no_content() -> None:
    header = parse_rpm_header(header_of([*REGION[:-1], (5011, 4, 1, struct.pack(">I", 1))], []))
    shipped = shipped_by_rpm(header, b"/usr/bin/tool")
    assert shipped is not None
    assert shipped.sha256 is None
    assert matching_attributes(shipped, FileState(b"/usr/bin/tool", FileType.FILE, mode=0o755, sha256="1" * 64)) == frozenset()


@settings(max_examples=300)
@given(data=st.binary(max_size=100), at=st.integers(0, 400), value=st.binary(min_size=1, max_size=4))
def test_rpm_rubbish_is_an_error_and_nothing_else(data: bytes, at: int, value: bytes) -> None:
    good = header_of(REGION, [(268, 7, 3, b"sig"), (278, 8, 1, b"!!\0")])
    for blob in (data, good[:at] + value + good[at + len(value) :], good[:at]):
        try:
            shipped_by_rpm(parse_rpm_header(blob), b"/usr/bin/tool")
        except PackageError:
            continue
