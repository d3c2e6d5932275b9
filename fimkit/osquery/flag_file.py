r"""Flag files, as gflags reads them: ``--name=value`` a line, ``--name`` and ``--noname`` for truths.

Source: gflags, "--flagfile"; osquery, tools/deployment/osqueryd.service, whose settings file names FLAG_FILE and CONFIG_FILE.
"""

import os
import re
from collections.abc import Callable

from fimkit.model.errors import clip
from fimkit.model.paths import render_path
from fimkit.osquery.osquery_config import Problem, Setting

__all__ = ["load_flags", "parse_flags"]

_LINE = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_]*)(?:=(?P<value>.*))?")
_SERVICE_FILES = (b"/etc/default/osqueryd", b"/etc/sysconfig/osqueryd")
_SERVICE_SETTING = re.compile(r"^\s*(FLAG_FILE|CONFIG_FILE)=[\"']?([^\"'\n]+?)[\"']?\s*$", re.MULTILINE)
_DEFAULT_CONFIG = b"/etc/osquery/osquery.conf"
_MOST_FILES = 16
# Truths that are known by name: of others a "no" at the beginning may be the name's own.
_TRUTHS = frozenset(
    {"audit_allow_config", "audit_persist", "disable_audit", "disable_events", "enable_file_events", "logger_event_type", "verbose"}
)


def parse_flags(text: str, *, file: bytes) -> tuple[dict[str, Setting], list[Problem]]:
    r"""Read one flag file; of a flag that is there twice the last counts.

    >>> flags, problems = parse_flags("# x\n--disable_audit=true\n--verbose\n", file=b"/f")
    >>> flags["disable_audit"], flags["verbose"].value, problems
    (Setting(value='true', where='/f:2'), 'true', [])
    """
    flags: dict[str, Setting] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            problems.append(Problem(file, f"no flag in {clip(line)}, expected --name=value", number, 1))
            continue
        name, value = match["name"], match["value"]
        if value is None and name.startswith("no") and name[2:] in _TRUTHS:
            name, value = name[2:], "false"
        if value is not None and value[:1] in "\"'" and value:
            problems.append(Problem(file, f"the quotes in {clip(line)} are part of the value: no shell reads this file", number, 1))
        flags[name] = Setting("true" if value is None else value, f"{render_path(file)}:{number}")
    return flags, problems


def load_flags(
    config_path: bytes, *, root: bytes, flagfile: bytes | None, read: Callable[[bytes], str]
) -> tuple[dict[str, Setting], list[bytes], list[Problem]]:
    """Read the flag file of an installation, and those that it names.

    Args:
        config_path: osqueryd's ``--config_path``.
        root: What stands before every path.
        flagfile: The flag file; ``None`` looks for it.
        read: Reads one file as text.

    Returns:
        The flags, the files read, the problems. A flag file that is looked for and not there is none; one that is named is.
    """
    flags: dict[str, Setting] = {}
    files: list[bytes] = []
    problems: list[Problem] = []
    todo = [flagfile] if flagfile is not None else _find(config_path, root, read)
    while todo and len(files) < _MOST_FILES:
        file = todo.pop(0)
        if file in files:
            continue
        try:
            text = read(root + file)
        except OSError as error:
            problems.append(Problem(file, f"the flag file cannot be read: {error.strerror}", refused=True))
            continue
        files.append(file)
        found, wrong = parse_flags(text, file=file)
        problems += wrong
        flags |= found
        if "flagfile" in found:
            todo += [os.fsencode(name.strip()) for name in found["flagfile"].value.split(",") if name.strip()]
    return flags, files, problems


def _find(config_path: bytes, root: bytes, read: Callable[[bytes], str]) -> list[bytes]:
    beside = os.path.join(os.path.dirname(config_path), b"osquery.flags")
    for file in _SERVICE_FILES:
        try:
            settings = dict(_SERVICE_SETTING.findall(read(root + file)))
        except OSError:
            continue
        named = os.fsencode(settings.get("CONFIG_FILE", ""))
        if settings.get("FLAG_FILE", "").startswith("/") and config_path in (named, _DEFAULT_CONFIG):
            return [os.fsencode(settings["FLAG_FILE"])]
    return [path for path in (beside, beside + b".default") if os.path.lexists(root + path)][:1]
