"""The frames of the Python API, with every column's name, dtype, unit and meaning. Pure.

The reference; ``frame.fim.columns()`` shows it in a notebook. All times are ``datetime64[ns, UTC]``, sizes are bytes, ids are
nullable integers (``<NA>``: not known or none; for ``auid`` no login). Text that came from the host (paths, programs, commands) is
UTF-8 with ``%XX`` for ``%``, control characters and bytes that are no UTF-8.
"""

from typing import NamedTuple

__all__ = ["BASELINE", "CHANGES", "COVERAGE", "EVENTS", "FINDINGS", "KINDS", "ORDERED", "SCHEMAS", "TIME", "Field", "Schema"]

TIME = "datetime64[ns, UTC]"

ORDERED = {
    "severity": ("info", "low", "medium", "high", "critical"),
    "tier": ("watch", "critical"),
    "attribution": ("unattributed", "ambiguous", "exact"),
}
"""Columns whose words have an order, the least first: ``frame[frame.severity >= "high"]``."""

KINDS = {
    "kind": ("deleted", "created", "moved", "modified", "attributes", "attempted", "transient", "tampered", "overdue"),
    "verdict": ("expected", "unexplained", "suspect"),
    "status": ("open", "accepted", "gone", "superseded"),
}
"""Columns whose words have none."""


class Field(NamedTuple):
    """One column. ``dtype`` is pandas' word for it; ``words`` say what it holds, with its unit."""

    name: str
    dtype: str
    words: str


class Schema(NamedTuple):
    """One kind of frame. ``shown`` are the columns that a notebook's table has; ``time`` is the one that rows are ordered by."""

    name: str
    words: str
    fields: tuple[Field, ...]
    shown: tuple[str, ...]
    time: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(field.name for field in self.fields)


_DTYPES = {"s": "str", "c": "category", "i": "Int64", "u": "UInt64", "b": "boolean", "t": TIME, "o": "object"}

_ACTOR = """
auid i login user id; <NA> is no login
uid i user id of the process
euid i its effective user id
user s name of the login user, or of the user where there was no login
pid i process id
ppid i its parent's
exe s the program
comm s the name that the process had
cmdline s its command line
cmdline_verified b whether the command line is of the process's own EXECVE record
tty s its terminal
ses i its login session
syscall s the system call
"""


def _fields(*texts: str) -> tuple[Field, ...]:
    lines = (line.split(" ", 2) for text in texts for line in text.strip().splitlines())
    return tuple(Field(name, _DTYPES[letter], words) for name, letter, words in lines)


FINDINGS = Schema(
    "findings",
    "one judged change of one path; who is the maker of the content, and `actors` has all",
    _fields(
        """
id s the finding, the same as long as the difference stays
host s the host's name
path s the path; of a move the old one
moved_to s the new path of a move
kind c deleted, created, moved, modified (the content), attributes, attempted (a denied try), transient, tampered or overdue
tier c watch < critical, as configured for the path
severity c info < low < medium < high < critical
verdict c expected (proved), unexplained or suspect
status c open, accepted (taken into the baseline), gone (as before again) or superseded; open where no store says it
attribution c unattributed < ambiguous < exact: how surely the actors did it
first_seen t when it was first seen, or recorded
last_seen t when it was last seen
closed t when it was closed
""",
        _ACTOR,
        """
event s the maker's audit event, SEC.MS:SERIAL
time t when the maker did it
sha256 s SHA-256 of the content found; of what was deleted, the one before
sha256_before s SHA-256 of the content before
changed o names of the attributes that differ, a tuple
reasons o why it is judged so, a tuple of sentences
sources o which of scan, audit and osquery saw it, a tuple
evidence o the audit events that it stands on, a tuple
before o the whole state before, a dict in the form of a snapshot line, or None
after o the whole state found, the same
content o what content rules found, a tuple of dicts (rule severity line text attack); None where nothing was searched
actors o all processes that took part, a tuple of dicts, the maker of the content first
""",
    ),
    ("severity", "kind", "path", "moved_to", "user", "auid", "exe", "cmdline", "attribution", "verdict", "first_seen"),
    "first_seen",
)

CHANGES = Schema(
    "changes",
    "one claim of audit or osquery that a path changed: what findings are made of",
    _fields(
        """
host s the host's name
time t when, in the source's words
source s audit or osquery
action s born, opened, linked, unlinked, moved_from, moved_to, mode, owner, xattrs, times, updated, attributes, denied or lost
path s the path as the source names it
path_sure b false where the source is known to be able to err
tier c watch < critical; <NA> without a configuration
""",
        _ACTOR,
        """
event s the audit event, SEC.MS:SERIAL
serial i its serial; orders what shares a time
item i the path's place in its event
error s name of the error of a denied try
dev u device of the file
inode u inode of the file
parent_dev u device of its folder
parent_inode u inode of its folder
mode s type and permission bits at the call, octal
new_mode s permission bits that the call asked for, octal
new_uid i owner that the call asked for
new_gid i group that the call asked for
size i size in bytes, where the source says it
sha256 s SHA-256 of the content, where the source says it
hash_late b whether fimkit hashed the file itself, later than the source looked
cookie s joins the two halves of a rename
last_time t when the last of several claims that say the same was made
node s the host in the source's words
""",
    ),
    ("time", "action", "path", "user", "auid", "pid", "exe", "cmdline", "error", "source"),
    "time",
)

EVENTS = Schema(
    "events",
    "one audit event, whatever it did: of a log all that are in it, of a store those that its changes came from",
    _fields(
        """
host s the host's name
time t when
event s SEC.MS:SERIAL
types s the types of its records, with spaces between; empty from a store
success b whether the call succeeded; <NA> where it is not said
exit i what the call returned; <NA> from a store
error s name of the error of a denied try
key s the rule's key; empty from a store
path s the path that it was about, the last one where there are several
paths o all paths, a tuple
cwd s the folder that the process was in; empty from a store
""",
        _ACTOR,
    ),
    ("time", "syscall", "success", "path", "user", "auid", "ses", "pid", "ppid", "exe", "cmdline"),
    "time",
)

BASELINE = Schema(
    "baseline",
    "the accepted state of one path",
    _fields(
        """
host s the host's name
path s the path
tier c watch < critical; <NA> without a configuration
type s file, directory, symlink, block, char, fifo or socket
mode s permission bits with set-id and sticky, octal
uid i owner
gid i group
size i size in bytes
inode u inode
dev u device
nlink i number of links
mtime t last change of the content
ctime t last change of the inode
sha256 s SHA-256 of a file's content
target s where a symbolic link leads
xattrs o extended attributes, a dict of texts, or None
problem s why something is not known
"""
    ),
    ("path", "tier", "type", "mode", "uid", "gid", "size", "mtime", "sha256"),
    None,
)

COVERAGE = Schema(
    "coverage",
    "one time in which a source did not tell all",
    _fields(
        """
host s the host's name
from t when it began
to t when it was over; NaT while it lasts
source s scan, audit, osquery, or live for the watch
cause s which of the causes that `fimkit coverage` knows
path s what it is about with all that lies below; empty for everything
words s what was so
lost i what was counted, which need not be records
evidence o the audit events that tell of it, a tuple
"""
    ),
    ("from", "to", "source", "cause", "path", "words", "lost"),
    "from",
)

SCHEMAS = {schema.name: schema for schema in (FINDINGS, CHANGES, EVENTS, BASELINE, COVERAGE)}
"""All of them, by name."""
