"""Which of two versions is the earlier one, as dpkg and rpm see it. Pure."""

from functools import lru_cache

__all__ = ["deb_is_older", "rpm_is_older"]


@lru_cache(maxsize=4096)
def deb_is_older(version: str, other: str) -> bool | None:
    """Tell whether a Debian version is earlier than another; ``None`` where one of them is no version.

    >>> deb_is_older("1.0~rc1-1", "1.0-1"), deb_is_older("2:1.0", "3.0"), deb_is_older("1", "1")
    (True, False, False)
    """
    from univers.debian import Version  # a change of packages is rare: no need to import it before

    try:
        return bool(Version.from_string(version) < Version.from_string(other))  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError):
        return None


@lru_cache(maxsize=4096)
def rpm_is_older(version: str, other: str) -> bool | None:
    """Tell whether an rpm's ``[EPOCH:]VERSION-RELEASE`` is earlier than another; ``None`` where one of them is none.

    >>> rpm_is_older("1.0-9.fc40", "1.0-10.fc40"), rpm_is_older("1:1.0-1", "2.0-1"), rpm_is_older("x:", "1")
    (True, False, None)
    """
    from univers.rpm import RpmVersion

    try:
        return bool(RpmVersion.from_string(version) < RpmVersion.from_string(other))  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError):
        return None
