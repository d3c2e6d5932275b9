"""What every test shares: how Hypothesis draws its examples, and the watch over the machine's own network."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

__all__: list[str] = []

# No deadline: a loaded machine is slow, and slow is not wrong. In CI the same examples every time: a red run can be repeated.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_UP = 1


def _links_up() -> set[str]:
    """Name the links that are up in the network that the tests were started in."""
    up = set()
    for flags in Path("/sys/class/net").glob("*/flags"):
        if int(flags.read_text(), 16) & _UP:
            up.add(flags.parent.name)
    return up


@pytest.fixture(autouse=True, scope="module")
def _network_of_the_machine_stays() -> Iterator[None]:
    """Fail the module after which a link of the machine's own network is down: what is cut is cut in a network of a test's own."""
    before = _links_up()
    yield
    assert before <= _links_up(), f"a test took down {sorted(before - _links_up())} of the machine's own network"
