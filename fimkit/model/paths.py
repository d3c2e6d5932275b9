"""Paths and other names that an intruder may have chosen: bytes inside, safe text outside. Pure.

As text they are UTF-8 with ``%XX`` for ``%``, control characters and every byte that is no UTF-8: reversible, printable.
"""

import re
import unicodedata
from urllib.parse import unquote_to_bytes

__all__ = ["is_below", "join_path", "parse_path", "render_path", "render_terminal"]

_PLAIN = re.compile(rb"[ -$&-~]*")


def _escape(data: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in data)


def render_path(path: bytes) -> str:
    r"""Write bytes as reversible, printable text.

    >>> render_path(b"/etc/new\nline"), render_path(b"/etc/bad\xffname"), render_path("/ünï 100%".encode())
    ('/etc/new%0Aline', '/etc/bad%FFname', '/ünï 100%25')
    """
    if _PLAIN.fullmatch(path):
        return path.decode("ascii")
    return "".join(
        _escape(char.encode("utf-8", "surrogateescape"))
        if char == "%" or "\udc80" <= char <= "\udcff" or unicodedata.category(char) == "Cc"
        else char
        for char in path.decode("utf-8", "surrogateescape")
    )


def parse_path(text: str) -> bytes:
    r"""Read text that :func:`render_path` wrote.

    >>> parse_path("/etc/new%0Aline%FF")
    b'/etc/new\nline\xff'
    """
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))


def render_terminal(text: str) -> str:
    """Escape what could still deceive a reader in rendered text: format characters (bidi) and line separators.

    >>> render_terminal("/a\u202egnp.exe")
    '/a%E2%80%AEgnp.exe'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escape(char.encode()) if unicodedata.category(char) in ("Cf", "Zl", "Zp", "Cc") else char
        for char in text
    )


def join_path(folder: bytes, name: bytes) -> bytes:
    r"""Join and tidy up: no ``.``, ``..``, doubled or trailing slash. An absolute ``name`` stands alone.

    The kernel's text is joined by words alone; a link in the middle is not followed.

    >>> join_path(b"/srv/fim", b"./a/../b//c/"), join_path(b"/srv", b"/etc/x"), join_path(b"/", b"..")
    (b'/srv/fim/b/c', b'/etc/x', b'/')
    """
    whole = name if name.startswith(b"/") else folder + b"/" + name
    if b"//" not in whole and b"/." not in whole and len(whole) > 1 and not whole.endswith(b"/"):
        return whole
    parts: list[bytes] = []
    for part in whole.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/" + b"/".join(parts)


def is_below(path: bytes, folder: bytes) -> bool:
    """Tell whether ``path`` is ``folder`` or lies in it.

    >>> is_below(b"/lib/x", b"/lib"), is_below(b"/lib_x", b"/lib"), is_below(b"/x", b"/")
    (True, False, True)
    """
    return path == folder or path.startswith(folder if folder == b"/" else folder + b"/")
