"""Verifies OpenPGP signatures, by Sequoia's library: no program of the host and no keyring of the host decides. Pure."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fimkit.model.errors import PackageError

if TYPE_CHECKING:
    from pysequoia import Cert, Decrypted

__all__ = ["Keyring", "Signed", "split_certificates"]

_ERRORS = (RuntimeError, ValueError, TypeError, OSError)
"""What pysequoia raises for whatever it cannot read or verify."""


class Signed(NamedTuple):
    """What was signed, and the fingerprints of the certificates whose signature is good."""

    content: bytes
    signers: tuple[str, ...]


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0]  # a backtrace follows


def split_certificates(data: bytes) -> dict[str, bytes]:
    """Read a keyring, binary or armored.

    Returns:
        Each certificate in binary form, by its primary key's fingerprint in lower case.

    Raises:
        PackageError: If it is no keyring.
    """
    from pysequoia import Cert

    try:
        certificates = Cert.split_bytes(data)
        return {certificate.fingerprint.lower(): bytes(certificate) for certificate in certificates}
    except _ERRORS as error:
        raise PackageError(f"no OpenPGP keyring: {_first_line(error)}") from error


class Keyring:
    """The certificates that count."""

    def __init__(self, certificates: Iterable[bytes], *, updates: Iterable[bytes] = ()) -> None:
        """Take certificates in binary form.

        Args:
            certificates: Those that are trusted.
            updates: Later forms of the same certificates, from anywhere: what their owners added is taken in. Others are left out.

        Raises:
            PackageError: If one of the trusted is no certificate.
        """
        self._certificates: dict[str, Cert] = {}
        for data in certificates:
            for certificate in _parse(data):
                self._certificates[certificate.fingerprint] = certificate
        for data in updates:
            for certificate in _parse(data):
                known = self._certificates.get(certificate.fingerprint)
                if known is not None:
                    self._certificates[certificate.fingerprint] = known.merge(certificate)

    def __len__(self) -> int:
        return len(self._certificates)

    def verify_inline(self, data: bytes) -> Signed:
        """Verify a text that has its signature around it, as an InRelease file.

        Raises:
            PackageError: If it has no good signature by a certificate that counts.
        """
        return self._verify(data, None)

    def verify_detached(self, content: bytes, signature: bytes) -> Signed:
        """Verify a text by a signature that stands elsewhere, as a Release.gpg or in an rpm's header; armored or binary.

        Raises:
            PackageError: If there is no good signature by a certificate that counts.
        """
        last = PackageError("no OpenPGP signature")
        for one in _signatures(signature):
            try:
                return self._verify(content, one)
            except PackageError as error:
                last = error
        raise last

    def _verify(self, data: bytes, signature: bytes | None) -> Signed:
        from pysequoia import Sig, verify

        try:
            sig = None if signature is None else Sig.from_bytes(signature)
            result: Decrypted = verify(data, self._choose, signature=sig)
        except _ERRORS as error:
            raise PackageError(_first_line(error)) from error
        content = data if signature is not None else result.bytes
        signers = tuple(sig.certificate.lower() for sig in result.valid_sigs)
        if content is None or not signers:
            raise PackageError("no good signature")
        return Signed(content, signers)

    def _choose(self, key_ids: Sequence[str]) -> "list[Cert]":
        return list(self._certificates.values())  # which of them made it is the library's to find out


def _parse(data: bytes) -> "list[Cert]":
    from pysequoia import Cert

    try:
        return Cert.split_bytes(data)
    except _ERRORS as error:
        raise PackageError(f"no OpenPGP certificate: {_first_line(error)}") from error


def _signatures(data: bytes) -> list[bytes]:
    """Part the signatures that stand one after another: a Release.gpg has one of each key."""
    from pysequoia.packet import PacketPile, Tag

    try:
        return [bytes(packet) for packet in PacketPile.from_bytes(data) if packet.tag == Tag.Signature]
    except _ERRORS as error:
        raise PackageError(f"no OpenPGP signature: {_first_line(error)}") from error
