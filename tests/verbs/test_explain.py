"""The one way by which packages explain findings: what is read for it, what is pinned, and what comes to be trusted."""

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pysequoia import ArmorKind, Tsk, armor

from fimkit.baseline.diff import diff_states
from fimkit.baseline.scan import scan_watches
from fimkit.evidence.pin_rows import PinsRow
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Source
from fimkit.model.config import Config, Sources
from fimkit.model.config_text import load_config
from fimkit.model.errors import HostError
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.packages.pins import parse_pins
from fimkit.verbs.baseline import create_baseline, kind_of
from fimkit.verbs.explain import Explanation, explain, keep_pins, may_be_explained
from fimkit.verbs.pin import pin_packages, plan_pins
from fimkit.verbs.pins import collect_for_baseline, may_watch_packages
from tests.packages.debworld import NEEDS_DEBIAN, make_key
from tests.verbs.baseline_host import make_host
from tests.verbs.package_host import PackageHost, make_package_host, publish_second

__all__: list[str] = []

pytestmark = NEEDS_DEBIAN


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PackageHost:
    return make_package_host(Path(os.path.realpath(tmp_path_factory.mktemp("made"))))


@pytest.fixture
def host(made: PackageHost, tmp_path: Path) -> PackageHost:
    host = PackageHost(tmp_path, made.world.copy(tmp_path / "world"))
    create_baseline(load_config(host.config_file), who="eve", why="first")
    return host


def config_of(host: PackageHost) -> Config:
    return load_config(host.config_file)


def store_of(host: PackageHost) -> Store:
    return open_store(os.fsencode(host.place / "state"))


def findings_of(host: PackageHost) -> list[Finding]:
    """What a look finds now, as bare differences."""
    with store_of(host) as store:
        before = store.baseline()
    diffs = diff_states(before, {state.path: state for state in scan_watches(config_of(host).paths)})
    return [
        Finding(
            id=repr(diff.path), host="pkg01", path=diff.path, kind=kind_of(diff), tier=Tier.CRITICAL, severity=Severity.CRITICAL,
            verdict=Verdict.UNEXPLAINED, changed=diff.changed, before=diff.before, after=diff.after, moved_to=None, actors=(),
            attribution=Attribution.UNATTRIBUTED, reasons=(), sources=(Source.SCAN,), first_seen_ns=0, last_seen_ns=0,
        )
        for diff in diffs
    ]  # fmt: skip


def explained(host: PackageHost) -> Explanation:
    with store_of(host) as store:
        done = explain(config_of(host), findings_of(host), store.pins())
        keep_pins(store, done)
    return done


def verdicts(host: PackageHost, done: Explanation) -> dict[str, str]:
    return {"/" + os.path.relpath(os.fsdecode(one.path), host.root): one.verdict.value for one in done.findings}


def keys_of(host: PackageHost) -> set[str]:
    with store_of(host) as store:
        row = store.pins()
    assert row is not None
    return {key.fingerprint for key in parse_pins(row.body).keys}


# What is read, and what is not.


