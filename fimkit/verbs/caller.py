"""Who is at the keyboard: the name that an acceptance is written down under."""

import os
import pwd
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["load_caller", "load_login", "name_caller"]

_NO_LOGIN = 0xFFFFFFFF


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


def name_caller(login: int | None, environment: Mapping[str, str], uid: int, name_of: Callable[[int], str] = _name) -> str:
    """Say who it is: the login that the kernel remembers through su and sudo; else what sudo says; else the user id.

    Args:
        login: ``/proc/self/loginuid``; ``None`` where the kernel knows of no login.
        environment: For ``SUDO_USER``, which root alone can be believed about.
        uid: The effective user id.
        name_of: Names a user id.

    >>> names = {0: "root", 1000: "eve"}.__getitem__
    >>> name_caller(1000, {}, 0, names), name_caller(None, {"SUDO_USER": "eve"}, 0, names), name_caller(None, {}, 1000, names)
    ('eve as root', 'eve (says sudo) as root', 'eve')
    """
    acting = name_of(uid)
    sudo = environment.get("SUDO_USER", "") if uid == 0 else ""
    if login is not None:
        who = name_of(login)
    elif sudo:
        who = f"{sudo} (says sudo)"
    else:
        return acting
    return who if who == acting else f"{who} as {acting}"


def load_login() -> int | None:
    """Give the login that the kernel remembers of this process; ``None`` where it knows of none."""
    try:
        login = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return None
    return None if login == _NO_LOGIN else login


def load_caller() -> str:
    """Ask the kernel who called this process."""
    return name_caller(load_login(), os.environ, os.geteuid())
