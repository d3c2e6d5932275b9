"""What SECURITY.md says of the units is what stands in them, and what it names is there."""

import re
from pathlib import Path

import pytest

from fimkit.verbs.content_runner import _RIGHTS as CONTENT_RIGHTS
from fimkit.verbs.panic_order import KEPT_RIGHTS
from fimkit.verbs.watch_sources import _KEPT_RIGHTS as WATCH_RIGHTS

__all__: list[str] = []

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
CHECK = re.compile(r"\bthose of the check\b")
NAMES = re.compile(r"\b(?:AUDIT_READ|AUDIT_CONTROL|DAC_READ_SEARCH|NET_ADMIN|NET_RAW|SYS_PTRACE|SETUID|SETGID|KILL)\b")


def cells(first: str) -> list[str]:
    (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.strip("|").split(" | ")]


def settings(unit: str, key: str) -> list[str]:
    text = (ROOT / "units" / f"{unit}.service").read_text(encoding="utf-8")
    return [word for line in re.findall(rf"^{key}=(.*)$", text, re.MULTILINE) for word in line.split()]


def said_rights(unit: str) -> set[str]:
    words = cells(f"`{unit}`")[1]
    return set(NAMES.findall(words)) | (said_rights("fimkit-check") if CHECK.search(words) else set())


UNITS = ("fimkit-check", "fimkit-panic", "fimkit-rules", "fimkit-watch")


@pytest.mark.parametrize("unit", UNITS)
def test_the_rights_that_are_said_of_a_unit_are_those_that_it_has(unit: str) -> None:
    assert {f"CAP_{name}" for name in said_rights(unit)} == set(settings(unit, "CapabilityBoundingSet"))


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_said_of_all_units_stands_in_each(unit: str) -> None:
    for key, value in (
        ("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("ProtectHome", "read-only"), ("RestrictNamespaces", "yes"),
        ("RestrictSUIDSGID", "yes"), ("LockPersonality", "yes"), ("DevicePolicy", "closed"), ("UMask", "0077"),
    ):  # fmt: skip
        assert settings(unit, key) == [value], key
    assert settings(unit, "User") == []
    denied = " ".join(settings(unit, "SystemCallFilter"))
    (said,) = re.findall(r"without\s+`(@clock [^`]*)`", TEXT)
    assert denied.startswith("@system-service ~")
    assert set(said.split()) <= set(denied.replace("~", "").split())


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_that_is_said_to_be_without_a_network_has_none(unit: str) -> None:
    alone = "alone" in cells(f"`{unit}`")[2]
    assert (settings(unit, "IPAddressDeny") == ["any"]) is alone
    assert ({"AF_INET", "AF_INET6"} <= set(settings(unit, "RestrictAddressFamilies"))) is not alone


@pytest.mark.parametrize(
    ("process", "kept"),
    [("the watch itself", WATCH_RIGHTS), ("the panic's runner", KEPT_RIGHTS), ("who hands contents out", CONTENT_RIGHTS)],
)
def test_the_rights_that_are_said_of_a_process_are_those_that_it_keeps(process: str, kept: tuple[str, ...]) -> None:
    assert set(NAMES.findall(cells(process)[1])) == set(kept)


def test_the_exposures_are_those_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for unit in UNITS:
        assert f"`{unit}` {cells(f'`{unit}`')[4]}" in readme


def test_the_files_that_are_named_are_there() -> None:
    assert (ROOT / "audit_rules" / "47-fimkit.rules").is_file() and "audit_rules/47-fimkit.rules" in TEXT
    assert "](SECURITY.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
