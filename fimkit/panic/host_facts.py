"""What stays a while on a host, and what an intruder changes to stay: kernel, modules, logins, mounts, cron, units, keys."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from fimkit.model.paths import render_path
from fimkit.panic.read import describe_file, walk

__all__ = [
    "list_authorized_keys", "list_cron", "list_kernel", "list_logins", "list_modules", "list_mounts", "list_temporary_files",
    "list_units",
]

_KERNEL_FILES = (
    "version", "cmdline", "uptime", "loadavg", "sys/kernel/tainted", "sys/kernel/random/boot_id", "sys/kernel/core_pattern",
    "sys/kernel/modules_disabled", "sys/kernel/kptr_restrict", "sys/net/ipv4/ip_forward",
)
_TEMPORARY = ((b"/dev/shm", 3), (b"/tmp", 2), (b"/var/tmp", 2), (b"/run/user", 3))
_CRON_FILES = (b"/etc/crontab", b"/etc/anacrontab", b"/etc/at.allow", b"/etc/cron.allow")
_CRON_FOLDERS = (
    b"/etc/cron.d", b"/etc/cron.hourly", b"/etc/cron.daily", b"/etc/cron.weekly", b"/etc/cron.monthly", b"/var/spool/cron",
    b"/var/spool/at",
)
_OWN_UNITS = (b"/run/systemd/system", b"/etc/systemd/system", b"/run/systemd/transient", b"/etc/systemd/user")
_SHIPPED_UNITS = (b"/usr/local/lib/systemd/system", b"/usr/lib/systemd/system", b"/lib/systemd/system")
_KEY_FILES = (b".ssh/authorized_keys", b".ssh/authorized_keys2", b".ssh/rc", b".ssh/environment")


def _lines(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        for line in file:
            yield line.rstrip(b"\n")


def list_kernel() -> Iterator[dict[str, Any]]:
    """Give the kernel's version, command line, boot and a few settings."""
    for name in _KERNEL_FILES:
        try:
            yield {"name": name, "value": render_path((Path("/proc") / name).read_bytes().rstrip(b"\n"))}
        except OSError as error:
            yield {"name": name, "error": error.strerror}


def list_modules() -> Iterator[dict[str, Any]]:
    """Give the loaded modules, as /proc/modules has them; the last word of a line is a taint where there is one."""
    for line in _lines("/proc/modules"):
        name, size, users, by, state, *rest = map(render_path, line.split())
        row = {"name": name, "size": int(size), "users": users, "by": by.rstrip(",").split(","), "state": state}
        yield row | {"taint": rest[1] if len(rest) > 1 else None}


def list_logins() -> Iterator[dict[str, Any]]:
    """Give who is logged in."""
    for one in psutil.users():
        row = {"user": one.name, "terminal": one.terminal, "from": one.host, "started": one.started, "pid": one.pid}
        yield {name: render_path(value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else value
               for name, value in row.items()}


def list_mounts() -> Iterator[dict[str, Any]]:
    """Give the mounts of this mount namespace. Source: proc_pid_mountinfo(5)."""
    for line in _lines("/proc/self/mountinfo"):
        first, _, second = line.partition(b" - ")
        number, parent, device, root, point, options, *_ = map(render_path, first.split(b" "))
        kind, source, super_options, *_ = map(render_path, [*second.split(b" "), b"", b""])
        row = {"id": number, "parent": parent, "device": device, "root": root, "point": point, "options": options}
        yield row | {"type": kind, "source": source, "super_options": super_options}


def list_temporary_files() -> Iterator[dict[str, Any]]:
    """Give what lies in the folders that everybody writes to, not deep, with hashes of what is small."""
    for folder, depth in _TEMPORARY:
        for path in walk(folder, depth=depth):
            yield describe_file(path, with_text=False, most_bytes=1 << 20)


def list_cron() -> Iterator[dict[str, Any]]:
    """Give the tables of cron, anacron and at, with their text."""
    for path in (*_CRON_FILES, *(found for folder in _CRON_FOLDERS for found in walk(folder, depth=2))):
        if os.path.lexists(path):
            yield describe_file(path, with_text=True)


def list_units() -> Iterator[dict[str, Any]]:
    """Give systemd's units: this host's own with their text, those that packages bring with their hash."""
    for folders, with_text in ((_OWN_UNITS, True), (_SHIPPED_UNITS, False)):
        for folder in folders:
            if not os.path.islink(folder.rsplit(b"/", 2)[0]):  # /lib is /usr/lib on most hosts
                yield from (describe_file(path, with_text=with_text) for path in walk(folder, depth=2))


def list_authorized_keys() -> Iterator[dict[str, Any]]:
    """Give what lets somebody in by ssh, for every user that this host itself knows."""
    homes = dict.fromkeys((os.fsencode(user.pw_dir), user.pw_name) for user in _users())
    for home, name in homes:
        for file in _KEY_FILES:
            path = home.rstrip(b"/") + b"/" + file
            if os.path.lexists(path):
                yield {"user": name} | describe_file(path, with_text=True)


def _users() -> list[pwd.struct_passwd]:
    """Read /etc/passwd alone: a directory server may hang."""
    users = []
    for line in _lines("/etc/passwd"):
        parts = os.fsdecode(line).split(":")
        if len(parts) == 7 and parts[2].isdigit() and parts[3].isdigit() and parts[5].startswith("/"):
            name, password, uid, gid, gecos, home, shell = parts
            users.append(pwd.struct_passwd((name, password, int(uid), int(gid), gecos, home, shell)))
    return users
