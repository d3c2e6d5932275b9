"""The pinned keys, with what their owners have added to them since in the host's keyrings."""

import os
from collections.abc import Iterable

from fimkit.model.errors import PackageError
from fimkit.packages.openpgp import Keyring, split_certificates
from fimkit.packages.pins import PinnedKey
from fimkit.packages.rpm_database import RPM_DATABASE
from fimkit.packages.sources import PackageSources
from fimkit.packages.streams import read_whole

__all__ = ["load_keyring"]

_MOST_BYTES = 1 << 24


def load_keyring(keys: Iterable[PinnedKey], sources: PackageSources, problems: list[str]) -> Keyring:
    """Make the keyring that signatures are verified with.

    Args:
        keys: What was pinned; nothing else is ever trusted.
        sources: Where the host is.
        problems: Gets what could not be read of the files that the keys were found in; the pinned form counts then.

    Raises:
        PackageError: If a pinned key is none.
    """
    keys = tuple(keys)
    updates: list[bytes] = []
    for file in dict.fromkeys(key.file for key in keys if not key.file.endswith(RPM_DATABASE)):
        try:
            path = sources.place(file)
            if os.path.isfile(path):
                updates += split_certificates(read_whole(path, _MOST_BYTES)).values()
        except PackageError as error:
            problems.append(str(error))
    return Keyring([key.certificate for key in keys], updates=updates)
