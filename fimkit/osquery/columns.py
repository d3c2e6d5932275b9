"""The tables that fimkit adds to osquery, with every column's name, type and meaning. Pure.

This is the reference: the extension registers it, ``fimkit extension --columns`` prints it. Types are osquery's own: INTEGER has
32 bits there, so that ids, sizes and times are BIGINT. What is not known is empty as TEXT and NULL as a number. Paths, and all
names that came from the host, are UTF-8 with ``%XX`` for ``%``, control characters and bytes that are no UTF-8.
"""

from enum import StrEnum
from typing import NamedTuple

__all__ = ["BASELINE", "CHANGES", "DOCTOR_CHECKS", "FINDINGS", "STATUS", "TABLES", "Column", "ColumnType", "Table", "render_routes"]


class ColumnType(StrEnum):
    """The types of osquery that are used here."""

    TEXT = "TEXT"
    INTEGER = "INTEGER"
    BIGINT = "BIGINT"


class Column(NamedTuple):
    """One column. ``words`` say what it holds; a hidden one is not in ``SELECT *``, and is given where it is named."""

    name: str
    type: ColumnType
    words: str
    hidden: bool = False


class Table(NamedTuple):
    """One table. ``words`` say what a row is."""

    name: str
    words: str
    columns: tuple[Column, ...]


_TYPES = {"t": ColumnType.TEXT, "i": ColumnType.INTEGER, "b": ColumnType.BIGINT}

_PROCESS = """
user t name of the login user, or of the user where there was no login
pid b the process
ppid b its parent
exe t the program
comm t the name that the process had
cmdline t its command line
cmdline_verified i 1 if the command line is of the process's own EXECVE record
tty t its terminal
ses b its login session
syscall t the system call
"""


def _columns(*texts: str) -> tuple[Column, ...]:
    lines = (line.split(" ", 2) for text in texts for line in text.strip().splitlines())
    return tuple(Column(name, _TYPES[letter], words) for name, letter, words in lines)


def _hidden(*texts: str) -> tuple[Column, ...]:
    return tuple(column._replace(hidden=True) for column in _columns(*texts))


FINDINGS = Table(
    "fimkit_findings",
    "one judged change of one path; open, or closed and kept for a while",
    _columns(
        """
id t the finding, the same in every check as long as the difference stays
host t the host's name in fimkit's configuration
path t the path; of a move the old one
moved_to t the new path of a move
kind t created, modified, deleted, moved, attributes, attempted (a denied try) or transient (came and went)
tier t critical or watch, as configured for the path
severity t info, low, medium, high or critical
verdict t expected, unexplained or suspect
status t open, accepted (taken into the baseline), gone (as before again) or superseded (by another finding)
changed t names of the attributes that differ, with spaces between
attribution t exact, ambiguous or unattributed
sources t which of scan, audit and osquery saw it, with spaces between
auid b the maker's login user id; NULL is no login
uid b the maker's user id
euid b the maker's effective user id
""",
        _PROCESS,
        """
event t the maker's audit event, SEC.MS:SERIAL
actors t all processes that took part, the maker of the content first, as a JSON array
reasons t why it is judged so, as a JSON array of sentences
content t what content rules found, as a JSON array of rule, severity, line, text and attack; NULL where nothing was searched
evidence t the audit events that it stands on, with spaces between
before_type t file, directory, symlink, block, char, fifo or socket; empty where it was not there
before_sha256 t SHA-256 of the content before
before_mode t permission bits before, octal
before_uid b owner before
before_gid b group before
before_size b size before
after_type t as before_type, of the state found
after_sha256 t SHA-256 of the content found
after_mode t permission bits found, octal
after_uid b owner found
after_gid b group found
after_size b size found
before t the whole state before, as a JSON object
after t the whole state found, as a JSON object
first_seen t when it was first seen, RFC 3339 in UTC
first_seen_time b the same in seconds since 1970
last_seen t when it was last seen, RFC 3339 in UTC
last_seen_time b the same in seconds since 1970
closed t when it was closed, RFC 3339 in UTC
closed_time b the same in seconds since 1970
accepted_by t who accepted it
accept_reason t why it was accepted
superseded_by t id of the finding that took its place
""",
    ),
)

CHANGES = Table(
    "fimkit_changes",
    "one claim of audit or osquery that a path changed: the evidence that findings are made of",
    _columns(
        """
id t the claim, unique
source t audit or osquery
action t born, opened, linked, unlinked, moved_from, moved_to, mode, owner, xattrs, times, updated, attributes, denied or lost
path t the path as the source names it
path_sure i 0 where the source is known to be able to err
time b when, in seconds since 1970
time_ns b when, in nanoseconds since 1970
last_time_ns b when the last of several claims that say the same was made, if there were several
serial b the audit event's serial; orders what shares a time
item b the path's place in its event
dev b device of the file
inode b inode of the file
parent_dev b device of the folder
parent_inode b inode of the folder
mode t type and permission bits at the call, octal
new_mode t permission bits that the call asked for, octal
uid b owner that the call asked for
gid b group that the call asked for
size b size, where the source says it
mtime_ns b time of the last change of the content, in nanoseconds, where the source says it
sha256 t SHA-256 of the content, where the source says it
hash_late i 1 if fimkit hashed the file itself, later than the source looked
cookie t joins the two halves of a rename
error t name of the error of a denied try
node t the host in the source's words
auid b login user id of the process; NULL is no login
actor_uid b its user id
actor_euid b its effective user id
""",
        _PROCESS,
        """
actor_time b when the process did it, in seconds since 1970
event t the audit event, SEC.MS:SERIAL
""",
    ),
)