def test_a_look_without_anything_of_packages_reads_nothing_of_them() -> None:
    program = (
        "import sys\nfrom fimkit.verbs.check import check\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('pysequoia', 'univers', 'lz4', 'pandas')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_no_package_may_have_is_left_as_it_is(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    one = host.found("a", Kind.MODIFIED)
    assert not may_be_explained(host.config, one)
    assert explain(host.config, [one], None) == Explanation([one])
    assert not may_watch_packages(host.config)
    assert collect_for_baseline(host.config) is None
    with host.store() as store:
        assert store.pins() is None


@pytest.mark.parametrize("name", ["usr/bin/x", "usr/bin/x.dpkg-tmp", "usr/local/bin/x", "home/x"])
def test_by_its_path_below_the_root_a_finding_may_be_a_packages(name: str, host: PackageHost) -> None:
    config = config_of(host)
    base = make_finding(os.fsencode(host.root / name))
    assert may_be_explained(config, base) == name.startswith("usr/bin/")
    passing = dataclasses.replace(base, kind=Kind.TRANSIENT)
    assert may_be_explained(config, passing) == name.endswith(".dpkg-tmp")
    off = dataclasses.replace(config, sources=Sources(package_root=b""))
    assert not may_be_explained(off, base)


def make_finding(path: bytes) -> Finding:
    return Finding(
        id="x", host="pkg01", path=path, kind=Kind.DELETED, tier=Tier.CRITICAL, severity=Severity.CRITICAL,
        verdict=Verdict.UNEXPLAINED, changed=(), before=None, after=None, moved_to=None, actors=(),
        attribution=Attribution.UNATTRIBUTED, reasons=(), sources=(), first_seen_ns=0, last_seen_ns=0,
    )  # fmt: skip


# Pins.


def test_a_baseline_pins_keys_and_versions(host: PackageHost) -> None:
    with store_of(host) as store:
        row = store.pins()
    assert row is not None
    pins = parse_pins(row.body)
    assert (row.who, len(pins.keys)) == ("eve", 1)
    assert {(one.name, one.version) for one in pins.packages} >= {("tool", "1:1.0"), ("others", "1.0")}


def test_without_pins_nothing_is_proved_and_how_to_get_them_is_said_once(host: PackageHost) -> None:
    host.world.install(*publish_second(host.world))
    with store_of(host) as store, store.transaction():
        store._connection.execute("DELETE FROM package_pins")
    _, words = host.check()
    assert words.count("fimkit baseline pin") == 1
    found, _ = host.check("--all")
    assert {one["verdict"] for one in found.values()} <= {"unexplained", "suspect"}
    assert host.fimkit("baseline", "pin").returncode == 0
    # The versions are those of after the upgrade: the old ones are not known any more, and their removals not proved.
    found, words = host.check("--all")
    assert found["/usr/bin/tool"]["verdict"] == "expected"
    assert found["/usr/share/tool/gone.txt"]["verdict"] == "unexplained"
    assert "baseline pin" not in words


def test_pins_that_cannot_be_read_prove_nothing_and_end_nothing(host: PackageHost) -> None:
    host.world.install(*publish_second(host.world))
    done = explain(config_of(host), findings_of(host), PinsRow(body={"keys": 7}, who="", time_ns=0))
    assert {one.verdict for one in done.findings} == {Verdict.UNEXPLAINED}
    assert "baseline pin" in done.words[0]


def test_a_check_never_takes_a_key_from_the_host(host: PackageHost) -> None:
    was = keys_of(host)
    host.world.install(*publish_second(host.world))
    host.world.trust(make_key("intruder"), "repo.asc")
    host.world.trust(make_key("another"), "more.asc")
    assert verdicts(host, explained(host))["/usr/bin/tool"] == "expected"
    assert keys_of(host) == was


def test_pinning_anew_says_which_keys_come_and_go_and_a_trial_changes_nothing(host: PackageHost) -> None:
    (old,) = keys_of(host)
    host.world.trust(new := make_key("new"), "repo.asc")
    fingerprint = new.extract_certificate().fingerprint
    trial = host.fimkit("baseline", "pin", "--dry-run")
    assert trial.stdout.split("\n")[:2] == [
        f"- {old} /etc/apt/trusted.gpg.d/repo.asc", f"+ {fingerprint} /etc/apt/trusted.gpg.d/repo.asc",
    ]  # fmt: skip
    assert trial.stdout.split("\n")[2].endswith("installed versions would be pinned")
    assert keys_of(host) == {old}
    assert [key.fingerprint for key in plan_pins(config_of(host)).added] == [fingerprint]
    assert pin_packages(config_of(host), who="ann").dropped[0].fingerprint == old
    assert keys_of(host) == {fingerprint}


def test_a_host_without_packages_has_nothing_to_pin(host: PackageHost) -> None:
    with pytest.raises(HostError, match="package_root"):
        pin_packages(dataclasses.replace(config_of(host), sources=Sources(package_root=b"/nowhere")), who="ann")


def test_what_was_proved_is_pinned_and_pins_made_meanwhile_keep_their_keys(host: PackageHost) -> None:
    host.world.install(*publish_second(host.world))
    with store_of(host) as store:
        row = store.pins()
        assert row is not None
        done = explain(config_of(host), findings_of(host), row)
        forged = parse_pins(row.body).keys[0]._replace(fingerprint="f" * 40)
        done = done._replace(keys=(forged,))
        keep_pins(store, done._replace(pinned_ns=row.time_ns - 1))
        later = store.pins()
    assert later is not None
    pins = parse_pins(later.body)
    assert {one.version for one in pins.packages if one.name == "tool"} == {"1:1.0", "1:2.0"}
    assert "f" * 40 not in {key.fingerprint for key in pins.keys}
    assert (later.who, later.time_ns) == (row.who, row.time_ns)


# Keys that a signed package brought.


def with_keyring(host: PackageHost, *keys: Tsk) -> bytes:
    return "".join(armor(bytes(key.extract_certificate()), ArmorKind.PublicKey) for key in keys).encode()


@pytest.fixture
def keyed(host: PackageHost) -> tuple[PackageHost, Tsk]:
    """A host whose keyring is a package's, as a distribution's is; and the key that the distribution will sign by next."""
    world = host.world
    (world.root / "etc/apt/trusted.gpg.d/repo.asc").unlink()
    path = "/usr/share/keyrings/archive.asc"
    world.publish(world.build("archive-keyring", "1", {path: with_keyring(host, world.key)}))
    (world.root / "etc/apt/sources.list").write_text(f"deb [signed-by={world.root}{path}] copy:{world.repo} stable main\n")
    (world.root / "usr/share/keyrings").mkdir(parents=True)
    (world.root / path[1:]).write_bytes(with_keyring(host, world.key))
    world.update()
    world.fetch("archive-keyring")
    world.install(world.cached("archive-keyring", "1"))
    (world.root / "etc/apt/sources.list").write_text(f"deb [signed-by={path}] copy:{world.repo} stable main\n")
    assert host.fimkit("baseline", "create", "--force").returncode == 0
    return host, make_key("next")


def renew(host: PackageHost, content: bytes, *, name: str = "archive-keyring", signed: bool = True) -> None:
    """Install the next version of the keyring's package: from the repository, or from nowhere."""
    world = host.world
    deb = world.build(name, "2", {"/usr/share/keyrings/archive.asc": content})
    if signed:
        world.publish(world.cached("archive-keyring", "1"), deb)
        sources = world.root / "etc/apt/sources.list"
        text = sources.read_text()
        sources.write_text(text.replace("signed-by=", f"signed-by={world.root}"))  # apt itself has another root
        world.update()
        world.fetch(name)
        sources.write_text(text)
        deb = world.cached(name, "2")
    world.install(deb, options=("--force-overwrite",))


def test_the_next_key_in_a_keyring_that_the_last_one_signed_is_trusted(keyed: tuple[PackageHost, Tsk]) -> None:
    host, new = keyed
    renew(host, with_keyring(host, host.world.key, new))
    done = explained(host)
    assert verdicts(host, done)["/usr/share/keyrings/archive.asc"] == "expected"
    assert any("a new key of packages is trusted" in words and "archive-keyring 2 brought" in words for words in done.words)
    assert keys_of(host) == {key.extract_certificate().fingerprint for key in (host.world.key, new)}
    assert not any("a new key" in words for words in explained(host).words)


@pytest.mark.parametrize("signed", [True, False])
def test_a_key_put_into_the_keyring_by_hand_or_by_an_unsigned_package_is_not(signed: bool, keyed: tuple[PackageHost, Tsk]) -> None:
    host, new = keyed
    was = keys_of(host)
    if signed:
        (host.root / "usr/share/keyrings/archive.asc").write_bytes(with_keyring(host, host.world.key, new))
    else:
        renew(host, with_keyring(host, host.world.key, new), signed=False)
    assert verdicts(host, explained(host))["/usr/share/keyrings/archive.asc"] == "unexplained"
    assert keys_of(host) == was


def test_a_signed_package_that_was_not_there_before_brings_no_keys(keyed: tuple[PackageHost, Tsk]) -> None:
    host, new = keyed
    was = keys_of(host)
    renew(host, with_keyring(host, host.world.key, new), name="ports-keyring")
    explained(host)
    assert keys_of(host) == was


def test_a_signed_keyring_that_apt_is_newly_pointed_to_brings_no_keys(keyed: tuple[PackageHost, Tsk]) -> None:
    host, withdrawn = keyed
    world, was = host.world, keys_of(host)
    deb = world.build("archive-keyring", "2", {
        "/usr/share/keyrings/archive.asc": with_keyring(host, world.key),
        "/usr/share/keyrings/removed.asc": with_keyring(host, withdrawn),
    })  # fmt: skip
    sources = world.root / "etc/apt/sources.list"
    text = sources.read_text()
    sources.write_text(text.replace("signed-by=", f"signed-by={world.root}"))
    world.publish(deb)
    world.update()
    world.fetch("archive-keyring")
    world.install(world.cached("archive-keyring", "2"))
    sources.write_text(text.replace("archive.asc", "removed.asc"))
    assert verdicts(host, explained(host))["/usr/share/keyrings/removed.asc"] == "expected"
    assert keys_of(host) == was


# A whole check.


def test_the_next_check_neither_asks_again_nor_forgets(host: PackageHost) -> None:
    host.world.install(*publish_second(host.world))
    first, _ = host.check()
    for deb in (host.root / "var/cache/apt/archives").glob("*.deb"):
        deb.unlink()
    second, _ = host.check("--all")
    judged = {path: (one["id"], one["verdict"], one["severity"], one["reasons"]) for path, one in first.items()}
    assert {path: (one["id"], one["verdict"], one["severity"], one["reasons"]) for path, one in second.items()} == judged
    assert judged["/usr/bin/tool"][1:3] == ("expected", "info")


def test_a_proof_that_comes_later_settles_an_open_finding(host: PackageHost) -> None:
    debs = publish_second(host.world)
    kept = host.place / "kept"
    host.world.install(*debs)
    archives = host.root / "var/cache/apt/archives"
    archives.rename(kept)
    archives.mkdir()
    found, _ = host.check()
    assert (found["/usr/bin/tool"]["verdict"], found["/usr/bin/tool"]["severity"]) == ("unexplained", "critical")
    archives.rmdir()
    kept.rename(archives)
    found, _ = host.check("--all")
    assert (found["/usr/bin/tool"]["verdict"], found["/usr/bin/tool"]["severity"]) == ("expected", "info")


def test_a_lock_that_is_held_is_said_and_proves_nothing(host: PackageHost) -> None:
    (host.root / "usr/bin/tool").write_bytes(b"evil")
    with (host.root / "var/lib/dpkg/lock").open("a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        found, words = host.check()
    assert found["/usr/bin/tool"]["verdict"] == "unexplained"
    assert f"a package manager's lock is held by process {os.getpid()}" in words


def test_expected_findings_alone_are_accepted_and_none_is_no_failure(host: PackageHost) -> None:
    none = host.fimkit("baseline", "accept", "--expected")
    assert (none.returncode, none.stdout) == (0, "0 accepted\n")
    host.world.install(*publish_second(host.world))
    (host.root / "usr/bin/door").write_bytes(b"evil")
    found, _ = host.check()
    proved = {path for path, one in found.items() if one["verdict"] == "expected"}
    assert {"/usr/bin/tool", "/usr/share/tool/gone.txt", "/etc/tool.conf"} <= proved
    done = host.fimkit("baseline", "accept", "--expected", str(host.root / "usr"))
    assert done.returncode == 0, done.stderr
    in_usr = {path for path in proved if path.startswith("/usr/")}
    assert done.stdout.endswith(f"{len(in_usr)} accepted\n")
    left, _ = host.check("--all")
    assert left.keys() == found.keys() - in_usr
    rows = [json.loads(line) for line in host.fimkit("baseline", "show", "--history", "--json").stdout.splitlines()]
    assert {row["why"] for row in rows if row["kind"] == "accept"} == {"proved by signed packages"}
