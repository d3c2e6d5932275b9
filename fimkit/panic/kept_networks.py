"""The networks as they were before a panic: in memory and on the disk, saved within a bound, put back when it is over."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from fimkit.model.errors import HostError
from fimkit.panic.ground import Ground
from fimkit.panic.networks import (
    NETWORKS_NAME,
    SavedNetworks,
    parse_networks,
    raise_links,
    render_networks,
    restore_networks,
    save_networks,
)
from fimkit.panic.panic_folder import PanicFolder
from fimkit.panic.save import boot_id

__all__ = ["KeptNetworks"]


class KeptNetworks:
    """Those of one panic at a time."""

    def __init__(self, ground: Ground, folder: PanicFolder, *, say: Callable[[str], None]) -> None:
        """Begin with nothing; ``say`` is given words for the log."""
        self._ground, self._folder, self._say = ground, folder, say
        self._saved: SavedNetworks | None = None

    @property
    def is_saved(self) -> bool:
        """Whether there is something to go back to."""
        return self._saved is not None

    @property
    def leads_out(self) -> bool:
        """Whether a link was up when it was saved: what has none may have been cut before."""
        return self._saved is not None and _leads_out(self._saved)

    def forget(self) -> None:
        """End with this panic: the file stays until the next one."""
        self._saved = None

    def save(self, incident: str, *, with_others: bool, began: threading.Event, wait_s: float) -> list[str]:
        """Save the networks, in a thread: what hangs there holds up nothing.

        Args:
            incident: What they are saved for.
            with_others: The other namespaces too.
            began: Set where the cut has begun: what is listed after that is nothing to go back to.
            wait_s: Go on after this.

        Returns:
            What is not saved or not stored, in words.
        """
        saved: list[SavedNetworks] = []
        trouble = [f"the network is not saved: that was not done within {wait_s:g} s"]

        def work() -> None:
            try:
                found = save_networks(self._ground, incident, with_others=with_others)
                if began.is_set():
                    trouble[:] = ["the network is not saved: it was cut meanwhile"]
                    return
                saved.append(found)
                problem = self._folder.store(NETWORKS_NAME, render_networks(found), wait_s=wait_s)
                trouble[:] = [*found.words, *([problem] if problem else [])]
            except Exception as error:  # the panic goes on without
                trouble[:] = [f"the network is not saved: {error}"]

        thread = threading.Thread(target=work, name="fimkit save", daemon=True)
        with suppress(RuntimeError):
            thread.start()
            thread.join(wait_s)
        self._saved = saved[0] if saved else None
        told = list(trouble)
        for words in told:
            self._say(words)
        return told

    def load(self, incident: str) -> None:
        """Take what is on the disk, if it was saved for this panic, in this boot and this namespace."""
        if self._saved is not None:
            return
        try:
            row = self._folder.load(NETWORKS_NAME)
            saved = None if row is None else parse_networks(row)
        except HostError as error:
            self._say(f"{error}; kept as {self._folder.set_aside(NETWORKS_NAME)}")
            return
        if saved is None or saved.incident != incident or not _leads_out(saved):
            return
        if saved.own.boot_id == boot_id() and saved.own.namespace == self._ground.where.inode:
            self._saved = saved

    def put_back(self, lowered: Sequence[str], *, went_down: bool, has_booted: bool) -> tuple[list[str], list[str]]:
        """Put them back; again, it changes nothing.

        Args:
            lowered: Links that were taken down.
            went_down: Whether links of this namespace were taken down at all.
            has_booted: The host has booted since the trigger: its network service configures links that come up.

        Returns:
            What is missing, and what else to know, in words.
        """
        saved, missing, notes = self._saved, list[str](), list[str]()
        if saved is not None:
            missing, notes = restore_networks(saved, self._ground, own=went_down)
        more_missing, more = raise_links(self._ground, lowered, None if saved is None else saved.own)
        if went_down and saved is None and has_booted:
            more.append("there is no saved network of this boot: addresses and routes are the network service's to bring back")
        elif went_down and saved is None:
            more_missing.append(
                "the addresses and routes that were lost with the links: they were not saved, or the file is damaged or gone; "
                "restart the service that configures this network"
            )
        return missing + more_missing, notes + more


def _leads_out(saved: SavedNetworks) -> bool:
    return any(link.is_up and not link.is_loopback for link in saved.own.links)
