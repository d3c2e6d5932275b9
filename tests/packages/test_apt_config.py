"""Whether apt keeps what it installed, by its own configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.packages.apt_config import find_cleaners, parse_apt_dump

__all__: list[str] = []

KEEPING = """\
Dir::Cache "var/cache/apt";
Dir::Cache::archives "archives/";
DPkg::Post-Invoke "";
DPkg::Post-Invoke:: "/bin/echo > /dev/null";
Binary::apt::APT::Keep-Downloaded-Packages "1";
"""


def cleaners(text: str, *, has_unattended: bool = False) -> list[str]:
    return [line for _, line in find_cleaners(parse_apt_dump(text), has_unattended=has_unattended)]


def test_an_apt_that_keeps_everything_is_well() -> None:
    assert cleaners(KEEPING) == []


def test_apt_as_it_comes_does_not_keep_and_nor_does_unattended_upgrades() -> None:
    text = KEEPING.replace('"1"', '"0"')
    assert cleaners(text) == ['Binary::apt::APT::Keep-Downloaded-Packages "true";']
    assert cleaners(KEEPING, has_unattended=True) == ['Unattended-Upgrade::Keep-Debs-After-Install "true";']
    assert cleaners(KEEPING + 'Unattended-Upgrade::Keep-Debs-After-Install "yes";', has_unattended=True) == []


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('APT::Keep-Downloaded-Packages "false";', 'APT::Keep-Downloaded-Packages "true";'),
        ('DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb || true";', "#clear DPkg::Post-Invoke;"),
        ('APT::Update::Post-Invoke:: "apt-get clean";', "#clear APT::Update::Post-Invoke;"),
        ('Dir::Cache::archives "/srv/debs";', 'Dir::Cache::archives "/var/cache/apt/archives/";'),
        ('Dir::Cache "srv/cache";', 'Dir::Cache::archives "/var/cache/apt/archives/";'),
    ],
)
def test_each_way_of_losing_archives_has_its_remedy(line: str, remedy: str) -> None:
    assert cleaners(KEEPING + line + "\n") == [remedy]


def test_the_cache_by_its_whole_path_is_the_same_one() -> None:
    assert cleaners(KEEPING + 'Dir::Cache::archives "/var/cache/apt/archives/";\n') == []


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(isinstance(line, str) for line in cleaners(text))
