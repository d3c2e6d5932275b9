"""What fimkit writes in watched places is announced, and taken into the baseline; what others put beside it is not."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.model.config import Config, SelfWatch
from fimkit.verbs.accept import plan_acceptance
from fimkit.verbs.own_changes import announcing
from tests.verbs.baseline_host import SmallHost, make_host

__all__: list[str] = []


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    made = make_host(tmp_path)
    return SmallHost(made.tree, replace(made.config, self=SelfWatch(watch=True)))


def different(config: Config, tree: Path) -> set[str]:
    return {os.path.basename(os.fsdecode(item.path)) for item in plan_acceptance(config, [os.fsencode(tree)]).items}


def test_just_these_bytes_are_taken_with_who_and_why_and_the_announcement_ends(host: SmallHost) -> None:
    planned = {host.path("new/rules"): b"-w /etc\n", host.path("b"): None, host.path("a"): b"ours"}
    with announcing(host.config, planned, why="fimkit install") as own:
        with host.store() as store:
            written, gone = store.tickets()
        (host.tree / "new").mkdir()
        (host.tree / "new" / "rules").write_bytes(b"-w /etc\n")
        (host.tree / "b").unlink()
        (host.tree / "a").write_bytes(b"not ours")
        (host.tree / "conf" / "x").write_text("another's")
    assert own.words == []
    assert len(written.sha256) == 2 and gone.paths == (str(host.tree / "b"),)
    assert str(host.tree / "new") in written.paths and written.by[0].exe == os.readlink(b"/proc/self/exe")
    assert different(host.config, host.tree) == {"a", "x"}
    with host.store() as store:
        assert all(ticket.cancelled_ns is not None for ticket in store.tickets())
        (accepted,) = [one for one in store.acceptances() if one.why == "fimkit install"]
    assert accepted.paths == 3


def test_what_fails_inside_ends_the_announcement_and_takes_nothing(host: SmallHost) -> None:
    with pytest.raises(OSError, match="full"), announcing(host.config, {host.path("a"): b"ours"}, why="fimkit install"):
        (host.tree / "a").write_bytes(b"ours")
        raise OSError("full")
    assert different(host.config, host.tree) == {"a"}
    with host.store() as store:
        assert [ticket.cancelled_ns is not None for ticket in store.tickets()] == [True]


@pytest.mark.parametrize("why_not", ["not asked for", "not watched", "no baseline"])
def test_where_it_is_nobodys_concern_nothing_is_said(host: SmallHost, why_not: str, tmp_path: Path) -> None:
    config, path = host.config, host.path("a")
    if why_not == "not asked for":
        config = replace(config, self=SelfWatch())
    elif why_not == "not watched":
        path = bytes(tmp_path / "elsewhere")
    else:
        config = replace(config, host=replace(config.host, state_dir=bytes(tmp_path / "none")))
    with announcing(config, {path: b"ours"}, why="fimkit install") as own:
        (tmp_path / "tree" / "a").write_bytes(b"ours")
    assert own.words == [] and not (tmp_path / "none").exists()
    with host.store() as store:
        assert not store.tickets()
