"""Ed25519 keys of seals: made, read from PEM, named by a fingerprint; signing and verifying."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from fimkit.model.errors import SealError

if TYPE_CHECKING:  # it takes as long to load as the rest of a small verb
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "fingerprint", "is_signed", "load_private_key", "load_public_key", "make_key_pair", "public_of", "render_public_key", "sign",
]  # fmt: skip

_SPKI = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: the DER before the 32 bytes of an Ed25519 public key


def make_key_pair(passphrase: bytes | None) -> tuple[bytes, bytes]:
    """Make a key.

    Args:
        passphrase: What the private key is encrypted with; ``None`` leaves it open.

    Returns:
        The private key as PKCS8 PEM, and the raw public key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption), public_of(key)


def public_of(key: "Ed25519PrivateKey") -> bytes:
    """Give the raw public key of a private one."""
    return key.public_key().public_bytes_raw()


def load_private_key(pem: bytes, ask: Callable[[], bytes]) -> "Ed25519PrivateKey":
    """Read a private key.

    Args:
        pem: The file.
        ask: Gives the passphrase; called only where the key has one.

    Raises:
        SealError: If it is none, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    passphrase = ask() if b"ENCRYPTED" in pem else None
    try:
        key = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        words = "it is no private key in PEM" if passphrase is None else "the passphrase is wrong, or it is no private key in PEM"
        raise SealError(words) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SealError("it is a key of another kind than Ed25519; `fimkit baseline keygen` makes one")
    return key


def render_public_key(raw: bytes) -> bytes:
    """Give a raw public key as PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return Ed25519PublicKey.from_public_bytes(raw).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_public_key(pem: bytes) -> bytes:
    """Read a public key in PEM, and give it raw.

    Raises:
        SealError: If it is none of Ed25519.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise SealError("it is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SealError("it is a key of another kind than Ed25519")
    return key.public_bytes_raw()


def fingerprint(raw: bytes) -> str:
    """Name a public key: SHA-256 of its DER, as ``openssl pkey -pubin -outform DER | sha256sum`` says it too.

    >>> fingerprint(bytes(32))[:16]
    '722abd12e99a5367'
    """
    return hashlib.sha256(_SPKI + raw).hexdigest()


def sign(key: "Ed25519PrivateKey", message: bytes) -> bytes:
    """Sign."""
    return key.sign(message)


def is_signed(raw: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is this key's over this message; of what is no key, it is not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
