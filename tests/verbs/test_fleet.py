"""Many hosts at once: by the loop and on a real Dask scheduler, with broken hosts among them; no finding crosses hosts."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.model.errors import HostError, UsageError
from fimkit.model.findings import Severity, Spread, Tier
from fimkit.model.json_form import render_finding
from fimkit.report.export_formats import Format
from fimkit.report.export_rows import ExportRow
from fimkit.verbs.collected import write_tar
from fimkit.verbs.export import write_rows
from fimkit.verbs.fleet import Fleet, find_places, judge_fleet
from fimkit.verbs.fleet_host import judge_place, parse_judged
from tests.evidence.examples import NOW, a_finding, a_state

DATA = Path(__file__).parents[1] / "data"
INCIDENT = DATA / "incident-01"
LATER = NOW + 86_400 * 10**9
_PATIENCE_S = 90


def a_host(folder: Path, name: str) -> Path:
    place = folder / name
    shutil.copytree(INCIDENT, place)
    config = place / "fimkit.toml"
    config.write_text(config.read_text().replace('"web01"', f'"{name}"'))
    return place


def restate(file: Path, path: str, **attributes: object) -> None:
    """Change one row of a snapshot."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        if row["path"] == path:
            row |= attributes
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven good hosts, one of them as an archive, and four broken ones."""
    folder = tmp_path_factory.mktemp("hosts")
    for number in range(1, 12):
        a_host(folder, f"web{number:02d}")
    # On web07 alone the same file became something else, and there is one that is nowhere else.
    restate(folder / "web07" / "after.jsonl", "/srv/fim/tree/etc/app1.conf", sha256="77" * 32)
    with (folder / "web07" / "after.jsonl").open("a") as after:
        after.write(json.dumps({"path": "/srv/fim/tree/etc/only", "type": "file", "mode": "0644", "sha256": "78" * 32}) + "\n")
    packed = folder / "web11"
    write_tar(packed, folder / "web11.tar.zst", sorted(name for name in os.listdir(packed) if name != "truth.jsonl"))
    shutil.rmtree(packed)
    (a_host(folder, "bad-baseline") / "baseline.jsonl").write_text("no snapshot\n")
    (a_host(folder, "bad-config") / "fimkit.toml").write_bytes(b"\xff = [")
    (folder / "bad-store").mkdir()
    (folder / "bad-store" / "fimkit.sqlite").write_bytes(b"no store")
    (folder / "bad-archive.tar.gz").write_bytes(b"no archive")
    return folder


@pytest.fixture(scope="module")
def fleet(hosts: Path) -> Fleet:
    return judge_fleet([hosts], now_ns=LATER)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running(*commands: list[str]) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run programs, each in a group of its own, and end those groups."""
    children = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for command in commands
    ]
    try:
        yield children
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def scheduler_command(port: int) -> list[str]:
    return [
        sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard",
        "--dashboard-address", "127.0.0.1:0",
    ]  # fmt: skip


def worker_command(address: str, folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
        "--dashboard-address", "127.0.0.1:0", "--local-directory", str(folder), "--host", "127.0.0.1",
    ]  # fmt: skip


