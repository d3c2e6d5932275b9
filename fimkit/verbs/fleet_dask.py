"""Judges a fleet's hosts on the workers of a Dask scheduler: the same function for each host as the loop's.

Workers read the places themselves, so what was collected lies where all of them see it. Who reaches a Dask scheduler runs what he
likes on its workers: it belongs on a network of its own, or behind TLS, which Dask's own configuration (``distributed.comm``) says.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fimkit import __version__
from fimkit.model.errors import HostError, clip
from fimkit.verbs.fleet_host import JudgedPlace, judge_place, parse_judged, state_failure

__all__ = ["judge_by_dask"]

_CONNECT_S = 15.0
_LOOK_S = 5.0
_ABANDONED_S = 60.0
_RETRIES = 1  # a worker that is killed for its memory is killed again by the same host


def judge_by_dask(
    places: Sequence[str], *, scheduler: str, now_ns: int, on_done: Callable[[int], None] | None = None
) -> list[JudgedPlace]:
    """Judge places on a scheduler's workers.

    Args:
        places: What :func:`fimkit.verbs.fleet_host.judge_place` takes.
        scheduler: Its address, as ``tcp://192.0.2.10:8786`` or ``tls://…``.
        now_ns: The present.
        on_done: Told how many are done.

    Returns:
        The judged places, in the order asked for. One whose worker died says so.

    Raises:
        HostError: If Dask is not here, the scheduler does not answer, it has no workers or loses them all, or fimkit is not there.
    """
    with _client(scheduler) as client:
        _check_workers(client, scheduler)
        futures = client.map(judge_place, places, [now_ns] * len(places), pure=False, retries=_RETRIES)
        return _gather(client, scheduler, list(futures), places, on_done)


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    try:
        distributed: Any = importlib.import_module("distributed")  # an extra: only who asks for it pays for it
    except ImportError as error:
        raise HostError(f"--scheduler needs the package distributed ({error}): pip install 'fimkit[fleet]'") from error
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise HostError(f"no Dask scheduler answers at {scheduler!r}: {clip(str(error))}") from error
    try:
        with client.as_current():  # by its context, and not the default of whatever program this is
            yield client
    finally:
        client.close()


def _check_workers(client: Any, scheduler: str) -> None:
    """Find out before the first host whether there is anybody to do the work, and with which fimkit."""
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
    except TimeoutError:
        raise HostError(f"the Dask scheduler at {scheduler!r} has no workers") from None
    try:
        versions = client.run(_own_version)
    except Exception as error:  # whatever the worker could not import comes back as it was raised there
        raise HostError(f"fimkit is not installed on the workers of {scheduler!r}: {clip(str(error))}") from error
    others = sorted({str(version) for version in versions.values()} - {__version__})
    if others:
        raise HostError(f"workers of {scheduler!r} have fimkit {', '.join(others)}, and here is {__version__}: rows could differ")


def _own_version() -> str:
    return __version__


def _gather(
    client: Any, scheduler: str, futures: list[Any], places: Sequence[str], on_done: Callable[[int], None] | None
) -> list[JudgedPlace]:
    distributed: Any = importlib.import_module("distributed")
    judged: dict[int, JudgedPlace] = {}
    left, seen = dict(enumerate(futures)), time.monotonic()
    while left:
        try:
            distributed.wait(list(left.values()), timeout=_LOOK_S, return_when="FIRST_COMPLETED")
        except TimeoutError:
            seen = _look_for_workers(client, scheduler, seen)
            continue
        for number, future in list(left.items()):
            if future.done():
                judged[number] = _result(future, places[number])
                left.pop(number).release()  # a host's findings need not stay with its worker
        seen = time.monotonic()
        if on_done is not None:
            on_done(len(judged))
    return [judged[number] for number in range(len(places))]


def _look_for_workers(client: Any, scheduler: str, seen: float) -> float:
    """Give up where nobody is left to do the work: Dask would wait for ever."""
    if client.status == "running" and client.scheduler_info()["workers"]:
        return time.monotonic()
    if time.monotonic() - seen > _ABANDONED_S:
        raise HostError(f"the Dask scheduler at {scheduler!r} has no workers any more, or went away")
    return seen


def _result(future: Any, place: str) -> JudgedPlace:
    try:
        return parse_judged(future.result())
    except Exception as error:  # the worker died, or the answer is none: this host's alone
        return state_failure(place, error)
