"""An armed host in a network of the test's own: a state folder with a store, a real helper, a real mail server at the other end."""

import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from fimkit.evidence.connection import store_path
from fimkit.evidence.store import open_store
from fimkit.model.config import Config, Host, Mail, Panic, Sources
from fimkit.model.config_json import freeze
from fimkit.panic.helper_client import Helper, start_helper
from tests.notify.mail_servers import Certificates
from tests.private_net import PEER

__all__ = ["OPS", "armed", "is_up", "locked_store", "make_config", "settings_of", "wait_for"]

OPS = ("ops@example.org", "night@example.org")


def make_config(folder: Path, certificates: Certificates, *, deadline_s: int = 20, mail_s: int = 10, **panic: object) -> Config:
    """Make a state folder with a store, and a configuration whose mail server is ``mail.test`` at the other end."""
    state_dir = os.fsencode(folder / "state")
    with open_store(state_dir, create=True):
        pass
    settings = Panic(deadline_s=deadline_s, capture_s=1)
    return Config(
        host=Host(name="web01", state_dir=state_dir),
        sources=Sources(osquery_socket=os.fsencode(folder / "no.em")),
        mail=Mail(
            smtp_server="mail.test:587", ca_file=os.fsencode(certificates.ca_file), sender="fimkit@web01.example.org",
            panic_recipients=OPS, deadline_s=mail_s,
        ),
        panic=replace(settings, **panic),  # type: ignore[arg-type]
    )


def settings_of(config: Config) -> dict[str, object]:
    """Give what arming would freeze: the mail server is found by its address, for there is no name server here."""
    return freeze(config) | {"endpoints": [{"host": "mail.test", "port": 587, "addresses": [PEER]}]}


@contextlib.contextmanager
def armed(config: Config) -> Iterator[Helper]:
    """Start a real helper, confined to a namespace of the test's own, and arm; it is gone afterwards, whatever it holds."""
    with start_helper(config.host.state_dir, confined=True, timeout_s=60.0) as helper:
        pid = helper.hello().pid
        try:
            helper.arm(settings_of(config), by="a test", seen=())
            yield helper
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_up(name: str = "here0") -> bool:
    """Ask this namespace's kernel for a link."""
    return psutil.net_if_stats()[name].isup


@contextlib.contextmanager
def locked_store(state_dir: bytes) -> Iterator[None]:
    """Hold the store so that nobody else may write."""
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(store_path(state_dir), isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        locked.set()
        over.wait(120)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(30)
    try:
        yield
    finally:
        over.set()
        thread.join()


def wait_for(true: object, patience_s: float = 60.0) -> None:
    """Wait for something that must come."""
    until = time.monotonic() + patience_s
    assert callable(true)
    while not true():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)
