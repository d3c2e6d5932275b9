"""Which findings have a text diff, of which two texts, and which of them may be mailed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.contents import Contents, open_contents
from fimkit.evidence.kept_diff import diff_of, load_diffs, said_differently
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState, FileType
from tests.evidence.examples import NOW
from tests.evidence.test_contents import seen


@pytest.fixture
def folder(tmp_path: Path) -> bytes:
    place = tmp_path / "state"
    place.mkdir(mode=0o700)
    return os.fsencode(place)


def finding(kind: Kind, before: FileState | None, after: FileState | None, *, name: str = "x") -> Finding:
    first, second = before or after, after or before
    assert first is not None and second is not None
    return Finding(
        id=name, host="web01", path=first.path, kind=kind, tier=Tier.CRITICAL, severity=Severity.CRITICAL,
        verdict=Verdict.UNEXPLAINED, changed=(), before=before, after=after,
        moved_to=second.path if kind is Kind.MOVED else None, actors=(), attribution=Attribution.UNATTRIBUTED, reasons=(),
        sources=(), first_seen_ns=NOW, last_seen_ns=NOW,
    )  # fmt: skip


OLD, NEW = seen(b"/a", b"one\n"), seen(b"/a", b"two\n")
LINK = FileState(b"/a", FileType.SYMLINK, target=b"/b")


def keep(contents: Contents, *, public: tuple[bool, bool] = (True, True)) -> None:
    contents.keep([OLD._replace(public=public[0]), NEW._replace(public=public[1])], accepted=False, seen_ns=NOW)


def test_a_renamed_and_changed_file_has_both_names(folder: bytes) -> None:
    moved = seen(b"/new\nname", b"two\n")
    with open_contents(folder) as contents:
        keep(contents)
        contents.keep([moved], accepted=False, seen_ns=NOW)
        diff = diff_of(contents, finding(Kind.MOVED, OLD.state, moved.state))
    assert diff is not None and diff.text == "--- /a\n+++ /new%0Aname\n@@ -1 +1 @@\n-one\n+two\n"


def test_only_what_says_another_thing_has_a_diff() -> None:
    assert said_differently(finding(Kind.MODIFIED, OLD.state, NEW.state))
    assert said_differently(finding(Kind.CREATED, None, NEW.state)) and said_differently(finding(Kind.DELETED, OLD.state, None))
    assert said_differently(finding(Kind.MODIFIED, LINK, NEW.state))
    assert not said_differently(finding(Kind.ATTRIBUTES, OLD.state, OLD.state._replace(mode=0o600)))
    assert not said_differently(finding(Kind.MODIFIED, LINK, LINK._replace(target=b"/c")))
    assert not said_differently(finding(Kind.TRANSIENT, None, NEW.state))
    assert not said_differently(finding(Kind.ATTEMPTED, OLD.state, NEW.state))


def test_a_link_that_took_a_files_place_shows_what_the_file_said(folder: bytes) -> None:
    with open_contents(folder) as contents:
        keep(contents)
        diff = diff_of(contents, finding(Kind.MODIFIED, OLD.state, LINK))
    assert diff is not None and diff.text == "--- /a\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n"


@pytest.mark.parametrize("public", [(True, False), (False, True), (False, False)])
def test_a_side_that_was_closed_keeps_the_diff_from_the_public(folder: bytes, public: tuple[bool, bool]) -> None:
    one = finding(Kind.MODIFIED, OLD.state, NEW.state)
    with open_contents(folder) as contents:
        keep(contents, public=public)
    assert load_diffs(folder, [one]).texts.keys() == {"x"}
    assert load_diffs(folder, [one], public_only=True).texts == {}


def test_what_does_not_fit_is_counted(folder: bytes) -> None:
    with open_contents(folder) as contents:
        keep(contents)
    several = [finding(Kind.MODIFIED, OLD.state, NEW.state, name=str(number)) for number in range(5)]
    found = load_diffs(folder, several, most=3)
    assert list(found.texts) == ["0", "1", "2"]
    assert found.words == ("the text diffs of 2 findings are left out: `fimkit show ID` has each",)
    assert load_diffs(folder, several, budget_s=-1).texts == {}


def test_without_anything_kept_there_is_nothing_and_no_words(folder: bytes) -> None:
    assert load_diffs(folder, [finding(Kind.MODIFIED, OLD.state, NEW.state)]) == load_diffs(folder, [])


def test_an_encodings_mark_alone_is_no_line(folder: bytes) -> None:
    marked = seen(b"/a", b"\xef\xbb\xbfone\n")
    with open_contents(folder) as contents:
        keep(contents)
        contents.keep([marked], accepted=False, seen_ns=NOW)
        diff = diff_of(contents, replace(finding(Kind.MODIFIED, OLD.state, marked.state)))
    assert diff is not None and diff.text is None and "no line differs" in str(diff.why)
