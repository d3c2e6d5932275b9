"""Renders a commented configuration for a host: every key, with words, and its default where nothing better is known. Pure."""

import glob
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from typing import Any

from fimkit.model.channels import Channel
from fimkit.model.config import (
    Content,
    Host,
    Live,
    Mail,
    Packages,
    Panic,
    Scanning,
    SealPolicy,
    SelfWatch,
    Sources,
    StoreLimits,
    Syslog,
    Watch,
    Webhook,
)
from fimkit.model.findings import Tier
from fimkit.model.paths import is_below, render_path
from fimkit.verbs.host_facts import HostFacts

__all__ = ["KEY_WORDS", "render_config", "render_toml"]

KEY_WORDS = {
    "host.name": "this host's name in findings; default: the system's",
    "host.state_dir": "the baseline and the evidence; 0700, root's",
    "host.report_file": "a plain text log of what was found, for people who tail; empty: none",
    "paths.path": "absolute",
    "paths.tier": "critical: must never change · watch: keep an eye on",
    "paths.recursive": "with everything below; false: what lies directly in it",
    "paths.include": "patterns on the name, as [\"*.conf\"]; empty takes all",
    "paths.exclude": "patterns on the whole path, or on the name when without a slash",
    "paths.cross_mounts": "go into file systems that are mounted below",
    "paths.scan_content": "look into the files for what web shells and the like have in them",
    "paths.keep_content": "keep what its text files say, secrets masked: findings show the lines that changed",
    "paths.notify": "mail recipients for this path, beside the general ones",
    "paths.handler": "a command for each new file, \"%%\" is its path; no shell",
    "sources.audit_log": "auditd's log; its rotations are found beside it",
    "sources.osquery_log": "osqueryd's results",
    "sources.osquery_socket": "osqueryd's extensions socket",
    "sources.osquery_config": "osqueryd's --config_path: install puts the pack beside it; empty: no osquery here",
    "sources.osquery_interval_s": "how often osqueryd runs the pack's queries",
    "sources.package_root": "whose dpkg or rpm explains upgrades: this host's, or a tree's watched from outside; empty: nobody's",
    "watch.rescan_s": "everything is looked at anew this often, for what no record shows; 0: only on SIGUSR1",
    "scan.nice": "true: a scan gives way to all other work, and leaves the page cache as it found it; as --nice",
    "scan.mb_per_s": "a scan reads at most so many megabytes a second; 0: as fast as it can",
    "scan.files_per_s": "and looks at most at so many paths a second; 0: as fast as it can",
    "content.rules": "folders of your own rules, .yar and .toml, beside fimkit's",
    "content.built_in": "false: your own rules alone",
    "content.most_mb": "of a larger file the head and the tail are read, half as much each",
    "content.file_s": "a file that takes longer is given up, and named",
    "content.user": "the user that the reading processes run as; nobody where there is none",
    "content.access_logs": "the web server's, common or combined format: where an upload came from",
    "content.web_users": "the users that web servers run as here",
    "mail.smtp_server": "host:port, as mail.example.org:587; several with commas; never this host; empty: no mail",
    "mail.starttls": "send nothing before the connection is encrypted",
    "mail.username": "empty: no login",
    "mail.password_file": "a file with the password alone, 0600",
    "mail.ca_file": "certificates to trust instead of the system's",
    "mail.sender": "empty: fimkit at this host's name",
    "mail.panic_recipients": "told at once of what must never happen",
    "mail.general_recipients": "told of everything else, in digests",
    "mail.deadline_s": "a server has this long to take a mail",
    "mail.digest_s": "at most one general mail in this time, with all that happened in it",
    "mail.alerts_per_h": "critical and suspect findings go out at once, at most so many an hour; 0: one mail an hour",
    "mail.nomail": "true: send nothing, as --nomail",
    "channels.name": "what every output calls it",
    "channels.url_file": "a file with one apprise URL alone, 0600; never shown",
    "channels.gets": "what is told there: general, alerts, panic",
    "syslog.server": "host:port, as log.example.org:6514; told of a panic beside the mail; empty: none",
    "syslog.transport": "tls (RFC 5425), tcp or udp",
    "syslog.ca_file": "certificates to trust for it instead of the system's",
    "webhook.url": "https://…: a panic is posted there as one JSON object; empty: none",
    "webhook.ca_file": "certificates to trust there instead of the system's",
    "webhook.token_file": "a file with a bearer token alone, 0600; empty: none is sent",
    "store.keep_days": "older evidence goes, except what is critical",
    "store.max_mb": "the oldest non-critical rows go first, and it says so",
    "store.keep_content_kb": "larger files are not kept by keep_content",
    "store.mask": "patterns (Python's re) of what keep_content masks beside passwords, tokens and private keys",
    "seal.public_key": "whose seal counts; where nothing is at the default, the first seal's key is trusted",
    "seal.require": "true: a baseline without a seal, and what was accepted since, are findings",
    "self.watch": "true: its program, configuration, units and hooks, and auditd's and osqueryd's configuration",
    "self.tier": "critical: a change of these starts a panic where the host is armed",
    "packages.hook": "true: install has apt and dnf take what is proved of an upgrade into the baseline",
    "panic.action": "down: every interface · isolate: all but what allow names",
    "panic.include_namespaces": "true: containers' network namespaces are cut too; the helper needs SYS_ADMIN for it",
    "panic.keep_interfaces": "patterns on names and alternative names; lo always stays",
    "panic.allow": "for isolate: [\"192.0.2.10:22\"]",
    "panic.threshold": "distinct critical findings that start it, when it is armed",
    "panic.windows": "when nothing starts it: [\"sun 02:00-04:00\"] (UTC) or [\"2026-11-22T20:00:00Z/2026-11-22T22:00:00Z\"]",
    "panic.deadline_s": "from the trigger to the cut, whatever hangs",
    "panic.recon": "commands beside the built-in facts: [[\"ps\", \"auxww\"]]",
    "panic.recon_queries": "for osquery: [\"SELECT * FROM listening_ports\"]",
    "panic.packetgrab": "commands instead of the built-in packet capture",
    "panic.killswitch": "commands beside the netlink cut, after the mail",
    "panic.package_hold_s": "a package manager at work delays the cut at most this long",
    "panic.capture_s": "how long packets are captured",
    "panic.restore_after_s": "0: stays cut until `fimkit panic restore`",
    "panic.nokill": "true: everything but the cut, as --nokill",
}
"""What stands beside each key."""

