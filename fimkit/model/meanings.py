"""What each check of the doctor means for who reads it: what goes wrong on a host where it speaks up. Pure."""

__all__ = ["MEANINGS", "meaning_of"]

_PATHS_AND_STORE = """
path-absent: What is not there cannot be watched; when it comes, nobody is named until the next install.
path-file-system: Changes on this file system make no events here, or not under an inode that stays: who made them may stay unknown.
path-link: The watch follows the link as it is now; where it leads later is not watched.
path-mount: A part of a watched tree lies on another file system, and is not looked at.
loud-folder: Most of what is reported comes from one place, and hides the rest.
handler-missing: New files are found, and the command that was to look at them cannot run.
inotify-watches: Where there are no audit records, folders beyond the kernel's limit are seen at the next scan alone.
no-baseline: There is nothing to compare with: no change can be told.
baseline-age: A baseline that nobody keeps up ends in findings that nobody reads.
clock: Times of findings, mails and seals are wrong, and the order of what happened with them.
scan-compare: Files are compared with the baseline slowly; what is found is the same.
scan-reader: Files are read slowly; what is found is the same.
store-mode: Others on the host can read what was found, and learn what is watched.
store-space: A full disk ends what can be kept: findings and evidence first.
store-unsafe: Somebody other than root may put another baseline or other evidence in place.
store-unseen: The state could not be looked at: nothing is said here of what is in it.
state-file: Evidence or baseline may be altered past fimkit, or read by whom it is no concern of.
program-files: Whoever may write to the program decides what it finds, with root's rights.
config-writers: Whoever may write to the configuration has the watch run commands of his with its rights.
self-watch: Who alters fimkit's program, settings or units, or those of auditd and osqueryd, is not seen doing it.
watch-down: Changes are seen at the next check alone, and what came and went between two is not seen.
"""

_SEAL = """
seal-behind: Paths were accepted since the seal: that those who hold the key agree is not proved.
seal-broken: The baseline is not what was signed: somebody altered what is compared with.
seal-first-key: The seal is believed by a key that came with it: one who was here first may have brought his own.
seal-key: The key file cannot be trusted, so neither can a seal.
seal-no-key: Who is root can alter the baseline, and no check can tell.
seal-none: The baseline is signed by nobody: an altered row looks like any other.
seal-private-key: Who takes over this host can sign a baseline of his own.
"""

_AUDIT = """
audit-backlog: A burst of changes slows the host down, or its records are lost, and with them who made them.
audit-context: What these processes do is never recorded: changes of theirs name nobody.
audit-context-unknown: Some processes may never be recorded, and which cannot be told.
audit-locked: The rules cannot be changed, by fimkit neither, until the next boot.
audit-log-absent: There are no records of the past: a check can say what changed, and not who did it.
audit-log-idle: The records stopped: what changed since then names nobody.
audit-log-rotation: Records are deleted before a nightly check has read them.
audit-lost: Some events have no or too few records: what they did may name nobody, or the wrong one of two.
audit-machine: No rules can be made for this processor: nobody is named for a change.
audit-never-task: Processes started under this rule are never recorded, even after it is gone.
audit-no-owner: Nobody writes the kernel's records down: nothing of them is left for a check.
audit-obstacle: A rule before fimkit's own keeps events from being recorded.
audit-off: The kernel records nothing: changes are found by scans, and nobody is named.
audit-other-owner: Two programs take the records from each other: the log has holes.
audit-rate-limit: The kernel throws records away above a rate, which an intruder can reach at will.
audit-reader: Logs are read slowly; what is found is the same.
audit-rule-file: After the next boot other rules are loaded than those that are meant.
audit-rules-missing: Changes under these paths are not recorded: nobody is named for them.
audit-unseen: Something of auditing could not be looked at: nothing is said here of how it is.
auditd-absent: Nobody writes an audit log on this host.
auditd-disk: auditd is about to stop writing, or to halt the host.
auditd-disk-policy: Who fills the disk goes unrecorded from then on.
auditd-log-file: fimkit reads a log that nobody writes.
auditd-no-log: Records are taken, and not kept.
"""

