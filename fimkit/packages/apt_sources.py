"""Reads apt's source files for one thing: which keyrings each repository is trusted by. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["SignedBy", "parse_list_file", "parse_sources_file"]

_OPTIONS = re.compile(r"\[(?P<options>[^\]]*)\]")
_FINGERPRINT = re.compile(r"(?P<fingerprint>[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})!?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBy:
    """What one repository is trusted by. All empty: by every keyring in apt's own folders.

    ``files`` are keyrings; ``fingerprints`` choose from apt's own folders; ``embedded`` are keys written into the source itself.
    """

    files: tuple[bytes, ...] = ()
    fingerprints: tuple[str, ...] = ()
    embedded: tuple[bytes, ...] = ()

    @property
    def by_all(self) -> bool:
        """Whether it names nothing."""
        return not (self.files or self.fingerprints or self.embedded)


def _signed_by(value: str) -> SignedBy:
    if "-----BEGIN PGP" in value:
        lines = ("" if line.strip() == "." else line.strip() for line in value.split("\n"))
        return SignedBy(embedded=("\n".join(lines).strip().encode() + b"\n",))
    words = value.replace(",", " ").split()
    matches = [match for word in words if (match := _FINGERPRINT.fullmatch(word)) is not None]
    return SignedBy(
        files=tuple(word.encode("utf-8", "surrogateescape") for word in words if word.startswith("/")),
        fingerprints=tuple(match["fingerprint"].lower() for match in matches),
    )


def parse_list_file(text: str) -> Iterator[SignedBy]:
    r"""Read the one-line style.

    Source: sources.list(5).

    >>> list(parse_list_file("# x\ndeb [arch=amd64 signed-by=/k.gpg] http://a b c\ndeb http://a b c"))[0].files
    (b'/k.gpg',)
    """
    for line in text.split("\n"):
        words = line.partition("#")[0].split(None, 1)
        if len(words) == 2 and words[0] == "deb":
            match = _OPTIONS.match(words[1])
            options = dict(word.split("=", 1) for word in (match["options"].split() if match else []) if "=" in word)
            yield _signed_by(options.get("signed-by", ""))


def parse_sources_file(text: str) -> Iterator[SignedBy]:
    r"""Read the stanza style.

    Source: sources.list(5), DEB822-STYLE FORMAT.

    >>> [one.by_all for one in parse_sources_file("Types: deb\nSigned-By:\n /k.gpg\n\nTypes: deb\n\nTypes: deb-src")]
    [False, True]
    """
    for stanza in re.split(r"\n[ \t\r]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.split("\n"):
            if line.startswith("#"):
                continue
            if line.startswith((" ", "\t")):
                fields[name] = fields.get(name, "") + "\n" + line
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").strip().lower() not in ("no", "false", "without", "off", "disable", "0")
        if enabled and "deb" in fields.get("types", "").split():
            yield _signed_by(fields.get("signed-by", ""))
