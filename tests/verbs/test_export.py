"""Exports from the store: whole files, and each finding once, through restarts, crashes, rotations and other stores."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fimkit.evidence.contents import open_contents
from fimkit.evidence.store import Store, open_store
from fimkit.model.config import Config
from fimkit.model.config_text import parse_config
from fimkit.model.errors import HostError, UsageError
from fimkit.model.findings import Finding, Kind, Severity
from fimkit.report.export_formats import LINE_FORMATS, Format, line_id
from fimkit.report.selection import Selection
from fimkit.verbs.export import ExportOptions, feed_findings, stream_export, write_export
from fimkit.verbs.export_cursor import Cursor, load_cursor, save_cursor
from fimkit.verbs.export_feed import Feed
from fimkit.verbs.export_outlet import StreamOutlet
from tests.evidence.examples import NOW, a_finding
from tests.evidence.test_contents import seen

__all__: list[str] = []


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse_config(f'[host]\nname = "web01"\nstate_dir = "{tmp_path}/state"\n[[paths]]\npath = "/etc"\n', "c.toml")


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    with open_store(config.host.state_dir, create=True) as opened:
        yield opened


def named(*names: str) -> list[Finding]:
    return [a_finding(name, b"/etc/" + name.encode()) for name in names]


def wait_until(holds: Callable[[], bool], *, within_s: float = 120.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def put(store: Store, *names: str) -> None:
    store.add_findings(named(*names), now_ns=NOW)


class Host:
    """Runs exports as one after the other would run."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.cursor, self.output = config, folder / "cursor", folder / "out"
        self.words: list[str] = []

    def options(self, format: Format = Format.JSONL, **more: object) -> ExportOptions:
        return ExportOptions(format=format, cursor=self.cursor, **more)

    def run(self, options: ExportOptions | None = None) -> list[str | None]:
        """Export to a stream, and give the ids."""
        stream, options = io.BytesIO(), options or self.options()
        feed_findings(self.config, options, None, stream=stream, say=self.words.append)
        return [line_id(options.format, line) for line in stream.getvalue().decode().splitlines()]

    def append(self, format: Format = Format.JSONL) -> int:
        return feed_findings(self.config, self.options(format), self.output, stream=io.BytesIO(), say=self.words.append)

    def ids(self, format: Format = Format.JSONL) -> list[str | None]:
        lines = self.output.read_text().splitlines()
        return [line_id(format, line) for line in lines[format is Format.CSV :]]


@pytest.fixture
def host(config: Config, store: Store, tmp_path: Path) -> Host:
    return Host(config, tmp_path)


def test_each_finding_comes_once_through_restarts(host: Host, store: Store) -> None:
    put(store, "a1", "b2")
    assert host.run() == ["a1", "b2"]
    assert host.run() == []
    put(store, "c3")
    store.put_findings(named("b2", "c3"), now_ns=NOW + 1)  # a1 is gone: no reason to send it again
    assert host.run() == ["c3"]


def test_what_takes_anothers_place_comes_and_says_whose(host: Host, store: Store) -> None:
    put(store, "a1")
    host.run()
    store.add_findings([a_finding("b2", b"/etc/a1", kind=Kind.DELETED, after=None)], now_ns=NOW + 1)
    stream = io.BytesIO()
    feed_findings(host.config, host.options(Format.ECS), None, stream=stream, say=print)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["fimkit"]["replaces"] == ["a1"]


@pytest.mark.parametrize("format", LINE_FORMATS)
def test_a_crash_between_the_lines_and_their_noting_repeats_none_and_loses_none(host: Host, store: Store, format: Format) -> None:
    put(store, "a1", "b2")
    host.append(format)
    noted = host.cursor.read_bytes()
    put(store, "c3", "d4")
    assert host.append(format) == 2
    whole = host.output.read_bytes()
    for size in range(whole.rindex(b"\n", 0, -1) + 1, len(whole) + 1, 97):  # killed within the last line, and after it
        host.cursor.write_bytes(noted)
        host.output.write_bytes(whole[:size])
        host.append(format)
        assert host.ids(format) == ["a1", "b2", "c3", "d4"]
        assert host.output.read_bytes() == whole


