"""The stand-in's flags: as gflags reads them."""

from pathlib import Path

import pytest

from fimkit.testing.osqueryd.flags import FLAGS, FlagError, Flags, parse_flags


@pytest.mark.parametrize(
    "words", [["--events_max=5"], ["--events_max", "5"], ["-events_max=5"], ["--events_max=1", "--events_max=5"]]
)
def test_a_value_stands_behind_a_sign_or_a_space_and_the_last_wins(words: list[str]) -> None:
    assert parse_flags(words).number("events_max") == 5


@pytest.mark.parametrize(
    ("word", "on"),
    [("--verbose", True), ("--noverbose", False), ("--verbose=1", True), ("--verbose=FALSE", False), ("--verbose=yes", True)],
)
def test_a_switch_needs_no_value(word: str, on: bool) -> None:
    assert parse_flags([word, "--read_max=1"]).on("verbose") is on


def test_what_is_not_set_has_its_default() -> None:
    flags = parse_flags([])
    assert {name: flags.text(name) for name in FLAGS} == {name: flag.default for name, flag in FLAGS.items()}
    assert (flags.number("events_max"), flags.number("events_expiry"), flags.number("read_max")) == (50000, 3600, 52428800)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "unknown command line flag 'nope'"),
        (["--noevents_max"], "unknown command line flag 'noevents_max'"),
        (["--events_max=many"], "illegal value 'many' specified for uint64 flag 'events_max'"),
        (["--verbose=perhaps"], "illegal value 'perhaps' specified for bool flag 'verbose'"),
        (["--config_path"], "flag 'config_path' is missing its argument"),
        (["--flagfile=/nowhere"], "unable to read flagfile /nowhere"),
    ],
)
def test_what_gflags_refuses_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(FlagError, match=message):
        parse_flags(words)


def test_a_flagfile_counts_where_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "flags"
    file.write_text("# words\n\n--read_max=2\n  --disable_audit=false\n")
    assert parse_flags(["--read_max=1", f"--flagfile={file}"]).number("read_max") == 2
    flags = parse_flags([f"--flagfile={file}", "--read_max=3"])
    assert (flags.number("read_max"), flags.on("disable_audit")) == (3, False)


def test_setting_a_flag_checks_it_too() -> None:
    flags = Flags()
    flags.set("read_max", "7")
    assert flags.number("read_max") == 7
    with pytest.raises(FlagError):
        flags.set("read_max", "x")
