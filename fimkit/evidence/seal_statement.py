"""What a seal says, and the signed text that it is: one line of JSON with sorted keys. Pure."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fimkit.model.errors import SealError, clip

__all__ = [
    "FORM", "Seal", "SealStatement", "parse_request", "parse_seal", "parse_statement", "render_request", "render_seal",
    "render_statement", "signed_bytes",
]  # fmt: skip

FORM = 1
"""The form of the rows and of the statement; another one is refused, and never guessed at."""

_SIGNED = b"fimkit baseline seal\n"  # a signature made for something else with the same key is none of a seal
_TYPES: dict[str, type] = {
    "host": str, "number": int, "time_ns": int, "rows": int, "digest": str, "acceptance": int, "acceptances": str, "key": str,
    "who": str, "watches": list,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SealStatement:
    """What the holder of the private key vouches for.

    ``number`` only grows; ``digest`` is SHA-256 over the canonical lines of ``rows`` rows in path order; ``acceptance`` is the
    last acceptance that is in them, and ``acceptances`` the digest of all up to it; ``key`` is the key's fingerprint; ``watches``
    are the configured watches, each as text.
    """

    host: str
    number: int
    time_ns: int
    rows: int
    digest: str
    acceptance: int
    acceptances: str
    key: str
    who: str
    watches: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A statement as it was signed, the signature, and the raw public key that is said to have made it; nothing is verified."""

    statement: SealStatement
    signed: str
    signature: bytes
    public_key: bytes


def signed_bytes(signed: str) -> bytes:
    r"""Give the bytes that the signature of a statement's text is over.

    >>> signed_bytes("{}")
    b'fimkit baseline seal\n{}'
    """
    return _SIGNED + signed.encode("utf-8", "surrogatepass")


def render_statement(statement: SealStatement) -> str:
    """Give the one text of a statement."""
    body = {item.name: getattr(statement, item.name) for item in fields(statement)}
    return json.dumps({"form": FORM, **body}, sort_keys=True, separators=(",", ":"))


def parse_statement(text: str) -> SealStatement:
    """Read it back.

    Raises:
        SealError: If it is none, or of another form.
    """
    body = _object(text, "a seal's statement")
    if body.pop("form", None) != FORM:
        raise SealError(f"the seal is of another form than {FORM}, the one that this fimkit knows")
    wrong = sorted(name for name in {*body, *_TYPES} if type(body.get(name)) is not _TYPES.get(name))
    if wrong or not all(isinstance(watch, str) for watch in body["watches"]):
        raise SealError(f"a seal's statement with wrong {', '.join(wrong) or 'watches'}")
    return SealStatement(**{**body, "watches": tuple(body["watches"])})


def render_request(statement: SealStatement) -> str:
    """Give the file that is carried to the private key."""
    return json.dumps({"fimkit": "seal request", "statement": render_statement(statement)}) + "\n"


def parse_request(text: str) -> tuple[SealStatement, str]:
    """Read such a file: the statement, and the text that is to be signed.

    Raises:
        SealError: If it is none.
    """
    body = _object(text, "a seal request")
    if body.get("fimkit") != "seal request" or not isinstance(body.get("statement"), str):
        raise SealError("it is no seal request; `fimkit baseline seal --request FILE` writes one")
    return parse_statement(body["statement"]), body["statement"]


def render_seal(seal: Seal) -> str:
    """Give the file of a seal."""
    encoded = {name: base64.b64encode(getattr(seal, name)).decode() for name in ("signature", "public_key")}
    return json.dumps({"fimkit": "seal", "statement": seal.signed, **encoded}) + "\n"


def parse_seal(text: str) -> Seal:
    """Read such a file; the signature is not verified.

    Raises:
        SealError: If it is none.
    """
    body = _object(text, "a seal")
    names = ("statement", "signature", "public_key")
    if body.get("fimkit") != "seal" or not all(isinstance(body.get(name), str) for name in names):
        raise SealError("it is no seal")
    try:
        signature, public_key = (base64.b64decode(body[name], validate=True) for name in ("signature", "public_key"))
    except (binascii.Error, ValueError):
        raise SealError("a seal whose signature or key is no base64") from None
    return Seal(
        statement=parse_statement(body["statement"]), signed=body["statement"], signature=signature, public_key=public_key
    )  # fmt: skip


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise SealError(f"{clip(text, 60)} is no JSON, expected {what}") from None
    if not isinstance(body, Mapping):
        raise SealError(f"{clip(text, 60)} is no object, expected {what}")
    return dict(body)