def test_a_follower_that_is_killed_at_any_moment_repeats_none_and_loses_none(
    host: Host, config: Config, store: Store, tmp_path: Path
) -> None:
    file, expected = tmp_path / "c.toml", list[str]()
    file.write_text(f'[host]\nname = "web01"\nstate_dir = "{tmp_path}/state"\n[[paths]]\npath = "/etc"\n')
    command = [sys.executable, "-m", "fimkit", "--config", str(file), "export", "--format", "jsonl", "--follow",
               "--output", str(host.output), "--cursor", str(host.cursor)]  # fmt: skip
    for life in range(3):
        some = [f"{life}{number:04d}" for number in range(1500)]  # three batches
        put(store, *some)
        store.tell(some, time_ns=NOW)
        expected += some
        was = host.output.stat().st_size if host.output.exists() else 0
        process = subprocess.Popen(command)
        try:
            wait_until(lambda size=was: host.output.exists() and host.output.stat().st_size > size)
        finally:
            process.kill()  # in the middle of its work, or just after it
            process.wait()
    host.append()
    assert host.ids() == expected


@pytest.mark.parametrize("follow", [False, True])
def test_a_diff_goes_along_where_everybody_may_read_the_file(host: Host, config: Config, store: Store, *, follow: bool) -> None:
    sides = {
        name: (seen(name, b"one\n")._replace(public=public), seen(name, b"two\n\x1b")._replace(public=public))
        for name, public in ((b"/etc/motd", True), (b"/etc/secret", False))
    }
    with open_contents(config.host.state_dir) as contents:
        for before, after in sides.values():
            contents.keep([before, after], accepted=False, seen_ns=NOW)
    store.add_findings([
        a_finding(f"{number}", name, before=before.state, after=after.state)
        for number, (name, (before, after)) in enumerate(sides.items())
    ], now_ns=NOW)  # fmt: skip
    stream = io.BytesIO()
    if follow:
        feed_findings(config, host.options(Format.OCSF), None, stream=stream, say=host.words.append)
    else:
        stream_export(config, ExportOptions(format=Format.OCSF), stream)
    motd, secret = map(json.loads, stream.getvalue().splitlines())
    assert motd["file_diff"] == "--- /etc/motd\n+++ /etc/motd\n@@ -1 +1,2 @@\n-one\n+two\n+%1B  [no line feed at the end]\n"
    assert "file_diff" not in secret
    assert secret["unmapped"]["fimkit"]["no_diff"] == "not everybody may read what this file says"


def test_a_rotated_file_is_opened_anew_with_a_heading_of_its_own(host: Host, store: Store, tmp_path: Path) -> None:
    put(store, "a1")
    host.append(Format.CSV)
    host.output.rename(tmp_path / "out.1")
    put(store, "b2")
    host.append(Format.CSV)
    assert host.ids(Format.CSV) == ["b2"]
    assert host.output.read_text().startswith("id,host,path")
    assert (tmp_path / "out.1").read_text().count("\n") == 2


def test_a_rotation_while_it_follows_is_noticed(host: Host, store: Store, tmp_path: Path) -> None:
    put(store, "a1")
    store.tell(["a1"], time_ns=NOW)
    looks = iter(range(2))

    def wait(seconds: float) -> bool:
        if next(looks, None) is None:
            return False
        if host.output.exists() and not (tmp_path / "out.1").exists():
            host.output.rename(tmp_path / "out.1")
            put(store, "b2")
            store.tell(["b2"], time_ns=NOW)
        return True

    assert feed_findings(host.config, host.options(), host.output, stream=io.BytesIO(), say=print, wait=wait) == 2
    assert host.ids() == ["b2"]


def test_another_store_is_noticed_and_begun_from_its_first(host: Host, store: Store, config: Config) -> None:
    put(store, "a1", "b2", "c3")
    host.run()
    for number in (9, 2):  # a place that was never there, and one that another has
        save_cursor(host.cursor, Cursor(place=number, id="zz"))
        assert host.run() == ["a1", "b2", "c3"]
        assert "another store" in host.words.pop()
    assert host.run() == []


