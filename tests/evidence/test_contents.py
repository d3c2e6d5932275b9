"""What files say is kept masked, for the owner's eyes alone, as long as it is needed, and each content once."""

import hashlib
import os
import sqlite3
import stat
from pathlib import Path

import pytest
import zstandard

from fimkit.evidence.contents import Contents, SeenText, contents_path, decode_text, open_contents, open_contents_reading
from fimkit.model.errors import HostError, StoreError
from fimkit.model.states import FileState, FileType
from tests.evidence.examples import NOW
from tests.watching import opened

DAY = 86_400 * 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> bytes:
    place = tmp_path / "state"
    place.mkdir(mode=0o700)
    return os.fsencode(place)


def seen(path: bytes, content: bytes, *, public: bool = True, mode: int = 0o644) -> SeenText:
    sha256 = hashlib.sha256(content).hexdigest()
    state = FileState(path, FileType.FILE, mode=mode, uid=0, gid=0, size=len(content), sha256=sha256)
    return SeenText(state, content, public)


def keep(contents: Contents, *files: SeenText, accepted: bool = False, seen_ns: int = NOW) -> None:
    contents.keep(files, accepted=accepted, seen_ns=seen_ns)


def text_of(contents: Contents, file: SeenText) -> str | None:
    assert file.state.sha256 is not None
    kept = contents.load(file.state.path, file.state.sha256)
    return None if kept is None else kept.text


def raw_texts(folder: bytes) -> list[str]:
    with sqlite3.connect(os.fsdecode(contents_path(folder))) as raw:
        return [zstandard.ZstdDecompressor().decompress(body).decode() for (body,) in raw.execute("SELECT body FROM texts")]


def test_text_is_given_back_and_other_bytes_are_refused_with_the_reason(folder: bytes) -> None:
    text, odd, binary = seen(b"/a", "ä\r\n\x1b".encode()), seen(b"/b", b"caf\xe9\n"), seen(b"/c", b"\x7fELF\0\0")
    with open_contents(folder) as contents:
        keep(contents, text, odd, binary)
        assert (text_of(contents, text), text_of(contents, odd), text_of(contents, binary)) == ("ä\r\n\x1b", "caf\udce9\n", None)
        assert contents.load(b"/c", str(binary.state.sha256)).why == "binary, no text"  # type: ignore[union-attr]
        assert contents.load(b"/other", str(text.state.sha256)) is None


@pytest.mark.parametrize(
    ("content", "text"),
    [("x\n".encode("utf-16"), "x\n"), (b"\xef\xbb\xbfx", "x"), (b"", ""), (b"a\0b", None), (bytes(range(128, 250)), None)],
)
def test_encodings_are_read_and_what_is_none_is_binary(content: bytes, text: str | None) -> None:
    assert decode_text(content) == text


def test_a_secret_is_in_no_file_of_the_folder(folder: bytes) -> None:
    with open_contents(folder) as contents:
        keep(contents, seen(b"/etc/x", b"password = hunter2-hunter2\nuser = bob\n"))
    (text,) = raw_texts(folder)
    assert "hunter2" not in text and text.startswith("password = \0") and text.endswith("user = bob\n")
    for name in os.listdir(folder):
        assert b"hunter2" not in Path(os.fsdecode(os.path.join(folder, name))).read_bytes()


def test_a_pattern_that_is_added_masks_what_was_kept_before(folder: bytes) -> None:
    file = seen(b"/etc/x", b"password = a\ncard 4111-1111 of bob\n")
    with open_contents(folder) as contents:
        keep(contents, file)
        was = text_of(contents, file)
    with open_contents(folder, patterns=["card ([0-9-]+)"]) as contents:
        now = text_of(contents, file)
        keep(contents, seen(b"/etc/y", b"card 4111-1111 of eve\n"))
    assert was is not None and "4111" in was
    assert now is not None and "4111" not in now and now.splitlines()[0] == was.splitlines()[0]
    one, other = (text.split("card ")[1].split(" of")[0] for text in raw_texts(folder))
    assert one == other  # kept before and after: the same secret has the same token


