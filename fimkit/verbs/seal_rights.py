"""Whether this user may read the seal: it is shared as the state folder was when it was taken, not as the folder is now."""

import os

from fimkit.evidence.seal_folder import seal_dir
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path

__all__ = ["refuse_stranger"]


def refuse_stranger(state_dir: bytes) -> None:
    """Refuse a user who may not read the seal: what is closed to him is no fault of it. To the folder's owner it would be one.

    Args:
        state_dir: The folder whose store he may read.

    Raises:
        HostError: If a file of the seal is closed to him.
    """
    folder = seal_dir(state_dir)
    try:
        if os.stat(state_dir).st_uid == os.geteuid():
            return
        files = [os.path.join(folder, name) for name in os.listdir(folder)]
    except FileNotFoundError:
        return  # nothing was ever sealed
    except PermissionError:
        files = [folder]
    except OSError as error:
        raise HostError(error.errno, f"cannot look at {render_path(folder)}: {error.strerror}") from error
    for path in files:
        if not os.access(path, os.R_OK):
            words = "whoever seals next shares it with the group that the state folder is shared with"
            raise HostError(f"this user may not read the seal, {render_path(path)}; {words}")
