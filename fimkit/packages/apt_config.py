"""Reads what `apt-config dump` says, for one thing: does apt keep the archives that it installed from. Pure."""

import re
from collections.abc import Iterator, Mapping

__all__ = ["find_cleaners", "parse_apt_dump"]

_LINE = re.compile(r'(?P<name>[^\s"]+) "(?P<value>.*)";')
_YES = frozenset({"yes", "true", "with", "on", "enable", "1"})
_NO = frozenset({"no", "false", "without", "off", "disable", "0"})
_ARCHIVES = "/var/cache/apt/archives"


def parse_apt_dump(text: str) -> dict[str, list[str]]:
    r"""Read settings by their name in small letters; a list has the values of all its entries.

    Source: apt-config(8); apt.conf(5).

    >>> parse_apt_dump('APT::Keep-Downloaded-Packages "0";\nDPkg::Post-Invoke "";\nDPkg::Post-Invoke:: "rm x";\n')
    {'apt::keep-downloaded-packages': ['0'], 'dpkg::post-invoke': ['', 'rm x']}
    """
    settings: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if (match := _LINE.fullmatch(line)) is not None:
            settings.setdefault(match["name"].lower().removesuffix("::"), []).append(match["value"])
    return settings


def find_cleaners(settings: Mapping[str, list[str]], *, has_unattended: bool) -> Iterator[tuple[str, str]]:
    """Say what takes archives out of apt's cache after they were installed, each with what to write into apt.conf instead.

    Args:
        settings: As :func:`parse_apt_dump` gave them.
        has_unattended: Whether unattended-upgrades is installed, which cleans up after itself.

    Source: apt.conf(5), Keep-Downloaded-Packages; apt, apt-private/private-cmndline.cc: the program `apt` alone is set not to keep;
    unattended-upgrades, README.md, Keep-Debs-After-Install.
    """

    def says(name: str, words: frozenset[str]) -> bool:
        return settings.get(name.lower(), [""])[-1].lower() in words

    if says("APT::Keep-Downloaded-Packages", _NO):
        yield "apt-get removes the archives that it installed", 'APT::Keep-Downloaded-Packages "true";'
    if not says("Binary::apt::APT::Keep-Downloaded-Packages", _YES):
        yield "`apt` (though not apt-get) removes the archives that it installed", (
            'Binary::apt::APT::Keep-Downloaded-Packages "true";'
        )
    if has_unattended and not says("Unattended-Upgrade::Keep-Debs-After-Install", _YES):
        yield "unattended-upgrades removes the archives that it installed", 'Unattended-Upgrade::Keep-Debs-After-Install "true";'
    for name in ("DPkg::Post-Invoke", "APT::Update::Post-Invoke", "DPkg::Post-Install-Pkgs"):
        if any(_ARCHIVES in value or "apt-get clean" in value for value in settings.get(name.lower(), [])):
            yield f"a command in {name} empties apt's cache", f"#clear {name};"
    cache, archives = (settings.get(name, [""])[-1] for name in ("dir::cache", "dir::cache::archives"))
    folder = archives if archives.startswith("/") else f"/{cache.strip('/')}/{archives}"
    if archives and folder.rstrip("/") != _ARCHIVES:
        yield f"apt keeps archives in {folder}, and they are looked for in {_ARCHIVES}", f'Dir::Cache::archives "{_ARCHIVES}/";'