_PACKAGES = """
packages-index: An index of packages cannot be believed: upgrades from there are not proved, and stay open.
packages-no-index: No upgrade can be proved: each of its files stays a finding.
packages-no-key: No package can be proved, since no key is trusted.
packages-not-kept: The archives that would prove an upgrade are deleted before they are looked at.
packages-unpinned: An upgrade is not told from a tampering.
"""

_OSQUERY = """
osquery-absent: osquery does not watch this path, and will not when it comes.
osquery-accesses: A flood of reads drives changes out of osquery's buffer.
osquery-audit-socket: osquery and auditd take the records from each other: nobody is named.
osquery-batch-format: Other readers of osquery's log may not understand it; fimkit does.
osquery-columns: The query may leave out what fimkit needs of a row: such rows say less, or nothing.
osquery-config-invalid: osqueryd runs without the configuration that was meant.
osquery-config-path: osqueryd never sees fimkit's pack.
osquery-config-plugin: The files here are not what osqueryd runs with: what they say decides nothing.
osquery-config-problem: A file of the configuration cannot be read as it is meant: what it asks for may not hold.
osquery-config-refused: osqueryd refuses the configuration: it starts without, or not at all.
osquery-denylist: A query that osqueryd once had to end stays out for a day, and its changes with it.
osquery-denylisted: The query that brings changes is left out now.
osquery-disable-events: osquery sees no change at all.
osquery-disable-logging: What osquery sees is written nowhere.
osquery-enable-file-events: osquery sees no change of a file.
osquery-events-max: osquery throws events away before they are asked for.
osquery-events-optimize: The same changes come again and again.
osquery-exclude-category: An exclude has no effect: its folders are reported.
osquery-exclude-form: An exclude has no effect, or another than it seems to have.
osquery-exclude-hides: osquery is told not to report what fimkit is to watch.
osquery-exclude-level: An exclude takes one level alone: what lies deeper is reported.
osquery-extension: Fleet queries on fimkit's tables fail on this host.
osquery-hash-cache: A hash of osquery's may be an old one; fimkit's own are not.
osquery-inner-wildcard: osquery watches something else than the pattern says.
osquery-inotify-inactive: osqueryd runs, and watches no file.
osquery-inotify-instances: The kernel gives osqueryd nothing to watch with, and it says so to nobody.
osquery-inotify-queue: A burst of changes is lost without a word.
osquery-inotify-watches: Folders go unwatched, and osquery says that all is well.
osquery-interval: Changes come to the log late, or after they were thrown away.
osquery-leaf-pattern: The pattern does not filter: other files are reported too.
osquery-link: Events come under another path than the one that is named.
osquery-logger-path: fimkit reads another log than the one that osqueryd writes.
osquery-logger-plugin: What osquery sees goes elsewhere, and fimkit does not see it.
osquery-lost-watches: Folders go unwatched, and osquery says that all is well.
osquery-narrowed: The query leaves changes out before they are logged.
osquery-no-answer: Whether osqueryd watches now is not known.
osquery-no-query: What osqueryd sees expires unread.
osquery-no-subscriptions: osqueryd runs, and has no path to watch.
osquery-not-installed: One of three sources is not there: audit and scans tell alone.
osquery-not-running: osquery sees nothing while it does not run.
osquery-overdue: Changes wait in osquery's buffer, and may be thrown away there.
osquery-overlap: One of two categories never gets its events.
osquery-pack-inactive: fimkit's pack is there, and osqueryd leaves it out.
osquery-path-query: Which paths osquery watches is known when it runs, and not before.
osquery-plugin-extension: The end of another program ends osqueryd.
osquery-query-part: Whether the query runs on this host is decided elsewhere: its changes may never come.
osquery-read-max: Big files have no hash in osquery's rows: fimkit hashes them later.
osquery-relative-path: osquery watches another folder than the one that is meant.
osquery-removed: osqueryd keeps and compares rows for nothing; no change is lost.
osquery-restart: osqueryd still runs as before the file was changed.
osquery-single-file: The file is lost to osquery when it is replaced, as every editor does.
osquery-snapshot: The query writes to the log of snapshots, where changes are not looked for.
osquery-table-missing: This osqueryd cannot say something of itself: it is not looked at.
osquery-table-off: osquery has no table of changes.
osquery-uncovered: Nothing of this path comes from osquery.
osquery-unseen: osqueryd could not be asked: nothing is said here of what it does.
osquery-version: What is said here may not hold for this osquery.
osquery-watchdog: osqueryd may be ended, and blind until it is back, for the work that is asked of it.
"""

