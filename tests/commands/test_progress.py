import io
import os
import pty

import pytest

from fimkit.commands.progress import Progress


def test_nothing_is_written_into_a_pipe() -> None:
    stream = io.StringIO()
    with Progress("Scanning", stream=stream) as progress:
        progress.show(1, 1)
    assert stream.getvalue() == ""


def drawn(monkeypatch: pytest.MonkeyPatch, term: str) -> bytes:
    monkeypatch.setenv("TERM", term)
    reader, writer = pty.openpty()
    try:
        with os.fdopen(writer, "w", closefd=True) as stream:
            with Progress("Scanning", expected=10, stream=stream, clock=lambda: 7.0) as progress:
                progress.show(5, 0)
                progress.show(6, 0)
            stream.write("end")
            stream.flush()
            text = b""
            while not text.endswith(b"end"):
                text += os.read(reader, 4096)
            return text
    finally:
        os.close(reader)


def test_line_is_drawn_on_a_terminal_not_too_often_and_wiped_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, "xterm")
    assert text.startswith(b"\rScanning [############------------]  50 %  5 paths")
    assert b"6 paths" not in text
    assert text.endswith(b"\r\x1b[Kend")


def test_dumb_terminal_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, "dumb") == b"end"