def wait_until_listening(port: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        assert time.monotonic() < until, "the scheduler does not listen"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real scheduler with two workers, each a process of its own, on loopback."""
    pytest.importorskip("distributed", reason="the extra [fleet] is not installed")
    port, folder = free_port(), tmp_path_factory.mktemp("dask")
    address = f"tcp://127.0.0.1:{port}"
    with running(scheduler_command(port)):
        wait_until_listening(port)
        with running(worker_command(address, folder), worker_command(address, folder)):
            wait_for_workers(address, 2)
            yield address


def wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, timeout=_PATIENCE_S, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=_PATIENCE_S)


def test_a_scheduler_with_two_workers_gives_the_rows_of_the_loop(hosts: Path, fleet: Fleet, scheduler: str) -> None:
    done: list[int] = []
    other = judge_fleet([hosts], scheduler=scheduler, now_ns=LATER, on_done=done.append)
    assert [render_finding(finding) for finding in other.findings] == [render_finding(finding) for finding in fleet.findings]
    assert other == fleet and len(fleet.findings) > 300
    assert done[-1] == 15


def test_a_host_whose_files_are_broken_is_stated_and_stops_no_other(fleet: Fleet) -> None:
    assert fleet.hosts == tuple(f"web{number:02d}" for number in range(1, 12))
    assert sorted(Path(place).name for place in fleet.broken) == ["bad-archive.tar.gz", "bad-baseline", "bad-config", "bad-store"]
    words = "\n".join(fleet.problems)
    assert all(name in words for name in ("bad-archive", "bad-baseline", "bad-config", "bad-store"))


def test_each_host_has_the_findings_that_it_has_alone(hosts: Path, fleet: Fleet) -> None:
    for name in ("web01", "web07", "web11"):
        place = hosts / name if (hosts / name).exists() else hosts / f"{name}.tar.zst"
        alone = judge_fleet([place], now_ns=LATER)
        own = {finding.id: finding for finding in fleet.findings if finding.host == name}
        assert own.keys() == {finding.id for finding in alone.findings} and len(own) > 30
        for finding in alone.findings:
            assert own[finding.id].actors == finding.actors and own[finding.id].evidence == finding.evidence
            assert set(finding.reasons) <= set(own[finding.id].reasons)


def test_one_id_is_on_one_host(fleet: Fleet) -> None:
    assert len({finding.id for finding in fleet.findings}) == len(fleet.findings)


def test_how_many_hosts_have_a_change_enters_reasons_and_severity(fleet: Fleet) -> None:
    by_path: dict[bytes, list[tuple[int, Spread, Severity]]] = {}
    for change in fleet.changes:
        by_path.setdefault(change.worst.path, []).append((len(change.hosts), change.spread, change.worst.severity))
    assert by_path[b"/srv/fim/tree/etc/app1.conf"] == [(1, Spread.DEPARTURE, Severity.HIGH), (10, Spread.ROLL_OUT, Severity.LOW)]
    assert by_path[b"/srv/fim/tree/sbin/tool1"] == [(11, Spread.ROLL_OUT, Severity.CRITICAL)]  # a critical tier is never less
    (departs,) = [one for one in fleet.findings if one.path == b"/srv/fim/tree/etc/app1.conf" and one.host == "web07"]
    assert departs.reasons[0].startswith("fleet: seen on 1 of 11 hosts")
    assert {one.severity for one in fleet.findings if one.tier is Tier.CRITICAL} >= {Severity.CRITICAL}
    leads = [change for change in fleet.changes if change.spread is Spread.LEAD]
    assert [(change.worst.path, change.worst.host) for change in leads] == [(b"/srv/fim/tree/etc/only", "web07")]
    assert leads[0].worst.severity is Severity.MEDIUM


def test_a_worker_that_dies_takes_no_host_with_it(hosts: Path, fleet: Fleet, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra [fleet] is not installed")
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with running(scheduler_command(port)):
        wait_until_listening(port)
        with running(worker_command(address, tmp_path), worker_command(address, tmp_path)) as workers:
            wait_for_workers(address, 2)

            def kill_one(done: int) -> None:
                if workers[0].poll() is None:
                    os.killpg(workers[0].pid, signal.SIGKILL)
                    workers[0].wait()

            other = judge_fleet([hosts], scheduler=address, now_ns=LATER, on_done=kill_one)
    assert other.findings == fleet.findings and other.broken == fleet.broken


def test_a_scheduler_that_is_not_there_or_has_no_workers_is_refused_in_words(hosts: Path) -> None:
    pytest.importorskip("distributed", reason="the extra [fleet] is not installed")
    port = free_port()
    with pytest.raises(HostError, match="no Dask scheduler answers"):
        judge_fleet([hosts], scheduler=f"tcp://127.0.0.1:{port}")
    with pytest.raises(HostError, match="no Dask scheduler answers"):
        judge_fleet([hosts], scheduler="nonsense://x y")
    with running(scheduler_command(port)):
        wait_until_listening(port)
        with pytest.raises(HostError, match="has no workers"):
            judge_fleet([hosts], scheduler=f"tcp://127.0.0.1:{port}")


def test_without_the_extra_the_error_names_it(hosts: Path) -> None:
    program = "import sys; sys.modules['distributed'] = None; from fimkit.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, "fleet", str(hosts), "--scheduler", "tcp://127.0.0.1:1"],
        capture_output=True, text=True, check=False, timeout=_PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 3 and "pip install 'fimkit[fleet]'" in done.stderr and not done.stdout


def test_the_loop_needs_no_dask(hosts: Path) -> None:
    program = "import sys; sys.modules['distributed'] = None; sys.modules['dask'] = None\n" + (
        "from fimkit.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "fleet", str(hosts / "web01"), str(hosts / "web02")],
        capture_output=True, text=True, check=False, timeout=_PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr


def test_findings_of_many_hosts_in_one_parquet_or_jsonl_are_a_fleet_too(tmp_path: Path) -> None:
    rows = [
        ExportRow(finding=a_finding(f"a{number}", host=f"h{number:02d}", tier=Tier.WATCH, severity=Severity.MEDIUM))
        for number in range(12)
    ]
    odd = a_finding("odd", b"/etc/odd", host="h03", tier=Tier.WATCH, severity=Severity.MEDIUM, after=a_state(b"/etc/odd"))
    shut = ExportRow(finding=a_finding("shut", b"/etc/shut", host="h04"), status="accepted", closed_ns=NOW)
    formats = [Format.JSONL]
    with contextlib.suppress(ImportError):
        import pyarrow  # noqa: F401

        formats.append(Format.PARQUET)
    for format in formats:
        file = tmp_path / f"all.{format.value}"
        with file.open("wb") as stream:
            write_rows(format, [*rows, ExportRow(finding=odd), shut], stream)
        fleet = judge_fleet([file], now_ns=NOW)
        assert len(fleet.hosts) == 12 and len(fleet.findings) == 13  # what was accepted is not open
        assert [(change.spread, change.worst.severity) for change in fleet.changes] == [
            (Spread.LEAD, Severity.MEDIUM), (Spread.ROLL_OUT, Severity.LOW),
        ]


def test_one_host_from_two_places_counts_once_and_is_stated(tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(INCIDENT, tmp_path / name)
    fleet = judge_fleet([tmp_path], now_ns=LATER)
    assert fleet.hosts == ("web01",)
    assert len({finding.id for finding in fleet.findings}) == len(fleet.findings)
    assert any("'web01' comes from 2 places" in words for words in fleet.problems)


def test_places_are_single_hosts_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("a/web01", "a/b/web02", "web03"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "baseline.jsonl").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / ".web09.tmp").mkdir()  # one that is being collected
    (tmp_path / "notes.txt").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    names = [os.path.relpath(place, tmp_path) for place in find_places([tmp_path, tmp_path / "web03"])]
    assert names == ["a/b/web02", "a/web01", "empty", "web03"]
    with pytest.raises(UsageError, match="no such file or folder"):
        find_places([tmp_path / "none"])


def test_any_place_gives_an_answer_and_never_an_error(tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path, Path("/dev/null"), Path("/proc/self/mem")):
        judged = parse_judged(judge_place(str(place), NOW))
        assert not judged.hosts and not judged.findings
    assert "no such file" in parse_judged(judge_place(str(tmp_path / "none"), NOW)).problems[0]
    for text in ("", "[]", "{}", '{"place": "x", "findings": [3]}', '{"place": "x", "findings": 3}', "[" * 99999):
        with pytest.raises(ValueError):
            parse_judged(text)
