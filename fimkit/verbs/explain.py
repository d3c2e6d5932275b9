"""Has the host's packages explain findings: the one way, for `check` and `watch`. Nothing of packages is read before it helps."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from fimkit.evidence.pin_rows import PinsRow
from fimkit.evidence.store import Store
from fimkit.model.changes import Change
from fimkit.model.config import Config
from fimkit.model.errors import PackageError
from fimkit.model.findings import Finding, Verdict
from fimkit.packages.folders import may_be_packaged
from fimkit.verbs.package_backups import explain_backups, is_backup
from fimkit.verbs.packages import explain_findings, is_provable

if TYPE_CHECKING:
    from fimkit.packages.pins import PackagePins, PinnedKey
    from fimkit.packages.proof import Proof
    from fimkit.packages.sources import PackageSources

__all__ = ["UNPINNED", "Explanation", "explain", "keep_pins", "may_be_explained"]

UNPINNED = (
    "no keys of packages are pinned, so an upgrade is not told from a tampering: run `fimkit baseline pin` on a host that is good"
)


class Explanation(NamedTuple):
    """The same findings in the same order, judged anew; words for people; and what :func:`keep_pins` is to store.

    ``pinned_ns`` says which pins it was judged by.
    """

    findings: list[Finding]
    words: tuple[str, ...] = ()
    proofs: Sequence["Proof"] = ()
    keys: tuple["PinnedKey", ...] = ()
    pinned_ns: int | None = None


def may_be_explained(config: Config, finding: Finding) -> bool:
    """Tell, without reading anything, whether a finding could turn out to be a package's doing.

    What cannot is final as it is. What can should be explained before it is told, within some bound: an upgrade must not alarm.
    """
    root = config.sources.package_root
    return bool(root) and (is_provable(finding, root, may_be_packaged) or is_backup(finding))


def explain(
    config: Config,
    findings: Iterable[Finding],
    pins: PinsRow | None,
    was_open: Iterable[Finding] = (),
    changes: Iterable[Change] = (),
) -> Explanation:
    """Judge findings anew in the light of the packages that are on the host now.

    The store is not touched, so it may run beside other work: some 50 ms for a file of no package, a second where the signed
    indexes of a distribution are read, 13 s for an upgrade of 5,000 files. A package manager in the middle of its work has files
    in place that are in none of its lists yet: they are proved when it is asked again later.

    Args:
        config: The configuration.
        findings: Of one look; those that no package can explain stay as they are.
        pins: What the store has: ``store.pins()``.
        was_open: The findings that were open before: what was proved of a difference stays proved.
        changes: What was recorded of the findings' paths; dpkg's passing names are told by it.

    Returns:
        The findings, the same number in the same order. Give it to :func:`keep_pins`.
    """
    findings, was_open, root = list(findings), list(was_open), config.sources.package_root
    if not any(may_be_explained(config, finding) for finding in findings):
        return Explanation(findings)
    from fimkit.packages.sources import gather_package_sources

    sources = gather_package_sources(root)
    if sources.dpkg is None and sources.rpm is None:
        return Explanation(findings)
    if pins is None:
        return Explanation(findings, (UNPINNED,))
    from fimkit.packages.pins import parse_pins

    try:
        trusted = parse_pins(pins.body)
    except PackageError as error:
        return Explanation(findings, (f"{error}; run `fimkit baseline pin` on a host that is good",))
    explained = _explain(sources, trusted, findings, {one.id: one for one in was_open})
    judged = explain_backups(explained.findings, changes, was_open)
    words = (*explained.words, *_work_words(sources, judged))
    return explained._replace(findings=judged, words=words, pinned_ns=pins.time_ns)


def _explain(
    sources: "PackageSources", pins: "PackagePins", findings: list[Finding], earlier: dict[str, Finding]
) -> Explanation:
    from fimkit.packages.proofs import PackageProofs
    from fimkit.verbs.package_keys import learn_keys

    with PackageProofs(sources, pins) as first:
        learned = learn_keys(pins, sources, first)
        problems = first.problems
    if learned.keys:
        pins = replace(pins, keys=(*pins.keys, *learned.keys))
    with PackageProofs(sources, pins) as proofs:
        explained = explain_findings(findings, proofs, earlier, root=sources.root, is_candidate=may_be_packaged)
        problems = (*problems, *proofs.problems)
    words = [*learned.words, *(f"packages: {problem}" for problem in problems)]
    return Explanation(explained.findings, tuple(dict.fromkeys(words)), explained.proofs, learned.keys)


def _work_words(sources: "PackageSources", findings: Iterable[Finding]) -> Iterable[str]:
    from fimkit.packages.at_work import find_package_managers

    pids = find_package_managers(sources)
    if pids and any(finding.verdict is not Verdict.EXPECTED for finding in findings):
        shown = ", ".join(map(str, pids))
        yield f"a package manager's lock is held by process {shown}: what it has not finished cannot be proved yet"


def keep_pins(store: Store, explained: Explanation) -> None:
    """Store what was learnt from proofs: the versions seen, by which a later downgrade is measured, and the new keys.

    Where somebody pinned anew meanwhile, the keys are left to that.
    """
    if not explained.proofs and not explained.keys:
        return
    from fimkit.packages.pins import add_proved, parse_pins, render_pins

    with store.transaction():
        row = store.pins()
        if row is None:
            return
        pins = parse_pins(row.body)
        known = {key.fingerprint for key in pins.keys}
        if row.time_ns == explained.pinned_ns:
            pins = replace(pins, keys=(*pins.keys, *(key for key in explained.keys if key.fingerprint not in known)))
        body = render_pins(add_proved(pins, explained.proofs))
        if body != row.body:
            store.set_pins(replace(row, body=body))
