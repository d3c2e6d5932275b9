"""Takes findings and gets them to people: the one door that a watch and a check have to mails and channels.

What is taken is on the disk when :meth:`Notifier.take` returns. Making mails and sending them is a thread's work, with its own
connection to the queue: a server that hangs holds up neither the watching nor a stop.
"""

import queue
import threading
import time
from collections.abc import Sequence
from functools import partial

from fimkit.model.config import Config
from fimkit.model.errors import HostError, StoreError
from fimkit.model.findings import Finding, Verdict
from fimkit.model.time import render_time
from fimkit.notify.digest_text import render_count
from fimkit.notify.mail import MailReceipt, load_mailer
from fimkit.notify.mute_book import MuteBook
from fimkit.notify.mutes import MuteSet
from fimkit.notify.outbox import Outbox
from fimkit.notify.pace import Lane, lane_of
from fimkit.notify.post import lane_due_ns, make_alerts, make_digests, mute_waiting, send_channels, send_due
from fimkit.notify.race import Outcome

__all__ = ["Notifier"]

_NS = 1_000_000_000
_LONGEST_S, _BUSY_S = 60.0, 0.5  # what another process queued, or a mail that is being sent, is looked after this often
_MOST_UNSAVED = 10_000
_PATIENCE_DEADLINES = 3          # of a server's time, at the end of a check: alerts, digest, and a try of what waited


