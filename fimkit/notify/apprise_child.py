"""The process that speaks to one channel by apprise: what to say comes on standard input, what came of it goes to standard output.

apprise has no deadline of its own, and whatever library it loads for a service is not trusted to keep one: this process ends itself
by the kernel's timer, and its parent ends it too. The URL is never an argument, which every user could read.
"""

import json
import logging
import os
import signal
import sys
from typing import Any

__all__ = ["main"]

_READ_BYTES = 1 << 20


def _say(**row: object) -> int:
    os.write(1, json.dumps(row).encode("ascii"))
    return 0


def _send(apprise: Any, request: dict[str, Any]) -> int:
    asset = apprise.AppriseAsset(secure_logging=True, storage_mode=apprise.PersistentStoreMode.MEMORY, async_mode=False)
    asset.app_id, asset.app_desc, asset.app_url = "fimkit", "fimkit", ""
    client = apprise.Apprise(asset=asset)
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:
        if not client.add(request["url"]):
            return _say(sent=False, words="its URL is none that apprise knows")
        if request["probe"]:
            return _say(sent=True, words="its URL is one that apprise knows")
        sent = client.notify(
            title=request["title"], body=request["body"], notify_type=request["kind"], body_format=apprise.NotifyFormat.TEXT
        )
        return _say(sent=bool(sent), words="" if sent else " ".join(log.getvalue().split()) or "it was not taken")


def main() -> int:
    """Send one message.

    Returns:
        0 where it said what came of it.
    """
    request = json.loads(sys.stdin.buffer.read(_READ_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, request["deadline_s"])
    try:
        import apprise
    except ImportError as error:
        return _say(sent=False, words=f"the package apprise is not here ({error.name}): pip install 'fimkit[notify]'")
    try:
        return _send(apprise, request)
    except Exception as error:  # whatever a service's plugin makes of it is words for the receipt
        return _say(sent=False, words=f"{type(error).__name__}: {error}")
