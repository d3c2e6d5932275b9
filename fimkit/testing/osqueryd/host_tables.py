"""Tables of this host, with real values: a subset of osquery's that recon asks for. The rest is absent, as on an older osqueryd.

Columns as osquery 5.23 names them; what costs much to find out, and no test reads, is left empty.
"""

import contextlib
import grp
import hashlib
import os
import platform
import pwd
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fimkit.testing.osqueryd.row_table import RowTable
from fimkit.testing.osqueryd.sql import Asked

__all__ = ["host_tables"]

Rows = Iterator[Mapping[str, Any]]


def host_tables() -> list[RowTable]:
    """Make them all."""
    return [RowTable(name, columns, rows) for name, (columns, rows) in _TABLES.items()]


def _pids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _status(pid: int) -> dict[str, str]:
    return dict(line.split(":", 1) for line in _read(f"/proc/{pid}/status").splitlines() if ":" in line)


def _processes(asked: Asked) -> Rows:
    wanted = asked.equals("pid")
    boot = next((int(line.split()[1]) for line in _read("/proc/stat").splitlines() if line.startswith("btime")), 0)
    for pid in [int(pid) for pid in wanted if pid.isdigit()] if wanted else _pids():
        # The name stands in brackets and may hold brackets.
        _, _, after = _read(f"/proc/{pid}/stat").rpartition(") ")
        fields, status = after.split(), _status(pid)
        if not fields or "Uid" not in status:
            continue
        exe = _link(f"/proc/{pid}/exe")
        uids, gids = status["Uid"].split(), status["Gid"].split()
        yield {
            "pid": pid,
            "name": status["Name"].strip(),
            "path": exe.removesuffix(" (deleted)"),
            "cmdline": _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip(),
            "state": fields[0],
            "cwd": _link(f"/proc/{pid}/cwd"),
            "root": _link(f"/proc/{pid}/root"),
            "uid": uids[0], "euid": uids[1], "suid": uids[2], "gid": gids[0], "egid": gids[1], "sgid": gids[2],
            "on_disk": -1 if not exe else int(not exe.endswith(" (deleted)") and os.path.exists(exe)),
            "resident_size": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
            "total_size": fields[20],
            "user_time": int(fields[11]) * 10, "system_time": int(fields[12]) * 10,
            "start_time": boot + int(fields[19]) // os.sysconf("SC_CLK_TCK"),
            "parent": fields[1], "pgroup": fields[2], "threads": fields[17], "nice": fields[16],
        }  # fmt: skip


def _open_files(asked: Asked) -> Rows:
    wanted = asked.equals("pid")
    for pid in [int(pid) for pid in wanted if pid.isdigit()] if wanted else _pids():
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for number in numbers:
            path = _link(f"/proc/{pid}/fd/{number}")
            if path.startswith("/"):
                yield {"pid": pid, "fd": number, "path": path}


def _address(text: str) -> tuple[str, int]:
    """Read ``0100007F:0016``: words of the host's order.

    >>> _address("0100007F:0016")
    ('127.0.0.1', 22)
    """
    host, _, port = text.partition(":")
    words = [int(host[place : place + 8], 16) for place in range(0, len(host), 8)]
    raw = b"".join(struct.pack("=I", word) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, raw), int(port, 16)


