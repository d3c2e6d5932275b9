"""Requests around a time, from logs and their rotations, however large; and what cannot be read is said."""

import gzip
import os
import time
from pathlib import Path

from fimkit.verbs.web_requests import find_requests, try_log

__all__: list[str] = []

NS = 1_000_000_000
T = 1_795_319_341


def line(second: int, target: str = "/x") -> bytes:
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))
    return f'198.51.100.7 - - [{when}] "POST {target} HTTP/1.1" 200 5 "-" "a"\n'.encode()


def targets(log: Path, second: int) -> list[bytes]:
    found, problems = find_requests([os.fsencode(log)], since_ns=(second - 5) * NS, until_ns=(second + 5) * NS)
    assert problems == []
    return [one.target for one in found]


def test_a_time_in_the_middle_of_a_large_log_is_found_by_halves(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with log.open("wb") as file:
        for number in range(200_000):
            file.write(line(T + number, f"/{number}"))
            if number % 1000 == 0:
                file.write(b"\x16\x03 noise\n")
    os.utime(log, (T + 200_000, T + 200_000))
    began_s = time.process_time()
    assert targets(log, T + 150_000) == [f"/{number}".encode() for number in range(149_995, 150_006)]
    assert targets(log, T) == [f"/{number}".encode() for number in range(6)]
    assert targets(log, T + 199_999) == [f"/{number}".encode() for number in range(199_994, 200_000)]
    assert time.process_time() - began_s < 5  # of reading it all, three times


def test_rotations_are_read_packed_or_not_as_far_as_their_times_reach(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    for name, second in (("access.log.3.gz", T), ("access.log.2.gz", T + 1000), ("access.log.1", T + 2000)):
        content = line(second, f"/{name}")
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        os.utime(tmp_path / name, (second + 10, second + 10))
    log.write_bytes(line(T + 3000, "/now") + line(T + 3001)[:-5])
    os.utime(log, (T + 3010, T + 3010))
    assert [targets(log, T + 1000 * step) for step in range(4)] == [
        [b"/access.log.3.gz"], [b"/access.log.2.gz"], [b"/access.log.1"], [b"/now"],
    ]  # fmt: skip


def test_what_cannot_be_read_is_said_and_stops_nothing(tmp_path: Path) -> None:
    good = tmp_path / "good.log"
    good.write_bytes(line(T))
    (tmp_path / "damaged.log.1.gz").write_bytes(gzip.compress(line(T) * 100)[:-20])
    os.mkfifo(tmp_path / "fifo.log")
    logs = [os.fsencode(tmp_path / name) for name in ("none.log", "damaged.log", "fifo.log", "good.log")]
    found, problems = find_requests(logs, since_ns=(T - 5) * NS, until_ns=(T + 5) * NS)
    assert len(found) >= 1
    assert [words.partition(": ")[0].rpartition("/")[2] for words in problems] == ["none.log", "damaged.log.1.gz", "fifo.log"]
    assert "no regular file" in problems[2]
    assert try_log(logs[2]) is not None and try_log(logs[3]) is None and try_log(logs[0]) == "No such file or directory"


def test_a_line_without_an_end_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with log.open("wb") as file:
        file.write(line(T, "/first"))
        file.truncate(20 << 20)
    assert targets(log, T) == [b"/first"]
