"""Masks secrets in text that is kept: lines stay, values go. Pure.

A value becomes a token: a keyed fingerprint of 16 bits between two NULs, which no kept text has otherwise. It tells that a secret
changed, and not what it is or was; nothing shows it. What is known by its form is masked (keys, tokens and password hashes of
known kinds) and what is known by its name (``password = …`` in the usual notations). Public keys and checksums stay: an intruder's
line in ``authorized_keys`` is to be read. Where in doubt, more is masked.

No pattern begins with an unbounded repetition, so that a line of a megabyte takes no longer than a megabyte of lines.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Sequence

__all__ = ["MASK", "RULES_VERSION", "Masker", "render_masked"]

RULES_VERSION = 1
"""Moves with every change of the patterns here: what was kept is masked anew then."""

MASK = "[masked]"
_OTHER = "[masked, another value]"
_TOKEN = re.compile("\0[0-9a-f]{4}\0")
_LONGEST_FOR_OWN = 4096

_NAMES = (
    r"(?:pass(?:word|wd|phrase)|(?<![A-Za-z])(?:pass|pwd|psk|salt)(?![A-Za-z])|_(?:pass|pwd|psk|salt)(?![A-Za-z])|secret|credential"
    r"|token|api[_-]?key|app[_-]?key|auth[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|encryption[_-]?key|signing[_-]?key"
    r"|master[_-]?key|logged_in_key|nonce_key|hmac[_-]?key|authorization|bindpw|requirepass|masterauth|community)"
)
_PLAIN_WORDS = r"(?:yes|no|true|false|on|off|null|none|nil|required|optional|prohibit-password|without-password)"
# A name, what may close it (a quote, a bracket, define's comma), and what stands between it and its value.
_ASSIGNED = re.compile(
    rf"{_NAMES}[\w.\-]{{0,40}}[\"'`\]]{{0,3}}\s{{0,40}}(?:=>|:=|==?=?|:|,(?=\s{{0,40}}[\"']))\s{{0,200}}", re.IGNORECASE
)
_STARTS_LINE = re.compile(r"\s*(?:export\s+|set\s+|env\s+|[-#;]\s*)?[\"']?[$@\w.\-\[\]\"']{0,80}\Z")
_UNTOUCHED = re.compile(rf"{_PLAIN_WORDS}(?=[\s,;\"'\])}}]|\Z)", re.IGNORECASE)
_WORD = re.compile(r"[^\s\"'&<>]+")
_BLOCK_SCALAR = re.compile(r"[|>][+\-0-9]{0,2}\s*\Z")

# Each has one group: what is masked.
_FORMS = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        # crypt(5) and its like, in shadow, htpasswd or a dump; the old DES form only where a whole field is of its length.
        (r"(\$(?:1|2[abxy]?|3|5|6|7|y|gy|md5|sha1|apr1|P|H|argon2(?:id?|d)|scrypt|pbkdf2[\w\-]{0,16})\$[^\s:'\"]{8,})", 0),
        (r"^[\w.\-]{1,64}:([./0-9A-Za-z]{13})(?=:|\s*\Z)", 0),
        (r"(\{(?:S?SHA(?:256|384|512)?|S?MD5|CRYPT|ARGON2)\}[A-Za-z0-9+/=.$]{8,})", re.IGNORECASE),
        # Kinds of tokens that their makers gave a form.
        (r"(?<![A-Za-z0-9+/_\-])((?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16})(?![A-Za-z0-9])", 0),
        (r"(?<![A-Za-z0-9+/_\-])(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w\-]{16,}|npm_[A-Za-z0-9]{30,})", 0),
        (r"(?<![A-Za-z0-9+/_\-])(xox[abeoprs]-[\w\-]{8,}|AIza[\w\-]{30,}|ya29\.[\w\-]{16,}|SG\.[\w\-]{16,}\.[\w\-]{16,})", 0),
        (r"(?<![A-Za-z0-9+/_\-])((?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}|sk-[A-Za-z0-9_\-]{20,}|hv[sb]\.[\w\-]{20,})", 0),
        (r"(?<![A-Za-z0-9+/_\-])(eyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]*)", 0),
        (r"(?<![A-Za-z0-9])(AGE-SECRET-KEY-1[A-Z0-9]{20,})", 0),
        # Names and passwords in a URL, headers, command lines, netrc, SQL.
        (r"://[^\s/:@\"'<>]{0,128}:([^\s/\"'<>]{1,256})(?=@)", 0),
        (r"\b(?:Bearer|Basic|Digest)\s{1,8}(?=\S{0,200}(?:[0-9=]|(?-i:[a-z][A-Z])))([A-Za-z0-9+/=._~\-]{8,})", re.IGNORECASE),
        (r"--(?:pass(?:word|wd|phrase)?|token|secret|api-key)\s{1,8}([^\s\"'-][^\s\"']*|\"[^\"]*\"?|'[^']*'?)", re.IGNORECASE),
        (r"\blogin\s{1,8}\S{1,64}\s{1,8}password\s{1,8}(\S+)", re.IGNORECASE),
        (r"\bidentified\s{1,8}by\s{1,8}(?:password\s{1,8})?(\"[^\"]*\"?|'[^']*'?|[^\s\"';]+)", re.IGNORECASE),
        (r"<[^<>\s]{0,40}(?:password|passwd|secret|token|apikey)[^<>]{0,80}(?<!/)>([^<>]+)", re.IGNORECASE),
        # A word alone behind a name at a line's start; pam's lines (password required …) have more words.
        (r"^\s{0,80}(?:password|passwd|secret|(?:wpa-)?psk|bindpw|rootpw|requirepass|masterauth)\s{1,40}(\S+)\s*\Z", re.IGNORECASE),
    )
)
# What a line has in it, in small letters, where a pattern above can match at all: looking for words is quick.
_NEEDLES: tuple[tuple[str, ...], ...] = (
    ("$",), (":",), ("{",), ("akia", "asia", "aroa", "aida"), ("gh", "glpat", "npm_"), ("xox", "aiza", "ya29", "sg."),
    ("sk", "rk_", "pk_", "hvs.", "hvb."), ("eyj",), ("age-secret",), ("://",), ("bearer", "basic", "digest"), ("--",), ("login",),
    ("identified",), ("<",), ("pass", "secret", "psk", "bindpw", "rootpw", "masterauth"),
)  # fmt: skip
_NAME_NEEDLES = (
    "pass", "pwd", "psk", "salt", "secret", "credential", "token", "key", "authorization", "bindpw", "masterauth", "community",
)  # fmt: skip
_NAME_SERVICE = re.compile(r"passwd:\s+(?:files|compat|systemd|sss|ldap|nis|db|winbind)\b")
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# What a key's lines are made of. Anything else ends it: a line of a program behind a begun key is to be read.
_KEY_LINE = re.compile(r"\s*[\"']?(?:[A-Za-z0-9+/=]+(?:\\r)?(?:\\n)?|[A-Za-z\-]{3,20}: [\w ,.:\-()@<>/]{1,200})[\"']?[\s.+,;\\]*\Z")


class Masker:
    """Masks text with one key; the same secret gets the same token by the same key.

    Args:
        key: Random bytes that are kept where the text is.
        patterns: A site's own, for :mod:`re`, beside those of this module: what the first group matches, or all of it. A line
            longer than 4096 letters is masked whole where there are any: nobody knows how long they would take.
    """

    def __init__(self, key: bytes, patterns: Sequence[str] = ()) -> None:
        """Compile a site's own patterns."""
        self._key = key
        self._own = tuple(map(re.compile, patterns))

    def mask(self, text: str) -> str:
        r"""Give the text with every secret as a token; what is masked already stays.

        Args:
            text: Without NULs, but for tokens.

        >>> render_masked(Masker(b"k").mask("user = x\npassword = hunter2\n"))
        'user = x\npassword = [masked]\n'
        """
        return "".join(self._lines(text))

    def _token(self, secret: str) -> str:
        if _TOKEN.fullmatch(secret):
            return secret
        digest = hmac.digest(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"\0{digest[:2].hex()}\0"

    def _lines(self, text: str) -> Iterator[str]:
        in_key, block_indent, next_is_value = False, -1, False
        for line in text.splitlines(keepends=True):
            body = line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
            end = line[len(body) :]
            indent = len(body) - len(body.lstrip())
            if in_key:
                in_key = bool(_is_key_line(body)) and not _KEY_ENDS.search(body)
                if in_key and body.strip():
                    yield self._whole(body) + end
                    continue
            if block_indent >= 0:
                if not body.strip() or indent > block_indent:
                    yield (self._whole(body) if body.strip() else body) + end
                    continue
                block_indent = -1
            if next_is_value and not body.strip():
                yield line
                continue
            if next_is_value:
                next_is_value = False
                if body.lstrip()[0] in "\"'\0" or body.lstrip()[0].isalnum():
                    body = self._whole(body)
            body, opened = self._key_in(body) if "PRIVATE KEY" in body else (body, False)
            in_key = in_key or opened
            masked, tail = self._line(body)
            if tail == "block":
                block_indent = indent
            next_is_value = tail == "next"
            yield masked + end

    def _whole(self, body: str) -> str:
        """Mask a line but for what it is indented by."""
        inner = body.strip()
        start = body.index(inner)
        return body[:start] + self._token(inner) + body[start + len(inner) :]

    def _key_in(self, body: str) -> tuple[str, bool]:
        """Mask what stands behind a private key's beginning in its own line, and tell whether it goes on in the next one."""
        begun = _KEY_BEGINS.search(body)
        if begun is None:
            return body, False
        ended = _KEY_ENDS.search(body, begun.end())
        stop = len(body) if ended is None else ended.start()
        inner = body[begun.end() : stop]
        if inner.strip(" \t\"'\\nr+.,;"):
            inner = self._token(inner)
        return body[: begun.end()] + inner + body[stop:], ended is None

    def _line(self, body: str) -> tuple[str, str]:
        """Mask one line; the second value says where its last value is: ``block`` below it, ``next`` in the next line, or here."""
        small, tail = body.lower(), ""
        for needles, pattern in zip(_NEEDLES, _FORMS, strict=True):
            if any(needle in small for needle in needles):
                body = self._replace(pattern, body)
        if any(needle in small for needle in _NAME_NEEDLES) and _NAME_SERVICE.match(body) is None:
            body, tail = self._assigned(body)
        if self._own and len(body) > _LONGEST_FOR_OWN:
            return self._whole(body) if body.strip() else body, tail
        for pattern in self._own:
            body = self._replace(pattern, body)
        return body, tail

    def _replace(self, pattern: re.Pattern[str], body: str) -> str:
        group = 1 if pattern.groups else 0

        def token(match: re.Match[str]) -> str:
            start, stop = match.span(group)
            whole, offset = match[0], match.start()
            if start == -1 or start == stop:
                return whole
            return whole[: start - offset] + self._token(body[start:stop]) + whole[stop - offset :]

        return pattern.sub(token, body)

    def _assigned(self, body: str) -> tuple[str, str]:
        parts: list[str] = []
        at, tail = 0, ""
        while (match := _ASSIGNED.search(body, at)) is not None:
            parts.append(body[at : match.end()])
            at = match.end()
            if at == len(body):
                tail = "next"
                break
            if match[0].rstrip().endswith(":") and _BLOCK_SCALAR.match(body, at):
                tail = "block"
                break
            stop = _value_end(body, match.start(), at)
            start = at + (body[at] in "\"'`")
            if stop > start and not _UNTOUCHED.match(body, start):
                parts.append(body[at:start] + self._token(body[start:stop]))
                at = stop
        return "".join(parts) + body[at:], tail


def _is_key_line(body: str) -> bool:
    return not body.strip() or bool(_TOKEN.fullmatch(body.strip()) or _KEY_LINE.match(body) or _KEY_ENDS.search(body))


def _value_end(body: str, name_at: int, at: int) -> int:
    """Tell where a value ends: at its closing quote; a bare one behind a name that begins the line at the line's end."""
    quote = body[at]
    if quote in "\"'`":
        place = at + 1
        while place < len(body) and body[place] != quote:
            place += 2 if body[place] == "\\" else 1
        return min(place, len(body))
    if _STARTS_LINE.match(body[max(0, name_at - 200) : name_at]) and name_at <= 200:
        return len(body.rstrip())
    match = _WORD.match(body, at)
    return at if match is None else match.end()


def render_masked(text: str, *, changed: Callable[[str], bool] = lambda token: False) -> str:
    """Write tokens as words.

    Args:
        text: Masked.
        changed: Tells of a token whether it is said that the value is another one.
    """
    return _TOKEN.sub(lambda match: _OTHER if changed(match[0]) else MASK, text)
