"""A million files are known in little memory, and exactly."""

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.file_numbers import FileNumbers

numbers = st.integers(0, 3) | st.sampled_from([2**63, 2**64 - 1, 2**64, -1, 1 << 23, (1 << 23) + 1])
keys = st.tuples(st.integers(0, 3), numbers)


@given(st.lists(keys, max_size=30), st.lists(keys, max_size=30), st.integers(0, 9))
def test_many_are_known_as_few_are(known: list[tuple[int, int]], asked: list[tuple[int, int]], few: int) -> None:
    found = FileNumbers(known, few=few)
    for dev, inode in [*known, *asked]:
        assert ((dev, inode) in found.keys) is ((dev, inode) in set(known))
        assert (inode in found.inodes) is (inode in {number for _, number in known})
    assert found.devices == {dev for dev, _ in known}