class Notifier:
    """Mails and channels, for one process that finds things.

    ``next_s`` is in how many seconds :meth:`step` is to be called again; ``problem`` is what is the matter now, in words, if
    anything is.
    """

    def __init__(self, config: Config, *, addresses: Sequence[str], nomail: bool = False) -> None:
        """Prepare; nothing is opened before the first finding or step, and nothing raises later.

        Args:
            config: Its ``[host]``, ``[mail]``, ``[[paths]]`` and channels.
            addresses: Of this host; the first one is in the subjects.
            nomail: Nothing is queued and nothing sent, as with ``[mail] nomail``.
        """
        mail = config.mail
        readers = mail.general_recipients or any(watch.notify for watch in config.paths)
        self._config, self._addresses = config, tuple(addresses)
        self._active = not (nomail or mail.nomail) and bool(config.channels or (mail.smtp_server and readers))
        self._channel_names = tuple(one.name for one in config.channels)
        self._unsaved: list[Finding] = []
        self._lost = 0
        self._rest_until_ns = 0
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failed: dict[str, str] = {}
        self._queue_problem: str | None = None
        self.next_s = _LONGEST_S
        if not self._active and not (nomail or mail.nomail) and readers:
            self._queue_problem = "there are recipients and no mail server: nobody is told; remedy: [mail] smtp_server"

    @property
    def problem(self) -> str | None:
        """What keeps somebody from being told, in words."""
        return "; ".join(filter(None, (self._queue_problem, *self._failed.copy().values()))) or None

    def take(self, findings: Sequence[Finding], *, now_ns: int | None = None) -> None:
        """Queue findings, durably; what is expected is for nobody, what is muted is counted.

        Where the disk refuses, they are kept in memory and queued with the next ones, and ``problem`` says so.

        Args:
            findings: New ones.
            now_ns: The time; by default that of the clock.
        """
        if not self._active:
            return
        self._unsaved += [one for one in findings if one.verdict is not Verdict.EXPECTED]
        if self._unsaved:
            self._save(time.time_ns() if now_ns is None else now_ns)

    def _save(self, now_ns: int) -> None:
        try:
            with Outbox(self._config.host.state_dir) as outbox, MuteBook(self._config.host.state_dir) as book:
                told, muted = MuteSet(book.mutes(), now_ns=now_ns).split(self._unsaved)
                by_lane = {lane: [one for one in told if lane_of(one) is lane] for lane in Lane}
                outbox.add_all(by_lane, now_ns=now_ns, muted=muted)
        except (HostError, StoreError) as error:
            self._keep_unsaved(error)
            return
        self._unsaved, self._queue_problem, self.next_s = [], None, 0.0

    def _keep_unsaved(self, error: Exception) -> None:
        surplus = len(self._unsaved) - _MOST_UNSAVED
        if surplus > 0:
            self._lost += surplus
            del self._unsaved[_MOST_UNSAVED:]
        lost = f", and {self._lost} more are only in the store" if self._lost else ""
        words = f"{error}: {render_count(len(self._unsaved), 'finding waits', 'findings wait')} in memory for the queue{lost}"
        if self._queue_problem is None:
            self._words.put(words)
        self._queue_problem, self.next_s = words, _LONGEST_S

    def step(self, now_ns: int, *, hurry: bool = False) -> list[str]:
        """Let what is due be made and sent, in a thread; this returns at once.

        Args:
            now_ns: The time.
            hurry: Do not wait for what else may come.

        Returns:
            What there is to say since the last call: a server that went away, or came back.
        """
        if self._active:
            if self._unsaved:
                self._save(now_ns)
            if self._thread is not None and not self._thread.is_alive():
                self._thread = None
            if self._thread is None:
                self.next_s = self._start(now_ns, hurry)
            else:
                self.next_s = _BUSY_S
        return self._take_words()

    def _start(self, now_ns: int, hurry: bool) -> float:
        try:
            left_s = self._left_s(now_ns, hurry)
        except (HostError, StoreError) as error:
            self._say("look", str(error))
            return _LONGEST_S
        self._say("look", None)
        left_s = max(left_s, self._rest_until_ns / _NS - now_ns / _NS)
        if left_s > 0:
            return min(left_s, _LONGEST_S)
        self._thread = threading.Thread(target=self._work, args=(now_ns, hurry), name="fimkit notify", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads: the next step tries again
            self._thread = None
            self._say("work", f"nobody is told: {error}")
            return _LONGEST_S
        return _BUSY_S

    def _left_s(self, now_ns: int, hurry: bool) -> float:
        with Outbox(self._config.host.state_dir) as outbox:
            dues = [lane_due_ns(outbox, self._config, lane, hurry=hurry) for lane in Lane]
            dues.append(outbox.next_letter_ns(self._channel_names))
        due_ns = min((one for one in dues if one is not None), default=None)
        return _LONGEST_S if due_ns is None else max(0.0, (due_ns - now_ns) / _NS)

    def _take_words(self) -> list[str]:
        words = []
        while True:
            try:
                words.append(self._words.get_nowait())
            except queue.Empty:
                return words

    def finish(self, *, hurry: bool = True, now_ns: int | None = None, patience_s: float | None = None) -> list[str]:
        """Send what can be sent before the process ends; what cannot stays in the queue for the next one.

        Args:
            hurry: A digest does not wait for what else may come, as at the end of a nightly check.
            now_ns: The time; by default that of the clock.
            patience_s: How long at most; by default a few times ``[mail].deadline_s``.

        Returns:
            What there is to say.
        """
        if not self._active:
            return self._take_words()
        end = time.monotonic() + (self._config.mail.deadline_s * _PATIENCE_DEADLINES if patience_s is None else patience_s)
        words = self._wait(end)
        words += self.step(time.time_ns() if now_ns is None else now_ns, hurry=hurry)
        return words + self._wait(end)

    def _wait(self, end: float) -> list[str]:
        if self._thread is not None:
            self._thread.join(max(0.0, end - time.monotonic()))
        return self._take_words()

    def _work(self, now_ns: int, hurry: bool) -> None:
        """Make and send all that is due; in the thread."""
        try:
            self._make(now_ns, hurry)
            beside = threading.Thread(target=partial(self._send_channels, now_ns), name="fimkit channels", daemon=True)
            if self._config.channels:
                beside.start()
            if self._send_mail(now_ns):  # a server is back: what waited for it is one mail
                self._make(now_ns, hurry)
                self._send_mail(now_ns)
            if beside.ident is not None:
                beside.join()
            self._say("work", None)
        except Exception as error:  # a thread's end is silent: whatever it is, it must be said, and the next step tries again
            self._rest_until_ns = now_ns + int(_LONGEST_S) * _NS
            self._say("work", f"nobody is told: {type(error).__name__}: {error}")

    def _make(self, now_ns: int, hurry: bool) -> None:
        folder = self._config.host.state_dir
        with Outbox(folder) as outbox, MuteBook(folder) as book:
            outbox.retire(self._channel_names, now_ns=now_ns)
            mute_waiting(outbox, book, now_ns=now_ns)
            make_alerts(outbox, self._config, addresses=self._addresses, now_ns=now_ns)
            make_digests(outbox, self._config, addresses=self._addresses, now_ns=now_ns, hurry=hurry)

    def _send_mail(self, now_ns: int) -> bool:
        """Send the mails; tell whether a server that was down has taken one."""
        with Outbox(self._config.host.state_dir) as outbox:
            was_down_ns = outbox.facts().get("mail_down_ns")
            try:
                receipts = send_due(outbox, partial(load_mailer, self._config), now_ns=now_ns)
            except HostError as error:
                self._say("mail", f"mail cannot be sent: {error}; it waits in the queue")
                return False
            if not receipts:
                return False
            down_ns = outbox.mail_down_ns()
        self._judge(receipts, down_ns)
        back = was_down_ns is not None and down_ns is None and any(one.taken for one in receipts)
        if back:
            self._words.put(f"mail goes out again; it had not since {render_time(was_down_ns or 0)}")
        return back

    def _judge(self, receipts: Sequence[MailReceipt], down_ns: int | None) -> None:
        refused = {address: words for one in receipts for address, words in one.refused.items()}
        if not refused:
            self._say("mail", None)
            return
        since = f" since {render_time(down_ns)}" if down_ns is not None else ""
        who = ", ".join(refused)
        self._say("mail", f"mail to {who} is not delivered{since}: {next(iter(refused.values()))}; it waits in the queue")

    def _send_channels(self, now_ns: int) -> None:
        try:
            with Outbox(self._config.host.state_dir) as outbox:
                outcomes = send_channels(
                    outbox, self._config.channels, now_ns=now_ns, deadline_s=self._config.mail.deadline_s
                )
        except Exception as error:  # as in the other thread
            self._say("channels", f"channels are not told: {type(error).__name__}: {error}")
            return
        for outcome in outcomes:
            self._say(outcome.name, None if outcome.done else _failure(outcome))

    def _say(self, what: str, words: str | None) -> None:
        """Note what is the matter with something, or that nothing is; the first time it is said too."""
        if words is None:
            self._failed.pop(what, None)
        elif what not in self._failed:
            self._words.put(words)
            self._failed[what] = words
        else:
            self._failed[what] = words


def _failure(outcome: Outcome) -> str:
    return f"{outcome.name} was not told: {outcome.error}; it waits in the queue"
