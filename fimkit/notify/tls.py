"""TLS as every channel uses it: the certificate is checked, its name too, and nothing older than TLS 1.2."""

import ssl

from fimkit.model.errors import HostError
from fimkit.model.paths import render_path

__all__ = ["make_context"]


def make_context(ca_file: bytes = b"") -> ssl.SSLContext:
    """Make the client's side of TLS.

    Args:
        ca_file: Certificates to trust instead of the system's; empty: the system's.

    Raises:
        HostError: If the file cannot be read or has no certificate in it.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise HostError(f"{render_path(ca_file)} gives no certificates: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