_TCP_STATES = (
    *("UNKNOWN", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2"),
    *("TIME_WAIT", "CLOSED", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"),
)


def _sockets() -> Rows:
    owners: dict[str, tuple[int, str]] = {}
    for pid in _pids():
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                target = _link(f"/proc/{pid}/fd/{number}")
                if target.startswith("socket:["):
                    owners[target[8:-1]] = (pid, number)
    for name, family, protocol in (("tcp", 2, 6), ("tcp6", 10, 6), ("udp", 2, 17), ("udp6", 10, 17)):
        for line in _read(f"/proc/net/{name}").splitlines()[1:]:
            fields = line.split()
            pid, number = owners.get(fields[9], (-1, "-1"))
            local, remote = _address(fields[1]), _address(fields[2])
            yield {
                "pid": pid, "fd": number, "socket": fields[9], "family": family, "protocol": protocol,
                "local_address": local[0], "local_port": local[1], "remote_address": remote[0], "remote_port": remote[1],
                "path": "", "state": _TCP_STATES[int(fields[3], 16)] if protocol == 6 else "", "net_namespace": "",
            }  # fmt: skip


def _listening(_asked: Asked) -> Rows:
    for row in _sockets():
        if row["state"] == "LISTEN" or (row["protocol"] == 17 and row["remote_port"] == 0):
            yield {**row, "port": row["local_port"], "address": row["local_address"]}


def _users(_asked: Asked) -> Rows:
    for user in pwd.getpwall():
        yield {
            "uid": user.pw_uid, "gid": user.pw_gid, "uid_signed": user.pw_uid, "gid_signed": user.pw_gid,
            "username": user.pw_name, "description": user.pw_gecos, "directory": user.pw_dir, "shell": user.pw_shell,
        }  # fmt: skip


def _groups(_asked: Asked) -> Rows:
    for group in grp.getgrall():
        yield {"gid": group.gr_gid, "gid_signed": group.gr_gid, "groupname": group.gr_name}


def _authorized_keys(_asked: Asked) -> Rows:
    for user in pwd.getpwall():
        path = f"{user.pw_dir}/.ssh/authorized_keys"
        for line in _read(path).splitlines():
            words = line.split()
            place = next((number for number, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-", "sk-"))), None)
            if line.startswith("#") or place is None or len(words) < place + 2:
                continue
            yield {
                "uid": user.pw_uid, "algorithm": words[place], "key": words[place + 1], "options": " ".join(words[:place]),
                "comment": " ".join(words[place + 2 :]), "key_file": path,
            }  # fmt: skip


def _modules(_asked: Asked) -> Rows:
    for line in _read("/proc/modules").splitlines():
        name, size, _, used_by, status, address, *_ = line.split()
        yield {"name": name, "size": size, "used_by": used_by.strip(","), "status": status, "address": address}


def _mounts(_asked: Asked) -> Rows:
    for line in _read("/proc/mounts").splitlines():
        device, path, kind, flags, *_ = line.split()
        yield {"device": device, "device_alias": device, "path": path, "type": kind, "flags": flags}


def _crontab(_asked: Asked) -> Rows:
    places = [Path("/etc/crontab"), *sorted(Path("/etc/cron.d").glob("*")), *sorted(Path("/var/spool/cron/crontabs").glob("*"))]
    names = ("minute", "hour", "day_of_month", "month", "day_of_week")
    for path in places:
        for line in _read(str(path)).splitlines():
            words = line.split(None, 5)
            if line.startswith("#") or len(words) < 6 or "=" in words[0]:
                continue
            yield {"event": "", **dict(zip(names, words, strict=False)), "command": words[5], "path": str(path)}


def _suid(_asked: Asked) -> Rows:
    for folder in ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"):
        if os.path.islink(folder) or not os.path.isdir(folder):
            continue
        for entry in os.scandir(folder):
            mode = entry.stat(follow_symlinks=False).st_mode
            letters = "S" * bool(mode & stat.S_ISUID) + "G" * bool(mode & stat.S_ISGID)
            if stat.S_ISREG(mode) and letters:
                state = entry.stat()
                owner, group = _user_name(state.st_uid), _group_name(state.st_gid)
                yield {"path": entry.path, "username": owner, "groupname": group, "permissions": letters}


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def _logins(path: str) -> Rows:
    """Read utmp or wtmp: see utmp(5)."""
    form = struct.Struct("hi32s4s32s256shhiii4I20x")
    try:
        content = Path(path).read_bytes()
    except OSError:
        return
    for place in range(0, len(content) - form.size + 1, form.size):
        kind, pid, line, _, user, host, _, _, _, seconds, *_ = form.unpack_from(content, place)
        tty, name, where = (part.split(b"\0", 1)[0].decode("utf-8", "replace") for part in (line, user, host))
        kinds = {1: "run_lvl", 2: "boot_time", 5: "init", 6: "login", 7: "user", 8: "dead"}
        yield {
            "type": kinds.get(kind, "unknown"), "type_name": kinds.get(kind, "unknown"),
            "user": name, "username": name, "tty": tty, "host": where, "time": seconds, "pid": pid,
        }  # fmt: skip


def _last(_asked: Asked) -> Rows:
    for row in _logins("/var/log/wtmp"):
        if row["type"] in {"user", "dead"}:
            yield {**row, "type": 7 if row["type"] == "user" else 8}


def _paths(asked: Asked) -> Iterator[str]:
    """Give the paths that a query names: ``path =``, ``directory =``, or ``path LIKE`` with a wildcard in the last part."""
    yield from asked.equals("path")
    for folder in asked.equals("directory"):
        with contextlib.suppress(OSError):
            yield from (os.path.join(folder, name) for name in sorted(os.listdir(folder)))
    for constraint in asked.constraints:
        if constraint.column == "path" and constraint.op == 65:
            folder, _, leaf = constraint.expr.rpartition("/")
            if leaf.endswith("%%"):
                yield from (os.path.join(parent, name) for parent, folders, files in os.walk(folder) for name in [*folders, *files])
            elif "%" in leaf and "%" not in folder:
                with contextlib.suppress(OSError):
                    yield from (os.path.join(folder or "/", name) for name in sorted(os.listdir(folder or "/")))


def _files(asked: Asked) -> Rows:
    for path in dict.fromkeys(_paths(asked)):
        try:
            here = os.lstat(path)
            state = os.stat(path) if stat.S_ISLNK(here.st_mode) else here
        except OSError:
            continue
        kinds = {stat.S_IFREG: "regular", stat.S_IFDIR: "directory", stat.S_IFBLK: "block", stat.S_IFCHR: "character"}
        yield {
            "path": path, "directory": os.path.dirname(path), "filename": os.path.basename(path), "inode": state.st_ino,
            "uid": state.st_uid, "gid": state.st_gid, "mode": f"{stat.S_IMODE(state.st_mode):04o}", "device": state.st_rdev,
            "size": state.st_size, "block_size": state.st_blksize, "atime": int(state.st_atime), "mtime": int(state.st_mtime),
            "ctime": int(state.st_ctime), "btime": 0, "hard_links": state.st_nlink,
            "symlink": int(stat.S_ISLNK(here.st_mode)), "type": kinds.get(stat.S_IFMT(state.st_mode), "unknown"),
            "symlink_target_path": os.path.realpath(path) if stat.S_ISLNK(here.st_mode) else "",
        }  # fmt: skip


def _hash(asked: Asked) -> Rows:
    for path in dict.fromkeys(_paths(asked)):
        try:
            content = Path(path).read_bytes()
        except OSError:
            continue
        digests = {name: hashlib.new(name, content, usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256")}
        yield {"path": path, "directory": os.path.dirname(path), **digests}


def _interfaces(_asked: Asked) -> Rows:
    for number, name in socket.if_nameindex():
        place = f"/sys/class/net/{name}"
        yield {
            "interface": name, "mac": _read(f"{place}/address").strip(), "mtu": _read(f"{place}/mtu").strip(),
            "flags": int(_read(f"{place}/flags").strip() or "0", 16), "type": _read(f"{place}/type").strip(), "link_speed": "",
            "ifalias": number,
        }  # fmt: skip


def _os_version(_asked: Asked) -> Rows:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    major, _, minor = release.get("VERSION_ID", "0").partition(".")
    yield {
        "name": release.get("NAME", ""), "version": release.get("VERSION", ""), "major": major, "minor": minor or 0, "patch": 0,
        "build": "", "platform": release.get("ID", ""), "platform_like": release.get("ID_LIKE", ""),
        "codename": release.get("VERSION_CODENAME", ""), "arch": platform.machine(),
    }  # fmt: skip


def _system_info(_asked: Asked) -> Rows:
    yield {
        "hostname": socket.gethostname(), "computer_name": socket.gethostname(), "local_hostname": socket.gethostname(),
        "uuid": _read("/sys/class/dmi/id/product_uuid").strip() or _read("/etc/machine-id").strip(),
        "cpu_type": platform.machine(), "cpu_logical_cores": os.cpu_count(),
        "physical_memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }  # fmt: skip


def _kernel_info(_asked: Asked) -> Rows:
    yield {"version": platform.release(), "arguments": _read("/proc/cmdline").strip(), "path": "", "device": ""}


def _time(_asked: Asked) -> Rows:
    now = time.time()
    parts = time.gmtime(now)
    yield {
        "weekday": time.strftime("%A", parts), "year": parts.tm_year, "month": parts.tm_mon, "day": parts.tm_mday,
        "hour": parts.tm_hour, "minutes": parts.tm_min, "seconds": parts.tm_sec,
        "timezone": "UTC", "local_timezone": time.tzname[0], "unix_time": int(now),
        "timestamp": time.strftime("%a %b %e %H:%M:%S %Y UTC", parts),
        "datetime": time.strftime("%Y-%m-%dT%H:%M:%SZ", parts), "iso_8601": time.strftime("%Y-%m-%dT%H:%M:%SZ", parts),
    }  # fmt: skip


def _uptime(_asked: Asked) -> Rows:
    total = int(float((_read("/proc/uptime") or "0").split()[0]))
    yield {
        "days": total // 86400, "hours": total // 3600 % 24, "minutes": total // 60 % 60, "seconds": total % 60,
        "total_seconds": total,
    }  # fmt: skip


_SOCKET_COLUMNS = (
    "pid:i fd:b socket:b family:i protocol:i local_address remote_address local_port:i remote_port:i path state net_namespace"
)
_FILE_COLUMNS = (
    "path! directory! filename inode:b uid:b gid:b mode device:b size:b block_size:i atime:b mtime:b ctime:b btime:b hard_links:i "
    "symlink:i type symlink_target_path"
)
_PROCESS_COLUMNS = (
    "pid:b name path cmdline state cwd root uid:b gid:b euid:b egid:b suid:b sgid:b on_disk:i resident_size:b total_size:b "
    "user_time:b system_time:b start_time:b parent:b pgroup:b threads:i nice:i"
)

_TABLES: dict[str, tuple[str, Callable[[Asked], Iterable[Mapping[str, Any]]]]] = {
    "authorized_keys": ("uid:b algorithm key options comment key_file", _authorized_keys),
    "crontab": ("event minute hour day_of_month month day_of_week command path", _crontab),
    "file": (_FILE_COLUMNS, _files),
    "groups": ("gid:b gid_signed:b groupname", _groups),
    "hash": ("path! directory! md5 sha1 sha256", _hash),
    "interface_details": ("interface mac type:i mtu:i flags:i link_speed:b ifalias-", _interfaces),
    "kernel_info": ("version arguments path device", _kernel_info),
    "kernel_modules": ("name size:b used_by status address", _modules),
    "last": ("username tty pid:i type:i type_name time:i host", _last),
    "listening_ports": ("pid:i port:i protocol:i family:i address fd:b socket:b path net_namespace", _listening),
    "logged_in_users": ("type user tty host time:b pid:i", lambda _: _logins("/var/run/utmp")),
    "mounts": ("device device_alias path type flags", _mounts),
    "os_version": ("name version major:i minor:i patch:i build platform platform_like codename arch", _os_version),
    "process_open_files": ("pid:b fd:b path", _open_files),
    "process_open_sockets": (_SOCKET_COLUMNS, lambda _: _sockets()),
    "processes": (_PROCESS_COLUMNS, _processes),
    "suid_bin": ("path username groupname permissions", _suid),
    "system_info": ("hostname uuid cpu_type cpu_logical_cores:i physical_memory:b computer_name local_hostname", _system_info),
    "time": (
        "weekday year:i month:i day:i hour:i minutes:i seconds:i timezone local_timezone unix_time:i timestamp datetime- iso_8601-",
        _time,
    ),
    "uptime": ("days:i hours:i minutes:i seconds:i total_seconds:b", _uptime),
    "users": ("uid:b gid:b uid_signed:b gid_signed:b username description directory shell uuid-", _users),
}
