"""A running osqueryd, asked by the doctor."""

import os
import socket
from pathlib import Path

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config, Host, Sources, Watch
from fimkit.osquery.config_file import load_osquery_config
from fimkit.verbs.osquery_advice import osquery_advice
from fimkit.verbs.osquery_live import ask_osqueryd, load_status_log
from tests.osqueryd import STAND_IN, Running, start_osqueryd, wait_for

__all__: list[str] = []


def watched(folder: Path) -> Path:
    tree = folder / "tree"
    for number in range(6):
        (tree / f"d{number}").mkdir(parents=True)
    return tree


def pack(tree: Path, **more: object) -> dict[str, object]:
    query = {"query": "SELECT * FROM file_events", "interval": 1, "removed": False}
    return {"packs": {"fimkit": {"queries": {"file_events": query}, "file_paths": {"fimkit_watch": [f"{tree}/%%"]}}}, **more}


def advice_of(running: Running, tree: Path) -> list[Advice]:
    sources = Sources(
        osquery_config=os.fsencode(running.config),
        osquery_log=os.fsencode(running.results_log),
        osquery_socket=os.fsencode(running.socket),
    )
    return osquery_advice(Config(host=Host(name="web01"), paths=(Watch(path=os.fsencode(tree)),), sources=sources))


def worse_than_notes(found: list[Advice]) -> dict[str, Level]:
    return {one.code: one.level for one in found if one.level is not Level.NOTE}


def test_one_that_runs_and_watches_all_gives_no_warning(tmp_path: Path) -> None:
    tree = watched(tmp_path)
    with start_osqueryd(tmp_path / "osquery", config=pack(tree)) as running:
        assert not worse_than_notes(advice_of(running, tree))


def test_flags_of_its_command_line_count_though_no_file_has_them(tmp_path: Path) -> None:
    tree = watched(tmp_path)
    with start_osqueryd(tmp_path / "osquery", config=pack(tree), flags=["--disable_events=true"]) as running:
        found = advice_of(running, tree)
    codes = worse_than_notes(found)
    assert codes["osquery-disable-events"] is Level.TRAP
    assert codes["osquery-inotify-inactive"] is Level.TRAP
    where = next(one.where for one in found if one.code == "osquery-disable-events")
    assert where == "--disable_events (the running osqueryd)"


def test_a_file_that_it_has_not_read_yet_says_restart(tmp_path: Path) -> None:
    tree = watched(tmp_path)
    with start_osqueryd(tmp_path / "osquery", config={}) as running:
        (running.folder / "osquery.flags").write_text("--read_max=1000\n--events_max=50000\n")
        codes = worse_than_notes(advice_of(running, tree))
    assert codes["osquery-restart"] is Level.WARNING
    assert codes["osquery-no-query"] is Level.TRAP
    assert codes["osquery-uncovered"] is Level.TRAP


def test_watches_that_it_could_not_add_are_found_in_its_log_while_it_says_active(tmp_path: Path) -> None:
    tree = watched(tmp_path)
    with start_osqueryd(
        tmp_path / "osquery", config=pack(tree), flags=["--standin_max_watches=3"], binary=STAND_IN
    ) as running:
        installation = load_osquery_config(os.fsencode(running.config))
        assert not load_status_log(installation)  # it logs elsewhere
        found = wait_for(lambda: [one for one in advice_of(running, tree) if one.code == "osquery-lost-watches"])
    assert found[0].level is Level.TRAP
    assert found[0].path is not None and found[0].path.startswith(os.fsencode(tree))


def test_without_an_inotify_instance_it_watches_nothing(tmp_path: Path) -> None:
    tree = watched(tmp_path)
    with start_osqueryd(
        tmp_path / "osquery", config=pack(tree), flags=["--standin_no_inotify=true"], binary=STAND_IN
    ) as running:
        assert worse_than_notes(advice_of(running, tree))["osquery-inotify-inactive"] is Level.TRAP


def test_one_that_is_not_there_is_advice_and_no_error(tmp_path: Path) -> None:
    live, (one,) = ask_osqueryd(os.fsencode(tmp_path / "none.em"))
    assert live is None
    assert (one.code, one.level) == ("osquery-not-running", Level.WARNING)


def test_one_that_accepts_and_never_answers_costs_the_deadline_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mute.em"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(os.fspath(path))
        mute.listen()
        live, (one,) = ask_osqueryd(os.fsencode(path), deadline_s=0.3)
    assert live is None
    assert (one.code, one.level) == ("osquery-no-answer", Level.WARNING)


def test_its_log_is_read_from_its_last_start(tmp_path: Path) -> None:
    (tmp_path / "osquery.flags").write_text(f"--logger_path={tmp_path}\n")
    (tmp_path / "osqueryd.INFO").write_bytes(b"Log file created at: a\nold\nLog file created at: b\nnew\n")
    installation = load_osquery_config(os.fsencode(tmp_path / "osquery.conf"))
    assert load_status_log(installation) == [b"Log file created at: b", b"new", b""]
