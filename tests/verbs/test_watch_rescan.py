"""A rescan that ends at once, or that cannot be started: the watch goes on, says so, and tries again."""

import errno
import selectors
import sys
import time
from pathlib import Path

import pytest

from fimkit.model.config import Config, Host, Scanning, Watch
from fimkit.verbs import watch_rescan, watch_rescans
from fimkit.verbs.watch_rescan import Rescan
from fimkit.verbs.watch_rescans import Rescans
from fimkit.verbs.watch_status import WatchStatus

WATCHES = tuple(Watch(path=b"/srv/%d" % number + b"x" * 200) for number in range(2000))
"""More than a pipe holds: who writes it waits for a reader."""


def test_one_that_is_gone_before_it_was_asked_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_rescan, "own_command", lambda module: [sys.executable, "-c", "raise SystemExit(7)"])
    rescan = Rescan(bytes(tmp_path), WATCHES, quick=False, limits=Scanning())
    try:
        until = time.monotonic() + 30
        while (result := rescan.read()) is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert not result.is_whole
        assert result.words[0].startswith("the rescan ended with status 7 and says nothing")
    finally:
        rescan.end()


def test_one_that_cannot_be_started_is_said_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[bool] = []

    def refuse(state_dir: bytes, watches: object, *, quick: bool, limits: Scanning) -> Rescan:
        tries.append(quick)
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(watch_rescans, "Rescan", refuse)
    said: list[str] = []
    config, status = Config(host=Host(name="web07", state_dir=bytes(tmp_path)), paths=()), WatchStatus(pid=1)
    rescans = Rescans(config, status, lambda: WATCHES, said.extend)
    for _ in range(2):
        rescans.start(quick=True)
    assert said == ["a rescan cannot be started: Resource temporarily unavailable; it is tried again in 60 s"]
    assert not status.rescanning
    with selectors.DefaultSelector() as selector:
        assert rescans.read(selector) is None
    rescans.start_due(time.monotonic() + watch_rescans._AGAIN_S + 1)
    assert tries == [True, True, False]