_TABLE_WORDS: dict[str, tuple[type[Any], str]] = {
    "sources": (Sources, "Where this host's own records are."),
    "watch": (Live, "What `fimkit watch` does beside following the records."),
    "scan": (Scanning, "What a look at all the files may take from the host's other work."),
    "content": (Content, "What is looked for in files below paths with scan_content, by processes that may do nothing but read."),
    "mail": (Mail, "Who is told, and by which server: never this host, where an intruder reads and holds up what goes through."),
    "syslog": (Syslog, "A log server elsewhere, told of a panic side by side with the mail."),
    "webhook": (Webhook, "A chat or pager elsewhere, told of a panic side by side with the mail."),
    "store": (StoreLimits, "How long and how much evidence is kept."),
    "seal": (SealPolicy, "What `fimkit baseline seal` signs; the private key is kept elsewhere."),
    "self": (SelfWatch, "What fimkit itself stands on is watched as if it stood above in [[paths]]."),
    "packages": (Packages, "What an upgrade does by itself."),
    "panic": (Panic, "What happens when something critical changes. Nothing, until `fimkit panic arm`."),
}


def _text(value: str) -> str:
    named = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(named.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in value) + '"'


def render_toml(value: object) -> str:
    r"""Write a value of the configuration as TOML.

    >>> print(render_toml(("a\"b", "c")), render_toml(b"/srv/\xc3\xa4"), render_toml(True))
    ["a\"b", "c"] "/srv/ä" true
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return _text(str(value.value))
    if isinstance(value, bytes):
        return _text(value.decode("utf-8"))
    if isinstance(value, tuple):
        return "[" + ", ".join(map(render_toml, value)) + "]"
    return _text(value) if isinstance(value, str) else str(value)


def _keys(table: str, cls: type[Any], known: Mapping[str, object]) -> Iterator[str]:
    """Give a line for each key: set where something is known, else its default, commented out; words beside it."""
    for field in fields(cls):
        if field.name in known:
            setting = f"{field.name} = {render_toml(known[field.name])}"
        elif field.default is not MISSING:
            setting = f"# {field.name} = {render_toml(field.default)}"
        else:
            continue
        yield f"{setting:<55} # {KEY_WORDS[f'{table}.{field.name}']}"


def _watches(facts: HostFacts) -> list[tuple[str, dict[str, object]]]:
    """Choose what to watch: the words above each entry, and its keys."""
    rows: list[tuple[str, dict[str, object]]] = []
    words = "Programs and the boot loader: nobody but the package manager has business here."
    rows += [(words, {"path": path, "tier": Tier.CRITICAL}) for path in facts.programs]
    words = "Libraries: any program may load them. Updates and caches of bytecode come here often, so: an eye on it."
    rows += [(words, {"path": path, "tier": Tier.WATCH}) for path in facts.libraries if not _is_in(path, facts.programs)]
    words = "Settings: accounts, services, cron and ssh; auditd's, osquery's and fimkit's own."
    rows += [(words, {"path": path, "tier": Tier.WATCH}) for path in facts.settings]
    words = "Web roots: a new script here is how many break-ins begin."
    for path in facts.web_roots:
        keys: dict[str, object] = {"path": path, "tier": Tier.WATCH, "scan_content": True}
        caches = tuple(glob.escape(cache.decode("utf-8")) + "/*" for cache in facts.caches if is_below(cache, path))
        rows.append((words, keys | ({"exclude": caches} if caches else {})))
    return rows or [("Nothing of the usual kind was found on this host.", {"path": b"/etc", "tier": Tier.WATCH})]


def _is_in(path: bytes, folders: Iterable[bytes]) -> bool:
    return any(is_below(path, folder) for folder in folders)


def _paths(facts: HostFacts) -> Iterator[str]:
    yield "# What to observe: one [[paths]] for each. The deepest entry that a path lies in decides."
    if facts.links:
        names = ", ".join(f"{_comment(render_path(link))} is {_comment(render_path(real))}" for link, real in facts.links)
        yield "# The real folders stand here: a watch on a symlink would see the link alone, and nothing behind it."
        yield f"# Links on this host: {names}."
    said = ""
    for words, keys in _watches(facts):
        yield ""
        if words != said:
            yield f"# {words}"
        if "exclude" in keys:
            yield "# What the application writes by itself is left out. What hides in there is not seen: keep this list short."
        yield "[[paths]]"
        if said:
            yield from (f"{key} = {render_toml(value)}" for key, value in keys.items())
        else:  # The first entry shows every key; in each of them, they would bury the paths.
            yield from _keys("paths", Watch, keys)
        said = words


def _channels() -> Iterator[str]:
    """Show one channel, commented out: there is no default to give."""
    yield "# Chat, pagers and webhooks by apprise (pip install 'fimkit[notify]'), one [[channels]] each."
    yield "# [[channels]]"
    example = Channel(name="pager", url_file=b"/etc/fimkit/pager.url")
    for field in fields(Channel):
        yield f"{f'# {field.name} = {render_toml(getattr(example, field.name))}':<55} # {KEY_WORDS[f'channels.{field.name}']}"


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def render_config(facts: HostFacts) -> str:
    """Write the configuration that fits a host; :func:`fimkit.model.config_text.parse_config` takes it as it is.

    Args:
        facts: What was found there.

    Returns:
        TOML text, with every key that there is: set, or commented out with its default.
    """
    found = {"audit_log": facts.audit_log, "osquery_log": facts.osquery_log, "osquery_socket": facts.osquery_socket}
    known: dict[str, dict[str, object]] = {
        "sources": {key: value for key, value in found.items() if value is not None}, "self": {"watch": True},
    }  # fmt: skip
    lines = [
        "# fimkit: what to observe on this host, who is told, and what happens then. TOML; a line that begins with # is",
        "# a comment, and a commented key shows its default. A wrong key or value stops the start, with its line.",
        *(f"# Seen, and not taken: {_comment(note)}." for note in facts.notes),
        "",
        "[host]",
        *_keys("host", Host, {"name": facts.name} if facts.name else {}),
        "",
        *_paths(facts),
    ]
    for table, (cls, words) in _TABLE_WORDS.items():
        lines += ["", f"# {words}", f"[{table}]", *_keys(table, cls, known.get(table, {}))]
        if table == "mail":
            lines += ["", *_channels()]
    return "\n".join(lines) + "\n"
