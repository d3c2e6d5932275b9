"""Findings in the light of packages: an upgrade is expected, what an intruder does beside it stays as severe as it is."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.baseline.diff import diff_states
from fimkit.model.changes import Source, StateDiff
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict, severity_of
from fimkit.packages.pins import PackagePins, add_proved
from fimkit.verbs.packages import explain_findings
from tests.packages.debworld import NEEDS_DEBIAN, DebWorld, make_key

__all__: list[str] = []

pytestmark = NEEDS_DEBIAN

OLD = {"/usr/bin/tool": b"one", "/usr/bin/tool-su": (b"one", 0o4755), "/usr/share/tool/gone": b"one"}
NEW = {"/usr/bin/tool": b"two", "/usr/bin/tool-su": (b"two", 0o4755), "/usr/share/tool/new": b"two"}


def finding_of(diff: StateDiff) -> Finding:
    kind = Kind.CREATED if diff.before is None else Kind.DELETED if diff.after is None else Kind.MODIFIED
    if kind is Kind.MODIFIED and "sha256" not in diff.changed:
        kind = Kind.ATTRIBUTES
    return Finding(
        id=f"id of {diff.path!r}",
        host="h",
        path=diff.path,
        kind=kind,
        tier=Tier.CRITICAL,
        severity=severity_of(Tier.CRITICAL, kind, Verdict.UNEXPLAINED, diff.changed),
        verdict=Verdict.UNEXPLAINED,
        changed=diff.changed,
        before=diff.before,
        after=diff.after,
        moved_to=None,
        actors=(),
        attribution=Attribution.UNATTRIBUTED,
        reasons=("the scan's",),
        sources=(Source.SCAN,),
        first_seen_ns=0,
        last_seen_ns=0,
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[DebWorld, PackagePins, dict[bytes, Finding]]:
    world = DebWorld(tmp_path_factory.mktemp("first") / "world", make_key()).create()
    old, new = world.build("tool", "1.0", OLD), world.build("tool", "2.0", NEW)
    world.publish(old)
    world.update()
    world.fetch("tool")
    world.install(world.cached("tool", "1.0"))
    pins, before = world.pins(), world.scan()
    world.publish(old, new)
    world.update()
    world.fetch("tool")
    world.install(world.cached("tool", "2.0"))
    (world.root / "usr/bin/door").write_bytes(b"evil")
    (world.root / "usr/share/tool/new").chmod(0o666)
    diffs = diff_states(before, world.scan())
    return world, pins, {diff.path: finding_of(diff) for diff in diffs}


@pytest.fixture
def upgraded(
    first: tuple[DebWorld, PackagePins, dict[bytes, Finding]], tmp_path: Path
) -> tuple[DebWorld, PackagePins, dict[bytes, Finding]]:
    return first[0].copy(tmp_path / "world"), first[1], first[2]


def judged(world: DebWorld, pins: PackagePins, findings: dict[bytes, Finding], **more: object) -> dict[bytes, Finding]:
    with world.proofs(pins) as proofs:
        return {one.path: one for one in explain_findings(findings.values(), proofs, **more).findings}  # type: ignore[arg-type]


def test_the_upgrade_is_expected_and_the_rest_is_not(upgraded: tuple[DebWorld, PackagePins, dict[bytes, Finding]]) -> None:
    found = judged(*upgraded)
    assert list(found) == list(upgraded[2])
    assert {path: (one.verdict, one.severity) for path, one in found.items()} == {
        b"/usr/bin/door": (Verdict.UNEXPLAINED, Severity.CRITICAL),
        b"/usr/bin/tool": (Verdict.EXPECTED, Severity.INFO),
        b"/usr/bin/tool-su": (Verdict.EXPECTED, Severity.INFO),
        b"/usr/share/tool/gone": (Verdict.EXPECTED, Severity.INFO),
        b"/usr/share/tool/new": (Verdict.UNEXPLAINED, Severity.CRITICAL),
    }
    assert found[b"/usr/bin/tool"].reasons[0].startswith("tool 2.0 ships it so: the archive stands in Test stable of ")
    assert found[b"/usr/bin/tool"].reasons[1] == "the scan's"
    assert "not its mode: it ships 0644, seen is 0666" in found[b"/usr/share/tool/new"].reasons
    assert "no package ships this path; what packages' own scripts make is never proved" in found[b"/usr/bin/door"].reasons


def test_what_was_proved_stays_so_when_the_archive_is_gone(upgraded: tuple[DebWorld, PackagePins, dict[bytes, Finding]]) -> None:
    world, pins, findings = upgraded
    earlier = {one.id: one for one in judged(world, pins, findings).values()}
    for deb in (world.root / "var/cache/apt/archives").glob("*.deb"):
        deb.unlink()
    assert judged(world, pins, findings)[b"/usr/bin/tool"].verdict is Verdict.UNEXPLAINED
    later = judged(world, pins, findings, earlier=earlier)
    assert {path for path, one in later.items() if one.verdict is Verdict.EXPECTED} == {
        b"/usr/bin/tool", b"/usr/bin/tool-su", b"/usr/share/tool/gone",
    }  # fmt: skip
    assert later[b"/usr/bin/tool"].reasons == earlier[findings[b"/usr/bin/tool"].id].reasons


def test_a_downgrade_to_a_signed_package_is_not_expected(upgraded: tuple[DebWorld, PackagePins, dict[bytes, Finding]]) -> None:
    world = upgraded[0]
    pins, before = world.pins(), world.scan()
    world.install(world.cached("tool", "1.0"))
    findings = {diff.path: finding_of(diff) for diff in diff_states(before, world.scan())}
    one = judged(world, pins, findings)[b"/usr/bin/tool"]
    assert (one.verdict, one.severity) == (Verdict.UNEXPLAINED, Severity.CRITICAL)
    assert "an older version than 2.0, which was installed before" in one.reasons


def test_what_was_proved_is_the_version_that_a_later_downgrade_is_measured_by(
    upgraded: tuple[DebWorld, PackagePins, dict[bytes, Finding]],
) -> None:
    world, pins, findings = upgraded
    before = world.scan()
    with world.proofs(pins) as proofs:
        pins = add_proved(pins, explain_findings(findings.values(), proofs).proofs)
    assert [one.version for one in pins.packages] == ["1.0", "2.0"]
    world.publish(world.build("tool", "3.0", NEW))  # the index moves on; the archives are still in the cache
    world.update()
    assert judged(world, pins, findings)[b"/usr/bin/tool"].verdict is Verdict.EXPECTED
    world.install(world.cached("tool", "1.0"))
    findings = {diff.path: finding_of(diff) for diff in diff_states(before, world.scan())}
    one = judged(world, pins, findings)[b"/usr/bin/tool"]
    assert one.verdict is Verdict.UNEXPLAINED
    assert "an older version than 2.0, which was installed before" in one.reasons


def test_a_denied_try_folded_in_keeps_its_weight(upgraded: tuple[DebWorld, PackagePins, dict[bytes, Finding]]) -> None:
    world, pins, findings = upgraded
    tried = replace(findings[b"/usr/bin/tool"], reasons=("a denied try",), verdict=Verdict.SUSPECT)
    (one,) = judged(world, pins, {tried.path: tried}).values()
    assert (one.verdict, one.severity) == (Verdict.SUSPECT, Severity.CRITICAL)


def test_a_move_needs_both_ends_proved(upgraded: tuple[DebWorld, PackagePins, dict[bytes, Finding]]) -> None:
    world, pins, findings = upgraded
    gone, new = findings[b"/usr/share/tool/gone"], findings[b"/usr/bin/tool"]
    moved = replace(gone, kind=Kind.MOVED, after=new.after, moved_to=new.path)
    (one,) = judged(world, pins, {gone.path: moved}).values()
    assert one.verdict is Verdict.EXPECTED
    astray = replace(moved, moved_to=b"/usr/bin/door", after=findings[b"/usr/bin/door"].after)
    (one,) = judged(world, pins, {gone.path: astray}).values()
    assert one.verdict is Verdict.UNEXPLAINED


def test_a_tree_that_is_watched_from_outside_is_explained_and_its_neighbours_are_left_alone(
    upgraded: tuple[DebWorld, PackagePins, dict[bytes, Finding]],
) -> None:
    world, pins, findings = upgraded
    root = os.fsencode(world.root)
    outside = [replace(one, path=root + one.path) for one in findings.values()]
    beside = [findings[b"/usr/bin/tool"], replace(outside[0], path=root + b"-other/usr/bin/tool")]
    with world.proofs(pins) as proofs:
        explained = explain_findings([*outside, *beside], proofs, root=root + b"/").findings
    assert explained[-2:] == beside
    assert {one.path.removeprefix(root) for one in explained if one.verdict is Verdict.EXPECTED} == {
        b"/usr/bin/tool", b"/usr/bin/tool-su", b"/usr/share/tool/gone",
    }  # fmt: skip


def test_tries_passing_files_and_times_are_left_as_they_are(upgraded: tuple[DebWorld, PackagePins, dict[bytes, Finding]]) -> None:
    world, pins, findings = upgraded
    base = findings[b"/usr/bin/tool"]
    for one in (
        replace(base, kind=Kind.ATTEMPTED),
        replace(base, kind=Kind.TRANSIENT),
        replace(base, kind=Kind.ATTRIBUTES, changed=("mtime_ns",)),
    ):
        assert list(judged(world, pins, {one.path: one}).values()) == [one]
