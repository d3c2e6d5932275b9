"""Plants a canary in each watched root, changes, renames and removes it, and says which source saw it, and after how long."""

import os
import secrets
import time
from collections.abc import Callable

from fimkit.evidence.canary_rows import Canary
from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Source
from fimkit.model.config import Config
from fimkit.model.errors import FimkitError, HostError
from fimkit.model.paths import render_path
from fimkit.verbs.canary_file import CanaryFile, Operation, remove_left
from fimkit.verbs.canary_spots import NoSpot, Spot, find_spots
from fimkit.verbs.place import look_at
from fimkit.verbs.selftest_audit import AuditEar, AuditFacts, load_audit_facts
from fimkit.verbs.selftest_osquery import OsqueryEar, OsqueryFacts, load_osquery_facts
from fimkit.verbs.selftest_report import RootSeen, SelfTest, SourceSeen
from fimkit.verbs.selftest_scan import CanaryScans
from fimkit.verbs.selftest_sightings import Sightings
from fimkit.verbs.selftest_words import AuditHeard, OsqueryHeard, judge_audit, judge_osquery, judge_scan, judge_single_file
from fimkit.verbs.stopping import stopped_cleanly

__all__ = ["selftest"]

_STAGES = (
    (Operation.CREATE,),
    (Operation.MODIFY, Operation.CHMOD),
    (Operation.RENAME,),
    (Operation.REMOVE,),
)
_SOURCES = (Source.AUDIT, Source.OSQUERY, Source.SCAN)
_POLL_S = 0.05
_AUDIT_PATIENCE_S = 5.0
_UNEXPECTED_S = 0.3
_FOREVER_S = float("inf")
_BUSY_TRIES = 6  # of ten seconds each: a `baseline create` keeps the store to itself while it scans

Tell = Callable[[str], None]


def selftest(config: Config, *, timeout_s: float | None = None, tell: Tell = lambda words: None) -> SelfTest:
    """Test what is configured, as it is configured now.

    All canaries are planted together and waited for together. The store has each before the disk has it, so that no look takes one
    for a change; whatever ends this, what was planted is removed, and after a kill the next one removes it.

    Args:
        config: The configuration.
        timeout_s: The longest to wait for any source; by default as long as osquery's interval asks for.
        tell: Given words on what is being waited for.

    Raises:
        HostError: If another selftest is at work, or the host refuses the state folder.
        StoreError: If the store cannot be used.
    """
    state_dir = config.host.state_dir
    with (
        lock_state(state_dir, verb="selftest", name=b"selftest.lock"),
        stopped_cleanly(),
        open_store(state_dir, create=True) as store,
    ):
        words = _clear_left(store)
        test = _Test(config, store, tell)
        with test.ear:
            words += test.plant()
            test.wait(timeout_s)
        return SelfTest(roots=tuple(test.judge()), words=tuple(words))


def _clear_left(store: Store) -> list[str]:
    """Remove what a killed selftest left; this one is alone, so whatever is open is left over."""
    words: list[str] = []
    left = {(row.path, row.token) for row in store.canaries() if row.gone_ns is None}
    there = [(path, token) for path, token in sorted(left) if os.path.lexists(path)]
    now_ns = time.time_ns()
    store.add_canaries(Canary(path=path, token=token, pid=os.getpid(), planted_ns=now_ns) for path, token in there)
    for path, token in sorted(left):
        result = remove_left(path, token)
        if result.is_settled:
            store.close_canaries([(path, token, time.time_ns())])
        if result.words:
            words.append(result.words)
        elif (path, token) in there:
            words.append(f"{render_path(path)}: removed a canary that an interrupted selftest left behind")
    return words


