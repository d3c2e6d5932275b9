"""Reading a configuration: TOML text to typed values, with every problem at once, each with its place.

What may stand in it is what the dataclasses of :mod:`fimkit.model.config` say; only :func:`load_config` looks at this host.
"""

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from fimkit.model.channels import Channel
from fimkit.model.config import (
    Config,
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
from fimkit.model.config_checks import CHECKS, check_command, check_server, check_servers, check_url
from fimkit.model.config_lines import Place, find_lines, line_of, render_place
from fimkit.model.config_trust import find_writers, trusted_owners
from fimkit.model.config_values import ITEM_READERS, READERS, render_meant, wrong_type
from fimkit.model.errors import ConfigError, clip
from fimkit.model.own_watches import find_own_program, plan_own_watches
from fimkit.model.paths import join_path

__all__ = ["load_config", "load_foreign_config", "parse_config"]

_TABLES: dict[str, type[Any]] = {
    "host": Host, "paths": Watch, "channels": Channel, "sources": Sources, "watch": Live, "scan": Scanning, "content": Content,
    "mail": Mail, "syslog": Syslog, "webhook": Webhook, "store": StoreLimits, "seal": SealPolicy, "self": SelfWatch,
    "packages": Packages, "panic": Panic,
}
_NEEDED: dict[type[Any], tuple[str, ...]] = {Watch: ("path",), Channel: ("name", "url_file")}
_DECODE_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


class _Problems:
    """Collects what is wrong, and says it in the order of the file."""

    def __init__(self, source: str, lines: dict[Place, int]) -> None:
        self.source, self.lines = source, lines
        self.rows: list[tuple[int, str]] = []
        self.places: set[Place] = set()

    def add(self, place: Place, words: str) -> None:
        line = line_of(self.lines, place)
        where = f" (line {line})" if line else ""
        self.rows.append((line or 0, f"{self.source}: {render_place(place)}: {words}{where}"))
        self.places.update(place[:length] for length in range(1, len(place) + 1))

    def check(self) -> None:
        if self.rows:
            raise ConfigError([words for _, words in sorted(self.rows, key=lambda row: row[0])])


def _unknown(key: str, known: Iterable[str]) -> str:
    """Say what an unknown key may have meant: a misspelt one, or one of another table."""
    homes = [f"[{name}]" for name, cls in _TABLES.items() if key in {item.name for item in fields(cls)}]
    meant = f"; it belongs in {homes[0]}" if homes else render_meant(key, known)
    return meant or f"; known: {', '.join(known)}"


def _read_items(values: object, hint: object, place: Place, problems: _Problems) -> tuple[object, ...]:
    if not isinstance(values, list):
        inner = "lists of texts" if hint == tuple[tuple[str, ...], ...] else "texts"
        problems.add(place, str(wrong_type(values, f"a list of {inner}")))
        return ()
    read, check, taken = ITEM_READERS[hint], CHECKS.get(_check_name(place)), []
    for index, value in enumerate(values):
        try:
            item = read(value)
        except ValueError as error:
            problems.add((*place, index), str(error))
            continue
        words = check(item) if check else None
        if words:
            problems.add((*place, index), words)
        else:
            taken.append(join_path(b"/", item) if isinstance(item, bytes) else item)
    return tuple(taken)


def _check_name(place: Place) -> str:
    return f"{place[0]}.{place[-1]}"


def _read_value(value: object, hint: object, place: Place, problems: _Problems) -> object:
    """Give the typed value, or ``MISSING`` where it is wrong: the default then stands in, so that the rest can be checked."""
    if hint in ITEM_READERS:
        return _read_items(value, hint, place, problems)
    try:
        typed = READERS[hint](value)
    except ValueError as error:
        problems.add(place, str(error))
        return MISSING
    check = CHECKS.get(_check_name(place))
    words = check(typed) if check else None
    if words:
        problems.add(place, words)
        return MISSING
    return join_path(b"/", typed) if isinstance(typed, bytes) and typed else typed


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _read_table(cls: type[Any], raw: object, place: Place, problems: _Problems) -> dict[str, Any] | None:
    """Give the keyword arguments of ``cls``, or ``None`` where something that it cannot be without is wrong."""
    if not isinstance(raw, Mapping):
        problems.add(place, str(wrong_type(raw, f"a table: [{place[0]}]")))
        return None
    hints, known = get_type_hints(cls), [item.name for item in fields(cls)]
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            problems.add((*place, key), f"unknown key{_unknown(key, known)}")
            continue
        typed = _read_value(value, hints[key], (*place, key), problems)
        if typed is not MISSING:
            values[key] = typed
    for key in _NEEDED.get(cls, ()):
        if key not in raw:
            problems.add(place, f"has no {key}")
    missing = [item.name for item in fields(cls) if _is_required(item) and item.name not in values]
    return None if missing and cls is not Host else values


def _read_watches(raw: Mapping[str, object], problems: _Problems) -> tuple[Watch, ...]:
    entries = raw.get("paths", [])
    if not isinstance(entries, list):
        problems.add(("paths",), f"{wrong_type(entries, 'a list of tables: [[paths]]')}")
        return ()
    if not entries:
        problems.add(("paths",), "nothing is watched, expected one or more [[paths]]")
    watches: dict[bytes, tuple[int, Watch]] = {}
    for index, entry in enumerate(entries):
        values = _read_table(Watch, entry, ("paths", index), problems)
        if values is None:
            continue
        watch = Watch(**values)
        if watch.handler and (words := check_command(watch.handler)):
            problems.add(("paths", index, "handler"), words)
        if watch.path in watches:
            first = watches[watch.path][0]
            problems.add(("paths", index, "path"), f"{clip(entry['path'])} is watched already, by paths[{first}]")
        else:
            watches[watch.path] = (index, watch)
    return tuple(watch for _, watch in watches.values())


def _read_channels(raw: Mapping[str, object], problems: _Problems) -> tuple[Channel, ...]:
    entries = raw.get("channels", [])
    if not isinstance(entries, list):
        problems.add(("channels",), f"{wrong_type(entries, 'a list of tables: [[channels]]')}")
        return ()
    channels: dict[str, Channel] = {}
    for index, entry in enumerate(entries):
        values = _read_table(Channel, entry, ("channels", index), problems)
        if values is None:
            continue
        channel = Channel(**values)
        if channel.name in channels:
            problems.add(("channels", index, "name"), f"{clip(channel.name)} is the name of another channel already")
        channels[channel.name] = channel
    return tuple(channels.values())


def _read_document(raw: Mapping[str, object], problems: _Problems) -> Config:
    for key in raw.keys() - _TABLES.keys():
        kind = "table" if isinstance(raw[key], dict | list) else "key"
        problems.add((key,), f"unknown {kind}{_unknown(key, _TABLES)}")
    tables = [(name, cls) for name, cls in _TABLES.items() if name not in ("paths", "channels")]
    parts = {name: _read_table(cls, raw.get(name, {}), (name,), problems) or {} for name, cls in tables}
    own_name = os.uname().nodename
    config = Config(
        host=Host(**{"name": own_name, **parts["host"]}),
        paths=_read_watches(raw, problems),
        sources=Sources(**parts["sources"]),
        watch=Live(**parts["watch"]),
        scan=Scanning(**parts["scan"]),
        content=Content(**parts["content"]),
        mail=Mail(**parts["mail"]),
        syslog=Syslog(**parts["syslog"]),
        webhook=Webhook(**parts["webhook"]),
        channels=_read_channels(raw, problems),
        store=StoreLimits(**parts["store"]),
        seal=SealPolicy(**parts["seal"]),
        self=SelfWatch(**parts["self"]),
        packages=Packages(**parts["packages"]),
        panic=Panic(**parts["panic"]),
    )
    _check_together(config, own_name, problems)
    return config


def _check_together(config: Config, own_name: str, problems: _Problems) -> None:
    """Find what is wrong only beside another value."""
    mail, panic = config.mail, config.panic
    own_names = (own_name, config.host.name)
    for place, words in (
        (("mail", "smtp_server"), check_servers(mail.smtp_server, own_names)),
        (("syslog", "server"), check_server(config.syslog.server, own_names)),
        (("webhook", "url"), check_url(config.webhook.url, own_names)),
    ):
        if words:
            problems.add(place, words)
    if mail.username and not mail.password_file and ("mail", "password_file") not in problems.places:
        problems.add(("mail", "username"), "has no password beside it, expected password_file too")
    if panic.action == "isolate" and not panic.allow and ("panic", "allow") not in problems.places:
        problems.add(("panic", "action"), "'isolate' without allow would let nobody in, expected allow = [\"192.0.2.10:22\"]")


def _check_files(config: Config, problems: _Problems) -> None:
    """Find the files that the configuration names and that this host does not have, or has too open."""
    mail, webhook = config.mail, config.webhook
    for table, key, path in (
        ("mail", "password_file", mail.password_file), ("mail", "ca_file", mail.ca_file),
        ("syslog", "ca_file", config.syslog.ca_file),
        ("webhook", "ca_file", webhook.ca_file), ("webhook", "token_file", webhook.token_file),
        *(("channels", "url_file", one.url_file) for one in config.channels),
    ):
        if not path:
            continue
        shown = clip(os.fsdecode(path))
        try:
            opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a fifo would wait for its writer
            mode = os.fstat(opened).st_mode
            os.close(opened)
        except OSError as error:
            problems.add((table, key), f"{shown} cannot be read: {error.strerror}")
            continue
        if not stat.S_ISREG(mode):
            problems.add((table, key), f"{shown} is no regular file")
        elif key != "ca_file" and mode & 0o007:
            problems.add((table, key), f"{shown} is open to every user (mode {mode & 0o7777:04o}), expected 0600")


def _check_writers(path: str | os.PathLike[str], problems: _Problems) -> None:
    """Find who else could have root run commands of his: only where it is root who reads."""
    faults = find_writers(path, owners=trusted_owners()) if os.geteuid() == 0 else ()
    problems.rows += [(0, f"{problems.source}: its commands run as root, and {words}") for words in faults]


def _parse(text: str, source: str) -> tuple[Config, _Problems]:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words = str(error)
        place = _DECODE_PLACE.search(words)
        where = f" (line {place[1]}, column {place[2]})" if place else ""
        raise ConfigError([f"{source}: not TOML: {_DECODE_PLACE.sub('', words)}{where}"]) from None
    except (RecursionError, ValueError) as error:  # what the parser does not catch itself: brackets in brackets, endless numbers
        raise ConfigError([f"{source}: not TOML: {clip(str(error))}"]) from None
    problems = _Problems(source, find_lines(text))
    return _read_document(raw, problems), problems


def parse_config(text: str, source: str) -> Config:
    r"""Read a configuration. Of this host, only its name is asked, where the text has none.

    Args:
        text: A TOML document.
        source: What the messages call it; a file's name.

    Raises:
        ConfigError: If anything in it is wrong: with every problem, in the order of the text.

    >>> parse_config('[host]\nname = "web01"\n[[paths]]\npath = "/sbin/"\ntier = "critical"\n', "x").paths[0].path
    b'/sbin'
    >>> parse_config('[[paths]]\npath = "/sbin"\nrecursive = "no"\n', "fimkit.toml")
    Traceback (most recent call last):
    fimkit.model.errors.ConfigError: fimkit.toml: paths[0].recursive: 'no' is text, expected true or false (line 3)
    """
    config, problems = _parse(text, source)
    problems.check()
    return config


def _read_file(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        words = "no such file; `fimkit init` writes one, --config FILE or FIMKIT_CONFIG names another"
        raise ConfigError([f"{path}: {words}"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}: not UTF-8: byte 0x{error.object[error.start]:02x} (line {line})"]) from None


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read the configuration of this host; the files that it names must be here and readable.

    With ``[self] watch``, what fimkit stands on is among the paths, behind those that are written there.

    Raises:
        ConfigError: If the file cannot be read, or anything in it is wrong; as root also if others could have written it.
    """
    config, problems = _parse(_read_file(path), os.fspath(path))
    _check_writers(path, problems)
    _check_files(config, problems)
    problems.check()
    own = plan_own_watches(config, os.fsencode(path), program=find_own_program())
    return replace(config, paths=(*config.paths, *own)) if own else config


def load_foreign_config(path: str | os.PathLike[str]) -> Config:
    """Read the configuration of another host: the files that it names are not expected here.

    Raises:
        ConfigError: If the file cannot be read, or anything in it is wrong.
    """
    return parse_config(_read_file(path), os.fspath(path))
