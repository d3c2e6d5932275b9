"""A kernel's audit without a kernel: what install asks of it, with the answers that the real one was seen to give."""

import errno
import os
from collections.abc import Sequence

from fimkit.audit.advice import LOCKED
from fimkit.audit.kernel import IMMUTABLE, AuditKernel, AuditStatus, KernelRefusal
from fimkit.audit.rule_codec import FilterList, decode_rule, encode_rule
from fimkit.model.errors import HostError

__all__ = ["FakeKernel"]

_RUNNING = AuditStatus(enabled=1, failure=1, pid=1, rate_limit=0, backlog_limit=8192, lost=0, backlog=0)


class FakeKernel(AuditKernel):
    """Rules in memory, by list. It takes the folders of this host for those that there are, and sends nothing anywhere."""

    def __init__(
        self, *, status: AuditStatus = _RUNNING, rules: Sequence[bytes] = (), io_uring: bool = True, deny: HostError | None = None
    ) -> None:
        """Begin with a state.

        Args:
            status: What :meth:`status` says; ``enabled=2`` locks the rules.
            rules: Those that are there.
            io_uring: Whether the kernel has that list (since 5.17).
            deny: What to answer to everything, as without the right.
        """
        self._status = status
        self._deny = deny
        self._io_uring = io_uring
        self._listed = [self._as_listed(rule) for rule in rules]
        self.said: list[str] = []
        self.joined: list[tuple[bytes, bytes]] = []

    def __exit__(self, *_: object) -> None:
        """Keep the state: the kernel does, when a socket is closed."""

    @staticmethod
    def _as_listed(rule: bytes) -> bytes:
        # The classes of calls, the last bits of the mask, come back cleared.
        return rule[:266] + b"\0\0" + rule[268:]

    def _check(self) -> None:
        if self._deny is not None:
            raise self._deny

    def status(self) -> AuditStatus:
        """The state that it began with, and what was set since."""
        self._check()
        return self._status

    def enable(self) -> None:
        """Turn auditing on."""
        self._change()
        self._status = self._status._replace(enabled=1)

    def disable(self) -> None:
        """Turn auditing off."""
        self._change()
        self._status = self._status._replace(enabled=0)

    def set_backlog_limit(self, records: int) -> None:
        """Set the limit."""
        self._change()
        self._status = self._status._replace(backlog_limit=records)

    def set_backlog_wait(self, ticks: int) -> None:
        """Set the wait."""
        self._change()
        self._status = self._status._replace(backlog_wait_time=ticks)

    def _change(self) -> None:
        self._check()
        if self._status.enabled == IMMUTABLE:
            raise KernelRefusal(errno.EPERM, LOCKED)

    def rules(self) -> list[bytes]:
        """List the rules, by list, in the order of adding."""
        self._check()
        return sorted(self._listed, key=lambda raw: decode_rule(raw).filter_list)

    def add(self, rule: bytes) -> None:
        """Add one rule, or refuse it as the kernel would."""
        self._change()
        typed = decode_rule(rule)
        folder = typed.text_of("dir")
        names = [field.name for field in typed.fields]
        if (typed.filter_list is FilterList.IO_URING and ("perm" in names or not self._io_uring)) or len(set(names)) < len(names):
            raise KernelRefusal(errno.EINVAL, "the kernel would not add an audit rule: Invalid argument")
        if typed in [decode_rule(raw) for raw in self._listed]:
            raise KernelRefusal(errno.EEXIST, "the kernel would not add an audit rule: File exists")
        if not os.path.exists(folder or os.path.dirname(typed.text_of("path") or b"/")):
            raise KernelRefusal(errno.ENOENT, "the kernel would not add an audit rule: No such file or directory")
        self._listed.append(self._as_listed(encode_rule(typed)))

    def delete(self, rule: bytes) -> None:
        """Delete one rule by its listed bytes."""
        self._change()
        if rule not in self._listed:
            raise KernelRefusal(errno.ENOENT, "the kernel would not delete an audit rule: No such file or directory")
        self._listed.remove(rule)

    def join_mount(self, mount: bytes, tree: bytes) -> None:
        """Remember it in ``joined``."""
        self._change()
        if not (os.path.exists(mount) and os.path.exists(tree)):
            raise KernelRefusal(errno.ENOENT, "the kernel would not join a mount to an audit rule: No such file or directory")
        self.joined.append((mount, tree))

    def say(self, text: str) -> None:
        """Remember it in ``said``."""
        self._check()
        self.said.append(text)