class _Test:
    """One run: the canaries, who listens, and what was seen."""

    def __init__(self, config: Config, store: Store, tell: Tell) -> None:
        self._config, self._store, self._tell = config, store, tell
        self._audit_facts: AuditFacts = load_audit_facts()
        self._osquery_facts: OsqueryFacts = load_osquery_facts(config.sources)
        self._spots = find_spots(config, new_token=lambda: secrets.token_hex(16), beside=self._osquery_facts.is_there)
        self._canaries = [CanaryFile(spot) for spot in self._spots if isinstance(spot, Spot)]
        self._scans = {canary.spot.token: CanaryScans(canary) for canary in self._canaries}
        self._waited_s = 0.0
        self._osquery = OsqueryEar(config.sources, self._osquery_facts, Sightings(self._canaries), Sightings(self._canaries))
        self.ear = AuditEar(config.sources.audit_log, Sightings(self._canaries), Sightings(self._canaries))

    def plant(self) -> list[str]:
        """Do all operations on all canaries, and look after each; nothing of them is left at the end, however it ends.

        Returns:
            Words on what could not be put away.
        """
        self._remember()
        try:
            for stage in _STAGES:
                for canary in self._canaries:
                    for operation in stage:
                        canary.do(operation)
                        self.ear.poll_live()
                    self._scans[canary.spot.token].look()
        finally:
            words = self._put_away()
        return words

    def _remember(self) -> None:
        now_ns = time.time_ns()
        rows = [
            Canary(path=path, token=canary.spot.token, pid=os.getpid(), planted_ns=now_ns)
            for canary in self._canaries
            for path in canary.spot.paths
        ]
        for left in range(_BUSY_TRIES, 0, -1):
            try:
                self._store.add_canaries(rows)
                return
            except HostError:
                if left == 1:
                    raise
                self._tell("the evidence store is busy: waiting for another fimkit")

    def _put_away(self) -> list[str]:
        words = [one for canary in self._canaries for one in canary.remove()]
        gone = [(path, canary.spot.token, when) for canary in self._canaries for path, when in canary.gone_ns.items()]
        try:
            self._store.close_canaries(gone)
        except FimkitError as error:  # they are gone; the next selftest notes it
            words.append(f"it could not be noted that the canaries are gone: {error}")
        return words

    def wait(self, timeout_s: float | None) -> None:
        """Wait for all sources together: until they have seen everything, or nothing more can be expected."""
        if not any(canary.done for canary in self._canaries):
            return
        began_s = time.monotonic()
        audit_s = min(self._audit_patience_s(), _FOREVER_S if timeout_s is None else timeout_s)
        osquery_s = self._osquery_patience_s() if timeout_s is None else min(timeout_s, self._osquery_patience_s(most=timeout_s))
        told = False
        while True:
            self.ear.poll()
            self._osquery.poll()
            self._waited_s = time.monotonic() - began_s
            waits_for_audit = self._waited_s < audit_s and not self.ear.is_done
            waits_for_osquery = self._waited_s < osquery_s and not self._osquery.log.is_complete
            if not (waits_for_audit or waits_for_osquery):
                return
            if not told and self._waited_s > _AUDIT_PATIENCE_S:
                told = True
                self._tell(f"waiting for osquery's log, {osquery_s:.0f} s at most: {self._interval_words()}")
            time.sleep(_POLL_S)

    def _audit_patience_s(self) -> float:
        facts = self._audit_facts
        recorded = facts.status is None or facts.status.enabled != 0
        expected = recorded and (facts.status is None or any(facts.has_rule(canary.spot.paths[0]) for canary in self._canaries))
        return _AUDIT_PATIENCE_S if expected else _UNEXPECTED_S

    def _osquery_patience_s(self, most: float = _FOREVER_S) -> float:
        facts = self._osquery_facts
        if not facts.is_there or (facts.trouble and not self._osquery.has_log):
            return 0.0
        if facts.is_scheduled is False or not self._osquery.has_log:
            return min(most, _AUDIT_PATIENCE_S)  # nothing will be logged: osqueryd itself is all that can be asked
        return facts.patience_s if most == _FOREVER_S else most

    def _interval_words(self) -> str:
        interval_s = self._osquery_facts.interval_s
        return f"its query runs every {interval_s} s" if interval_s else "how often its query runs is not known"

    def judge(self) -> list[RootSeen]:
        """Say what it means, for each configured path in its order."""
        by_token = {canary.spot.token: canary for canary in self._canaries}
        return [
            self._judge_untried(spot) if isinstance(spot, NoSpot) else self._judge(by_token[spot.token]) for spot in self._spots
        ]

    def _judge_untried(self, spot: NoSpot) -> RootSeen:
        sources = dict.fromkeys(_SOURCES, SourceSeen())
        ok = False if spot.is_trouble else None
        if not spot.is_trouble and os.path.lexists(spot.root) and not os.path.isdir(spot.root):
            sources[Source.AUDIT] = judge_single_file(look_at(spot.root).real, self._audit_facts)
            ok = sources[Source.AUDIT].ok
        return RootSeen(path=spot.root, tier=spot.tier, folder=None, sources=sources, ok=ok, why=spot.why)

    def _judge(self, canary: CanaryFile) -> RootSeen:
        spot, done = canary.spot, tuple(canary.done)
        sources = dict.fromkeys(_SOURCES, SourceSeen())
        if not done:
            ok = None if canary.is_read_only else False
            why = canary.problem or ""
            return RootSeen(path=spot.root, tier=spot.tier, folder=spot.folder, sources=sources, ok=ok, why=why)
        sources[Source.OSQUERY] = judge_osquery(done, self._osquery_heard(canary), self._osquery_facts, self._config.sources)
        if spot.is_beside:
            sources[Source.AUDIT] = judge_single_file(look_at(spot.root).real, self._audit_facts)
        else:
            sources[Source.AUDIT] = self._judge_audit(canary, done)
            sources[Source.SCAN] = judge_scan(done, self._scans[spot.token].after_ms, self._scans[spot.token].problem)
        verdicts = [seen.ok for seen in sources.values() if seen.ok is not None]
        why = "; ".join(words for words in (canary.problem, spot.note) if words)
        ok = canary.problem is None and all(verdicts)
        return RootSeen(path=spot.root, tier=spot.tier, folder=spot.folder, sources=sources, ok=ok, why=why)

    def _judge_audit(self, canary: CanaryFile, done: tuple[Operation, ...]) -> SourceSeen:
        ear = self.ear
        heard = AuditHeard(
            kernel=None if ear.kernel_trouble else ear.kernel.of(canary),
            log=ear.log.of(canary) if ear.has_log else None,
            kernel_trouble=ear.kernel_trouble,
            log_trouble=ear.log_trouble,
            any_seen=not (ear.kernel.is_empty and ear.log.is_empty),
            was_lost=ear.was_lost,
        )
        spot, log = canary.spot, self._config.sources.audit_log
        return judge_audit(done, heard, self._audit_facts, folder=spot.folder, path=spot.paths[0], log=log)

    def _osquery_heard(self, canary: CanaryFile) -> OsqueryHeard:
        ear = self._osquery
        return OsqueryHeard(
            log=ear.log.of(canary) if ear.has_log else None,
            asked=None if self._osquery_facts.trouble else ear.asked.of(canary),
            log_trouble=ear.log_trouble,
            waited_s=self._waited_s,
        )
