"""The other network namespaces of a host, cut with it and looked at again once a second: a container may make links, and be new."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fimkit.panic.cut import CutReceipt, cut_places
from fimkit.panic.ground import Ground
from fimkit.panic.namespaces import Place
from fimkit.panic.rights import held_rights

__all__ = ["OtherNetworks"]

_REST = "what cannot be seen"
_LOOK_S = 1.0
_SHARE = 4.0  # many of them are looked at less often, so that at most a fifth of the time goes into it
_EACH_S = 5.0


class OtherNetworks:
    """Those beside one namespace. What is kept by name on the host is not kept here: the names speak of the host's links."""

    def __init__(self, ground: Ground, *, tell: Callable[[str], None]) -> None:
        """Begin with nothing."""
        self._ground, self._tell = ground, tell
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._times: Counter[str] = Counter()
        self._said: set[str] = set()

    def cut(self) -> dict[str, Mapping[str, Any]]:
        """Cut each; give the receipts as objects for JSON, by the words on each place."""
        try:
            found = self._ground.others()
            receipts = cut_places(found.places, deadline_s=_EACH_S)
        except Exception as error:  # the host's own links are down by now: this is told, and stops nothing
            return {_REST: _row(CutReceipt(errors=(f"the other network namespaces cannot be listed: {error}",)))}
        rows: dict[str, Mapping[str, Any]] = {str(place): _row(receipt) for place, receipt in receipts.items()}
        lacks = {"SYS_ADMIN", "SYS_PTRACE"} - held_rights()
        if lacks:  # then not even all of them can be seen
            words = f"the helper may not look for other namespaces, or enter them: it lacks {', '.join(sorted(lacks))}"
            rows[_REST] = _row(CutReceipt(errors=(words,)))
        elif found.unreadable:
            words = f"{found.unreadable} processes do not show which network namespace they are in"
            rows[_REST] = _row(CutReceipt(errors=(words,)))
        return rows

    def hold(self) -> None:
        """Look again and again, in a thread."""
        self._thread = threading.Thread(target=self._hold, name="fimkit others", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Stop looking."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_EACH_S)

    def _hold(self) -> None:
        pause = _LOOK_S
        while not self._ended.wait(pause):
            start = time.monotonic()
            try:
                for place in self._ground.others().places:
                    if self._ended.is_set():
                        return
                    self._look(place)
            except Exception as error:  # a look that fails is told once, and followed by the next
                self._once(f"the other network namespaces cannot be looked at: {error}")
            pause = max(_LOOK_S, _SHARE * (time.monotonic() - start))

    def _look(self, place: Place) -> None:
        receipt = cut_places([place], deadline_s=_EACH_S)[place]
        for name in receipt.took_down:
            what = f"{name} in {place.name or 'network namespace'} {place.namespace.inode}"
            self._times[what] += 1
            if self._times[what] & (self._times[what] - 1) == 0:
                self._tell(f"{what} was up and is taken down, {self._times[what]} times so far")
        for error in receipt.errors:
            self._once(f"{place}: {error}")

    def _once(self, words: str) -> None:
        if words not in self._said and len(self._said) < 1000:
            self._said.add(words)
            self._tell(words)


def _row(receipt: CutReceipt) -> dict[str, Any]:
    return {"complete": receipt.is_complete} | asdict(receipt)