_PANIC = """
panic-allow: With the cut those who are to help are shut out too.
panic-auditing: A panic would tell that something changed, and not who did it.
panic-channel: A panic tells nobody by this channel.
panic-deadline: The cut may come before evidence or mail are done.
panic-disarmed: A critical change is told, and nothing is cut.
panic-helper: A panic could cut nothing: who is to do it does not run.
panic-helper-namespace: The helper would cut another network than this host's.
panic-helper-problem: The helper runs, and cannot do all that it is to do.
panic-helper-rights: The helper runs, and the kernel will not let it cut.
panic-keep: A panic would leave every link up.
panic-killswitch-rights: A command that is to end this host may fail for want of rights.
panic-mail-server: A panic has no server that it could tell anybody by.
panic-mail-unreachable: A panic's mail would not go out by this server now.
panic-managers: Others bring links up again: the cut has to be held against them.
panic-namespaces: Parts of this host have a network of their own, which the cut may not reach.
panic-nf-tables: Isolation falls back to taking every link down.
panic-no-critical: No change starts a panic.
panic-nokill: A panic tells, and cuts nothing.
panic-nomail: A panic cuts this host off, and nobody hears why.
panic-open: What is open now counts as seen, and starts no panic.
panic-program: A step of the panic gives nothing.
panic-recipients: A panic cuts this host off, and nobody hears why.
panic-record: Whether this host is armed or cut cannot be told.
panic-room: A panic's evidence may find no room.
panic-under-way: This host is cut off, or about to be.
panic-unwatched: Nobody sees the change that is to start a panic.
"""

_TELLING = """
notify-channel: This channel is told nothing.
notify-given-up: Somebody was never told of something.
notify-mute-ended: What was kept quiet is told again, or the mute was forgotten.
notify-mute-ends: What is kept quiet will soon be told again.
notify-no-apprise: Channels are told nothing.
notify-no-server: Nobody is told by mail.
notify-nobody: Nobody is told by mail.
notify-nomail: Nobody is told by mail.
notify-queue: What is to be sent, and what is muted, cannot be told.
notify-queue-grows: People hear late, or never.
notify-server: No mail goes out, whoever is to be told.
notify-server-down: No mail goes out by this server now.
"""

_CONTENT = """
access-log: Where a hostile upload came from is not told.
scan-no-rules: Contents are searched for nothing.
scan-no-yara: Contents are searched with a part of the rules.
scan-rights: A flaw in what reads hostile files gives away more than it had to.
scan-rule: What this rule was to find is not found.
scan-user: What reads hostile files shares its user with other programs.
"""


def _load(*texts: str) -> dict[str, str]:
    lines = (line.partition(": ") for text in texts for line in text.strip().splitlines())
    return {code: words for code, _, words in lines}


MEANINGS = _load(_PATHS_AND_STORE, _SEAL, _AUDIT, _PACKAGES, _OSQUERY, _PANIC, _TELLING, _CONTENT)
"""A sentence for each code of an advice. A test holds that every check that exists has one."""


def meaning_of(code: str) -> str:
    """Say what a check means; empty for one that is not known here.

    >>> meaning_of("audit-off")
    'The kernel records nothing: changes are found by scans, and nobody is named.'
    """
    return MEANINGS.get(code, "")
