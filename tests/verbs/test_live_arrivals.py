"""Live: a folder with much in it is moved into a watched one while other changes go on."""

import os
import sqlite3
import time
from pathlib import Path

from tests.watching import WatchedHost, watched_host

__all__: list[str] = []

FILES = 20_000


def open_paths(host: WatchedHost) -> list[str]:
    """Give the paths of what is open, as the store has them by now."""
    database = sqlite3.connect(host.state / "fimkit.sqlite")
    try:
        return [os.fsdecode(path) for (path,) in database.execute("SELECT path FROM findings WHERE status = 'open'")]
    finally:
        database.close()


def test_a_large_folder_that_is_moved_in_holds_up_no_other_change_and_is_found_whole(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        outside = host.place / "outside.d"
        for number in range(FILES):
            folder = outside / f"{number // 500:03d}"
            if number % 500 == 0:
                folder.mkdir(parents=True)
            (folder / f"{number}.txt").write_text(f"{number}\n" * 20)
        (outside / "large").write_bytes(os.urandom(1 << 20) * 200)
        watching = host.watch()
        come = host.tree / "etc/come.d"
        host.live.run(["/bin/mv", str(outside), str(come)], auid=1001)
        small = []
        for number in range(8):
            small.append(host.tree / f"etc/small{number}")
            host.live.run(["/bin/sh", "-c", f"echo {number} > {small[-1]}"], auid=1002)
            time.sleep(0.25)  # a pace, and nothing that is waited for
        watching.wait(lambda: all(watching.of(path) for path in small), 60)
        inside = os.fsencode(come).decode() + "/"
        expected = FILES + FILES // 500 + 1
        watching.wait(lambda: sum(path.startswith(inside) for path in open_paths(host)) >= expected, 240)
        rows = {finding["path"]: finding for finding in host.check("--all")}
        assert watching.stop() == 1
    delays = [watching.of(path)[0]["read_s"] - watching.of(path)[0]["after"]["ctime_ns"] / 1e9 for path in small]
    print("delays of other changes:", [f"{delay:.2f}" for delay in delays])
    assert max(delays) < 15
    assert {watching.of(path)[0]["actors"][0]["auid"] for path in small} == {1002}
    came = {path: row for path, row in rows.items() if path.startswith(inside)}
    assert len(came) == expected
    assert all(row["kind"] == "created" for row in came.values())
    assert all(row["actors"][0]["auid"] == 1001 for row in [rows[str(come)], *came.values()] if row["actors"])
    print("with a who:", sum(bool(row["actors"]) for row in came.values()))
    assert all(row["after"]["sha256"] for row in came.values() if row["after"]["type"] == "file")
