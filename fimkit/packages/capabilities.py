"""File capabilities, from the text that an rpm has to the extended attribute that the kernel keeps. Pure."""

import re
import struct

from fimkit.model.errors import PackageError, clip

__all__ = ["CAPABILITY", "encode_capabilities"]

CAPABILITY = "security.capability"

# In the kernel's order. Source: include/uapi/linux/capability.h.
_NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
    "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio",
    "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time",
    "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
    "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
)
_NUMBERS = {f"cap_{name}": number for number, name in enumerate(_NAMES)}
_ALL = (1 << len(_NAMES)) - 1
_CLAUSE = re.compile(r"(?P<names>[a-z_,]*)(?P<actions>(?:[=+-][eip]*)+)")
_ACTION = re.compile(r"([=+-])([eip]*)")
_REVISION_2, _EFFECTIVE = 0x02000000, 1


def _mask(names: str) -> int:
    if names in ("", "all"):
        return _ALL
    unknown = [name for name in names.split(",") if name not in _NUMBERS]
    if unknown:
        raise PackageError(f"an unknown capability: {clip(unknown[0])}")
    return sum(1 << number for number in {_NUMBERS[name] for name in names.split(",")})


def encode_capabilities(text: str) -> bytes:
    """Give the value of ``security.capability`` that a text stands for.

    Raises:
        PackageError: If it is no such text, or of what no file can have: some capabilities effective and others not.

    Source: cap_from_text(3); capabilities(7), "File capability extended attribute versioning".

    >>> encode_capabilities("cap_net_raw=ep").hex()
    '0100000200200000000000000000000000000000'
    """
    sets = dict.fromkeys("eip", 0)
    for clause in text.split():
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise PackageError(f"no capabilities: {clip(text)}")
        mask = _mask(match["names"])
        for sign, flags in _ACTION.findall(match["actions"]):
            for flag in sets:
                if sign == "=" or (sign == "-" and flag in flags):
                    sets[flag] &= ~mask
                if sign != "-" and flag in flags:
                    sets[flag] |= mask
    held = sets["p"] | sets["i"]
    if sets["e"] not in (0, held):
        raise PackageError(f"capabilities that no file can have: {clip(text)}")
    low, high = 0xFFFFFFFF, 32
    magic = _REVISION_2 | (_EFFECTIVE if sets["e"] else 0)
    return struct.pack("<5I", magic, sets["p"] & low, sets["i"] & low, sets["p"] >> high, sets["i"] >> high)