def test_what_was_dropped_by_age_is_no_other_store(host: Host, store: Store) -> None:
    put(store, "a1", "b2")
    host.run()
    store.put_findings([], now_ns=NOW)
    store.apply_limits(keep_days=1, max_mb=4096, now_ns=NOW + 10 * 86_400 * 10**9)
    put(store, "c3")
    assert host.run() == ["c3"]
    assert host.words == []


def test_a_selection_moves_the_place_too(host: Host, store: Store) -> None:
    store.add_findings([*named("a1"), a_finding("b2", b"/etc/b2", severity=Severity.LOW)], now_ns=NOW)
    options = host.options(selection=Selection(severity=Severity.HIGH))
    assert host.run(options) == ["a1"]
    assert load_cursor(host.cursor).place == 2
    assert host.run() == []


def test_what_nobody_was_shown_waits_a_little_and_keeps_the_order(config: Config, store: Store) -> None:
    put(store, "a1", "b2")
    store.tell(["b2"], time_ns=NOW)
    now, stream = [100.0], io.BytesIO()
    feed = Feed(
        config, Format.JSONL, Selection(), since_ns=None, cursor=Cursor(), outlet=StreamOutlet(stream), say=print,
        clock=lambda: now[0],
    )  # fmt: skip
    feed.begin(None)
    assert feed.look(settle=True) == 0
    now[0] += 4
    assert feed.look(settle=True) == 0
    store.tell(["a1"], time_ns=NOW)
    assert feed.look(settle=True) == 2
    put(store, "c3")
    assert feed.look(settle=True) == 0
    now[0] += 6
    assert feed.look(settle=True) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"place":-1}', '{"place":"1"}', '{"other":1}', '{"id":7}', "[" * 4000])
def test_what_is_no_cursor_is_never_taken_for_an_empty_one(host: Host, text: str) -> None:
    host.cursor.write_text(text)
    with pytest.raises(UsageError, match="is no cursor of an export"):
        host.run()
    assert host.cursor.read_text() == text


def test_two_exports_never_write_to_one_file(host: Host, store: Store) -> None:
    put(store, "a1")

    def wait(seconds: float) -> bool:
        with pytest.raises(HostError, match="another export writes to"):
            host.append()
        return False

    feed_findings(host.config, host.options(), host.output, stream=io.BytesIO(), say=print, wait=wait)


def test_a_link_in_the_outputs_place_is_not_followed(host: Host, store: Store, tmp_path: Path) -> None:
    put(store, "a1")
    (tmp_path / "victim").write_text("mine\n")
    host.output.symlink_to(tmp_path / "victim")
    with pytest.raises(HostError, match="cannot write"):
        host.append()
    assert write_export(host.config, host.options(), host.output) == 1  # in the place of the link
    assert (tmp_path / "victim").read_text() == "mine\n"
    assert not host.output.is_symlink()


def test_a_file_is_whole_or_as_it_was_and_private(host: Host, store: Store, tmp_path: Path) -> None:
    put(store, "a1", "b2")
    host.output.write_text("before")
    assert write_export(host.config, ExportOptions(format=Format.ECS), host.output) == 2
    assert len(host.output.read_text().splitlines()) == 2
    assert host.output.stat().st_mode & 0o777 == 0o600
    with pytest.raises(HostError, match="cannot write"):
        write_export(host.config, ExportOptions(format=Format.ECS), tmp_path / "none" / "out")
    assert sorted(os.listdir(tmp_path)) == ["out", "state"]


def test_closed_findings_are_left_out_until_they_are_asked_for(host: Host, store: Store) -> None:
    put(store, "a1", "b2")
    store.put_findings(named("b2"), now_ns=NOW)
    assert stream_export(host.config, ExportOptions(format=Format.JSONL), io.BytesIO()) == 1
    stream = io.BytesIO()
    stream_export(host.config, ExportOptions(format=Format.JSONL, only_open=False), stream)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(row["id"], row["status"]) for row in rows] == [("a1", "gone"), ("b2", "open")]


def test_parquet_cannot_be_followed(host: Host) -> None:
    with pytest.raises(UsageError, match="cannot be appended to"):
        host.run(host.options(Format.PARQUET))
