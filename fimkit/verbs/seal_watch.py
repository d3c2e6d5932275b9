"""Verifies the seal in a process of its own, beside the watch: now and then, and soon after somebody else wrote to the store."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fimkit.evidence.store import Store, open_store
from fimkit.model.config import Config, Host, SealPolicy, Watch
from fimkit.model.errors import FimkitError, StoreError
from fimkit.model.findings import Finding, Tier, Verdict
from fimkit.model.own_process import own_command
from fimkit.model.paths import parse_path, render_path
from fimkit.verbs.seal_findings import SealCase, find_seal_cases, make_seal_findings, needs_look
from fimkit.verbs.seal_view import render_watches

__all__ = ["SealWatch", "main"]

_EVERY_S = 900.0
_GAP_S = 15.0
_REST = 20
"""A look that took a second is followed by so many seconds without one."""
_MOST_S = 900.0
_MOST_BYTES = 8 << 20


class SealWatch:
    """Looks at the seal for a watch, which it never holds up. The watch's start has looked by itself."""

    def __init__(self, config: Config, store: Store) -> None:
        """Take what is to be verified."""
        self.config, self._store = config, store
        self._process: subprocess.Popen[bytes] | None = None
        self._answer = b""
        now_s = time.monotonic()
        self._began_s, self._next_s, self._free_s = now_s, now_s + _EVERY_S, now_s

    def note_write(self) -> None:
        """Take note that somebody else wrote to the store: a row may be another now."""
        self._next_s = min(self._next_s, max(self._free_s, time.monotonic()))

    def step(self) -> tuple[Sequence[Finding], list[str]]:
        """Start a look that is due, or take the answer of one: the findings, which are to be stored, and words."""
        now_s = time.monotonic()
        if self._process is not None:
            return self._read(self._process, now_s)
        if now_s >= self._next_s:
            self._next_s = float("inf")
            if needs_look(self.config, self._store, require=self.config.seal.require):
                try:
                    self._start(now_s)
                except OSError as error:
                    return self._done(now_s, [f"the look at the seal cannot be begun: {error.strerror}: another one is made later"])
            else:
                self._next_s = now_s + _EVERY_S
        return (), []

    def _start(self, now_s: float) -> None:
        config, self._began_s, self._answer = self.config, now_s, b""
        process = subprocess.Popen(
            own_command("fimkit.verbs.seal_watch"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        asked = {
            "host": config.host.name, "state_dir": render_path(config.host.state_dir), "require": config.seal.require,
            "public_key": render_path(config.seal.public_key), "watches": render_watches(config.paths),
        }  # fmt: skip
        os.set_blocking(process.stdout.fileno(), False)
        try:
            process.stdin.write(json.dumps(asked).encode())
            process.stdin.close()
        except OSError:
            pass  # it has ended, and its status says so

    def _read(self, process: subprocess.Popen[bytes], now_s: float) -> tuple[Sequence[Finding], list[str]]:
        assert process.stdout is not None
        while part := process.stdout.read(1 << 16):
            self._answer += part
        if process.poll() is None:
            if now_s - self._began_s < _MOST_S and len(self._answer) < _MOST_BYTES:
                return (), []
            self.end()
            return self._done(now_s, ["the look at the seal did not come to an end: another one is made later"])
        self._answer += process.stdout.read() or b""
        self.end()
        try:
            answer = json.loads(self._answer)
        except ValueError:
            return self._done(now_s, [f"the look at the seal ended with status {process.returncode}, and says nothing"])
        cases = [_case(body) for body in answer["cases"]]
        return make_seal_findings(self.config, cases, now_ns=time.time_ns()), self._done(now_s, answer["words"])[1]

    def _done(self, now_s: float, words: list[str]) -> tuple[Sequence[Finding], list[str]]:
        self._free_s = now_s + max(_GAP_S, _REST * (now_s - self._began_s))
        self._next_s = now_s + _EVERY_S if self._next_s > now_s else self._free_s  # written to meanwhile: once more
        return (), words

    def end(self) -> None:
        """Stop a look that goes on."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _case(body: dict[str, Any]) -> SealCase:
    return SealCase(
        path=parse_path(body["path"]), key=body["key"], tier=Tier(body["tier"]), verdict=Verdict(body["verdict"]),
        reasons=tuple(body["reasons"]), since_ns=body["since_ns"],
    )  # fmt: skip


def _watch(text: str) -> Watch:
    path, tier, recursive, include, exclude, cross_mounts = json.loads(text)
    return Watch(
        path=parse_path(path), tier=Tier(tier), recursive=recursive, include=tuple(include), exclude=tuple(exclude),
        cross_mounts=cross_mounts,
    )  # fmt: skip


def main() -> None:
    """Verify, answer."""
    asked = json.loads(sys.stdin.buffer.read())
    config = Config(
        host=Host(name=asked["host"], state_dir=parse_path(asked["state_dir"])),
        paths=tuple(map(_watch, asked["watches"])),
        seal=SealPolicy(public_key=parse_path(asked["public_key"]), require=asked["require"]),
    )
    os.nice(5)  # the records come first
    cases: list[SealCase] = []
    words: list[str] = []
    try:
        with open_store(config.host.state_dir) as store:
            cases = find_seal_cases(config, store, require=config.seal.require, locked=False)
    except StoreError as error:
        words.append(f"the seal cannot be verified: {error}")
    except FimkitError as error:
        words.append(f"the seal was not verified: {error}; another look is made later")
    rows = [{**asdict(case), "path": render_path(case.path)} for case in cases]
    sys.stdout.write(json.dumps({"cases": rows, "words": words}))
