"""How the linter writes patterns, flags and remedies: as text to paste. Pure."""

import json
import os

from fimkit.model.paths import render_path
from fimkit.osquery.osquery_config import OsqueryConfig

__all__ = ["OUR_CATEGORY", "RESTART", "flag_remedy", "flag_where", "is_ours", "plain_part", "quote"]

OUR_CATEGORY = "fimkit"
"""Every category of fimkit's pack begins so."""

RESTART = "systemctl restart osqueryd"


def is_ours(category: str) -> bool:
    """Tell whether a category is of fimkit's pack."""
    return category.startswith(OUR_CATEGORY)


def quote(pattern: bytes) -> str:
    r"""Write a pattern as it stands in JSON.

    >>> quote(b"/srv/a b/%%"), quote(b'/srv/"')
    ('"/srv/a b/%%"', '"/srv/\\""')
    """
    return json.dumps(os.fsdecode(pattern))


def plain_part(pattern: bytes) -> bytes | None:
    """Give the path that a pattern begins with, up to its first part with a wildcard.

    >>> plain_part(b"/home/%/.ssh/%%"), plain_part(b"/etc/a%"), plain_part(b"/etc/hosts"), plain_part(b"etc")
    (b'/home', b'/etc', b'/etc/hosts', None)
    """
    plain = pattern.replace(b"*", b"%")
    if not plain.startswith(b"/"):
        return None
    head, wildcard, _ = plain.partition(b"%")
    return (head[: head.rfind(b"/")] if wildcard else head.rstrip(b"/")) or b"/"


def flag_where(config: OsqueryConfig, name: str) -> str:
    """Say where a flag is set, or that it is not."""
    setting = config.setting(name)
    return f"--{name}" if setting is None else f"--{name} ({setting.where})"


def flag_remedy(config: OsqueryConfig, name: str, value: str) -> str:
    """Say what to write, and where, so that a flag gets a value."""
    setting = config.setting(name)
    if setting is not None and name in config.options and setting.where.endswith(": options"):
        written = value if value in ("true", "false") or value.isdecimal() else json.dumps(value)
        return f'in {setting.where.removesuffix(": options")}, under "options": "{name}": {written}; then {RESTART}'
    file, _, line = setting.where.rpartition(":") if setting is not None else ("", "", "")
    if not line.isdecimal():
        file = render_path(os.path.join(os.path.dirname(config.config_path), b"osquery.flags"))
    return f"in {file}: --{name}={value}; then {RESTART}"