BASELINE = Table(
    "fimkit_baseline",
    "the accepted state of one path",
    _columns(
        """
path t the path
type t file, directory, symlink, block, char, fifo or socket
mode t permission bits with set-id and sticky, octal
uid b owner
gid b group
size b size in bytes
inode b inode
dev b device
nlink b number of links
mtime b time of the last change of the content, in seconds since 1970
mtime_ns b the same in nanoseconds
ctime b time of the last change of the inode, in seconds since 1970
ctime_ns b the same in nanoseconds
sha256 t SHA-256 of a file's content
target t where a symbolic link leads
xattrs t extended attributes, as a JSON object
problem t why something is not known
""",
    ),
)

_DOCTOR_CHECKS = _hidden(
    """
doctor_check t the stable name of what the doctor found; empty in the one row of a host where it found nothing, or is not known
doctor_level t trap, warning or note
doctor_meaning t what goes wrong on a host where this is found
doctor_where t the file, flag or path concerned
doctor_path t the watched path concerned, where it is one
doctor_problem t what was found, in words
doctor_remedy t what to do
"""
)

DOCTOR_CHECKS = frozenset(column.name for column in _DOCTOR_CHECKS)
"""Where a query names one of these, there is a row for each thing that the doctor found."""

# The hidden ones stand first: of those from the 64th on SQLite says together whether one is asked for.
STATUS = Table(
    "fimkit_status",
    "one row: how fimkit itself is doing on this host; a row for each thing that the doctor found, where what it found is named",
    _DOCTOR_CHECKS
    + _hidden(
        """
doctor_time b when the doctor looked, in seconds since 1970; NULL where that is not known yet
doctor_status i the exit status of `fimkit doctor`: 0 is healthy, notes aside, 1 is a trap or a warning
doctor_words t why the doctor's answer is old, or is none
"""
    )
    + _columns(
        """
host t the host's name in fimkit's configuration
version t version of the extension
ok i 1 if the evidence store can be read, 0 if not: the other tables are empty then
problem t why it cannot be read, and what to do
state_dir t the state folder
schema b schema of the store
schema_known b schema that this extension reads
last_check t when the last check looked at the host, RFC 3339 in UTC
last_check_time b the same in seconds since 1970
open_findings b open findings
open_critical b of them critical
open_high b of them high
open_medium b of them medium
open_low b of them low
open_info b of them info
baseline_rows b rows of the baseline
baseline_time b when the baseline was taken, in seconds since 1970
baseline_by t who took it
accepted_time b when paths were last accepted, in seconds since 1970
first_change_time b time of the oldest change that is kept, in seconds since 1970
last_change_time b time of the newest change, in seconds since 1970
store_bytes b size of the evidence store's files
bad_lines b lines of logs that could not be read, ever
audit_enabled i what the audit log last said: 1 enabled, 0 disabled
audit_time b when it said so, in seconds since 1970
records_lost_time b when the audit log last told of lost records, in seconds since 1970
gaps_now b in how many ways something cannot be seen just now; see `fimkit coverage`
gaps_24h b how many gaps there were in the last 24 hours, those of now among them
gaps_words t the weightiest of them in words; empty where all was seen, null where nobody knows
evidence_head t the last link of the evidence chain: kept elsewhere, it shows whether its end was cut off since
refused_answers b queries that this extension refused, since it started
refused_words t the last of them, and why
started_time b when the extension started, in seconds since 1970
pid b the extension's process
watch_running i 1 while `fimkit watch` is at work on this state folder, 0 if not; null where none ever was
watch_pid b the watch's process
watch_uptime_s b how long it is at work, or the last one was
watch_records t where it has its records from: kernel, log, or files (then there is no who)
watch_problem t why nothing is recorded just now: auditing is off, or rules are not in the kernel; empty where all is well
watch_written_time b when it last said how it is doing, in seconds since 1970
watch_events b audit events that it read
watch_events_per_s b the same a second, of the last ten
watch_findings_per_s b findings a second, of the last ten
watch_lag_ms b how old the records are that it reads now
watch_waiting b paths that wait to be looked at
watch_backlog_bytes b records that wait, in memory or in a file
watch_lost b what was lost on the way, as the sources counted it
watch_blind_intervals b how often something was lost
watch_last_blind_time b when that ended last, in seconds since 1970
watch_last_rescan_time b when it last looked at everything, in seconds since 1970
watch_memory_bytes b its memory, with the process that reads the records
watch_cpu_s b its processor time, in seconds
""",
    ),
)

TABLES = (FINDINGS, CHANGES, BASELINE, STATUS)

# osquery's column options: 4, "additional", has constraints passed to the table, and declares no key; 8, "optimized", has all
# values of an IN passed at once (osquery 5.14 and later, one by one before). 16, "hidden", leaves it out of SELECT *.
_PASSED = 12
_HIDDEN = 16


def render_routes(table: Table) -> list[dict[str, str]]:
    """Give a table's columns in the form in which an extension registers them.

    Source: osquery, osquery/core/tables.cpp and osquery/core/sql/column.h.

    >>> render_routes(BASELINE)[0]
    {'id': 'column', 'name': 'path', 'type': 'TEXT', 'op': '12'}
    """
    return [
        {"id": "column", "name": column.name, "type": column.type.value, "op": str(_PASSED | _HIDDEN * column.hidden)}
        for column in table.columns
    ]