def test_the_file_is_its_owners_alone_even_in_a_folder_that_is_shared(folder: bytes) -> None:
    os.chmod(folder, 0o750)
    before = os.umask(0)
    try:
        with open_contents(folder) as contents:
            keep(contents, seen(b"/a", b"x\n"))
            modes = [stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)]
    finally:
        os.umask(before)
    assert modes == [0o600]
    os.chmod(contents_path(folder), 0o640)
    with open_contents(folder):
        assert stat.S_IMODE(os.lstat(contents_path(folder)).st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_member_of_the_stores_group_reads_nothing_here(folder: bytes) -> None:
    opened(Path(os.fsdecode(folder)))
    opened(Path(os.fsdecode(folder)).parent)
    with open_contents(folder) as contents:
        keep(contents, seen(b"/a", b"x\n"))
    child = os.fork()
    if child == 0:
        os.setgroups([os.stat(folder).st_gid])
        os.setresuid(65534, 65534, 65534)
        try:
            open_contents_reading(folder)
        except HostError as error:
            os._exit(0 if "for its owner alone" in str(error) else 2)
        except BaseException:
            os._exit(3)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_was_seen_closed_once_stays_closed(folder: bytes) -> None:
    with open_contents(folder) as contents:
        for public in (True, False, True):
            file = seen(b"/a", b"x\n", public=public)
            keep(contents, file)
        kept = contents.load(b"/a", str(file.state.sha256))
        assert kept is not None and not kept.public
        other = seen(b"/b", b"x\n")
        keep(contents, other)
        assert contents.load(b"/b", str(other.state.sha256)).public  # type: ignore[union-attr]


def test_the_same_bytes_of_many_paths_are_stored_once(folder: bytes) -> None:
    with open_contents(folder) as contents:
        keep(contents, *(seen(b"/a%d" % number, b"the same\n") for number in range(10)))
    assert len(raw_texts(folder)) == 1


def test_old_contents_go_unless_the_baseline_or_an_open_finding_has_them(folder: bytes) -> None:
    accepted, live, old, young = (seen(b"/%d" % number, b"text %d\n" % number) for number in range(4))
    with open_contents(folder) as contents:
        keep(contents, accepted, accepted=True, seen_ns=NOW - 100 * DAY)
        keep(contents, live, old, seen_ns=NOW - 100 * DAY)
        keep(contents, young)
        pairs = {(live.state.path, str(live.state.sha256))}
        words = contents.apply_limits(keep_days=90, most_bytes=1 << 30, now_ns=NOW, live=pairs)
        assert words == ["dropped 1 kept contents, older than 90 days"]
        assert [text_of(contents, one) for one in (accepted, live, old, young)] == ["text 0\n", "text 1\n", None, "text 3\n"]
        contents.accept([(accepted.state.path, None)])
        assert contents.apply_limits(keep_days=90, most_bytes=1 << 30, now_ns=NOW, live=pairs) == words
    assert len(raw_texts(folder)) == 2


def test_too_much_goes_oldest_first_and_the_baselines_last(folder: bytes) -> None:
    def file(number: int) -> SeenText:
        return seen(b"/%d" % number, b"%d " % number + os.urandom(20_000).hex().encode())

    with open_contents(folder) as contents:
        accepted = file(0)
        keep(contents, accepted, accepted=True, seen_ns=NOW - DAY)
        files = [file(number) for number in range(1, 100)]
        for number, one in enumerate(files):
            keep(contents, one, seen_ns=NOW + number)
        (words,) = contents.apply_limits(keep_days=90, most_bytes=1 << 20, now_ns=NOW)
        assert contents.used_bytes() <= 1 << 20
        left = [text_of(contents, one) is not None for one in files]
        assert text_of(contents, accepted) is not None and left == sorted(left) and any(left)
    assert words == f"dropped the {left.count(False)} oldest kept contents, to keep them within a quarter of store.max_mb"
    assert os.path.getsize(contents_path(folder)) <= 1 << 21


def test_a_damaged_or_foreign_file_is_said(folder: bytes) -> None:
    path = Path(os.fsdecode(contents_path(folder)))
    path.write_bytes(b"no database at all, but long enough to be looked at " * 100)
    path.chmod(0o600)
    with pytest.raises(StoreError, match="damaged"):
        open_contents(folder)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    path.chmod(0o600)
    for opens in (open_contents, open_contents_reading):
        with pytest.raises(StoreError, match="another program's"):
            opens(folder)


def test_a_link_in_its_place_is_refused_and_none_is_nothing(folder: bytes, tmp_path: Path) -> None:
    assert open_contents_reading(folder) is None
    os.symlink(tmp_path / "elsewhere", contents_path(folder))
    for opens in (open_contents, open_contents_reading):
        with pytest.raises(HostError, match="symbolic link"):
            opens(folder)
