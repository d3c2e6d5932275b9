"""What a running osqueryd says of itself."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.advice import Level
from fimkit.osquery.lint_live import LiveFacts, lint_live, lint_status_log, rows_per_second, with_live_flags
from fimkit.osquery.osquery_config import OsqueryConfig, Setting

__all__: list[str] = []

START, NOW = 1_000_000, 1_010_000
EVENTS = [
    {"name": "inotify", "type": "publisher", "subscriptions": "1", "events": "50000", "active": "1"},
    {"name": "file_events", "type": "subscriber", "subscriptions": "1", "events": "50000", "active": "1"},
]
QUERY = {"name": "pack_fimkit_file_events", "query": "SELECT * FROM file_events", "interval": "60", "last_executed": str(NOW - 50)}


def live(**more: Any) -> LiveFacts:
    rows: dict[str, Any] = {
        "now_s": NOW,
        "events": EVENTS,
        "schedule": [QUERY],
        "packs": [{"name": "fimkit", "active": "1"}],
        "information": {"version": "5.23.1", "config_valid": "1", "start_time": str(START)},
    }
    return LiveFacts(**(rows | more))


def config(**flags: str) -> OsqueryConfig:
    settings = {name: Setting(value, "/etc/osquery/osquery.flags:1") for name, value in flags.items()}
    return OsqueryConfig(config_path=b"/etc/osquery/osquery.conf", options={}, flags=settings)


def found(facts: LiveFacts, files: OsqueryConfig | None = None) -> dict[str, Level]:
    return {one.code: one.level for one in lint_live(files or config(), facts)}


def test_one_that_does_all_gives_no_advice() -> None:
    assert not found(live())


def test_a_publisher_that_is_not_active_or_watches_nothing_is_a_trap() -> None:
    assert found(live(events=[EVENTS[0] | {"active": "0"}, EVENTS[1]])) == {"osquery-inotify-inactive": Level.TRAP}
    assert found(live(events=[row | {"subscriptions": "0"} for row in EVENTS])) == {"osquery-no-subscriptions": Level.TRAP}


def test_a_query_that_is_missing_denylisted_or_overdue_is_told() -> None:
    assert found(live(schedule=[QUERY | {"query": "SELECT * FROM process_file_events"}])) == {"osquery-no-query": Level.TRAP}
    assert found(live(schedule=[QUERY | {"denylisted": "1"}])) == {"osquery-denylisted": Level.TRAP}
    assert found(live(schedule=[QUERY | {"last_executed": str(NOW - 1000)}])) == {"osquery-overdue": Level.WARNING}
    assert found(live(schedule=[QUERY | {"last_executed": "0"}])) == {"osquery-overdue": Level.WARNING}


def test_a_pack_of_ours_that_is_not_active_is_a_trap() -> None:
    assert found(live(packs=[{"name": "fimkit", "active": "0"}, {"name": "theirs", "active": "0"}])) == {
        "osquery-pack-inactive": Level.TRAP
    }


def test_an_extension_that_is_to_be_there_and_is_not_is_told() -> None:
    core, ours = {"name": "core"}, {"name": "fimkit"}
    load = ["/usr/lib/osquery/extensions/fimkit.ext"]
    assert found(live(extensions=[core], autoloaded=load)) == {"osquery-extension": Level.WARNING}
    assert not found(live(extensions=[core, ours], autoloaded=load))
    assert not found(live(extensions=[core], autoloaded=["/x/other.ext"]))


def test_an_old_version_an_invalid_configuration_and_a_missing_table_are_told() -> None:
    old = {"version": "4.9.0", "config_valid": "0", "start_time": str(START)}
    assert found(live(information=old, missing=("osquery_packs (no such table)",), packs=())) == {
        "osquery-version": Level.NOTE,
        "osquery-config-invalid": Level.TRAP,
        "osquery-table-missing": Level.NOTE,
    }


def test_flags_in_force_go_over_those_in_the_files_and_a_difference_says_restart() -> None:
    rows = [
        {"name": "disable_audit", "value": "false", "default_value": "true"},
        {"name": "read_max", "value": "5", "default_value": "52428800"},
        {"name": "events_max", "value": "50000", "default_value": "50000"},
        {"name": "verbose", "value": "true", "default_value": "false"},
    ]
    files = config(disable_audit="TRUE", verbose="1")
    running = with_live_flags(files, live(flags=rows))
    assert running.setting("disable_audit") == Setting("false", "the running osqueryd")
    assert running.value("read_max", "") == "5"
    assert running.setting("events_max") is None
    assert running.setting("verbose") == files.setting("verbose")
    assert found(live(flags=rows), files) == {"osquery-restart": Level.WARNING}


def test_the_rate_is_measured_where_it_runs_long_enough() -> None:
    assert rows_per_second(live()) == 5.0
    assert rows_per_second(live(now_s=START + 10)) is None
    assert rows_per_second(live(events=())) is None


def test_its_log_tells_of_watches_that_it_could_not_add() -> None:
    line = b"W1122 07:31:16.497798 16473 inotify.cpp:410] Could not add inotify watch on: /srv/%s/"
    (advice,) = lint_status_log([b"I1122 all is well", *(line % name for name in (b"a", b"b", b"\xff", b"d", b"a"))], where="/log")
    assert (advice.code, advice.level, advice.path) == ("osquery-lost-watches", Level.TRAP, b"/srv/a/")
    assert "4 folders (/srv/a/, /srv/b/, /srv/%FF/, …)" in advice.problem
    (advice,) = lint_status_log([b"I1122 x] Could not start inotify: inotify_init failed"], where="/log")
    assert advice.code == "osquery-inotify-inactive"


@given(st.lists(st.dictionaries(st.sampled_from(["name", "value", "active", "interval", "last_executed"]), st.text(max_size=5))))
def test_any_rows_are_taken(rows: list[dict[str, str]]) -> None:
    facts = live(flags=rows, events=rows, schedule=[row | {"query": "file_events"} for row in rows], packs=rows, information={})
    lint_live(with_live_flags(config(), facts), facts)
